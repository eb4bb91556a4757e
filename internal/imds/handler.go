// Package imds is the endpoint of managed identities: programs on this machine get tokens from it without a secret, in the
// protocols of Azure's instance metadata service, App Service and virtual machine extension. Who asks is what the kernel says of
// the other end of the connection.
package imds

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"tintype/internal/identity"
)

// Options of a [Handler]. All are needed.
type Options struct {
	Identity *identity.Service
	// Listen is the address at which the handler serves; callers must have named it, or localhost.
	Listen netip.AddrPort
	Log    *slog.Logger
}

// Handler answers requests for tokens.
type Handler struct {
	Options
	mux *http.ServeMux
	// owner says which user's process is at the other end.
	owner func(client, server netip.AddrPort) (uint32, error)
}

// New makes the handler.
func New(opt Options) *Handler {
	h := &Handler{Options: opt, mux: http.NewServeMux(), owner: owner}
	for pattern, f := range map[string]form{
		"GET /metadata/identity/oauth2/token": {check: checkInstance},
		"GET /msi/token":                      {check: checkAppService},
		"GET /msi/token/{$}":                  {check: checkAppService},
		"POST /oauth2/token":                  {check: checkExtension, body: true},
	} {
		h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, f) })
	}
	h.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		h.refuse(w, &identity.LocalError{Status: http.StatusNotFound, Name: "not_found", Text: "The requested path was not found."})
	})
	return h
}

// form is one of the protocols.
type form struct {
	check func(r *http.Request) error
	body  bool // parameters come in it
}

func bad(text string) error {
	return &identity.LocalError{Status: http.StatusBadRequest, Name: "invalid_request", Text: text}
}

// checkInstance is for what virtual machines ask at 169.254.169.254.
func checkInstance(r *http.Request) error {
	if !strings.EqualFold(r.Header.Get("Metadata"), "true") {
		return bad("Required metadata header not specified")
	}
	if v := r.URL.Query().Get("api-version"); len(v) != len("2018-02-01") || v < "2018-02-01" {
		return bad("Bad request. api-version is invalid or was not specified in the request.")
	}
	return nil
}

// checkAppService is for IDENTITY_ENDPOINT and the older MSI_ENDPOINT. What the header says proves nothing here, so anything will do;
// that it is there shows that no web page sent the request, nor a program that was talked into fetching a URL.
func checkAppService(r *http.Request) error {
	switch r.URL.Query().Get("api-version") {
	case "2019-08-01":
		if r.Header.Get("X-Identity-Header") == "" {
			return bad("The header X-IDENTITY-HEADER is missing.")
		}
	case "2017-09-01":
		if r.Header.Get("Secret") == "" {
			return bad("The header secret is missing.")
		}
	default:
		return bad("Bad request. api-version is invalid or was not specified in the request.")
	}
	return nil
}

// checkExtension is for the extension of virtual machines, and Cloud Shell: what az asks at MSI_ENDPOINT.
func checkExtension(r *http.Request) error {
	if !strings.EqualFold(r.Header.Get("Metadata"), "true") {
		return bad("Required metadata header not specified")
	}
	return nil
}

// proxied are headers of those who speak for others, and of browsers: a token is for the program that asks, on its own behalf.
func proxied() []string {
	return []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Forwarded", "Via", "Origin", "Sec-Fetch-Site"}
}

// maxBody bounds a request.
const maxBody = 16 << 10

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store, no-cache")
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, f form) {
	token, err := h.token(r, f)
	if err != nil {
		h.refuse(w, err)
		return
	}
	seconds := strconv.FormatInt(int64(token.Expires.Sub(token.Begins).Seconds()), 10)
	body := map[string]string{
		"access_token": token.Token, "client_id": token.ClientID, "expires_in": seconds, "ext_expires_in": seconds,
		"expires_on": strconv.FormatInt(token.Expires.Unix(), 10), "not_before": strconv.FormatInt(token.Begins.Unix(), 10),
		"resource": token.Resource, "token_type": "Bearer",
	}
	if r.URL.Query().Get("api-version") == "2017-09-01" {
		body["expires_on"] = token.Expires.UTC().Format("01/02/2006 15:04:05 +00:00")
	}
	writeJSON(w, http.StatusOK, body)
}

