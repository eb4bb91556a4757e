package arm

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tintype/internal/arm/wire"
	"tintype/internal/audit"
)

// Activity is the log that the router writes and shows; *audit.Service is the real one.
type Activity interface {
	Record(e audit.Event)
	Events(ctx context.Context, q audit.Query) (audit.Page, error)
}

const (
	insightsNamespace = "Microsoft.Insights"
	activityPage      = 200
	// activityPermission is what reading the log of a scope takes.
	activityPermission = insightsNamespace + "/eventtypes/values/Read"
)

// traced is what becomes known of a request on its way, for the log.
type traced struct {
	route *route
	call  *Call
}

// logged tells whether the activity log has requests of the route: writes, deletions and actions, as in Azure.
func (rt *route) logged() bool {
	return rt.op.Method != http.MethodGet && rt.op.Method != http.MethodHead && !strings.HasSuffix(strings.ToLower(rt.permission()), "/read")
}

// record writes a request and its answer to the log: two events, as Azure does.
func (rt *Router) record(r *http.Request, tr traced, began time.Time, rs Response, correlation string) {
	if rt.opt.Activity == nil || tr.call == nil || !tr.route.logged() {
		return
	}
	c := tr.call
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	e := audit.Event{
		Time: began.UTC(), Correlation: correlation, Operation: c.RequestID, Subscription: c.ID.Subscription, Group: c.ID.Group,
		Resource: c.scope(), Provider: tr.route.typ.Namespace, Type: tr.route.typ.FullName(), Action: tr.route.permission(),
		Category: "Administrative", Method: c.Method, Path: c.Path, Address: address, RequestID: r.Header.Get("x-ms-client-request-id"),
		Caller: c.Principal.Display(), ObjectID: c.Principal.ObjectID, AppID: c.Principal.AppID, User: c.Principal.Name, Tenant: c.Principal.Tenant,
		Status: audit.Started,
	}
	roles := tr.route.typ.Namespace == authorizationNamespace && tr.route.typ.Name == "roleAssignments"
	if roles && c.Method == http.MethodPut {
		e.RequestBody = compactJSON(c.Body)
	}
	rt.opt.Activity.Record(e)
	e.RequestBody, e.Time, e.HTTP = "", rt.opt.Now().UTC(), rs.Status
	switch {
	case rs.Status == http.StatusAccepted:
		e.Status, e.Async = audit.Accepted, asyncOf(rs.Header)
	case rs.Status < 300:
		e.Status = audit.Succeeded
	default:
		e.Status = audit.Failed
	}
	if body, ok := rs.Body.(errorBody); ok {
		e.Code, e.Message = body.Error.Code, body.Error.Message
	} else if roles && c.Method == http.MethodDelete && rs.Body != nil {
		if b, err := json.Marshal(rs.Body); err == nil {
			e.ResponseBody = string(b)
		}
	}
	rt.opt.Activity.Record(e)
}

func compactJSON(b []byte) string {
	var out bytes.Buffer
	if json.Compact(&out, b) != nil {
		return ""
	}
	return out.String()
}

// asyncOf is the id of the operation that an answer tells the caller to poll, or "".
func asyncOf(h http.Header) string {
	at := h.Get("Azure-AsyncOperation")
	if at == "" {
		at = h.Get("Location")
	}
	at, _, _ = strings.Cut(at, "?")
	return at[strings.LastIndexByte(at, '/')+1:]
}

// activityTypes are the rows of the activity log. Whoever may read it on a part of a subscription sees that part.
func (rt *Router) activityTypes() []Type {
	versions := []string{"2014-04-01", "2015-04-01", "2017-03-01-preview"}
	return []Type{
		{
			Namespace: insightsNamespace, Name: "eventtypes", Global: true, Versions: versions,
			Operations: []Operation{{
				Method: http.MethodGet, Path: InSubscription(insightsNamespace + "/eventtypes/management/values"), Permission: activityPermission,
				Unscoped: true, Do: rt.listActivity,
			}},
		},
		{
			Namespace: insightsNamespace, Name: "eventcategories", Global: true, Versions: versions,
			Operations: []Operation{{Method: http.MethodGet, Path: "/providers/" + insightsNamespace + "/eventcategories", Unscoped: true, Do: listCategories}},
		},
	}
}

