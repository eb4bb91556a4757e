package vfs_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

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

// TestGather brings a part of a file back into memory, whatever its end is like, and changes nothing.
func TestGather(t *testing.T) {
	f, err := vfs.OS().Create(filepath.Join(t.TempDir(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := bytes.Repeat([]byte("gathered"), (5*vfs.GatherBytes/2+100)/8)
	if _, err := f.WriteAt(want, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	forget := func() {
		if err := unix.Fadvise(int(f.(interface{ Fd() uintptr }).Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
	}
	c := f.(vfs.Cached)
	got := make([]byte, len(want))
	tells, _ := c.ReadCached(got, 0)                                                       // not every file system does
	for _, n := range []int64{vfs.GatherBytes, 3 * vfs.GatherBytes, 4 * vfs.GatherBytes} { // the last end behind the file
		forget()
		c.Gather(0, n)
		here := got[:min(n, int64(len(got)))]
		if done, _ := c.ReadCached(here, 0); tells && !done {
			t.Errorf("%d bytes are not in memory after they were gathered", n)
		} else if tells && !bytes.Equal(here, want[:len(here)]) {
			t.Errorf("%d bytes are not what was written", n)
		}
	}
	for _, x := range [][2]int64{{1, 4096}, {-vfs.GatherBytes, 4096}, {0, 0}, {0, -1}, {vfs.GatherBytes * 100, vfs.GatherBytes}} {
		c.Gather(x[0], x[1])
	}
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("not what was written, %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	c.Gather(0, vfs.GatherBytes)
}

// TestForget has what is on the media leave memory, and nothing else happen to it.
func TestForget(t *testing.T) {
	f, err := vfs.OS().Create(filepath.Join(t.TempDir(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	var where unix.Statfs_t
	if err := unix.Fstatfs(int(f.(interface{ Fd() uintptr }).Fd()), &where); err != nil {
		t.Fatal(err)
	}
	want, got := bytes.Repeat([]byte("passing "), 1<<18), make([]byte, 2<<20)
	for off := 0; off < len(want); off += 1 << 20 { // a piece of memory that is forgotten in part stays
		if _, err := f.WriteAt(want[off:off+1<<20], int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	l, c := f.(vfs.Lazy), f.(vfs.Cached)
	l.BeginWrite(0, 1<<20)
	l.Forget(0, 1<<20) // what is not on the media stays
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("not what was written, %v", err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	tells, _ := c.ReadCached(got, 0) // not every file system does
	l.Forget(0, 1<<20)
	if done, _ := c.ReadCached(got[:1<<20], 0); tells && done && where.Type != unix.TMPFS_MAGIC {
		t.Error("it is still in memory")
	}
	l.Forget(-1, -1)
	l.Forget(1<<40, 1<<20)
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("not what was written, %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l.Forget(0, 1<<20)
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
