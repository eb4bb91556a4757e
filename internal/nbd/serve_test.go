package nbd_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"tintype/internal/block"
	"tintype/internal/nbd"
)

// serve offers a device as "disk" on a unix socket for the time of a test.
func serve(t testing.TB, dev block.Device) (socket string) {
	t.Helper()
	_, socket = serveExports(t, nbd.Export{Name: "disk", Device: dev, Description: "the only one"})
	return socket
}

func serveExports(t testing.TB, exports ...nbd.Export) (*nbd.Server, string) {
	t.Helper()
	return serveWith(t, nbd.Options{}, exports...)
}

func serveWith(t testing.TB, opt nbd.Options, exports ...nbd.Export) (*nbd.Server, string) {
	t.Helper()
	s := nbd.NewServer(opt)
	for _, e := range exports {
		if err := s.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testLimit)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, socket
}