func listCategories(context.Context, *Call) (Response, error) {
	var out []wire.Localized
	for _, c := range []string{"Administrative", "Security"} {
		out = append(out, localized(c))
	}
	return JSON(http.StatusOK, ListOf(out)), nil
}

func localized(s string) wire.Localized { return wire.Localized{Value: s, LocalizedValue: s} }

// activityTermRE is one term of the log's $filter. az writes values without quotes too.
var activityTermRE = regexp.MustCompile(`(?i)^\s*([a-z]+)\s+(eq|ge|le)\s+(?:'((?:[^']|'')*)'|([^\s']+))\s*(?:and\s+(.*))?$`)

// activityQuery reads the $filter. It must have a time to begin at, as Azure's.
func (rt *Router) activityQuery(c *Call) (audit.Query, error) {
	filter := c.Query.Get("$filter")
	q := audit.Query{To: rt.opt.Now(), Limit: activityPage}
	bad := badFilter(filter)
	if len(filter) > maxFilter {
		return q, bad
	}
	for rest := filter; strings.TrimSpace(rest) != ""; {
		m := activityTermRE.FindStringSubmatch(rest)
		if m == nil {
			return q, bad
		}
		name, op, value := strings.ToLower(m[1]), strings.ToLower(m[2]), strings.ReplaceAll(m[3], "''", "'")+m[4]
		rest = m[5]
		if name == "eventtimestamp" {
			at, err := activityTime(value)
			switch {
			case err != nil || op == "eq":
				return q, bad
			case op == "ge":
				q.From = at
			default:
				q.To = at
			}
			continue
		}
		field, ok := map[string]*string{
			"correlationid": &q.Correlation, "resourcegroupname": &q.Group, "resourceuri": &q.Resource, "resourceid": &q.Resource,
			"resourceprovider": &q.Provider, "caller": &q.Caller, "status": &q.Status, "channels": new(string),
		}[name]
		if !ok || op != "eq" {
			return q, bad
		}
		*field = value
	}
	if q.From.IsZero() {
		return q, gateway(http.StatusBadRequest, "BadRequest", "The $filter must have a start time: eventTimestamp ge '…'.")
	}
	if token := c.Query.Get("$skiptoken"); token != "" {
		b, err := base64.RawURLEncoding.DecodeString(token)
		if q.Before, _ = strconv.ParseInt(string(b), 10, 64); err != nil || q.Before <= 0 {
			return q, gateway(http.StatusBadRequest, "InvalidSkipToken", "The provided skip token is not valid.")
		}
	}
	return q, nil
}

// activityTime reads the forms in which clients write a time; without a zone it is UTC. A plus that was not encoded
// comes as a blank.
func activityTime(s string) (time.Time, error) {
	s = strings.ReplaceAll(s, " ", "+")
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("no time: %q", clip(s))
}

func (rt *Router) listActivity(ctx context.Context, c *Call) (Response, error) {
	sub := "/subscriptions/" + c.ID.Subscription
	all := rt.opt.Guard.Allowed(c.Principal, activityPermission, sub)
	if !all && !rt.opt.Guard.AllowedBelow(c.Principal, activityPermission, sub) {
		return Response{}, errForbidden(c.Principal, activityPermission, sub)
	}
	q, err := rt.activityQuery(c)
	if err != nil {
		return Response{}, err
	}
	page, err := rt.opt.Activity.Events(ctx, q)
	if err != nil {
		return Response{}, err
	}
	events := slices.DeleteFunc(page.Events, func(e audit.Event) bool {
		return e.Subscription != "" && !strings.EqualFold(e.Subscription, c.ID.Subscription) ||
			!all && !rt.opt.Guard.Allowed(c.Principal, activityPermission, e.Resource)
	})
	out := make([]any, len(events))
	for i, e := range events {
		if out[i], err = selected(encodeActivity(c, e), c.Query.Get("$select")); err != nil {
			return Response{}, err
		}
	}
	list := ListOf(out)
	if page.Next != 0 {
		next := c.Query
		next.Del("$skiptoken")
		next.Set("$skipToken", base64.RawURLEncoding.EncodeToString(strconv.AppendInt(nil, page.Next, 10)))
		list.NextLink = c.BaseURL + c.Path + "?" + next.Encode()
	}
	return JSON(http.StatusOK, list), nil
}

