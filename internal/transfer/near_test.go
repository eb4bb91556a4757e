package transfer

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"tintype/internal/vhd"
)

// nearSite serves the site's blobs on a socket too, and gives a client for it and how many requests came that way.
func nearSite(t *testing.T, s *site) (*http.Client, *atomic.Int64) {
	t.Helper()
	dir, err := os.MkdirTemp("", "near-") // a test's own folder may have too long a name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var came atomic.Int64
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came.Add(1)
		s.server.Config.Handler.ServeHTTP(w, r)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { server.Close(); <-done })
	client, err := Near(t.Context(), socket, s.server.URL, "", dir)
	if err != nil {
		t.Fatal(err)
	}
	return client, &came
}

// TestNear moves images both ways over a socket, each kind of source and a server that breaks off.
func TestNear(t *testing.T) {
	const size = 41*mib + 512
	name := filepath.Join(t.TempDir(), "disk.raw")
	model := sparse(t, name, size, 3)
	dynamic := filepath.Join(t.TempDir(), "disk.vhd")
	qemuImg(t, "convert", "-f", "raw", "-O", "vpc", "-o", "subformat=dynamic,force_size=on", name, dynamic)
	for _, file := range []string{name, dynamic} {
		src, err := Open(t.Context(), file, SourceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s := newSite(t, size, true)
		client, came := nearSite(t, s)
		var broken atomic.Int64
		s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut || broken.Add(1)%3 != 0 {
				return false
			}
			p := make([]byte, 10_000)
			_, _ = r.Body.Read(p)
			panic(http.ErrAbortHandler)
		})
		if err := Upload(t.Context(), client, s.url(), src, size, UploadOptions{Options: quick(nil), Footer: identity1}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(s.bytes(), model) {
			t.Errorf("%s: the volume differs from the image", file)
		}
		if n := s.mapped(); n > 3*mib {
			t.Errorf("%s: %d bytes are mapped", file, n)
		}
		if came.Load() == 0 || broken.Load() < 3 {
			t.Errorf("%d requests over the socket, %d writes", came.Load(), broken.Load())
		}
		s.intercept(nil)
		out := filepath.Join(t.TempDir(), "out.raw")
		if err := Download(t.Context(), client, s.url(), out, vhd.Raw, DownloadOptions{Options: quick(nil)}); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, model) {
			t.Errorf("%s: what comes back differs (%v)", file, err)
		}
		if err := src.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNearImageShrinks uploads a file that has become shorter: an error, and nothing waits for ever.
func TestNearImageShrinks(t *testing.T) {
	const size = 24 * mib
	name := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(name, bytes.Repeat([]byte{1}, size), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := Open(t.Context(), name, SourceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	s := newSite(t, size, true)
	client, _ := nearSite(t, s)
	s.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			if err := os.Truncate(name, mib); err != nil {
				t.Error(err)
			}
		}
		return false
	})
	if err := Upload(t.Context(), client, s.url(), src, size, UploadOptions{Options: quick(nil), Footer: identity1}); err == nil {
		t.Error("an image that became shorter was uploaded")
	}
}

// TestNearTrust holds Near to its word: the server of this machine only, and nobody's socket but a trusted user's.
func TestNearTrust(t *testing.T) {
	s := newSite(t, 20*mib, false)
	client, _ := nearSite(t, s)
	r, err := newRemote(client, "https://localhost:1/md-1/c/abcd?sig=x", quick(nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.head(t.Context()); !errors.Is(err, errAnswer) {
		t.Errorf("another server's URL: %v", err)
	}
	for _, c := range []struct {
		peer, owner, self uint32
		want              bool
	}{{0, 5, 6, true}, {5, 5, 6, true}, {6, 5, 6, true}, {7, 5, 6, false}, {7, 0, 0, false}} {
		if got := trusts(c.peer, c.owner, c.self); got != c.want {
			t.Errorf("peer %d, owner %d, self %d: %v", c.peer, c.owner, c.self, got)
		}
	}
	if _, err := Near(t.Context(), filepath.Join(t.TempDir(), "none"), s.server.URL, "", t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no socket: %v", err)
	}
}

// TestNearServes sends nothing over the socket that is for another server.
func TestNearServes(t *testing.T) {
	n := near{host: "h:8443", port: "8443", domain: "Blobs.example"}
	for address, want := range map[string]bool{
		"h:8443": true, "h:8444": false, "md-1.blobs.example:8443": true, "md-1.BLOBS.example:8443": true, "md-1.blobs.example:8444": false,
		"blobs.example:8443": false, "md-1xblobs.example:8443": false, "md-1.blobs.example.evil:8443": false,
	} {
		if n.serves(address) != want {
			t.Errorf("%s: %v", address, !want)
		}
	}
	if (near{host: "h:8443", port: "8443"}).serves("md-1.:8443") {
		t.Error("no domain is every domain")
	}
}