func (h *Handler) token(r *http.Request, f form) (identity.LocalToken, error) {
	if err := h.checkCaller(r); err != nil {
		return identity.LocalToken{}, err
	}
	if err := f.check(r); err != nil {
		return identity.LocalToken{}, err
	}
	values := r.URL.Query()
	if f.body {
		if err := r.ParseForm(); err != nil {
			return identity.LocalToken{}, bad("The request body is malformed or too large.")
		}
		values = r.Form
	}
	uid, err := h.peer(r)
	if err != nil {
		return identity.LocalToken{}, err
	}
	ask := identity.LocalRequest{UID: uid, Resource: values.Get("resource")}
	for _, name := range []string{"client_id", "clientid", "object_id", "principal_id", "msi_res_id", "mi_res_id"} {
		if id := values.Get(name); id != "" {
			ask.Named = append(ask.Named, id)
		}
	}
	return h.Identity.LocalToken(r, ask)
}

// checkCaller refuses requests that somebody's browser or proxy was made to send. A web page can have its own name looked up as a
// loopback address; then it is that name which the request asks for.
func (h *Handler) checkCaller(r *http.Request) error {
	for _, name := range proxied() {
		if len(r.Header.Values(name)) > 0 {
			return bad("Requests that were forwarded are refused: header " + name + ".")
		}
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if !strings.EqualFold(host, "localhost") && (err != nil || ip.Unmap() != h.Listen.Addr().Unmap()) {
		return bad("The host of the request is not this endpoint's.")
	}
	return nil
}

// peer says which user's process sent the request.
func (h *Handler) peer(r *http.Request) (uint32, error) {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if err != nil || !ok {
		return 0, errNoPeer
	}
	uid, err := h.owner(client, at.AddrPort())
	if errors.Is(err, errNoPeer) {
		h.Log.Warn("a token was asked for by nobody on this machine", "from", r.RemoteAddr)
		return 0, identity.ErrNotLocal()
	}
	return uid, err
}

func (h *Handler) refuse(w http.ResponseWriter, err error) {
	var e *identity.LocalError
	if !errors.As(err, &e) {
		h.Log.Error("token of a local user not issued", "error", err)
		e = &identity.LocalError{Status: http.StatusInternalServerError, Name: "server_error", Text: "A transient error has occurred. Please try again."}
	}
	writeJSON(w, e.Status, map[string]string{"error": e.Name, "error_description": e.Text})
}

func writeJSON(w http.ResponseWriter, status int, body map[string]string) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(body); err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // fails only when the caller is gone
}

// CheckListen refuses an address that other machines may reach: a loopback address serves, and the one that metadata services have,
// once it is an address of this machine.
func CheckListen(address string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return at, errors.New("an address and a port is needed, such as 127.0.0.1:50342")
	}
	if !at.Addr().Unmap().IsLoopback() && at.Addr().Unmap() != metadataAddress() {
		return at, errors.New("other machines may reach it: it must be a loopback address, or 169.254.169.254 on the loopback interface")
	}
	return at, nil
}

func metadataAddress() netip.Addr { return netip.AddrFrom4([4]byte{169, 254, 169, 254}) }

// OnLoopback tells whether the address is one of the loopback interface.
func OnLoopback(at netip.Addr) (bool, error) {
	if at.Unmap().IsLoopback() {
		return true, nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return false, err
	}
	for _, one := range all {
		addresses, err := one.Addrs()
		if err != nil {
			return false, err
		}
		if one.Flags&net.FlagLoopback != 0 && slices.ContainsFunc(addresses, func(a net.Addr) bool {
			prefix, err := netip.ParsePrefix(a.String())
			return err == nil && prefix.Addr().Unmap() == at.Unmap()
		}) {
			return true, nil
		}
	}
	return false, nil
}
