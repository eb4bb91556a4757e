package lsd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs/crashfs"
	"tintype/internal/vfs/faultfs"
)

var (
	platform = Key{1} // of the options of most tests
	alice    = Key{0xa}
	bob      = Key{0xb}
)

// withCustomers opens with the platform's key and these.
func withCustomers(keys ...Key) Options {
	opt := withKeys(platform)
	opt.Keys.Customers = keys
	return opt
}

// linesUnder lists the lineages whose keys are in the first file under a key.
func linesUnder(t *testing.T, fs *crashfs.FS, k Key) (lineages []string) {
	t.Helper()
	for _, line := range strings.Split(string(files(t, fs, "engine")["engine/"+keyFileName]), "\n") {
		if part := strings.Fields(line); len(part) == 5 && part[2] == k.ID() {
			lineages = append(lineages, part[1]+" "+part[0])
		}
	}
	return lineages
}

func mustLock(t *testing.T, s *Store, id block.ID, open block.Device) {
	t.Helper()
	if _, err := s.OpenVolume(id); !errors.Is(err, block.ErrLocked) {
		t.Errorf("opening says %v", err)
	}
	if locked, err := s.Locked(id); !locked || err != nil {
		t.Errorf("locked: %t, %v", locked, err)
	}
	if open == nil {
		return
	}
	for what, err := range map[string]error{"read": readError(open, 3), "write": writeError(open, 3), "flush": open.Flush()} {
		if !errors.Is(err, block.ErrLocked) {
			t.Errorf("%s says %v", what, err)
		}
	}
}

// TestCustomerKeys puts one of two disks under a key, takes that away under open handles, over a crash and a restart, and
// brings it back.
func TestCustomerKeys(t *testing.T) {
	fs := crashfs.New(1)
	s, mine, other := newDiskOf(t, fs, 1<<20)
	write(t, other, 3, 33)
	hers := uuid.New()
	mustDo(t, s.Create(hers, 1<<20), s.GiveKey(alice), s.SetKey(alice.ID(), hers))
	d := mustOpen(t, s, hers)
	write(t, d, 3, 44)
	snap := uuid.New()
	mustDo(t, s.Snapshot(block.Cut{Source: hers, Snapshot: snap}))
	if got := linesUnder(t, fs, alice); len(got) != 1 || got[0] != "customer 2" || len(linesUnder(t, fs, platform)) != 1 {
		t.Fatalf("under the customer's key: %v, under the platform's: %v", got, linesUnder(t, fs, platform))
	}
	write(t, d, 4, 45) // not flushed
	mustDo(t, s.TakeKey(alice.ID()))
	mustLock(t, s, hers, d)
	mustLock(t, s, snap, nil)
	if err := s.Clone(uuid.New(), hers, 1<<20); !errors.Is(err, block.ErrLocked) {
		t.Errorf("clone: %v", err)
	}
	if _, ok := s.keys.get(2); ok {
		t.Error("the key of the disk is in memory still")
	}
	mustRead(t, other, 3, 33)
	write(t, other, 5, 55)
	mustDo(t, other.Flush(), s.Checkpoint(), s.Reclaim(), s.Scrub(context.Background()))
	mustCheck(t, s)

	s, err := Open(fs.Crash(), "engine", withCustomers())
	mustDo(t, err)
	mustLock(t, s, hers, nil)
	mustRead(t, mustOpen(t, s, mine), 5, 55)
	if r, err := s.Check(context.Background()); err != nil || !r.Clean() || r.Locked != 2 {
		t.Errorf("check: %+v, %v", r, err)
	}
	if err := s.SetKey("", hers); !errors.Is(err, block.ErrLocked) {
		t.Errorf("another key without the old one: %v", err)
	}
	if err := s.SetKey(bob.ID(), mine); !errors.Is(err, block.ErrLocked) {
		t.Errorf("a key that was never given: %v", err)
	}
	mustDo(t, s.GiveKey(alice))
	d = mustOpen(t, s, hers)
	mustRead(t, d, 3, 44)
	mustRead(t, d, 4, 45)
	write(t, d, 6, 66)
	mustCheck(t, s)
	mustDo(t, s.Close())
}

// TestSharedLineage: volumes that share blocks may be under different keys; each needs its own, and no other.
func TestSharedLineage(t *testing.T) {
	fs := crashfs.New(1)
	s, id, d := newDiskOf(t, fs, 1<<20)
	write(t, d, 3, 33)
	clone := uuid.New()
	mustDo(t, s.GiveKey(alice), s.GiveKey(bob), s.SetKey(alice.ID(), id), s.Clone(clone, id, 1<<20), s.SetKey(bob.ID(), clone))
	if n := len(linesUnder(t, fs, alice)); n != 1 || len(linesUnder(t, fs, bob)) != 1 || linesUnder(t, fs, platform) != nil {
		t.Errorf("lines: %q", files(t, fs, "engine")["engine/"+keyFileName])
	}
	c := mustOpen(t, s, clone)
	write(t, c, 4, 44)
	mustDo(t, c.Flush(), s.TakeKey(alice.ID()))
	mustLock(t, s, id, d)
	mustRead(t, c, 3, 33)
	mustDo(t, s.GiveKey(alice), s.TakeKey(bob.ID()))
	mustRead(t, d, 3, 33)
	mustLock(t, s, clone, c)
	s, err := Open(fs.Crash(), "engine", withCustomers(bob))
	mustDo(t, err)
	mustLock(t, s, id, nil)
	mustRead(t, mustOpen(t, s, clone), 4, 44)
	mustDo(t, s.GiveKey(alice), s.Delete(id), s.Reclaim(), s.SetKey("", clone), s.TakeKey(bob.ID()), s.TakeKey(alice.ID()))
	mustRead(t, mustOpen(t, s, clone), 3, 33)
	mustDo(t, s.Close())
}

