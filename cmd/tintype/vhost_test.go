package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tintype/internal/block/blocktest"
	"tintype/internal/nbd"
	"tintype/internal/vhost"
)

// TestVhostDir takes no folder in which others reach the sockets.
func TestVhostDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "v")
	for range 2 {
		if got, err := vhostDir(dir); err != nil || got != dir {
			t.Fatalf("%s, %v", got, err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	for _, mode := range []os.FileMode{0o755, 0o710, 0o701} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := vhostDir(dir); err == nil {
			t.Errorf("a folder of mode %o is taken", mode)
		}
	}
	if _, err := vhostDir("/tmp/" + strings.Repeat("a", 60)); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a folder with a long name: %v", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := vhostDir(file); err == nil {
		t.Error("a file is taken for a folder")
	}
}

// TestExporterServesBoth offers a volume at both doors or at none, and takes it back from both.
func TestExporterServesBoth(t *testing.T) {
	dir := t.TempDir()
	door := vhostDoor{dir: dir}
	full := false
	door.server = vhost.NewServer(vhost.Options{Listen: func(name string) (net.Listener, error) {
		if full {
			return nil, errors.New("no socket")
		}
		return listenSocket(door.path(name))
	}})
	e := exporter{server: nbd.NewServer(nbd.Options{}), vhost: door}
	dev := blocktest.NewMem(1 << 20)
	for range 2 {
		if err := e.Export("vol", dev, false, "", nil); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(e.Socket("vol"))
		if err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Errorf("%v, %v", info, err)
		}
		if err := errors.Join(e.Unexport("vol"), e.Unexport("vol")); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(e.Socket("vol")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left: %v", err)
		}
	}
	if a, b := door.path(strings.Repeat("a", 300)), door.path(strings.Repeat("b", 300)); a == b || len(a) > maxSocketPath || filepath.Dir(a) != dir {
		t.Errorf("%s and %s", a, b)
	}
	full = true
	if err := e.Export("vol", dev, false, "", nil); err == nil {
		t.Error("served at one door of two")
	}
	full = false
	if err := e.Export("vol", dev, false, "", nil); err != nil {
		t.Errorf("the first try left something: %v", err)
	}
	if err := e.Unexport("vol"); err != nil {
		t.Error(err)
	}
}
