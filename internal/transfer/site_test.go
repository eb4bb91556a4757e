package transfer

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/blob"
	"tintype/internal/block"
	"tintype/internal/block/blocktest"
	"tintype/internal/vhd"
)

const mib = 1 << 20

// site is a blob server over real TLS with one volume that can be made to fail.
type site struct {
	t       *testing.T
	server  *httptest.Server
	handler *blob.Handler
	signer  *blob.Signer
	device  *blocktest.Mem

	mu      sync.Mutex
	upload  bool
	version string
	res     blob.Resource
	revoked bool
	footer  []byte
	puts    int // Put Page requests that were let through
	gets    int // Get Blob requests that were let through
	before  func(w http.ResponseWriter, r *http.Request) (answered bool)
}

type handle struct{ *blocktest.Mem }

func (handle) Close() error { return nil }

var identity1 = vhd.Identity{
	Unique: uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), Created: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
}

// OpenEarlier finds nothing: the command line names the older end by its URL.
func (s *site) OpenEarlier(context.Context, blob.Resource, time.Time) (blob.Grant, error) {
	return blob.Grant{}, blob.ErrNoEarlier
}

func (s *site) Open(_ context.Context, r blob.Resource) (blob.Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r != s.res || s.revoked {
		return blob.Grant{}, blob.ErrNoGrant
	}
	g := blob.Grant{
		Device: handle{s.device}, Bytes: s.device.Size(), Expires: time.Now().Add(time.Hour), Version: s.version, Identity: identity1,
	}
	if s.upload {
		g.Footer = s
	}
	return g, nil
}

func (s *site) Load(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.footer == nil {
		return make([]byte, vhd.FooterSize), nil
	}
	return s.footer, nil
}

func (s *site) Store(_ context.Context, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.footer = bytes.Clone(b)
	return nil
}

func newSite(t *testing.T, size int64, upload bool) *site {
	t.Helper()
	s := &site{
		t: t, device: blocktest.NewMem(size), upload: upload, version: "v1",
		res: blob.Resource{Account: "md-0123456789ab", Container: "c123456789ab", ID: uuid.NewString()},
	}
	var err error
	if s.signer, err = blob.NewSigner(bytes.Repeat([]byte{1}, 32)); err != nil {
		t.Fatal(err)
	}
	if s.handler, err = blob.New(blob.Options{Signer: s.signer, Grants: s, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		before := s.before
		s.mu.Unlock()
		if before != nil && before(w, r) {
			return
		}
		s.mu.Lock()
		switch {
		case r.Method == "PUT":
			s.puts++
		case r.Method == "GET" && r.URL.Query().Get("comp") == "":
			s.gets++
		}
		s.mu.Unlock()
		s.handler.ServeHTTP(w, r)
	}))
	s.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // connections break here by design
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	return s
}

// intercept puts f in front of the server and begins to count anew.
func (s *site) intercept(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.puts, s.gets = f, 0, 0
}

func (s *site) counts() (puts, gets int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.puts, s.gets
}

// regrant ends the access, which waits for what is still under way, and gives another, at another address.
func (s *site) regrant(version string) {
	s.mu.Lock()
	old := s.res.ID
	s.res.ID, s.res.Container, s.version = uuid.NewString(), "d123456789ab", version
	s.mu.Unlock()
	s.handler.Revoke(old)
}

func (s *site) url() string {
	return s.signer.SignURL(blob.Endpoint{Host: strings.TrimPrefix(s.server.URL, "https://")}, s.res)
}

func (s *site) bytes() []byte {
	s.t.Helper()
	b := make([]byte, s.device.Size())
	if _, err := s.device.ReadAt(b, 0); err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *site) mapped() (n int64) {
	s.t.Helper()
	if err := s.device.Extents(0, s.device.Size(), func(e block.Extent) bool {
		if e.Data {
			n += e.Len
		}
		return true
	}); err != nil {
		s.t.Fatal(err)
	}
	return n
}

func quick(progress func(done, total int64)) Options {
	return Options{pause: time.Millisecond, Progress: progress}
}
