package timedfs_test

import (
	"bytes"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tintype/internal/vfs"
	"tintype/internal/vfs/crashfs"
	"tintype/internal/vfs/faultfs"
	"tintype/internal/vfs/timedfs"
	"tintype/internal/vfs/vfstest"
)

func always(string) bool { return true }

func TestConforms(t *testing.T) {
	dir := t.TempDir()
	vfstest.Run(t, timedfs.New(vfs.OS(), []string{dir}, time.Minute, always), dir)
}

func TestOthersAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	vfstest.Run(t, timedfs.New(vfs.OS(), []string{dir + "/elsewhere"}, time.Nanosecond, always), dir)
}

// hanging is a file system in which what fault names hangs until it is let go.
func hanging(t *testing.T, spare func(string) bool) (f *timedfs.FS, faults *faultfs.FS, letGo func()) {
	t.Helper()
	held := make(chan struct{})
	faults = faultfs.New(crashfs.New(1))
	f = timedfs.New(faults, []string{"slow", "other"}, 20*time.Millisecond, spare)
	if err := errors.Join(f.MkdirAll("slow"), f.MkdirAll("quick")); err != nil {
		t.Fatal(err)
	}
	faults.Inject(faultfs.Fault{
		Kinds: faultfs.Write | faultfs.Sync | faultfs.Create, Sticky: true, Do: func(faultfs.Op) { <-held },
		Name: func(n string) bool { return strings.HasPrefix(n, "slow/held") },
	})
	return f, faults, func() { close(held) }
}

// TestGivenUp has a write hang, and its caller's bytes change before it happens all the same: it writes what it was given.
func TestGivenUp(t *testing.T) { synctest.Test(t, givenUp) }

func givenUp(t *testing.T) {
	f, faults, letGo := hanging(t, always)
	file, err := f.Create("slow/file")
	if err != nil {
		t.Fatal(err)
	}
	held := make(chan struct{})
	faults.Inject(faultfs.Fault{Kinds: faultfs.Write, Do: func(faultfs.Op) { <-held }})
	p := []byte("what it was given")
	if _, err := file.WriteAt(p, 0); !errors.Is(err, timedfs.ErrHangs) {
		t.Fatalf("write: %v", err)
	}
	copy(p, "other bytes")
	if _, err := f.List("slow"); !errors.Is(err, timedfs.ErrHangs) {
		t.Errorf("while something is pending: %v", err)
	}
	if _, err := f.List("quick"); err != nil {
		t.Error(err)
	}
	if n := f.Pending("slow/file"); n != 1 || !f.Late("slow") || f.Late("other") || f.Pending("quick") != 0 {
		t.Errorf("%d operations are pending, want 1", n)
	}
	close(held)
	letGo()
	for end := time.Now().Add(time.Minute); f.Pending("slow") > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("operations are pending for ever")
		}
	}
	got := make([]byte, len(p))
	if _, err := file.ReadAt(got, 0); err != nil || !bytes.Equal(got, []byte("what it was given")) {
		t.Errorf("%q, %v", got, err)
	}
	if f.Late("slow") {
		t.Error("still late")
	}
}

// TestWaitsForWhatIsNeeded does not give up a folder that cannot be spared.
func TestWaitsForWhatIsNeeded(t *testing.T) { synctest.Test(t, waitsForWhatIsNeeded) }

func waitsForWhatIsNeeded(t *testing.T) {
	var spare atomic.Bool
	f, _, letGo := hanging(t, func(string) bool { return spare.Load() })
	ended := make(chan error, 1)
	go func() {
		_, err := f.Create("slow/held")
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Fatalf("given up: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	letGo()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
