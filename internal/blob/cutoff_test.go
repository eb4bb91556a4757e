package blob

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"tintype/internal/block"
)

// onRead calls f before every read.
type onRead struct {
	block.Device
	f func()
}

func (d onRead) ReadAt(p []byte, off int64) (int, error) {
	d.f()
	return d.Device.ReadAt(p, off)
}

// TestExpiryCutsOff: a download that is under way when the access expires does not arrive whole.
func TestExpiryCutsOff(t *testing.T) {
	g := newRig(t, 64*mib, false)
	for at := int64(0); at < 64*mib; at += mib {
		g.write(at, []byte{1})
	}
	reads := 0
	g.wrap = func(d block.Device) block.Device {
		return onRead{d, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			if reads++; reads == 20 {
				g.now = g.grant.Expires
			}
		}}
	}
	resp, err := g.server.Client().Get(g.url())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil || n >= 64*mib {
		t.Errorf("%d bytes arrived, %v", n, err)
	}
}

// TestRevokeStopsHTTP1 is TestRevokeStopsReader on the older protocol, where the connection is the request's alone; and
// an upload that has stopped sending is broken off as well.
func TestRevokeStopsHTTP1(t *testing.T) {
	g := newRig(t, 1<<30, true)
	server := httptest.NewTLSServer(g.handler)
	defer server.Close()
	u, err := url.Parse(g.url())
	if err != nil {
		t.Fatal(err)
	}
	dial := func(request string) *tls.Conn {
		conn, err := tls.Dial("tcp", server.Listener.Addr().String(), server.Client().Transport.(*http.Transport).TLSClientConfig)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, request, u.RequestURI()); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	reader := dial("GET %s HTTP/1.1\r\nHost: h\r\n\r\n")
	defer reader.Close()
	writer := dial("PUT %s&comp=page HTTP/1.1\r\nHost: h\r\nx-ms-page-write: update\r\nRange: bytes=0-1023\r\nContent-Length: 1024\r\n\r\nhalf")
	defer writer.Close()
	first := make([]byte, 16)
	if _, err := io.ReadFull(reader, first); err != nil || string(first) != "HTTP/1.1 200 OK\r" {
		t.Fatalf("%q %v", first, err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		both := g.open == 2
		g.mu.Unlock()
		if both {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the upload never began")
		}
	}
	g.mu.Lock()
	g.revoked = true
	g.mu.Unlock()
	done := make(chan struct{})
	go func() { g.handler.Revoke(g.resource.ID); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("clients that stand still hold Revoke up")
	}
	if b := g.blob(); strings.Contains(string(b[:1024]), "half") {
		t.Error("half a page was written")
	}
}

// slow is a device whose first read waits until told.
type slow struct {
	block.Device
	entered chan struct{}
	leave   chan struct{}
}

func (s slow) WriteAt(p []byte, off int64) (int, error) {
	close(s.entered)
	<-s.leave
	return s.Device.WriteAt(p, off)
}

// TestRevokeWaits revokes a grant during a write: Revoke must not return before the device is at rest, and the request
// that comes later must be refused.
func TestRevokeWaits(t *testing.T) {
	g := newRig(t, mib, true)
	s := slow{entered: make(chan struct{}), leave: make(chan struct{})}
	g.wrap = func(d block.Device) block.Device { s.Device = d; return s }
	go func() {
		r, _ := http.NewRequest("PUT", g.url()+"&comp=page", bytes.NewReader(bytes.Repeat([]byte{9}, 512)))
		r.Header.Set("Range", "bytes=0-511")
		r.Header.Set("x-ms-page-write", "update")
		if resp, err := g.server.Client().Do(r); err == nil {
			resp.Body.Close()
		}
	}()
	<-s.entered
	g.mu.Lock()
	g.revoked, g.wrap = true, nil
	g.mu.Unlock()
	done := make(chan struct{})
	go func() { g.handler.Revoke(g.resource.ID); close(done) }()
	select {
	case <-done:
		t.Fatal("Revoke returned while the device was being written")
	case <-time.After(50 * time.Millisecond):
	}
	close(s.leave)
	<-done
	if g.open != 0 {
		t.Errorf("%d handles open after Revoke", g.open)
	}
	b := make([]byte, 1)
	if _, err := g.device.ReadAt(b, 0); err != nil || b[0] != 9 {
		t.Errorf("the page under way was not written whole: %v %v", b, err)
	}
	g.do("HEAD", g.url(), nil).want(t, 403, "AuthenticationFailed")
}

// TestRevokeStopsReader revokes a grant under a client that has stopped reading.
func TestRevokeStopsReader(t *testing.T) {
	g := newRig(t, 1<<30, false)
	resp, err := g.server.Client().Get(g.url())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	g.mu.Lock()
	g.revoked = true
	g.mu.Unlock()
	done := make(chan struct{})
	go func() { g.handler.Revoke(g.resource.ID); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("a client that doesn't read holds Revoke up")
	}
	var buf [1 << 16]byte
	for err == nil {
		_, err = resp.Body.Read(buf[:])
	}
	if strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "unexpected") {
		t.Error("the client took the cut answer for whole")
	}
}

// bad is a device that fails to read behind a point.
type bad struct {
	block.Device
	from int64
}

func (b bad) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.from {
		return 0, block.ErrDamaged
	}
	return b.Device.ReadAt(p, off)
}

// TestDamage: what cannot be read is an error, or an answer that breaks off; never other bytes.
func TestDamage(t *testing.T) {
	g := newRig(t, 8*mib, false)
	g.write(0, bytes.Repeat([]byte{1}, 8*mib))
	g.wrap = func(d block.Device) block.Device { return bad{d, 4 * mib} }
	g.do("GET", g.url(), nil, "Range", bytesRange(5*mib, 6*mib)).want(t, 500, "InternalError")
	resp, err := g.server.Client().Get(g.url())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n := 0
	var buf [1 << 16]byte
	for err == nil {
		var k int
		k, err = resp.Body.Read(buf[:])
		n += k
	}
	if n > 4*mib || err.Error() == "EOF" {
		t.Errorf("%d bytes, then %v", n, err)
	}
}
