package arm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/identity"
)

// Guard says who is asking and what they may do; identity.Service is the real one.
type Guard interface {
	// Authenticate checks the request's token in full. Its error is an *identity.Error.
	Authenticate(r *http.Request) (identity.Principal, error)
	// Allowed tells whether a role of p allows the permission on the scope, which is a resource id.
	Allowed(p identity.Principal, permission, scope string) bool
	// AllowedBelow tells whether a role of p allows the permission on the scope or on anything below it.
	AllowedBelow(p identity.Principal, permission, scope string) bool
	// Sees tells whether p holds any role at the scope, above it or below it.
	Sees(p identity.Principal, scope string) bool
	// Tenant is the one tenant of this server.
	Tenant() identity.Tenant
	// Subscriptions of the tenant, all of them.
	Subscriptions() []identity.Subscription
}

// Options of a [Router]. All but Activity, Locks and Roles are needed.
type Options struct {
	// Types beside those that ARM serves itself.
	Types  []Type
	Guard  Guard
	Groups Groups
	// Locks refuse writes and deletions; nil when there are none.
	Locks Locks
	// Limits of each principal's requests.
	Limits Limits
	// Activity is told of writes, deletions and actions; nil when there is no log.
	Activity Activity
	// Roles are definitions and assignments; nil when there is no API for them.
	Roles Roles
	// PrincipalType is "ServicePrincipal", "User" or "Group" when the object id is one's, else "". Needed with Roles.
	PrincipalType func(objectID string) string
	// Vaults are listed among the resources; nil when there are none.
	Vaults Vaults
	// Tags are those of subscriptions, and names that these offer; nil: that is not served.
	Tags Tags
	// Moves takes resources into other groups; nil: that is not served.
	Moves Moves
	// Registrations say which providers a subscription may use; nil: all.
	Registrations Registrations
	// Identities are listed after them; nil when there are none.
	Identities Identities
	// BaseURL is "https://host:port" under which the caller of r reaches us.
	BaseURL func(r *http.Request) string
	// Region in which this server says it is.
	Region string
	Now    func() time.Time
	Log    *slog.Logger
}

// Router answers every path below /subscriptions, /tenants and /providers. It is an http.Handler.
type Router struct {
	opt    Options
	types  []Type
	routes []route

	throttle *throttle
	making   *inFlight
}

// New compiles the table. Its error is a mistake in the table.
func New(opt Options) (*Router, error) {
	rt := &Router{opt: opt, throttle: newThrottle(opt.Limits, opt.Now), making: newInFlight()}
	rt.types = append(rt.ownTypes(), opt.Types...)
	if opt.Locks != nil {
		rt.types = append(rt.types, LockType(opt.Locks))
	}
	if opt.Activity != nil {
		rt.types = append(rt.types, rt.activityTypes()...)
	}
	if opt.Roles != nil {
		rt.types = append(rt.types, rt.roleTypes()...)
	}
	var err error
	rt.routes, err = compile(rt.types)
	return rt, err
}

// ServeHTTP answers one request; it never panics on account of a handler.
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := uuid.NewString()
	rt.setHeaders(w.Header(), r, requestID)
	rs := rt.carry(r, requestID, w.Header().Get(correlationHeader), func() (identity.Principal, error) {
		p, err := rt.opt.Guard.Authenticate(r)
		if err == nil {
			err = rt.throttle.take(p, r.Method, w.Header())
		}
		return p, err
	})
	if err := rs.write(w, r.Method == http.MethodHead); err != nil {
		rt.opt.Log.Error("answer lost", "request", requestID, "error", err)
		_ = errInternal().response().write(w, false)
	}
}

// carry runs a request of the caller that who finds, and has the activity log told.
func (rt *Router) carry(r *http.Request, requestID, correlation string, who func() (identity.Principal, error)) Response {
	var tr traced
	began := rt.opt.Now()
	rs := rt.guarded(r, requestID, func() (Response, error) {
		p, err := who()
		if err != nil {
			return Response{}, err
		}
		return rt.serve(r, p, requestID, &tr)
	})
	rt.record(r, tr, began, rs, correlation)
	return rs
}

