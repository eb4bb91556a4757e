package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tintype/internal/block"
	"tintype/internal/lsd"
	"tintype/internal/vfs"
)

// TestSalvage gets a disk out of a whole folder, of one with a damaged block, of one without metadata, and of one without a
// catalog as well.
func TestSalvage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := start(t, dir)
	s.makeDisk(t, s.token(t), "d")
	s.stop()
	want := writeSome(t, dir)
	out := func() string { return filepath.Join(t.TempDir(), "out") }
	get := func(to string, code int, args ...string) salvaged {
		t.Helper()
		got, text, errs := run(t, append([]string{"check", "--data", dir, "--salvage", to, "-o", "json"}, args...)...)
		var r salvaged
		if err := json.Unmarshal([]byte(text), &r); err != nil || got != code || len(r.Images) != 1 {
			t.Fatalf("exit %d, want %d: %s %s %v", got, code, text, errs, err)
		}
		return r
	}
	image := func(to string, r salvaged) []byte {
		t.Helper()
		f, err := os.Open(filepath.Join(to, r.Images[0].File))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p := make([]byte, len(want))
		if _, err := f.ReadAt(p, 0); err != nil {
			t.Fatal(err)
		}
		return p
	}
	to := out()
	r := get(to, 0, "--name", "d")
	if !bytes.Equal(image(to, r), want) || !strings.HasSuffix(r.Images[0].File, "-disks-d.raw") {
		t.Errorf("a whole disk is not what it was: %+v", r)
	}
	if code, _, errs := run(t, "check", "--data", dir, "--salvage", to); code == 0 || !strings.Contains(errs, "is there already") {
		t.Errorf("an image is overwritten: %d %s", code, errs)
	}
	if code, _, errs := run(t, "check", "--data", dir, "--salvage", out(), "--name", "e"); code == 0 || !strings.Contains(errs, "nothing of that name") {
		t.Errorf("a name that is none: %d %s", code, errs)
	}
	hurt(t, dir, want)
	to = out()
	r = get(to, 1)
	clear(want[3*block.BlockSize : 4*block.BlockSize])
	if l := r.Images[0].Lost; !bytes.Equal(image(to, r), want) || len(l) != 1 || l[0].Offset != 3*block.BlockSize {
		t.Errorf("a damaged disk: %+v", r)
	}
	if code, text, _ := run(t, "check", "--data", dir); code == 0 || !strings.Contains(text, "disks/d, bytes 12288 to 16383") {
		t.Errorf("check does not name the damage: %s", text)
	}
	for _, gone := range []string{"engine/meta", "catalog.db"} {
		if err := os.RemoveAll(filepath.Join(dir, gone)); err != nil {
			t.Fatal(err)
		}
		to = out()
		if r = get(to, 1); !bytes.Equal(image(to, r), want) || len(r.Notes) == 0 {
			t.Errorf("without %s: %+v", gone, r)
		}
	}
}

// writeSome writes to the one disk of a folder and returns all that it holds.
func writeSome(t *testing.T, dir string) []byte {
	t.Helper()
	store, err := lsd.Open(vfs.OS(), filepath.Join(dir, "engine"), lsd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	info := store.List()[0]
	d, err := store.OpenVolume(info.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 16*block.BlockSize) // and zeroes behind
	for i := range 8 {
		copy(want[i*block.BlockSize:], bytes.Repeat([]byte{byte(i + 65)}, block.BlockSize))
	}
	if _, err := d.WriteAt(want[:8*block.BlockSize], 0); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return want
}

// hurt changes a byte of the fourth block, wherever it lies.
func hurt(t *testing.T, dir string, want []byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "engine", "segments", "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		p, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(p, want[3*block.BlockSize:4*block.BlockSize]); i >= 0 {
			p[i+5]++
			if err := os.WriteFile(name, p, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the block is nowhere")
}