// selected keeps of an event what $select names, separated by commas; all of it when it names nothing.
func selected(event wire.Activity, names string) (any, error) {
	if strings.TrimSpace(names) == "" {
		return event, nil
	}
	b, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool {
		return !slices.ContainsFunc(strings.Split(names, ","), func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), name) })
	})
	return all, nil
}

func encodeActivity(c *Call, e audit.Event) wire.Activity {
	at := e.Time.UTC().Format("2006-01-02T15:04:05.0000000Z")
	w := wire.Activity{
		Authorization: wire.ActivityAuthorization{Action: e.Action, Scope: e.Resource},
		Caller:        e.Caller, Channels: "Operation", Claims: claimsOf(e), CorrelationID: e.Correlation, EventDataID: e.ID,
		EventName: wire.Localized{Value: "EndRequest", LocalizedValue: "End request"}, Category: localized(e.Category),
		ID:    e.Resource + "/events/" + e.ID + "/ticks/" + strconv.FormatInt(ticks(e.Time), 10),
		Level: "Informational", ResourceGroup: e.Group, Provider: localized(e.Provider), ResourceID: e.Resource, ResourceType: localized(e.Type),
		OperationID: e.Operation, OperationName: localized(e.Action), Properties: map[string]string{}, Description: e.Message, Status: localized(string(e.Status)),
		EventTimestamp: at, SubmissionTime: at, SubscriptionID: c.ID.Subscription, TenantID: e.Tenant, RelatedEvents: []struct{}{},
	}
	if e.Status == audit.Started {
		w.EventName = wire.Localized{Value: "BeginRequest", LocalizedValue: "Begin request"}
	}
	if e.Status == audit.Failed {
		w.Level = "Error"
	}
	if e.Method != "" {
		w.HTTPRequest = &wire.ActivityRequest{ClientRequestID: e.RequestID, ClientIP: e.Address, Method: e.Method, URI: c.BaseURL + e.Path}
	}
	if e.HTTP != 0 {
		text := http.StatusText(e.HTTP)
		w.SubStatus = wire.Localized{
			Value: strings.ReplaceAll(text, " ", ""), LocalizedValue: fmt.Sprintf("%s (HTTP Status Code: %d)", text, e.HTTP),
		}
		w.Properties["statusCode"] = w.SubStatus.Value
	}
	for name, value := range map[string]string{
		"requestbody": e.RequestBody, "responseBody": e.ResponseBody, "statusMessage": statusMessage(e), "asyncOperation": e.Async,
	} {
		if value != "" {
			w.Properties[name] = value
		}
	}
	return w
}

// statusMessage is a refusal as Azure keeps it.
func statusMessage(e audit.Event) string {
	if e.Code == "" {
		return ""
	}
	b, err := json.Marshal(errorBody{Error: errorDetail{Code: e.Code, Message: e.Message}})
	if err != nil {
		return ""
	}
	return string(b)
}

func claimsOf(e audit.Event) map[string]string {
	claims := map[string]string{}
	for name, value := range map[string]string{
		"appid": e.AppID, "name": e.User,
		"http://schemas.microsoft.com/identity/claims/objectidentifier": e.ObjectID,
		"http://schemas.microsoft.com/identity/claims/tenantid":         e.Tenant,
		"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":     e.User,
	} {
		if value != "" {
			claims[name] = value
		}
	}
	return claims
}

// ticks counts 100 ns since the year 1, as .NET does.
func ticks(t time.Time) int64 { return t.UnixNano()/100 + 621355968000000000 }
