// Package graph is the small part of Microsoft Graph that Azure's clients use: who exists (users, applications and their
// service principals, groups of them), looked up by name or id, and for whoever may give roles, made, changed and deleted.
package graph

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/audit"
	"tintype/internal/identity"
)

// Options of a [Handler]. All are needed.
type Options struct {
	Identity *identity.Service
	// Authenticate checks that the request's token is for Graph. Its error is an *identity.Error.
	Authenticate func(r *http.Request) (identity.Principal, error)
	// MayWrite tells whether p may make and change principals.
	MayWrite func(p identity.Principal) bool
	// Audit is told of changes, and of those that were refused.
	Audit *audit.Service
	// Gone is told of principals that were deleted.
	Gone func(objectID string) error
	// BaseURL is "https://host:port" under which the caller of r reaches us.
	BaseURL func(r *http.Request) string
	Now     func() time.Time
	Log     *slog.Logger
}

// Path begins every path of this door.
const Path = "/graph/"

// Handler answers below [Path].
type Handler struct {
	Options
	mux *http.ServeMux
}

// New makes the handler.
func New(opt Options) *Handler {
	h := &Handler{Options: opt, mux: http.NewServeMux()}
	for _, row := range slices.Concat(h.memberships(), h.ownerships(), []operation{
		{pattern: "GET /me", do: h.me},
		{pattern: "GET /auditLogs/directoryAudits", write: true, do: h.directoryAudits},
		{pattern: "GET /users", do: h.listUsers},
		{pattern: "POST /users", write: true, do: h.addUser},
		{pattern: "GET /users/{id}", do: h.getUser},
		{pattern: "PATCH /users/{id}", write: true, do: h.changeUser},
		{pattern: "DELETE /users/{id}", write: true, do: h.deleteUser},
		{pattern: "POST /directoryObjects/getByIds", do: h.byIDs},
		{pattern: "GET /directoryObjects/{id}", do: h.getObject},
		{pattern: "GET /groups", do: h.listGroups},
		{pattern: "POST /groups", write: true, do: h.addGroup},
		{pattern: "GET /groups/{id}", do: h.getGroup},
		{pattern: "GET /groups/{id}/members", do: h.members(false)},
		{pattern: "GET /groups/{id}/transitiveMembers", do: h.members(true)},
		{pattern: "GET /applications", do: h.listApps},
		{pattern: "POST /applications", write: true, do: h.addApp},
		{pattern: "GET /applications/{id}", do: h.getApp},
		{pattern: "PATCH /applications/{id}", write: true, do: h.changeApp},
		{pattern: "DELETE /applications/{id}", write: true, do: h.deleteApp},
		{pattern: "POST /applications/{id}/addPassword", write: true, do: h.addPassword},
		{pattern: "POST /applications/{id}/removePassword", write: true, do: h.removePassword},
		{pattern: "GET /servicePrincipals", do: h.listPrincipals},
		{pattern: "POST /servicePrincipals", write: true, do: h.addPrincipal},
		{pattern: "GET /servicePrincipals/{id}", do: h.getPrincipal},
		{pattern: "PATCH /servicePrincipals/{id}", write: true, do: h.changeApp},
		{pattern: "DELETE /servicePrincipals/{id}", write: true, do: h.deletePrincipal},
		{pattern: "POST /servicePrincipals/{id}/addPassword", write: true, do: h.addPassword},
		{pattern: "POST /servicePrincipals/{id}/removePassword", write: true, do: h.removePassword},
	}) {
		method, path, _ := strings.Cut(row.pattern, " ")
		for _, version := range []string{"v1.0", "beta"} {
			h.mux.Handle(method+" "+Path+version+path, h.handle(row))
		}
	}
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.refuse(w, r, &tintype.Error{Kind: tintype.KindNotFound, Code: "BadRequest", Message: "Resource not found for the segment."})
	})
	return h
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("request-id", uuid.NewString())
	h.mux.ServeHTTP(w, r)
}

