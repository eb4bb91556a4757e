package arm

import (
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// correlationHeader carries what several requests of one undertaking have in common.
const correlationHeader = "x-ms-correlation-request-id"

// setHeaders writes what every answer carries, refusals too.
func (rt *Router) setHeaders(h http.Header, r *http.Request, requestID string) {
	correlation := requestID
	if sent := r.Header.Get("x-ms-correlation-request-id"); len(sent) == 36 && uuid.Validate(sent) == nil {
		correlation = sent
	}
	h.Set("Cache-Control", "no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "-1")
	h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("x-ms-request-id", requestID)
	h.Set(correlationHeader, correlation)
	h.Set("x-ms-routing-request-id", strings.ToUpper(rt.opt.Region)+":"+
		rt.opt.Now().UTC().Format("20060102T150405Z")+":"+requestID)
	if client := r.Header.Get("x-ms-client-request-id"); strings.EqualFold(
		r.Header.Get("x-ms-return-client-request-id"), "true") && uuid.Validate(client) == nil {
		h.Set("x-ms-client-request-id", client)
	}
}
