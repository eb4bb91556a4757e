package blob

import (
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
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
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
	case <-time.After(10 * time.Second):
		t.Fatal("clients that stand still hold Revoke up")
	}
	if b := g.blob(); strings.Contains(string(b[:1024]), "half") {
		t.Error("half a page was written")
	}
}