// operation is one of this door's.
type operation struct {
	pattern string
	write   bool // only for those who may make principals
	owned   bool // and for owners of the group that the path names
	do      func(*call) (answer, error)
}

// call is one request, authenticated and bounded.
type call struct {
	who  identity.Principal
	id   string
	r    *http.Request
	base string // of contexts
	body []byte
}

// answer is what an operation says; a nil body sends none.
type answer struct {
	status int
	body   any
}

// maxBody bounds a request.
const maxBody = 256 << 10

func (h *Handler) handle(op operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := h.Authenticate(r)
		if err == nil && op.write && !h.MayWrite(who) && (!op.owned || !h.Identity.Owns(who.ObjectID, r.PathValue("id"))) {
			err = &tintype.Error{
				Kind: tintype.KindForbidden, Code: "Authorization_RequestDenied", Message: "Insufficient privileges to complete the operation.",
			}
		}
		c := &call{who: who, id: r.PathValue("id"), r: r, base: h.BaseURL(r) + Path + "v1.0/$metadata#"}
		if err == nil {
			c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
			if err != nil {
				err = bad("The request body is too large or cannot be read.")
			}
		}
		var a answer
		if err == nil {
			a, err = op.do(c)
		}
		h.record(op, c, w.Header().Get("request-id"), a, err)
		if err != nil {
			h.refuse(w, r, err)
			return
		}
		h.write(w, a)
	})
}

// decode reads the body; unknown properties are ignored.
func (c *call) decode(v any) error {
	if err := json.Unmarshal(c.body, v); err != nil {
		return bad("Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
	}
	return nil
}

func bad(message string) error {
	return &tintype.Error{Kind: tintype.KindInvalid, Code: "BadRequest", Message: message}
}

func (h *Handler) write(w http.ResponseWriter, a answer) {
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	b, err := json.Marshal(a.body)
	if err != nil {
		h.Log.Error("answer of Graph lost", "error", err)
		a.status, b = http.StatusInternalServerError, []byte(`{"error":{"code":"InternalServerError","message":"Internal error."}}`)
	}
	w.Header().Set("Content-Type", "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(a.status)
	_, _ = w.Write(b) // fails only when the caller is gone
}

// errorBody is how Graph refuses.
type errorBody struct {
	Error struct {
		Code    string            `json:"code"`
		Message string            `json:"message"`
		Inner   map[string]string `json:"innerError"`
	} `json:"error"`
}

func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, code, message := http.StatusInternalServerError, "InternalServerError", "Internal error."
	var auth *identity.Error
	var refused *tintype.Error
	switch {
	case errors.As(err, &auth):
		status, code, message = auth.Status, "InvalidAuthenticationToken", auth.Message
		for k, v := range auth.Header() {
			w.Header()[k] = v
		}
	case errors.As(err, &refused) && refused.Kind != tintype.KindInternal:
		code, message = refused.Code, refused.Message
		status = statusOf(refused)
	default:
		h.Log.Error("request to Graph failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	var body errorBody
	body.Error.Code, body.Error.Message = code, message
	body.Error.Inner = map[string]string{"date": h.Now().UTC().Format("2006-01-02T15:04:05"), "request-id": w.Header().Get("request-id")}
	h.write(w, answer{status, body})
}

func statusOf(refused *tintype.Error) int {
	return map[tintype.ErrorKind]int{
		tintype.KindInvalid: http.StatusBadRequest, tintype.KindNotFound: http.StatusNotFound,
		tintype.KindConflict: http.StatusConflict, tintype.KindForbidden: http.StatusForbidden,
	}[refused.Kind]
}

// list is the body of every list.
type list struct {
	Context string `json:"@odata.context"`
	Next    string `json:"@odata.nextLink,omitempty"`
	Value   []any  `json:"value"`
}

func (c *call) list(of string, items []any) answer {
	if items == nil {
		items = []any{}
	}
	return answer{http.StatusOK, list{Context: c.base + of, Value: items}}
}
