package vfs_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"tintype/internal/vfs"
	"tintype/internal/vfs/vfstest"
)

func TestOSConforms(t *testing.T) {
	vfstest.Run(t, vfs.OS(), t.TempDir())
}

func TestOSKeepsOthersOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := vfs.OS().MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	f, err := vfs.OS().Create(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	lock, err := vfs.OS().Lock(filepath.Join(dir, "l"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"": fs.ModeDir | 0o700, "f": 0o600, "l": 0o600} {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := fi.Mode(); got != want {
			t.Errorf("%q has mode %v, want %v", name, got, want)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
}

func TestOSRoom(t *testing.T) {
	f, err := vfs.OS().Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const n = 1 << 20
	if err := f.Allocate(0, n); err != nil {
		t.Fatal(err)
	}
	taken := blocks(t, f)
	if err := f.Punch(0, n); err != nil {
		t.Fatal(err)
	}
	if left := blocks(t, f); taken < n || left > n/2 {
		t.Errorf("%d bytes taken after Allocate of %d, %d after Punch", taken, n, left)
	}
}

// blocks is how many bytes of the disk a file takes.
func blocks(t *testing.T, f vfs.File) int64 {
	t.Helper()
	fi, err := f.(interface{ Stat() (fs.FileInfo, error) }).Stat()
	if err != nil {
		t.Fatal(err)
	}
	return fi.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestReadCached(t *testing.T) {
	f, err := vfs.OS().Create(filepath.Join(t.TempDir(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("cached "), 10000)
	if _, err := f.WriteAt(want, 0); err != nil {
		t.Fatal(err)
	}
	c := f.(vfs.Cached)
	c.Advise(0, int64(len(want)))
	got := make([]byte, len(want))
	if done, _ := c.ReadCached(got, 0); done && !bytes.Equal(got, want) {
		t.Error("other bytes than were written")
	}
	if done, _ := c.ReadCached(got, 1); done {
		t.Error("read behind the end")
	}
	if done, begun := c.ReadCached(got, -1); done || begun {
		t.Error("read before the beginning")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if done, begun := c.ReadCached(got, 0); done || begun {
		t.Error("read a closed file")
	}
}
