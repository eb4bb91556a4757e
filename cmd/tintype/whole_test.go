package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A server whose data folder has lost who or what there is must not start as an empty one.
func TestLossesAreRefused(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data)
	s.makeDisk(t, s.token(t), "d")
	if code := s.stop(); code != 0 {
		t.Fatalf("the server ended with %d", code)
	}
	for _, name := range []string{"identity.json", "catalog.db"} {
		path := filepath.Join(data, name)
		aside := path + ".aside"
		if err := os.Rename(path, aside); err != nil {
			t.Fatal(err)
		}
		code, out, errs := run(t, "serve", "--data", data, "--listen", "127.0.0.1:0")
		if code != 1 || out != "" || !strings.Contains(errs, name+" is missing") {
			t.Errorf("without %s: exit %d, %q, %q", name, code, out, errs)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s was made anew", name)
		}
		if err := os.Rename(aside, path); err != nil {
			t.Fatal(err)
		}
	}
	catalog := filepath.Join(data, "catalog.db")
	aside := catalog + ".aside"
	if err := errors.Join(os.Rename(catalog, aside), os.WriteFile(catalog, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	code, out, errs := run(t, "serve", "--data", data, "--listen", "127.0.0.1:0")
	if code != 1 || out != "" || !strings.Contains(errs, "knows none of the 1 volumes") {
		t.Errorf("with an empty catalog.db: exit %d, %q, %q", code, out, errs)
	}
	for _, name := range []string{catalog + "-wal", catalog + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.Rename(aside, catalog); err != nil {
		t.Fatal(err)
	}
	again := start(t, data)
	disk := again.group("g") + "/providers/Microsoft.Compute/disks/d" + diskVersion
	if code, body := again.call(t, again.token(t), "GET", disk, ""); code != 200 {
		t.Errorf("the disk, with everything back: %d %s", code, body)
	}
}
