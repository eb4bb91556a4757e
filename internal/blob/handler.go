package blob

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vhd"
)

// Options are what a Handler needs. All but Log are required.
type Options struct {
	Signer *Signer
	Grants Grants
	Now    func() time.Time
	Log    *slog.Logger // what goes wrong on our side; nil discards it
}

// Handler serves every blob. Send it the requests that Owns claims.
type Handler struct {
	signer *Signer
	grants Grants
	now    func() time.Time
	log    *slog.Logger
	active *registry
	bodies chan struct{} // holds a token for each body of up to maxUpdate in memory
}

// New makes a handler.
func New(o Options) (*Handler, error) {
	if o.Signer == nil || o.Grants == nil || o.Now == nil {
		return nil, errors.New("blob: Signer, Grants and Now are required")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{
		signer: o.Signer, grants: o.Grants, now: o.Now, log: o.Log,
		active: newRegistry(o.Now()), bodies: make(chan struct{}, maxBodies),
	}, nil
}

// accountPrefix is how the account of every managed disk begins, which AzCopy looks for.
const accountPrefix = "md-"

// Owns tells whether the request is for a blob, by the host's first label or the path's first segment.
func Owns(r *http.Request) bool {
	return strings.HasPrefix(strings.ToLower(r.Host), accountPrefix) || strings.HasPrefix(r.URL.Path, "/"+accountPrefix)
}

// locate takes account and container from a URL's host or path. The blob must be called Name.
func locate(host, path string) (account, container string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if len(parts) == 2 {
		label, _, _ := strings.Cut(strings.ToLower(host), ".")
		parts = append([]string{label}, parts...)
	}
	if len(parts) != 3 || parts[2] != Name || parts[1] == "" || !strings.HasPrefix(parts[0], accountPrefix) {
		return "", "", false
	}
	return parts[0], parts[1], true
}

// Revoke ends every request that uses the grant and waits until none of them touches its device. Withdraw the grant
// first, so that Open no longer finds it. Every page whose 201 was sent is durable; a page under way is written whole or
// not at all.
func (h *Handler) Revoke(id string) { h.active.revoke(id) }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	stamp(w, r, h.now())
	var refused *failure
	err := h.serve(w, r)
	switch {
	case err == nil:
		return
	case errors.Is(err, errCutOff):
		// Part of the answer is sent. Breaking the connection is the only way left to say that it is not whole.
		panic(http.ErrAbortHandler)
	case errors.As(err, &refused):
	default:
		refused = h.explain(r, err)
	}
	clearEntityHeaders(w.Header())
	refused.send(w, r.Method == http.MethodHead, h.now())
}

// explain turns a failure of our own into what may be said of it, and logs it.
func (h *Handler) explain(r *http.Request, err error) *failure {
	switch {
	case errors.Is(err, context.Canceled):
		return errBusy // revoked or gone: nobody reads this
	case errors.Is(err, block.ErrNoSpace):
		h.log.Error("blob request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		return errNoSpace
	case errors.Is(err, block.ErrClosed):
		return errBusy
	default:
		h.log.Error("blob request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		return errInternal
	}
}

// serve checks the signature, then looks the grant up, and only then acts.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodOptions {
		return preflight(r.Header)
	}
	if err := checkVersion(r.Header, h.now()); err != nil {
		return err
	}
	q, grant, err := h.admit(w, r, r.Host, r.URL)
	if err != nil {
		return err
	}
	defer h.leave(q, grant)
	return h.route(w, r.WithContext(q.ctx), &call{request: q, grant: grant, query: r.URL.Query()})
}

// admit opens what a signed URL at host names, for as long as the request takes. Without an error, the caller leaves it.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request, host string, signed *url.URL) (*request, Grant, error) {
	query, err := url.ParseQuery(signed.RawQuery)
	if err != nil {
		return nil, Grant{}, errAuthentication
	}
	account, container, ok := locate(host, signed.Path)
	if !ok {
		return nil, Grant{}, errAuthentication
	}
	resource, ok := h.signer.verify(account, container, query)
	if !ok {
		return nil, Grant{}, errAuthentication
	}
	q := h.active.begin(resource.ID, w, r)
	q.resource = resource
	grant, err := h.grants.Open(q.ctx, resource)
	if err != nil {
		q.end()
		if errors.Is(err, ErrNoGrant) {
			err = errAuthentication
		}
		return nil, Grant{}, err
	}
	switch {
	case !h.now().Before(grant.Expires):
		err = errAuthentication
	case grant.Authorize != nil && grant.Authorize(r, r.Method == http.MethodPut) != nil:
		err = tokenRequired(grant.Challenge)
	case grant.Bytes <= 0 || grant.Bytes > grant.Device.Size() || grant.Bytes%vhd.SectorSize != 0:
		err = fmt.Errorf("blob: grant of %d bytes on a device of %d", grant.Bytes, grant.Device.Size())
	default:
		return q, grant, nil
	}
	h.leave(q, grant)
	return nil, Grant{}, err
}

