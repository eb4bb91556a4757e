package lsd

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"tintype/internal/block"
	"tintype/internal/vfs/crashfs"
	"tintype/internal/vfs/faultfs"
)

// logOf collects what is logged, without times.
func logOf(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// TestTroublesAreLoggedOnce tells the same failure many times: it is logged when it comes, changes and goes.
func TestTroublesAreLoggedOnce(t *testing.T) {
	var b bytes.Buffer
	told := newTroubles(logOf(&b))
	full := func(n int) error { return fmt.Errorf("reserve %d bytes: %w", n, block.ErrNoSpace) }
	for i, err := range []error{nil, errors.New("one"), errors.New("one"), errors.New("two"), full(1), full(2), nil, nil} {
		told.set("keeper", err)
		if got := len(told.list()); (got == 1) != (err != nil) {
			t.Errorf("step %d: %d failures are shown after %v", i, got, err)
		}
	}
	want := `level=ERROR msg=failed what=keeper error=one
level=ERROR msg=failed what=keeper error=two
level=WARN msg="no space left" what=keeper error="reserve 1 bytes: no space left in the store"
level=INFO msg="works again" what=keeper
`
	if b.String() != want {
		t.Errorf("logged:\n%s\nwant:\n%s", &b, want)
	}
}

// TestDamageIsLoggedWithinLimits meets more damaged blocks than are logged in a minute, and each many times.
func TestDamageIsLoggedWithinLimits(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(1000, 0)
	d := newDamages(logOf(&b), func() time.Time { return now })
	for range 3 {
		for i := range uint32(loggedDamages + 7) {
			d.met(&blockError{badBlock{pos: at(1, i+1), cause: causeChecksum}, block.ErrDamaged})
		}
	}
	if n := strings.Count(b.String(), "\n"); n != loggedDamages || d.count() != loggedDamages+7 {
		t.Errorf("%d lines are logged, %d blocks are known", n, d.count())
	}
	now = now.Add(2 * time.Minute)
	d.met(&blockError{badBlock{pos: at(2, 1), cause: causeChecksum}, block.ErrDamaged})
	if !strings.Contains(b.String(), "blocks=7\n") {
		t.Errorf("those that were not logged are not told of: %s", &b)
	}
}

// TestBackgroundFailureIsShown fails a disk's writes: the log names the disk, once, and so do the figures.
func TestBackgroundFailureIsShown(t *testing.T) {
	var b bytes.Buffer
	faults := faultfs.New(crashfs.New(1))
	opt := manual
	opt.Log = logOf(&b)
	s, err := Open(faults, "engine", opt)
	if err != nil {
		t.Fatal(err)
	}
	id := block.ID{1}
	if err := s.Create(id, 1<<20); err != nil {
		t.Fatal(err)
	}
	d, err := s.OpenVolume(id)
	if err != nil {
		t.Fatal(err)
	}
	write(t, d, 1, 1)
	faults.Inject(faultfs.Fault{
		Kinds: faultfs.Write, Sticky: true, Err: syscall.EIO,
		Name: func(name string) bool { return strings.Contains(name, "segments") },
	})
	for range 3 {
		if err := d.Flush(); !errors.Is(err, block.ErrFailed) {
			t.Fatalf("a flush that cannot write says %v", err)
		}
	}
	if got := s.Stats().Failures; len(got) != 1 || got[0].What != "disk "+id.String() {
		t.Errorf("failures shown: %+v", got)
	}
	if n := strings.Count(b.String(), id.String()); n != 1 {
		t.Errorf("the disk is named %d times in the log:\n%s", n, &b)
	}
}
