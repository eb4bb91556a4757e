package arm

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/google/uuid"

	"tintype/internal/identity"
)

// Reply is the answer to a request that the server made itself.
type Reply struct {
	Status int
	Header http.Header
	// Body is JSON, or empty.
	Body []byte
}

// Perform carries out a request of the server's own on behalf of who, a caller whose token was checked before: with the
// same checks and by the same handlers as one from outside. target is a path with a query.
func (rt *Router) Perform(ctx context.Context, who identity.Principal, method, target string, body []byte) Reply {
	requestID := uuid.NewString()
	r, err := ownRequest(ctx, method, target, body)
	if err != nil {
		return reply(errBadPath().response())
	}
	return reply(rt.carry(r, requestID, requestID, func() (identity.Principal, error) { return who, nil }))
}

// Check says whether Perform would refuse the request before its handler is asked: for its path, its api-version, a role
// or a lock. nil means that it would not.
func (rt *Router) Check(ctx context.Context, who identity.Principal, method, target string, body []byte) *Error {
	r, err := ownRequest(ctx, method, target, body)
	if err != nil {
		return errBadPath()
	}
	if _, _, _, err := rt.admit(r, who, uuid.NewString()); err != nil {
		e, _ := toError(err)
		return e
	}
	return nil
}

func ownRequest(ctx context.Context, method, target string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, "https://localhost"+target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", mediaType)
	return r, nil
}

func reply(rs Response) Reply {
	out := Reply{Status: rs.Status, Header: rs.Header}
	if out.Header == nil {
		out.Header = http.Header{}
	}
	if rs.Body == nil {
		return out
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(rs.Body); err != nil {
		return reply(errInternal().response())
	}
	out.Body = buf.Bytes()
	return out
}

// Version is the newest api-version at which the resource of the id can be read, "" when there is none.
func (rt *Router) Version(id string) string {
	r, _, err := rt.find(http.MethodGet, splitPath(id), "")
	if err != nil || len(r.versions()) == 0 {
		return ""
	}
	return r.versions()[len(r.versions())-1]
}
