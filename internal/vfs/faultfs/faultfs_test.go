package faultfs_test

import (
	"errors"
	"io"
	"path"
	"syscall"
	"testing"
	"time"

	"tintype/internal/vfs"
	"tintype/internal/vfs/crashfs"
	"tintype/internal/vfs/faultfs"
	"tintype/internal/vfs/vfstest"
)

func TestConformsWithoutFaults(t *testing.T) {
	fsys := faultfs.New(crashfs.New(1))
	fsys.Inject(faultfs.Fault{Kinds: faultfs.All, N: 1 << 30, Sticky: true, Err: syscall.EIO})
	vfstest.Run(t, fsys, "/dir")
	if fsys.Count(faultfs.All) < 100 {
		t.Errorf("counted %d operations", fsys.Count(faultfs.All))
	}
}

// replace is work of a few operations: a file replaced as a whole.
func replace(fsys vfs.FS, dir, data string) (err error) {
	f, err := fsys.Create(path.Join(dir, "new"))
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(data), 0)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(path.Join(dir, "new"), path.Join(dir, "f")); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

func load(t *testing.T, fsys vfs.FS, name string) string {
	t.Helper()
	f, err := fsys.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestEachOperationInTurn is the loop that the package is for.
func TestEachOperationInTurn(t *testing.T) {
	for _, sticky := range []bool{false, true} {
		n := 0
		for ; ; n++ {
			disk := crashfs.New(uint64(n))
			if err := replace(disk, "/", "old"); err != nil {
				t.Fatal(err)
			}
			fsys := faultfs.New(disk)
			fault := fsys.Inject(faultfs.Fault{
				Kinds: faultfs.Changes | faultfs.Close, N: n, Err: syscall.EIO, Sticky: sticky, Short: true,
			})
			err := replace(fsys, "/", "new")
			if hit := fault.Hits() > 0; hit != errors.Is(err, syscall.EIO) {
				t.Fatalf("operation %d: hit %t, but the error is %v", n, hit, err)
			}
			got := load(t, disk.Crash(), "f")
			if fault.Hits() == 0 {
				if got != "new" {
					t.Fatalf("succeeded, but the file holds %q", got)
				}
				break
			}
			if got != "old" && got != "new" {
				t.Fatalf("operation %d: the file holds %q", n, got)
			}
		}
		if n != 6 {
			t.Errorf("sticky %t: %d operations could fail, want 6", sticky, n)
		}
	}
}

func TestShortWrite(t *testing.T) {
	disk := crashfs.New(1)
	fsys := faultfs.New(disk)
	f, err := fsys.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	fsys.Inject(faultfs.Fault{Kinds: faultfs.Write, N: 1, Err: syscall.ENOSPC, Short: true})
	for _, want := range []int{6, 3, 6} {
		n, err := f.WriteAt([]byte("abcdef"), 0)
		if n != want || (want == 6) != (err == nil) || err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("wrote %d, %v; want %d", n, err, want)
		}
	}
	if _, err := f.WriteAt([]byte("ABCDEF"), 0); err != nil {
		t.Fatal(err)
	}
	if got := load(t, disk, "f"); got != "ABCDEF" {
		t.Errorf("got %q", got)
	}
}

// TestFailedSyncIsFinal: a sync that succeeds after one that failed proves
// nothing, as on Linux.
func TestFailedSyncIsFinal(t *testing.T) {
	lost := 0
	for seed := range uint64(50) {
		disk := crashfs.New(seed)
		fsys := faultfs.New(disk)
		f, err := fsys.Create("f")
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt([]byte("first"), 0)
		if err := errors.Join(err, f.Sync(), fsys.SyncDir("/")); err != nil {
			t.Fatal(err)
		}
		if _, err = f.WriteAt([]byte("again"), 0); err != nil {
			t.Fatal(err)
		}
		fsys.Inject(faultfs.Fault{Kinds: faultfs.Sync, Err: syscall.EIO})
		if err := f.SyncData(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		if err := f.SyncData(); err != nil {
			t.Fatal(err)
		}
		switch got := load(t, disk.AfterCrash(), "f"); {
		case got == "first":
			lost++
		case len(got) != 5:
			t.Fatalf("got %q", got)
		}
		if _, err := f.WriteAt([]byte("third"), 0); err != nil { // Written again, synced again.
			t.Fatal(err)
		}
		if err := f.SyncData(); err != nil {
			t.Fatal(err)
		}
		if got := load(t, disk.Crash(), "f"); got != "third" {
			t.Fatalf("got %q", got)
		}
	}
	if lost == 0 {
		t.Error("no failed sync lost anything")
	}
}

func TestHookAndNames(t *testing.T) {
	fsys := faultfs.New(crashfs.New(1))
	wait, done := make(chan struct{}), make(chan error)
	slow := fsys.Inject(faultfs.Fault{
		Kinds: faultfs.Sync, Sticky: true,
		Name: func(name string) bool { return name == "slow" },
		Do:   func(faultfs.Op) { <-wait },
	})
	for _, name := range []string{"fast", "slow"} {
		f, err := fsys.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		go func() { done <- f.Sync() }()
		if name == "slow" {
			select {
			case <-done:
				t.Error("the slow sync was not")
			case <-time.After(10 * time.Millisecond):
			}
			close(wait)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if slow.Hits() != 1 || fsys.Count(faultfs.Sync) != 2 || fsys.Count(faultfs.Create) != 2 {
		t.Errorf("%d hits, %d syncs", slow.Hits(), fsys.Count(faultfs.Sync))
	}
	fsys.Inject(faultfs.Fault{Kinds: faultfs.All, Sticky: true, Err: syscall.EIO})
	fsys.Clear()
	if _, err := fsys.Stat("slow"); err != nil {
		t.Error(err)
	}
}