// TestUnder lists what is under a key: copies with what they are of, and nothing that was put under another, or deleted.
func TestUnder(t *testing.T) {
	s, id, _ := newDiskOf(t, crashfs.New(1), 1<<20)
	clone, snap := uuid.New(), uuid.New()
	mustDo(t, s.GiveKey(alice), s.GiveKey(bob), s.SetKey(alice.ID(), id), s.Clone(clone, id, 1<<20), s.Snapshot(block.Cut{Source: id, Snapshot: snap}))
	under := func(k Key, want ...block.ID) {
		t.Helper()
		have, err := s.Under(k.ID())
		mustDo(t, err)
		less := func(a, b block.ID) int { return strings.Compare(a.String(), b.String()) }
		slices.SortFunc(have, less)
		slices.SortFunc(want, less)
		if !slices.Equal(have, want) {
			t.Errorf("under %s: %v, want %v", k.ID(), have, want)
		}
	}
	under(alice, id, clone, snap)
	under(bob)
	mustDo(t, s.SetKey(bob.ID(), clone), s.SetKey("", id), s.TakeKey(bob.ID()))
	under(alice, snap)
	under(bob, clone)
	mustDo(t, s.Delete(snap))
	under(alice)
	mustDo(t, s.Close())
	if _, err := s.Under(bob.ID()); !errors.Is(err, block.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// TestSetKeyFails fails and crashes at every operation of a change from one customer's key to another's. With both, nothing is
// lost; repeated, the change ends; and when it has ended the old key opens nothing.
func TestSetKeyFails(t *testing.T) {
	for n := 0; ; n++ {
		disk := crashfs.New(uint64(n))
		faults := faultfs.New(disk)
		s, err := Open(faults, "engine", manual)
		mustDo(t, err)
		ids := []block.ID{uuid.New(), uuid.New()}
		mustDo(t, s.GiveKey(alice), s.GiveKey(bob))
		for i, id := range ids {
			mustDo(t, s.Create(id, 1<<20))
			d := mustOpen(t, s, id)
			write(t, d, i, byte(i+1))
			mustDo(t, d.Flush())
		}
		mustDo(t, s.SetKey(alice.ID(), ids...))
		var picture *crashfs.FS
		fault := faults.Inject(faultfs.Fault{
			Kinds: faultfs.Changes, N: n, Do: func(faultfs.Op) { picture = disk.AfterCrash() }, Err: errors.New("failed"),
			Name: func(name string) bool { return strings.Contains(name, "data-keys") },
		})
		changed := s.SetKey(bob.ID(), ids...)
		faults.Clear()
		if hit := fault.Hits() > 0; hit != (changed != nil) {
			t.Fatalf("operation %d: fails %t, says %v", n, hit, changed)
		}
		if changed == nil {
			picture = disk.AfterCrash()
		}
		again, err := Open(picture, "engine", withCustomers(alice, bob))
		mustDo(t, err)
		for i, id := range ids {
			mustRead(t, mustOpen(t, again, id), i, byte(i+1))
		}
		mustDo(t, again.SetKey(bob.ID(), ids...), again.Close(), s.SetKey(bob.ID(), ids...), s.Close())
		for name, fs := range map[string]*crashfs.FS{"after a crash": picture, "without one": disk} {
			if left := linesUnder(t, fs, alice); left != nil || len(linesUnder(t, fs, bob)) != len(ids) {
				t.Errorf("operation %d, %s: the old key opens lineages %v, the new one %v", n, name, left, linesUnder(t, fs, bob))
			}
		}
		if changed == nil {
			if n < 8 {
				t.Errorf("only %d operations could fail", n)
			}
			return
		}
	}
}

// TestKeyComesAndGoesUnderLoad takes a key away and gives it back while its disk, and one that shares its blocks, are written:
// what was acknowledged is there in the end, and the other disk never notices.
func TestKeyComesAndGoesUnderLoad(t *testing.T) {
	fs := crashfs.New(1)
	opt := manual
	opt.Manual = false
	s, err := Open(fs, "engine", opt)
	mustDo(t, err)
	hers, other := uuid.New(), uuid.New()
	mustDo(t, s.GiveKey(alice), s.Create(hers, 1<<20), s.SetKey(alice.ID(), hers), s.Create(other, 1<<20))
	var done atomic.Bool
	var last [2]atomic.Int64
	var wg sync.WaitGroup
	for i, id := range []block.ID{hers, other} {
		d := mustOpen(t, s, id)
		wg.Go(func() {
			p := make([]byte, block.BlockSize)
			for n := int64(1); !done.Load(); n++ {
				p[0], p[1] = byte(n), byte(n>>8)
				_, err := d.WriteAt(p, 0)
				if err == nil {
					last[i].Store(n)
				} else if i == 1 || !errors.Is(err, block.ErrLocked) {
					t.Errorf("disk %d: %v", i, err)
					return
				}
			}
		})
	}
	for range 30 {
		mustDo(t, s.TakeKey(alice.ID()), s.GiveKey(alice))
	}
	done.Store(true)
	wg.Wait()
	mustCheck(t, s)
	for i, id := range []block.ID{hers, other} {
		p := make([]byte, block.BlockSize)
		_, err := mustOpen(t, s, id).ReadAt(p, 0)
		mustDo(t, err)
		if got := int64(p[0]) | int64(p[1])<<8; got != last[i].Load()&0xffff {
			t.Errorf("disk %d: %d is there, %d was acknowledged last", i, got, last[i].Load())
		}
	}
	mustDo(t, s.Close())
}
