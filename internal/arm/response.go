package arm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// Response is what a handler answers. A nil Body sends none.
type Response struct {
	Status int
	Header http.Header
	Body   any
}

// JSON answers with a body.
func JSON(status int, body any) Response { return Response{Status: status, Body: body} }

// Empty answers without a body.
func Empty(status int) Response { return Response{Status: status} }

// List is the body of every list.
type List[T any] struct {
	Value    []T    `json:"value"`
	NextLink string `json:"nextLink,omitempty"`
}

// ListOf wraps items so that an empty list is [] and not null.
func ListOf[T any](items []T) List[T] {
	if items == nil {
		items = []T{}
	}
	return List[T]{Value: items}
}

// retryAfter is the pause in seconds that pollers are asked for. The real service sends 2; az waits 30 without it.
const retryAfter = 1

// Accepted answers 202 with the two headers by which a client follows an operation of Microsoft.Compute: kind is
// "DiskOperations", operation its id. body may be nil.
func (c *Call) Accepted(kind, location, operation string, body any) Response {
	at := fmt.Sprintf("%s/subscriptions/%s/providers/Microsoft.Compute/locations/%s/%s/%s?p=%s",
		c.BaseURL, url.PathEscape(c.ID.Subscription), url.PathEscape(location), kind, operation, operation)
	version := "&api-version=" + url.QueryEscape(c.APIVersion)
	h := http.Header{}
	h.Set("Azure-AsyncOperation", at+version)
	h.Set("Location", at+"&monitor=true"+version)
	h.Set("Retry-After", strconv.Itoa(retryAfter))
	return Response{Status: http.StatusAccepted, Header: h, Body: body}
}

// write sends the response. Encoding comes first, so that a body that cannot be encoded is a clean 500.
func (rs Response) write(w http.ResponseWriter, head bool) error {
	var b []byte
	if rs.Body != nil {
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		// A SAS is full of &: Azure sends it as it is.
		enc.SetEscapeHTML(false)
		if err := enc.Encode(rs.Body); err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		b = bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	}
	for k, v := range rs.Header {
		w.Header()[k] = v
	}
	if b != nil {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	if rs.Status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	}
	w.WriteHeader(rs.Status)
	if !head {
		// A write that fails means that the caller is gone: nobody is left to be told.
		_, _ = w.Write(b)
	}
	return nil
}

// deleted answers a deletion: 204 when there was nothing to delete.
func deleted(ok bool, err error) (Response, error) {
	switch {
	case err != nil:
		return Response{}, err
	case !ok:
		return Empty(http.StatusNoContent), nil
	}
	return Empty(http.StatusOK), nil
}
