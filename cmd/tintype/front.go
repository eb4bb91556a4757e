package main

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"tintype/internal/arm"
	"tintype/internal/blob"
)

// front shares one listener out between the doors, by path and host.
type front struct {
	arm, identity, blobs, reports http.Handler
	log                           *slog.Logger
	running                       sync.WaitGroup // requests in progress
}

const (
	// apiReadTimeout is for a whole request of the API, apiWriteTimeout for its answer too. Blobs may take as long as
	// their bytes take, and have timeouts of their own.
	apiReadTimeout  = 30 * time.Second
	apiWriteTimeout = 90 * time.Second
)

// ServeHTTP answers one request.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.running.Add(1)
	defer f.running.Done()
	if blob.Owns(r) {
		f.log.Debug("request", "method", r.Method, "door", "blob") // the URL holds a signature
		f.blobs.ServeHTTP(w, r)
		return
	}
	if strings.HasPrefix(r.URL.Path, arm.ReportsPath) {
		f.log.Debug("request", "method", r.Method, "door", "report") // the URL holds a secret
		f.reports.ServeHTTP(w, r)
		return
	}
	f.log.Debug("request", "method", r.Method, "path", r.URL.Path)
	bound(w)
	switch first, _, _ := strings.Cut(strings.TrimLeft(r.URL.Path, "/"), "/"); strings.ToLower(first) {
	case "subscriptions", "providers", "tenants":
		f.arm.ServeHTTP(w, r)
	default:
		f.identity.ServeHTTP(w, r)
	}
}

// bound limits how long the request may take. A connection that cannot be bounded is left as the server made it.
func bound(w http.ResponseWriter) {
	c := http.NewResponseController(w)
	now := time.Now()
	_ = c.SetReadDeadline(now.Add(apiReadTimeout))
	_ = c.SetWriteDeadline(now.Add(apiWriteTimeout))
}
