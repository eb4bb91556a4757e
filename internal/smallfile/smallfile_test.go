package smallfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "key")
	for _, text := range []string{"one", "another, longer", ""} {
		if err := Write(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != text {
			t.Errorf("the file holds %q, want %q: %v", got, text, err)
		}
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, want 0600: %v", info.Mode(), err)
		}
	}
	if diff := cmp.Diff([]string{"key"}, names(t, dir)); diff != "" {
		t.Error(diff)
	}
}

// A name that cannot be had leaves nothing behind.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "key", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, "key"), []byte("x")); err == nil {
		t.Error("a file took the place of a folder that is not empty")
	}
	if err := Write(filepath.Join(dir, "none", "key"), []byte("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if diff := cmp.Diff([]string{"key"}, names(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestMove(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "next"), filepath.Join(dir, "now")
	if err := errors.Join(Write(from, []byte("new")), Write(to, []byte("old")), Move(to, from)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(to); err != nil || string(got) != "new" {
		t.Errorf("the file holds %q: %v", got, err)
	}
	if err := Move(to, from); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("moved what is gone: %v", err)
	}
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}
