package transfer

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestPayloadOutlivesFile closes a file while it is sent, and opens others, one of which gets its descriptor's number.
func TestPayloadOutlivesFile(t *testing.T) {
	const size = 16 * mib
	dir := t.TempDir()
	filled := func(name string, b byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, bytes.Repeat([]byte{b}, size), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	image, secret := filled("image", 1), filled("secret", 2)
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	from, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	done := sending(to.(*net.UnixConn), inFile(f, span{0, size})(), size)
	first := []byte{0}
	if _, err := io.ReadFull(from, first); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		other, err := os.Open(secret)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
	}
	rest, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.IndexByte(append(first, rest...), 2); n >= 0 {
		t.Errorf("from byte %d on another file was sent", n)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// sending sends p and hangs up.
func sending(to *net.UnixConn, p *payload, n int64) chan error {
	done := make(chan error, 1)
	go func() {
		_, err := p.sendTo(to, n)
		to.Close()
		done <- err
	}()
	return done
}
