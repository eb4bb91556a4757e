package graph

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/audit"
)

// provider is how the log knows events of this door.
const provider = "Microsoft.Graph"

// record writes to the log who changed what in the directory, or tried to. Of bodies it keeps the ids of objects, and nothing else.
func (h *Handler) record(op operation, c *call, requestID string, a answer, err error) {
	if !op.write || c.r.Method == http.MethodGet || c.who.ObjectID == "" {
		return
	}
	address, _, splitErr := net.SplitHostPort(c.r.RemoteAddr)
	if splitErr != nil {
		address = c.r.RemoteAddr
	}
	path := strings.TrimPrefix(c.r.URL.Path, Path)
	_, path, _ = strings.Cut(path, "/")
	e := audit.Event{
		Time: h.Now().UTC(), Correlation: requestID, Operation: requestID, Resource: "/providers/" + provider + "/" + strings.TrimSuffix(path, "/$ref"),
		Provider: provider, Type: provider + "/" + strings.SplitN(path, "/", 2)[0], Action: op.permission(), Category: "Administrative",
		Method: c.r.Method, Path: c.r.URL.Path, Address: address, Caller: c.who.Display(), ObjectID: c.who.ObjectID, AppID: c.who.AppID, User: c.who.Name,
		Tenant: c.who.Tenant, Status: audit.Succeeded, HTTP: a.status,
	}
	if id := made(c, a); id != "" && err == nil {
		e.Resource += "/" + id
	}
	if err != nil {
		e.Status, e.HTTP, e.Code, e.Message = audit.Failed, http.StatusInternalServerError, "InternalServerError", ""
		var refused *tintype.Error
		if errors.As(err, &refused) && refused.Kind != tintype.KindInternal {
			e.HTTP, e.Code, e.Message = statusOf(refused), refused.Code, refused.Message
		}
	}
	h.Audit.Record(e)
}

// made is the id of what a POST has made, or has added to a group.
func made(c *call, a answer) string {
	var body struct{ ID string }
	if b, err := json.Marshal(a.body); err == nil && a.body != nil && json.Unmarshal(b, &body) == nil && body.ID != "" {
		return body.ID
	}
	var added struct {
		Link string `json:"@odata.id"`
	}
	if !strings.HasSuffix(c.r.URL.Path, "/$ref") || json.Unmarshal(c.body, &added) != nil {
		return ""
	}
	id, _ := linked(added.Link)
	return id
}

// permission writes what an operation does as Microsoft's directory names permissions, such as microsoft.directory/groups/members/update.
func (op operation) permission() string {
	method, path, _ := strings.Cut(op.pattern, " ")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	of := "microsoft.directory/" + parts[0]
	switch {
	case len(parts) > 2 && strings.HasSuffix(parts[2], "Password"):
		return of + "/credentials/update"
	case len(parts) > 2:
		return of + "/" + parts[2] + "/update"
	case method == http.MethodPost:
		return of + "/create"
	case method == http.MethodDelete:
		return of + "/delete"
	default:
		return of + "/basic/update"
	}
}

// directoryAudit is the wire form of an event, with what is known of it.
type directoryAudit struct {
	ID          string          `json:"id"`
	Category    string          `json:"category"`
	Correlation string          `json:"correlationId"`
	Result      string          `json:"result"`
	Reason      string          `json:"resultReason"`
	Activity    string          `json:"activityDisplayName"`
	At          string          `json:"activityDateTime"`
	Service     string          `json:"loggedByService"`
	Operation   string          `json:"operationType"`
	By          auditInitiator  `json:"initiatedBy"`
	Targets     []auditTarget   `json:"targetResources"`
	Details     []auditProperty `json:"additionalDetails"`
}

type auditInitiator struct {
	User *auditUser `json:"user"`
	App  *auditApp  `json:"app"`
}

type auditUser struct {
	ID      string `json:"id"`
	Name    string `json:"userPrincipalName"`
	Address string `json:"ipAddress"`
}

