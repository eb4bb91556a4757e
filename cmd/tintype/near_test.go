package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// TestNearServesBlobsOnly asks the socket for what it must not give: the API, and bytes without a signature.
func TestNearServesBlobsOnly(t *testing.T) {
	dir, err := os.MkdirTemp("", "near-") // a test's own folder may have too long a name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := start(t, dir)
	socket := filepath.Join(dir, "client", "blob.sock")
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	token := s.token(t)
	for _, c := range []struct {
		host, path string
		want       int
	}{
		{"localhost", "/healthz", http.StatusNotFound},
		{"localhost", "/subscriptions?api-version=2022-12-01", http.StatusNotFound},
		{"safe.vault.localhost", "/keys?api-version=7.4", http.StatusNotFound},
		{"localhost", "/md-0123456789ab/c123456789ab/abcd", http.StatusForbidden},
		{"safe.vault.localhost", "/md-0123456789ab/c123456789ab/abcd", http.StatusForbidden},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.host+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s%s: %d, want %d", c.host, c.path, resp.StatusCode, c.want)
		}
	}
	client.CloseIdleConnections()
}
