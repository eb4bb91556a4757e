package main

import (
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"tintype/internal/arm"
	"tintype/internal/blob"
)

// front shares one listener out between the doors, by path and host.
type front struct {
	arm, identity, graph, blobs, vaults, reports http.Handler
	healthz, readyz                              http.HandlerFunc
	metrics                                      *metrics
	log                                          *slog.Logger
	running                                      sync.WaitGroup // requests in progress
}

const (
	// apiReadTimeout is for a whole request of the API to come, apiWriteTimeout for its answer too. Blobs may take as long as
	// their bytes take, and have timeouts of their own.
	apiReadTimeout  = 30 * time.Second
	apiWriteTimeout = 90 * time.Second
)

// ServeHTTP answers one request, and says so in the log and to the metrics.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.running.Add(1)
	defer f.running.Done()
	door, handler := f.door(r)
	began, out := time.Now(), &answered{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		took := time.Since(began)
		f.metrics.requests.WithLabelValues(door, methodLabel(r.Method), strconv.Itoa(out.status)).Observe(took.Seconds())
		line := []any{"door", door, "method", r.Method, "status", out.status, "took", took}
		if door != "blob" && door != "report" { // whose URLs hold secrets
			line = append(line, "path", r.URL.Path)
		}
		h := out.Header()
		for name, header := range map[string]string{"request": "x-ms-request-id", "correlation": "x-ms-correlation-request-id"} {
			if id := h.Get(header); id != "" {
				line = append(line, name, id)
			}
		}
		if id := operationOf(h); id != "" {
			line = append(line, "operation", id)
		}
		f.log.Debug("request", line...)
	}()
	handler.ServeHTTP(out, r)
}

// door says who answers a request, and what that is called.
func (f *front) door(r *http.Request) (string, http.Handler) {
	switch _, near := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr); {
	case near && !blob.Owns(r):
		return "near", http.HandlerFunc(http.NotFound)
	case near:
		return "blob", f.blobs
	case isVault(r):
		return "vault", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			bound(w, r, apiReadTimeout)
			f.vaults.ServeHTTP(w, r)
		})
	case blob.Owns(r):
		return "blob", f.blobs
	case strings.HasPrefix(r.URL.Path, arm.ReportsPath):
		return "report", f.reports
	case r.URL.Path == "/healthz":
		return "health", f.healthz
	case r.URL.Path == "/readyz":
		return "health", f.readyz
	}
	door, handler := "identity", f.identity
	switch first, _, _ := strings.Cut(strings.TrimLeft(r.URL.Path, "/"), "/"); strings.ToLower(first) {
	case "subscriptions", "providers", "tenants":
		door, handler = "arm", f.arm
	case "graph":
		door, handler = "graph", f.graph
	}
	return door, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bound(w, r, apiReadTimeout)
		handler.ServeHTTP(w, r)
	})
}

// operationOf is the id of the operation that an answer tells the caller to poll, or "".
func operationOf(h http.Header) string {
	at, _, _ := strings.Cut(h.Get("Azure-AsyncOperation"), "?")
	return at[strings.LastIndexByte(at, '/')+1:]
}

// methodLabel keeps callers from making series of their own.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodPost, http.MethodDelete:
		return method
	}
	return "other"
}

// answered remembers the status of an answer.
type answered struct {
	http.ResponseWriter
	status int
	wrote  bool
}

// WriteHeader sends the status; the first one counts.
func (a *answered) WriteHeader(status int) {
	if !a.wrote && status >= http.StatusOK {
		a.status, a.wrote = status, true
	}
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap lets an http.ResponseController reach the connection.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// bound limits how long the request may take to come, and its answer to leave. A connection that cannot be bounded is left as the server
// made it. Where no body is to come, the server reads on to see whether the caller is still there, and would take the end of its time
// for the end of the caller; behind a body it sees to that itself.
func bound(w http.ResponseWriter, r *http.Request, read time.Duration) {
	c := http.NewResponseController(w)
	now := time.Now()
	_ = c.SetWriteDeadline(now.Add(apiWriteTimeout))
	if r.Body != http.NoBody {
		_ = c.SetReadDeadline(now.Add(read))
	}
}
