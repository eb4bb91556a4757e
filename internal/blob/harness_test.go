package blob

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
	"tintype/internal/vhd"
)

// shared is a device that outlives its handles, as a volume does, and counts them.
type shared struct {
	*blocktest.Mem
	rig *rig
}

func (s shared) Close() error {
	s.rig.mu.Lock()
	defer s.rig.mu.Unlock()
	s.rig.open--
	return nil
}

func (s shared) Flush() error {
	s.rig.mu.Lock()
	s.rig.flushes++
	s.rig.mu.Unlock()
	return s.Mem.Flush()
}

// rig is a handler behind real TLS, with one grant that the test may change.
type rig struct {
	t       testing.TB
	server  *httptest.Server
	handler *Handler
	signer  *Signer

	mu       sync.Mutex
	now      time.Time
	device   *blocktest.Mem
	wrap     func(block.Device) block.Device
	grant    Grant
	resource Resource
	revoked  bool
	footer   []byte
	open     int
	flushes  int
}

func (g *rig) Open(_ context.Context, r Resource) (Grant, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.revoked || r != g.resource {
		return Grant{}, ErrNoGrant
	}
	grant := g.grant
	grant.Device = shared{g.device, g}
	if g.wrap != nil {
		grant.Device = g.wrap(grant.Device)
	}
	g.open++
	return grant, nil
}

func (g *rig) OpenEarlier(context.Context, Resource, time.Time) (Grant, error) {
	return Grant{}, ErrNoEarlier
}

func (g *rig) Load(context.Context) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.footer == nil {
		return make([]byte, vhd.FooterSize), nil
	}
	return bytes.Clone(g.footer), nil
}

func (g *rig) Store(_ context.Context, b []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.footer = bytes.Clone(b)
	return nil
}

func (g *rig) time() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

var testKey = bytes.Repeat([]byte{7}, MinKey)

func newRig(t testing.TB, size int64, upload bool) *rig {
	t.Helper()
	created := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	g := &rig{
		t: t, now: created.Add(time.Hour), device: blocktest.NewMem(size),
		resource: Resource{Account: "md-0123456789ab", Container: "c0123456789a", ID: uuid.NewString()},
	}
	g.grant = Grant{
		Bytes: size, Expires: g.now.Add(time.Hour), Version: "v1",
		Identity: vhd.Identity{Unique: uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), Created: created},
	}
	if upload {
		g.resource.Account = "md-impexp-0123456789ab"
		g.grant.Footer = g
	}
	var err error
	if g.signer, err = NewSigner(testKey); err != nil {
		t.Fatal(err)
	}
	if g.handler, err = New(Options{Signer: g.signer, Grants: g, Now: g.time}); err != nil {
		t.Fatal(err)
	}
	g.server = httptest.NewUnstartedServer(g.handler)
	g.server.EnableHTTP2 = true
	g.server.StartTLS()
	t.Cleanup(func() {
		g.server.Close()
		if g.open != 0 {
			t.Errorf("%d device handles were not closed", g.open)
		}
		g.handler.active.mu.Lock()
		defer g.handler.active.mu.Unlock()
		for _, a := range g.handler.active.grants {
			if len(a.requests) > 0 {
				t.Errorf("%d requests never ended", len(a.requests))
			}
		}
	})
	return g
}

func (g *rig) url() string {
	return g.signer.SignURL(Endpoint{Host: strings.TrimPrefix(g.server.URL, "https://")}, g.resource)
}

// blob is what a reader must see.
func (g *rig) blob() []byte {
	g.t.Helper()
	b := make([]byte, g.grant.Bytes+vhd.FooterSize)
	if _, err := g.device.ReadAt(b[:g.grant.Bytes], 0); err != nil {
		g.t.Fatal(err)
	}
	if g.grant.Footer == nil {
		f := vhd.FixedFooter(g.grant.Bytes, g.grant.Identity)
		copy(b[g.grant.Bytes:], f[:])
	} else {
		copy(b[g.grant.Bytes:], g.footer)
	}
	return b
}

type answer struct {
	*http.Response
	body []byte
}

// do sends a request; headers are name, value, name, value.
func (g *rig) do(method, url string, body []byte, headers ...string) answer {
	g.t.Helper()
	r, err := newRequest(method, url, body, headers...)
	if err != nil {
		g.t.Fatal(err)
	}
	resp, err := g.server.Client().Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer{resp, b}
}

func newRequest(method, url string, body []byte, headers ...string) (*http.Request, error) {
	r, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r, nil
}

// want checks status and Azure's error code, in header and body alike.
func (a answer) want(t *testing.T, status int, code string) answer {
	t.Helper()
	if a.StatusCode != status || a.Header.Get("x-ms-error-code") != code {
		t.Fatalf("%s: got %d %q, want %d %q; body %s", a.Request.Method, a.StatusCode, a.Header.Get("x-ms-error-code"), status, code, a.body)
	}
	if code != "" && len(a.body) > 0 {
		var e struct {
			XMLName xml.Name `xml:"Error"`
			Code    string
			Message string
		}
		if err := xml.Unmarshal(a.body, &e); err != nil || e.Code != code || e.Message == "" {
			t.Fatalf("error body %s: %v", a.body, err)
		}
	}
	for _, name := range []string{"x-ms-request-id", "x-ms-version", "Date"} {
		if a.Header.Get(name) == "" {
			t.Errorf("no header %s", name)
		}
	}
	return a
}

func (g *rig) write(off int64, p []byte) {
	g.t.Helper()
	if _, err := g.device.WriteAt(p, off); err != nil {
		g.t.Fatal(err)
	}
}

func bytesRange(start, end int64) string { return fmt.Sprintf("bytes=%d-%d", start, end-1) }

type pageListBody struct {
	PageRange  []struct{ Start, End int64 }
	NextMarker string
}