// leave ends what admit began.
func (h *Handler) leave(q *request, grant Grant) {
	h.release(grant.Device)
	q.end()
}

// release gives the device back. The answer may be sent by then, so a failure is for the operator only.
func (h *Handler) release(d block.Device) {
	if err := d.Close(); err != nil {
		h.log.Error("closing a blob's device failed", "error", err)
	}
}

// call is one authenticated request.
type call struct {
	*request
	grant Grant
	query url.Values
}

// route picks the operation. All of them share the checks made here.
func (h *Handler) route(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := unsupported(r, c.query); err != nil {
		return err
	}
	comp := c.query.Get("comp")
	switch r.Method {
	case http.MethodHead, http.MethodGet:
		switch {
		case comp == "" && r.Method == http.MethodGet:
			return h.get(w, r, c)
		case comp == "" || comp == "metadata":
			return h.properties(w, r, c)
		case comp == "pagelist" && r.Method == http.MethodGet:
			return h.pageList(w, r, c)
		}
	case http.MethodPut:
		switch comp {
		case "page":
			return h.putPage(w, r, c)
		case "", "lease", "snapshot", "metadata", "properties", "tier", "tags", "incrementalcopy", "undelete", "immutabilitypolicies", "legalhold":
			return errPermission // what a blob's owner may do, and no URL of a disk allows
		}
	case http.MethodDelete:
		return errPermission
	default:
		return errVerb
	}
	return errQueryValue("comp", comp)
}

// preflight answers a browser that asks whether a script of another origin may come: there are no such rules, as for managed disks
// in Azure. Nobody has to be known for that.
func preflight(h http.Header) error {
	for _, name := range []string{"Origin", "Access-Control-Request-Method"} {
		if h.Get(name) == "" {
			return errNoOrigin(name)
		}
	}
	return errPreflight
}

// firstVersion is the oldest version of the Blob service that Azure has.
const firstVersion = "2009-04-14"

// checkVersion refuses an x-ms-version that is none. Which one will be the newest, nobody knows: a year ahead is taken.
func checkVersion(h http.Header, now time.Time) error {
	const name = "x-ms-version"
	v := h.Get(name)
	if v == "" {
		return nil
	}
	if at, err := time.Parse(time.DateOnly, v); err != nil || v < firstVersion || at.After(now.AddDate(1, 0, 0)) {
		return errHeaderValue(name, v)
	}
	return nil
}

// unsupported refuses what would change the meaning of a request if it were passed over.
func unsupported(r *http.Request, query url.Values) error {
	header := r.Header
	for _, name := range []string{
		"x-ms-structured-body", "x-ms-copy-source", "x-ms-encryption-key", "x-ms-encryption-scope",
		"x-ms-if-tags",
	} {
		if v := header.Get(name); v != "" {
			return errUnsupportedHeader(name, v)
		}
	}
	if header.Get(previousHeader) != "" && !knowsPrevious(r, query) {
		return errUnsupportedHeader(previousHeader, "")
	}
	refused := []string{"snapshot", "versionid", "restype"}
	if !mayHaveEarlier(r, query) {
		refused = append(refused, earlierQuery)
	}
	for _, name := range refused {
		if v := query.Get(name); v != "" {
			return errUnsupportedQuery(name, v)
		}
	}
	if v := query.Get("timeout"); v != "" {
		if _, ok := parseOffset(v); !ok {
			return errQueryValue("timeout", v)
		}
	}
	if header.Get("x-ms-lease-id") != "" {
		return errNoLease
	}
	return nil
}

// stamp sets the headers that every answer has.
func stamp(w http.ResponseWriter, r *http.Request, now time.Time) {
	h := w.Header()
	h.Set("x-ms-request-id", uuid.NewString())
	h.Set("Date", now.UTC().Format(http.TimeFormat))
	h.Set("Server", "Tintype-Blob/1.0")
	version := r.Header.Get("x-ms-version")
	if _, err := time.Parse(time.DateOnly, version); err != nil {
		version = sasVersion
	}
	h.Set("x-ms-version", version)
	if id := r.Header.Get("x-ms-client-request-id"); id != "" && len(id) <= 1024 {
		h.Set("x-ms-client-request-id", id)
	}
}

// clearEntityHeaders takes back what was said of a body that is not sent.
func clearEntityHeaders(h http.Header) {
	for _, name := range []string{"Content-Length", "Content-Range", "Content-Type", "Content-MD5", "x-ms-content-crc64"} {
		h.Del(name)
	}
}
