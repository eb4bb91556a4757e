package vfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

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

// TestWriteDirect writes past the memory of the system what fits, and all else as usual.
func TestWriteDirect(t *testing.T) {
	f, err := vfs.OS().Create(filepath.Join(t.TempDir(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 64<<10)
	write := func(p []byte, off int64) {
		t.Helper()
		if n, err := vfs.WriteDirect(f, p, off); n != len(p) || err != nil {
			t.Fatalf("%d of %d bytes, %v", n, len(p), err)
		}
		copy(want[off:], p)
		got := make([]byte, len(want))
		if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("not what was written, %v", err)
		}
	}
	if err := f.Allocate(0, int64(len(want))); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 32<<10)
	p = p[-uintptr(unsafe.Pointer(&p[0]))&(vfs.DirectBlock-1):]
	for i := range p {
		p[i] = byte(i>>8 + i)
	}
	write(p[:16<<10], 8<<10)     // over what was only reserved, and read
	write(p[4096:12288], 16<<10) // again
	write(p[1:8193], 0)          // not in place in memory
	write(p[:8192], 40<<10+512)  // nor in the file
	write(p[:1000], 60<<10)      // nor whole
	write(p[:0], 0)              // nor anything
	if n, err := vfs.WriteDirect(f, p[:4096], -4096); n != 0 || err == nil {
		t.Errorf("%d bytes before the beginning, %v", n, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := vfs.WriteDirect(f, p[:4096], 0); n != 0 || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("%d bytes into a closed file, %v", n, err)
	}
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
