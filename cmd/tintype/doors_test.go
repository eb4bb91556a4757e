package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tintype/internal/lsd"
	"tintype/internal/vfs"
)

// loseVolumes deletes every volume of the engine behind the catalog's back.
func loseVolumes(t *testing.T, dir string) {
	t.Helper()
	store, err := lsd.Open(vfs.OS(), filepath.Join(dir, "engine"), lsd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range store.List() {
		if err := store.Delete(info.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSocketPath(t *testing.T) {
	if got, err := socketPath("/data"); err != nil || got != "/data/nbd.sock" {
		t.Errorf("%s %v", got, err)
	}
	long := "/data/" + strings.Repeat("x", 200)
	one, err := socketPath(long)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(one)) })
	two, err := socketPath(long)
	if err != nil || one != two || len(one) > maxSocketPath {
		t.Errorf("%s, then %s (%v)", one, two, err)
	}
	other, err := socketPath(long + "y")
	if err != nil || other == one {
		t.Errorf("two folders share %s (%v)", other, err)
	}
	os.RemoveAll(filepath.Dir(other))
	l, err := listenSocket(one)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if info, err := os.Stat(filepath.Dir(one)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nbd.sock")
	first, err := listenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false) // as after kill -9
	first.Close()
	second, err := listenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

func TestExporterURI(t *testing.T) {
	e := exporter{socket: "/a b+c&d/nbd.sock"}
	if got := e.Socket("vol 1"); got != "" {
		t.Errorf("without --vhost-user there is a socket %s", got)
	}
	if got, want := e.URI("vol 1"), "nbd+unix:///vol%201?socket=/a%20b%2Bc%26d/nbd.sock"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
