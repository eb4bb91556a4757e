package sim

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"tintype/internal/vfs/crashfs"
	"tintype/internal/vfs/faultfs"
)

// TestFaults fails each changing operation on the engine's own files in turn, until a whole history passes without.
// Each failure must be told by an operation, and after a power cut at that moment everything acknowledged must be there.
// Pebble's files are left out: it ends the process when it cannot write, and TestSeeds ends it at every such operation.
func TestFaults(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		n := 0
		for ; ; n++ {
			hit, err := faulty(seed, n)
			if err != nil {
				t.Fatalf("seed %d, operation %d fails: %v", seed, n, err)
			}
			if !hit {
				break
			}
		}
		if n < 50 {
			t.Errorf("seed %d: only %d operations could fail", seed, n)
		}
		t.Logf("seed %d: %d operations failed in turn", seed, n)
	}
}

// faulty plays a short history in which operation n fails, and tells whether there was one.
func faulty(seed uint64, n int) (hit bool, err error) {
	s := newSim(seed, Config{})
	s.zones.dirs, s.opt.Zones = nil, nil // a zone's failure is no operation's: zones keep it to themselves
	disk := crashfs.New(seed)
	faults := faultfs.New(disk)
	var failed faultfs.Kind
	refusals := 0
	fault := faults.Inject(faultfs.Fault{
		Do:    func(op faultfs.Op) { failed, refusals = op.Kind, s.refusals+s.unmoved },
		Kinds: faultfs.Changes, N: n, Err: []error{syscall.EIO, syscall.ENOSPC}[n%2], Short: n%3 == 0,
		Name: func(name string) bool {
			return strings.Contains(name, "segments") || strings.Contains(name, "data-keys")
		},
	})
	s.fs = newTripFS(faults, disk)
	if s.store, err = openStore(s); err != nil {
		if fault.Hits() > 0 {
			return true, nil
		}
		return false, err
	}
	for s.step = range 120 {
		a := s.draw()
		if a.restarts {
			continue
		}
		was := s.remember()
		s.retired = nil
		err := a.do()
		if err == nil {
			continue
		}
		if fault.Hits() == 0 {
			return false, fmt.Errorf("step %d, %s: %w", s.step, a.name, err)
		}
		return true, s.goOn(was)
	}
	err = s.stop()
	// A full disk is first met by asking for less, and where the history has filled it a write is refused, or nothing moved.
	if fault.Hits() > 0 && err == nil && failed != faultfs.Allocate && s.refusals+s.unmoved == refusals {
		return true, errors.New("no operation told of it")
	}
	if fault.Hits() > 0 {
		return true, s.restart(disk.AfterCrash(), nil, true)
	}
	return false, err
}

// goOn cuts the power after a failure and looks at what is left; the broken store is stopped only to end its goroutines.
func (s *sim) goOn(was *memory) error {
	picture := s.fs.disk.AfterCrash()
	_ = s.stop() // it has failed before
	if err := s.restart(picture, was, true); err != nil {
		return err
	}
	return s.stop()
}
