package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"
)

// serveNear serves blobs, and nothing else, on a socket in the client folder, for programs on this machine that may use the
// server anyway. URLs are checked as everywhere; only TLS is left out.
func (s *server) serveNear(front *front) error {
	path := filepath.Join(s.opt.data, "client", "blob.sock")
	if len(path) > maxSocketPath {
		s.log.Warn("the data folder's name is too long for a socket: imports and exports on this machine go over HTTPS", "path", path)
		return nil
	}
	l, err := listenSocket(path)
	if err != nil {
		return err
	}
	// A server of its own: one that serves plain HTTP first does not serve HTTP/2 over TLS any more.
	web := &http.Server{
		Handler:           front,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.onClose(func() error { return s.closeWeb(web, front) })
	go func() {
		if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("blobs at %s: %w", path, err)
		}
	}()
	return nil
}
