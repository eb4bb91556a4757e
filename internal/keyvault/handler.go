// Package keyvault is the door to the keys of vaults: Azure Key Vault's REST protocol, at NAME.vault.HOST.
package keyvault

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"tintype/internal/identity"
	"tintype/internal/vault"
)

// Guard says who is asking; identity.Service is the real one.
type Guard interface {
	// AuthenticateVault checks that the request's token is good for vaults.
	AuthenticateVault(r *http.Request) (identity.Principal, error)
	Tenant() identity.Tenant
}

// Options of a [Handler].
type Options struct {
	Vaults *vault.Service
	Guard  Guard
	// Login is the origin where the caller of r gets a token.
	Login func(r *http.Request) string
	Log   *slog.Logger
}

// Handler answers the requests whose hosts [vault.NameOf] takes. It is an http.Handler.
type Handler struct{ opt Options }

// New makes a handler.
func New(opt Options) *Handler { return &Handler{opt} }

// apiVersions are those of clients in use, the oldest first.
func apiVersions() []string {
	return []string{
		"2016-10-01", "7.0", "7.1", "7.2", "7.3-preview", "7.3", "7.4-preview.1", "7.4", "7.5-preview.1", "7.5", "7.6-preview.1", "7.6-preview.2", "7.6", "2025-06-01-preview", "2025-07-01",
	}
}

const maxBody = 64 << 10

// call is one request on a vault.
type call struct {
	*Handler
	r       *http.Request
	vault   string
	base    string // of the ids of keys
	version string // api-version
	object  string // the caller
	body    request
	raw     []byte
}

// since tells whether the call speaks an api-version or a later one.
func (c *call) since(version string) bool {
	all := apiVersions()
	return slices.Index(all, c.version) >= slices.Index(all, version)
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-ms-request-id", uuid.NewString())
	w.Header().Set("x-ms-keyvault-service-version", "1.9.0.0")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Strict-Transport-Security", "max-age=31536000;includeSubDomains")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	body, err := h.answer(w, r)
	status := http.StatusOK
	if err != nil {
		status, body = h.refusal(w, r, err)
	}
	if body == nil && err == nil {
		status = http.StatusNoContent
	}
	write(w, status, body)
}

func write(w http.ResponseWriter, status int, body any) {
	var p []byte
	if body != nil {
		var err error
		if p, err = json.Marshal(body); err != nil {
			status, p = http.StatusInternalServerError, []byte(`{}`)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(p)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(p) // fails only when the caller is gone
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request) (any, error) {
	name, ok := vault.NameOf(r.Host)
	if !ok {
		return nil, errPath(r)
	}
	who, err := h.opt.Guard.AuthenticateVault(r)
	if err != nil {
		return nil, err
	}
	c := &call{Handler: h, r: r, vault: name, base: "https://" + strings.ToLower(r.Host), object: who.ObjectID}
	if c.version = r.URL.Query().Get("api-version"); !slices.Contains(apiVersions(), c.version) {
		return nil, &vault.Error{Reason: vault.BadParameter, Code: "BadParameter", Message: "The specified version (" +
			strings.ToValidUTF8(c.version[:min(len(c.version), 64)], "") + ") is not recognized. Consider using the latest supported version (2025-07-01)."}
	}
	if c.raw, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		return nil, badBody()
	}
	if len(c.raw) > 0 {
		if err := json.Unmarshal(c.raw, &c.body); err != nil {
			return nil, badBody()
		}
	}
	// Terraform puts a second slash between the vault's URL, which ends with one, and the path.
	part := strings.FieldsFunc(r.URL.Path, func(c rune) bool { return c == '/' })
	switch {
	case len(part) > 0 && part[0] == "keys":
		return c.keys(part[1:])
	case len(part) > 0 && part[0] == "deletedkeys":
		return c.deletedKeys(part[1:])
	}
	return nil, errPath(r)
}

func badBody() error {
	return &vault.Error{Reason: vault.BadParameter, Code: "BadParameter", Message: "Failed to parse the request body as JSON."}
}

func errPath(r *http.Request) error {
	return &vault.Error{Reason: vault.NotFound, Code: "NotFound", Message: "No operation " + r.Method + " at this path."}
}

type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code    string       `json:"code"`
	Message string       `json:"message"`
	Inner   *errorDetail `json:"innererror,omitempty"`
}

// MarshalJSON leaves an inner error's empty message out.
func (d errorDetail) MarshalJSON() ([]byte, error) {
	m := map[string]any{"code": d.Code}
	if d.Message != "" {
		m["message"] = d.Message
	}
	if d.Inner != nil {
		m["innererror"] = d.Inner
	}
	return json.Marshal(m)
}

// refusal is an error as an answer. One of authentication says where to get a token, and for what.
func (h *Handler) refusal(w http.ResponseWriter, r *http.Request, err error) (int, any) {
	var auth *identity.Error
	if errors.As(err, &auth) {
		host := strings.ToLower(r.Host)
		_, host, _ = strings.Cut(host, ".")
		w.Header().Set("WWW-Authenticate", `Bearer authorization="`+h.opt.Login(r)+"/"+h.opt.Guard.Tenant().ID+`", resource="https://`+host+`"`)
		d := errorDetail{Code: "Unauthorized", Message: "AKV10000: Request is missing a Bearer or PoP token."}
		if r.Header.Get("Authorization") != "" {
			d.Message = "AKV10032: Invalid token: " + auth.Message
		}
		return http.StatusUnauthorized, errorBody{d}
	}
	var e *vault.Error
	if !errors.As(err, &e) {
		h.opt.Log.Error("vault request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		return http.StatusInternalServerError, errorBody{errorDetail{Code: "InternalServerError", Message: "The server failed. Its log says why."}}
	}
	d := errorDetail{Code: e.Code, Message: e.Message}
	if e.Inner != "" {
		d.Inner = &errorDetail{Code: e.Inner}
	}
	status := map[vault.Reason]int{
		vault.BadParameter: http.StatusBadRequest, vault.Forbidden: http.StatusForbidden, vault.NotFound: http.StatusNotFound,
		vault.Conflict: http.StatusConflict,
	}[e.Reason]
	return status, errorBody{d}
}