type auditApp struct {
	AppID string `json:"appId"`
	ID    string `json:"servicePrincipalId"`
}

type auditTarget struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

type auditProperty struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// kindOf says what a target is, and of which category a change of it is, by the segment before its id.
func kindOf(segment string) (kind, category string) {
	switch segment {
	case "groups":
		return "Group", "GroupManagement"
	case "users":
		return "User", "UserManagement"
	case "applications":
		return "Application", "ApplicationManagement"
	case "servicePrincipals":
		return "ServicePrincipal", "ApplicationManagement"
	default:
		return "DirectoryObject", "DirectoryManagement"
	}
}

func toAudit(e audit.Event) directoryAudit {
	parts := strings.Split(strings.TrimPrefix(e.Resource, "/providers/"+provider+"/"), "/")
	_, category := kindOf(parts[0])
	w := directoryAudit{
		ID: e.ID, Category: category, Correlation: e.Correlation, Result: "success", Reason: e.Message, Activity: e.Action,
		At: e.Time.UTC().Format("2006-01-02T15:04:05.0000000Z"), Service: "Core Directory", Operation: "Update", Targets: []auditTarget{},
		Details: []auditProperty{{"code", e.Code}, {"httpStatus", strconv.Itoa(e.HTTP)}},
	}
	if e.Status == audit.Failed {
		w.Result = "failure"
	}
	switch {
	case strings.HasSuffix(e.Action, "/create"):
		w.Operation = "Add"
	case strings.HasSuffix(e.Action, "/delete"):
		w.Operation = "Delete"
	case strings.HasPrefix(e.Action, "microsoft.directory/groups/") && len(parts) > 2 && e.Method == http.MethodPost:
		w.Operation = "Assign"
	case strings.HasPrefix(e.Action, "microsoft.directory/groups/") && len(parts) > 2:
		w.Operation = "Unassign"
	}
	for i := 0; i+1 < len(parts); i += 2 {
		if kind, _ := kindOf(parts[i]); uuid.Validate(parts[i+1]) == nil {
			w.Targets = append(w.Targets, auditTarget{parts[i+1], kind})
		}
	}
	if e.User != "" {
		w.By.User = &auditUser{e.ObjectID, e.User, e.Address}
	} else {
		w.By.App = &auditApp{e.AppID, e.ObjectID}
	}
	return w
}

// maxAudits is the most of a page, and Graph's own.
const maxAudits = 1000

// directoryAudits lists changes of the directory, newest first.
func (h *Handler) directoryAudits(c *call) (answer, error) {
	top := maxAudits
	if text := c.r.URL.Query().Get("$top"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxAudits {
			return answer{}, bad("Invalid page size specified: '" + strings.ToValidUTF8(text[:min(len(text), 20)], "") + "'. Must be between 1 and 1000 inclusive.")
		}
		top = n
	}
	if c.r.URL.Query().Get("$filter") != "" {
		return answer{}, badFilter()
	}
	q := audit.Query{To: h.Now(), Provider: provider, Limit: top}
	if token := c.r.URL.Query().Get("$skiptoken"); token != "" {
		var err error
		if q.Before, err = strconv.ParseInt(token, 10, 64); err != nil || q.Before < 1 {
			return answer{}, bad("The skip token is not valid.")
		}
	}
	page, err := h.Audit.Events(c.r.Context(), q)
	if err != nil {
		return answer{}, err
	}
	var out []any
	for _, e := range page.Events {
		out = append(out, toAudit(e))
	}
	a := c.list("auditLogs/directoryAudits", out)
	if page.Next != 0 {
		l := a.body.(list)
		l.Next = h.BaseURL(c.r) + c.r.URL.Path + "?$top=" + strconv.Itoa(top) + "&$skiptoken=" + strconv.FormatInt(page.Next, 10)
		a.body = l
	}
	return a, nil
}