// guarded runs the request and turns whatever goes wrong into a response.
func (rt *Router) guarded(r *http.Request, requestID string, do func() (Response, error)) (rs Response) {
	defer func() {
		if p := recover(); p != nil {
			rt.opt.Log.Error("handler panicked", "request", requestID, "method", r.Method, "path", r.URL.Path,
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			rs = errInternal().response()
		}
	}()
	rs, err := do()
	if err == nil {
		return rs
	}
	e, internal := toError(err)
	if internal {
		rt.opt.Log.Error("request failed", "request", requestID, "method", r.Method, "path", r.URL.Path, "error", err)
	}
	return e.response()
}

// serve carries out a request of a caller whose token was checked.
func (rt *Router) serve(r *http.Request, who identity.Principal, requestID string, tr *traced) (Response, error) {
	m, c, filtered, err := rt.admit(r, who, requestID)
	tr.route, tr.call = m, c
	if err != nil {
		return Response{}, err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if m.mayMake() {
		defer rt.making.enter(c.ID.Subscription, m.typ.Namespace)()
		if c.Method == http.MethodPut {
			if err := c.makes(); err != nil {
				return Response{}, err
			}
		}
	}
	rs, err := m.op.Do(ctx, c)
	if filtered && err == nil {
		rs, err = rt.filterList(m, c, rs)
	}
	return rs, err
}

// admit checks a request in Azure's order: subscription, path, api-version, permission, body, locks. filtered is authorize's.
// Route and call are given with an error too, once they are known.
func (rt *Router) admit(r *http.Request, who identity.Principal, requestID string) (m *route, c *Call, filtered bool, err error) {
	segments, err := requestPath(r)
	if err != nil {
		return nil, nil, false, err
	}
	if err := checkSubscription(segments); err != nil {
		return nil, nil, false, err
	}
	query := foldNames(r.URL.Query())
	version := strings.ToLower(query.Get("api-version"))
	if version == "" {
		return nil, nil, false, errMissingVersion()
	}
	m, params, err := rt.find(r.Method, segments, version)
	if err != nil {
		return nil, nil, false, err
	}
	c = &Call{
		Method: r.Method, APIVersion: version, ID: m.id(params), Principal: who, Query: query, Header: r.Header,
		BaseURL: rt.opt.BaseURL(r), Path: "/" + strings.Join(segments, "/"), RequestID: requestID, params: params,
	}
	if rt.opt.Roles != nil {
		c.forgetGone = func(ctx context.Context, id string) error { return rt.forgetGone(ctx, c, id) }
	}
	if err := forgetStale(r.Context(), m, c); err != nil {
		return m, c, false, err
	}
	if filtered, err = rt.authorize(m, c); err != nil {
		return m, c, false, err
	}
	if c.Body, err = readBody(r, m.op.Loose); err != nil {
		return m, c, false, err
	}
	if !m.serves(version) {
		return m, c, false, errVersion(m, version, rt.locationOf(r.Context(), m, c))
	}
	c.registered = func() error { return rt.checkRegistered(m, c) }
	if c.Method == http.MethodPut {
		if err := c.makes(); err != nil {
			return m, c, false, err
		}
	}
	if err := checkDefinition(m, c.Body); err != nil {
		return m, c, false, err
	}
	return m, c, filtered, rt.checkLocks(r.Context(), m, c)
}

// foldNames writes the names of a query's parameters in lower case: Azure reads them in any.
func foldNames(q url.Values) url.Values {
	folded := make(url.Values, len(q))
	for _, name := range slices.Sorted(maps.Keys(q)) {
		lower := strings.ToLower(name)
		folded[lower] = append(folded[lower], q[name]...)
	}
	return folded
}

// checkSubscription refuses what is no subscription id. One that does not exist is refused with the rest that the caller
// has no role on, so that nobody learns which exist.
func checkSubscription(segments []string) error {
	if len(segments) < 2 || !strings.EqualFold(segments[0], "subscriptions") {
		return nil
	}
	_, err := tintype.ParseSubscriptionID(segments[1])
	return err
}

// find picks the route with the most literal segments, or says what is wrong with the path.
func (rt *Router) find(method string, segments []string, version string) (*route, map[string]string, error) {
	var best *route
	var params map[string]string
	var allowed []string
	for i := range rt.routes {
		r := &rt.routes[i]
		p, ok := r.match(segments)
		if !ok {
			continue
		}
		allowed = append(allowed, r.op.Method)
		if r.op.Method == method && (best == nil || r.literals > best.literals) {
			best, params = r, p
		}
	}
	switch {
	case best != nil:
		return best, params, nil
	case len(allowed) > 0:
		slices.Sort(allowed)
		return nil, nil, errMethod(method, slices.Compact(allowed))
	default:
		return nil, nil, rt.unknownPath(method, segments, version)
	}
}

// unknownPath tells an unknown namespace from an unknown type from a path that is none.
func (rt *Router) unknownPath(method string, segments []string, version string) error {
	at := slices.IndexFunc(segments, func(s string) bool { return strings.EqualFold(s, "providers") })
	if at < 0 || at+2 >= len(segments) {
		return errNoPath("/" + strings.Join(segments, "/"))
	}
	namespace, name := segments[at+1], segments[at+2]
	var known string
	for _, t := range rt.types {
		if !strings.EqualFold(t.Namespace, namespace) {
			continue
		}
		known = t.Namespace
		if strings.EqualFold(t.Name, name) {
			nested := segments[at+2:]
			if method == http.MethodPost || len(nested) < 3 || containsFold(nested, "providers") {
				return errNoPath("/" + strings.Join(segments, "/"))
			}
			for i := 2; i < len(nested); i += 2 {
				name += "/" + nested[i]
			}
			break
		}
	}
	if known == "" {
		return errNamespace(namespace)
	}
	return gateway(http.StatusNotFound, "InvalidResourceType",
		"The resource type '%s' could not be found in the namespace '%s' for api version '%s'.",
		clip(name), known, clip(version))
}

func containsFold(segments []string, word string) bool {
	return slices.ContainsFunc(segments, func(s string) bool { return strings.EqualFold(s, word) })
}

// id is the resource id that a matched path names.
func (rt *route) id(params map[string]string) ID {
	id := ID{
		Subscription: params["subscription"], Group: params["group"], Name: params["name"], Location: params["location"],
	}
	if id.Name != "" {
		id.Namespace, id.Type = rt.typ.Namespace, rt.typ.Name
	}
	return id
}

// toError finds what may be shown to the caller. internal asks for a line in the log.
func toError(err error) (e *Error, internal bool) {
	if errors.As(err, &e) {
		return e, e.Status >= http.StatusInternalServerError
	}
	var refused *tintype.Error
	if errors.As(err, &refused) {
		return fromDomain(refused)
	}
	var auth *identity.Error
	if errors.As(err, &auth) {
		return &Error{Status: auth.Status, Code: auth.Code, Message: auth.Message, Header: auth.Header(), Gateway: true}, false
	}
	if errors.Is(err, context.Canceled) {
		return gateway(499, "ClientClosedRequest", "The caller went away."), false
	}
	return errInternal(), true
}

// fromDomain puts Azure's status on a refusal of the domain.
func fromDomain(d *tintype.Error) (e *Error, internal bool) {
	e = &Error{Code: d.Code, Message: d.Message, Target: d.Target}
	switch d.Kind {
	case tintype.KindInvalid:
		e.Status = http.StatusBadRequest
	case tintype.KindNotFound:
		e.Status = http.StatusNotFound
		e.Gateway = d.Code == "ResourceNotFound" || d.Code == "ResourceGroupNotFound"
	case tintype.KindConflict:
		e.Status = http.StatusConflict
	case tintype.KindPrecondition:
		e.Status = http.StatusPreconditionFailed
	case tintype.KindForbidden:
		e.Status = http.StatusForbidden
	case tintype.KindUnauthenticated:
		e.Status = http.StatusUnauthorized
	case tintype.KindTooManyRequests:
		e.Status = http.StatusTooManyRequests
		e.Header = http.Header{"Retry-After": {"10"}}
	default:
		return errInternal(), true
	}
	return e, false
}
