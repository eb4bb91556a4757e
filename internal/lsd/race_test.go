package lsd

import (
	"bytes"
	"errors"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs/crashfs"
	"tintype/internal/vfs/faultfs"
)

func inSegments(name string) bool { return strings.Contains(name, "segments") }

func mustRead(t *testing.T, d block.Device, lba int, want byte) {
	t.Helper()
	p := make([]byte, block.BlockSize)
	if _, err := d.ReadAt(p, int64(lba)*block.BlockSize); err != nil {
		t.Errorf("block %d: %v", lba, err)
	} else if !bytes.Equal(p, bytes.Repeat([]byte{want}, len(p))) {
		t.Errorf("block %d reads %d, wrote %d", lba, p[0], want)
	}
}

func mustOpen(t *testing.T, s *Store, id block.ID) block.Device {
	t.Helper()
	d, err := s.OpenVolume(id)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func mustDo(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestCloneDuringCompaction makes, reads and writes a clone while a segment that it shares is being moved: the clone must
// follow the move although it did not exist when the move began.
func TestCloneDuringCompaction(t *testing.T) {
	disk := crashfs.New(1)
	faults := faultfs.New(disk)
	s, err := Open(faults, "engine", manual)
	mustDo(t, err)
	id, snap, clone := uuid.New(), uuid.New(), uuid.New()
	mustDo(t, s.Create(id, 1<<20))
	d := mustOpen(t, s, id)
	for round := range 3 { // leaves segments that are partly dead
		for i := range 60 {
			if round == 0 || i%2 == 0 {
				write(t, d, i, byte(10*round+i+1))
			}
		}
	}
	want := func(i int) byte {
		if i%2 == 0 {
			return byte(20 + i + 1)
		}
		return byte(i + 1)
	}
	mustDo(t, s.Checkpoint(), s.Snapshot(block.Cut{Source: id, Snapshot: snap}), s.Checkpoint())
	var c block.Device
	fault := faults.Inject(faultfs.Fault{Kinds: faultfs.SyncDir, Name: inSegments, Do: func(faultfs.Op) {
		mustDo(t, s.Clone(clone, snap, 1<<20))
		c = mustOpen(t, s, clone)
		for i := range 60 {
			mustRead(t, c, i, want(i))
		}
	}})
	if n, err := s.Compact(0.1); err != nil || n == 0 || fault.Hits() == 0 {
		t.Fatalf("compacted %d blocks, %v", n, err)
	}
	for i := range 60 {
		mustRead(t, c, i, want(i))
	}
	write(t, c, 1, 77)
	mustDo(t, s.Checkpoint())
	mustCheck(t, s)
	mustRead(t, c, 3, want(3))
	mustDo(t, s.Close())
}

// TestPowerCutBetweenCheckpointAndSnapshot lets a snapshot end the epoch while a checkpoint is under way, and cuts the power
// before the snapshot's sync: it was never acknowledged, so the disk must open.
func TestPowerCutBetweenCheckpointAndSnapshot(t *testing.T) {
	for seed := range uint64(8) {
		disk := crashfs.New(seed)
		faults := faultfs.New(disk)
		s, err := Open(faults, "engine", manual)
		mustDo(t, err)
		id := uuid.New()
		mustDo(t, s.Create(id, 1<<20))
		d := mustOpen(t, s, id)
		write(t, d, 0, 1)
		release, done := make(chan struct{}), make(chan error, 1)
		faults.Inject(faultfs.Fault{Kinds: faultfs.Sync, Name: inSegments, Do: func(faultfs.Op) { // the checkpoint's
			write(t, d, 1, 2)
			go func() { done <- s.Snapshot(block.Cut{Source: id, Snapshot: uuid.New()}) }()
			for ended := false; !ended; time.Sleep(time.Millisecond) {
				s.mu.Lock()
				ended = len(d.(*handle).lin.nodes) > 0
				s.mu.Unlock()
			}
		}})
		faults.Inject(faultfs.Fault{Kinds: faultfs.Write, Name: inSegments, N: 1, Do: func(faultfs.Op) { <-release }}) // the second chunk
		mustDo(t, s.Checkpoint())
		picture := disk.AfterCrash()
		close(release)
		mustDo(t, <-done, d.Close(), s.Close())
		after, err := Open(picture, "engine", manual)
		mustDo(t, err)
		if d, err = after.OpenVolume(id); err != nil {
			t.Errorf("seed %d: nothing that was acknowledged is lost, but: %v", seed, err)
		} else {
			mustRead(t, d, 0, 1)
		}
		mustCheck(t, after)
		mustDo(t, after.Close())
	}
}

// TestCreateWhileSegmentNumbersAreExtended is about the order of locks: a disk is made while a writer reserves numbers.
func TestCreateWhileSegmentNumbersAreExtended(t *testing.T) {
	s, _, d := newDiskOf(t, crashfs.New(1), 1<<20)
	extend := s.segments.extend
	done := make(chan error, 1)
	s.segments.extend = func(next uint32) (uint32, error) {
		go func() { done <- s.Create(uuid.New(), 1<<20) }()
		time.Sleep(50 * time.Millisecond) // until it waits for the table
		return extend(next)
	}
	wrote := make(chan struct{})
	go func() {
		write(t, d, 0, 1)
		close(wrote)
	}()
	for range 2 {
		select {
		case <-wrote:
			wrote = nil
		case err := <-done:
			mustDo(t, err)
		case <-time.After(time.Minute):
			t.Fatal("a writer and Create wait for each other")
		}
	}
	mustDo(t, s.Close())
}

// TestReservedNumbersOnlyGrow extends the segment numbers while disks are made: whichever commit is last, the record must
// keep all the numbers that may have been used.
func TestReservedNumbersOnlyGrow(t *testing.T) {
	s, _, _ := newDiskOf(t, crashfs.New(1), 1<<20)
	for range 200 {
		var limit uint32
		var wg sync.WaitGroup
		wg.Go(func() { mustDo(t, s.Create(uuid.New(), 1<<20)) })
		wg.Go(func() {
			s.segments.mu.Lock()
			defer s.segments.mu.Unlock()
			var err error
			s.segments.limit, err = s.segments.extend(s.segments.limit)
			limit = s.segments.limit
			mustDo(t, err)
		})
		wg.Wait()
		var r storeRecord
		mustDo(t, s.get([]byte{keyStore}, &r))
		if r.NextSegment < limit {
			t.Fatalf("numbers below %d may be used, the record says %d", limit, r.NextSegment)
		}
	}
	mustDo(t, s.Close())
}

// TestFailedDiskHoldsUpNothing stops a disk with an I/O error and deletes it: other disks are still checkpointed and what
// they free is reclaimed.
func TestFailedDiskHoldsUpNothing(t *testing.T) {
	faults := faultfs.New(crashfs.New(1))
	s, err := Open(faults, "engine", manual)
	mustDo(t, err)
	bad, good, snap := uuid.New(), uuid.New(), uuid.New()
	mustDo(t, s.Create(bad, 1<<20), s.Create(good, 1<<20))
	b, g := mustOpen(t, s, bad), mustOpen(t, s, good)
	write(t, b, 0, 1)
	write(t, g, 0, 1)
	mustDo(t, g.Flush(), s.Snapshot(block.Cut{Source: good, Snapshot: snap}))
	faults.Inject(faultfs.Fault{Kinds: faultfs.Sync, Name: inSegments, Err: errors.New("no such sector")})
	if err := b.Flush(); !errors.Is(err, block.ErrFailed) {
		t.Fatalf("a failed sync answers %v", err)
	}
	mustDo(t, b.Close(), s.Delete(bad), s.Delete(snap))
	if err := s.Reclaim(); err == nil {
		t.Error("nobody is told that a disk cannot be reclaimed")
	}
	if n := len(s.suspects); n != 0 {
		t.Errorf("%d epochs of other disks wait", n)
	}
}

// TestRequestsAfterClose sends every request to handles of a store that was closed.
func TestRequestsAfterClose(t *testing.T) {
	s, id, d := newDiskOf(t, crashfs.New(1), 1<<20)
	write(t, d, 0, 1)
	snap := uuid.New()
	mustDo(t, s.Snapshot(block.Cut{Source: id, Snapshot: snap}))
	v := mustOpen(t, s, snap)
	mustDo(t, s.Close())
	p := make([]byte, block.BlockSize)
	all := func(block.Extent) bool { return true }
	for name, do := range map[string]func() error{
		"read":            func() error { _, err := d.ReadAt(p, 0); return err },
		"read far":        func() error { _, err := d.ReadAt(p, 1<<19); return err },
		"write":           func() error { _, err := d.WriteAt(p, 0); return err },
		"write part":      func() error { _, err := d.WriteAt(p[:10], 1<<19); return err },
		"trim":            func() error { return d.Trim(0, 1<<20) },
		"zero":            func() error { return d.WriteZeroes(5, 1<<19) },
		"flush":           d.Flush,
		"extents":         func() error { return d.Extents(0, 1<<20, all) },
		"read snapshot":   func() error { _, err := v.ReadAt(p, 0); return err },
		"extents of it":   func() error { return v.Extents(0, 1<<20, all) },
		"create":          func() error { return s.Create(uuid.New(), 1<<20) },
		"snapshot":        func() error { return s.Snapshot(block.Cut{Source: id, Snapshot: uuid.New()}) },
		"clone":           func() error { return s.Clone(uuid.New(), id, 1<<20) },
		"resize":          func() error { return s.Resize(id, 2<<20) },
		"delete":          func() error { return s.Delete(id) },
		"open":            func() error { _, err := s.OpenVolume(id); return err },
		"sizes":           func() error { _, err := s.Sizes(id); return err },
		"close the store": func() error { return errors.Join(s.Close(), block.ErrClosed) },
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			if err := do(); !errors.Is(err, block.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	mustDo(t, d.Close(), v.Close())
}

// TestRequestsDuringClose closes the store under readers, writers and changes of names: each request succeeds or says that
// the store is closed.
func TestRequestsDuringClose(t *testing.T) {
	for seed := range uint64(20) {
		opt := manual
		opt.Manual, opt.MaxLeaves, opt.MaxDirtyLeaves = false, 1, 8
		s, err := Open(crashfs.New(seed), "engine", opt)
		mustDo(t, err)
		id, snap := uuid.New(), uuid.New()
		mustDo(t, s.Create(id, 64<<20))
		d := mustOpen(t, s, id)
		for i := range 50 {
			write(t, d, i*64, byte(i))
		}
		mustDo(t, s.Snapshot(block.Cut{Source: id, Snapshot: snap}))
		v := mustOpen(t, s, snap)
		var wg sync.WaitGroup
		work := func(do func(i int) error) {
			wg.Go(func() {
				for i := 0; ; i++ {
					if err := do(i % 50); errors.Is(err, block.ErrClosed) {
						return
					} else if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		p, q, r := make([]byte, 3000), make([]byte, 5000), make([]byte, 5000)
		work(func(i int) error { _, err := d.WriteAt(p, int64(i)*64*block.BlockSize); return err })
		work(func(i int) error { _, err := v.ReadAt(q, int64(i)*64*block.BlockSize); return err })
		work(func(i int) error { _, err := d.ReadAt(r, int64(i)*64*block.BlockSize); return err })
		work(func(int) error { return d.Extents(0, 64<<20, func(block.Extent) bool { return true }) })
		work(func(int) error { return d.Flush() })
		work(func(int) error {
			n := uuid.New()
			return errors.Join(s.Clone(n, snap, 64<<20), s.Delete(n))
		})
		time.Sleep(time.Duration(seed) * time.Millisecond)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
}

// TestCheckDuringSnapshot runs Check while a snapshot has ended its epoch and waits for its name: nothing is wrong with it.
func TestCheckDuringSnapshot(t *testing.T) {
	faults := faultfs.New(crashfs.New(1))
	s, err := Open(faults, "engine", manual)
	mustDo(t, err)
	id := uuid.New()
	mustDo(t, s.Create(id, 1<<20))
	d := mustOpen(t, s, id)
	write(t, d, 0, 1)
	done := make(chan error, 1)
	faults.Inject(faultfs.Fault{Kinds: faultfs.Sync, Name: inSegments, Do: func(faultfs.Op) { // the check's checkpoint's
		write(t, d, 1, 2)
		go func() { done <- s.Snapshot(block.Cut{Source: id, Snapshot: uuid.New()}) }()
		for ended := false; !ended; time.Sleep(time.Millisecond) {
			s.mu.Lock()
			ended = len(d.(*handle).lin.nodes) > 0
			s.mu.Unlock()
		}
	}})
	mustCheck(t, s)
	mustDo(t, <-done)
	mustCheck(t, s)
	mustDo(t, s.Close())
}

// TestDamagedDiskTakesNoSnapshotAlong deletes a disk whose log has lost something durable: a snapshot of what was lost is
// still damaged afterwards, also after a restart, and does not turn into an older state.
func TestDamagedDiskTakesNoSnapshotAlong(t *testing.T) {
	fs := crashfs.New(2)
	first, id, d := newDiskOf(t, fs, 1<<20)
	write(t, d, 0, 1)
	mustDo(t, first.Checkpoint())
	write(t, d, 0, 2)
	mustDo(t, d.Flush())
	late, clone := uuid.New(), uuid.New()
	mustDo(t, first.Snapshot(block.Cut{Source: id, Snapshot: late}), first.Clone(clone, late, 1<<20))
	after := fs.AfterRestart()
	after.Flip(path.Join("engine/segments", segmentsOf(t, fs)[0]), 3*block.BlockSize+100)
	for range 2 {
		s, err := Open(after, "engine", manual)
		mustDo(t, err)
		if err := s.Delete(id); err != nil && !errors.Is(err, block.ErrNotFound) {
			t.Fatal(err)
		}
		mustDo(t, s.Reclaim())
		for _, id := range []block.ID{late, clone} {
			if _, err := s.OpenVolume(id); !errors.Is(err, block.ErrDamaged) {
				t.Errorf("a volume that needs the lost chunk opens: %v", err)
			}
		}
		mustDo(t, s.Close())
		after = after.AfterRestart()
	}
	s, err := Open(after, "engine", manual)
	mustDo(t, err)
	mustDo(t, s.Delete(clone), s.Delete(late), s.Reclaim())
	mustCheck(t, s)
	if n := segmentsOf(t, after); len(n) > 0 {
		t.Errorf("nothing is left, but segments %v", n)
	}
	mustDo(t, s.Close())
}

// TestFlippedSegmentHeader flips a bit in the header of every segment of a store that was stopped by a power cut, moved ones
// too: nothing that was flushed may be missing without an error, and other segments stay well.
func TestFlippedSegmentHeader(t *testing.T) {
	fs := crashfs.New(3)
	s, id, d := newDiskOf(t, fs, 1<<20)
	snap := uuid.New()
	for i := range 100 {
		write(t, d, i, byte(i+1))
	}
	mustDo(t, s.Snapshot(block.Cut{Source: id, Snapshot: snap}))
	for i := 0; i < 100; i += 2 {
		write(t, d, i, byte(i+101))
	}
	mustDo(t, s.Checkpoint(), s.Delete(snap), s.Reclaim())
	if n, err := s.Compact(0.1); err != nil || n == 0 {
		t.Fatalf("compacted %d, %v", n, err)
	}
	for i := 100; i < 120; i++ {
		write(t, d, i, byte(i+1))
		mustDo(t, d.Flush())
	}
	picture := fs.AfterCrash()
	for _, name := range segmentsOf(t, fs) {
		after := picture.AfterRestart()
		after.Flip(path.Join("engine/segments", name), 20)
		s, err := Open(after, "engine", manual)
		mustDo(t, err)
		d, err := s.OpenVolume(id)
		if errors.Is(err, block.ErrDamaged) {
			continue
		}
		mustDo(t, err)
		for i := range 120 {
			want := byte(i + 1)
			if i < 100 && i%2 == 0 {
				want = byte(i + 101)
			}
			mustRead(t, d, i, want)
		}
		for i := range 120 {
			write(t, d, i, 7)
		}
		mustDo(t, s.Checkpoint(), s.Reclaim(), s.Close())
	}
}

// TestManySpansInOneSegment has hundreds of snapshots in one segment, compacts it with another, restarts, and deletes the
// snapshots: each block's place in history must have been kept.
func TestManySpansInOneSegment(t *testing.T) {
	opt := manual
	opt.SegmentSlots, opt.StepBlocks = 1200, 70
	fs := crashfs.New(4)
	s, err := Open(fs, "engine", opt)
	mustDo(t, err)
	var snaps []block.ID
	busy, other := uuid.New(), uuid.New()
	mustDo(t, s.Create(busy, 1<<22), s.Create(other, 1<<22))
	b, o := mustOpen(t, s, busy), mustOpen(t, s, other)
	for i := range 300 {
		write(t, b, 300, byte(i)) // dead in a moment
		write(t, b, 300, byte(i))
		write(t, b, i, byte(i))
		snaps = append(snaps, uuid.New())
		mustDo(t, s.Snapshot(block.Cut{Source: busy, Snapshot: snaps[i]}))
	}
	for i := range 900 {
		write(t, o, i, byte(i))
	}
	for i := range 2000 { // a third of it dies
		write(t, o, i%300, byte(i))
		write(t, b, 400, byte(i))
	}
	mustDo(t, s.Checkpoint())
	moved := 0
	for range 20 {
		n, err := s.Compact(0.001)
		mustDo(t, err)
		moved += n
	}
	if moved < 900 {
		t.Errorf("%d blocks moved", moved)
	}
	mustDo(t, b.Close(), o.Close(), s.Close())
	s, err = Open(fs, "engine", opt)
	mustDo(t, err)
	mustCheck(t, s)
	for i := range 300 {
		mustDo(t, s.Delete(snaps[(i*7)%300]), s.Reclaim())
		if i%50 == 0 {
			mustCheck(t, s)
		}
	}
	mustCheck(t, s)
	b = mustOpen(t, s, busy)
	for i := range 300 {
		mustRead(t, b, i, byte(i))
	}
	mustDo(t, b.Close(), s.Close())
}

// TestFullStoreIsCompacted fills a store with the blocks of two disks side by side, deletes one of them, and has compaction
// bring its half back: with no more room than what writes leave.
func TestFullStoreIsCompacted(t *testing.T) {
	fs := crashfs.New(5)
	s, id, d := newDiskOf(t, fs, 1<<30)
	mustDo(t, s.Checkpoint())
	s.segments.reserve = 8 << 20
	fs.SetFree(24 << 20)
	n, err := 0, error(nil)
	p := make([]byte, block.BlockSize)
	for ; err == nil && n < 1<<14; n++ {
		_, err = d.WriteAt(p, int64(n)*block.BlockSize)
	}
	if !errors.Is(err, block.ErrNoSpace) {
		t.Fatalf("a full store answers %v", err)
	}
	snap := uuid.New()
	mustDo(t, s.Snapshot(block.Cut{Source: id, Snapshot: snap}), s.Checkpoint(), d.Close(), s.Delete(id), s.Reclaim())
	clone := uuid.New()
	mustDo(t, s.Clone(clone, snap, 1<<30), s.Delete(snap), s.Reclaim())
	// The clone rewrites every other block, which needs the room of the old ones.
	c := mustOpen(t, s, clone)
	s.segments.reserve = 4 << 20
	for i := 0; i < n-1; i += 2 {
		if _, err = c.WriteAt(p, int64(i)*block.BlockSize); err != nil {
			break
		}
	}
	if !errors.Is(err, block.ErrNoSpace) {
		t.Fatalf("there was room after all: %v", err)
	}
	s.segments.reserve = 8 << 20
	mustDo(t, s.Checkpoint())
	free := func() int64 {
		space, err := fs.Space("engine")
		mustDo(t, err)
		return space.Free
	}
	was := free()
	for moved := 1; moved > 0 && err != nil; {
		moved, err = s.Compact(0.1)
		mustDo(t, err)
		err = block.ErrNoSpace
	}
	if now := free(); now < was+1<<20 {
		t.Errorf("%d bytes were free, now %d", was, now)
	}
	mustDo(t, c.Close())
	mustCheck(t, s)
	mustDo(t, s.Close())
}

// TestDeletedDiskKeepsNoReserve deletes a disk that has a snapshot: the log's last segment is cut to what is used, and can be
// compacted.
func TestDeletedDiskKeepsNoReserve(t *testing.T) {
	fs := crashfs.New(6)
	opt := manual
	opt.SegmentSlots = 4096
	s, err := Open(fs, "engine", opt)
	mustDo(t, err)
	id, snap := uuid.New(), uuid.New()
	mustDo(t, s.Create(id, 1<<20))
	d := mustOpen(t, s, id)
	for i := range 100 {
		write(t, d, i%20, byte(i))
	}
	mustDo(t, s.Snapshot(block.Cut{Source: id, Snapshot: snap}), d.Close(), s.Delete(id), s.Reclaim())
	info, err := fs.Stat(path.Join("engine/segments", segmentsOf(t, fs)[0]))
	mustDo(t, err)
	if want := int64(102 * block.BlockSize); info.Size != want {
		t.Errorf("the segment has %d bytes, should have %d", info.Size, want)
	}
	if n, err := s.Compact(0.5); n != 20 || err != nil {
		t.Errorf("compacted %d blocks, %v", n, err)
	}
	mustCheck(t, s)
	mustDo(t, s.Close())
}

// TestDamageFarBeforeAFlush loses the header of a chunk that was flushed together with many later ones: only what was written
// after that flush tells that it had been durable.
func TestDamageFarBeforeAFlush(t *testing.T) {
	fs := crashfs.New(7)
	opt := manual
	opt.SegmentSlots = 1 << 14
	s, err := Open(fs, "engine", opt)
	mustDo(t, err)
	id := uuid.New()
	mustDo(t, s.Create(id, 64<<20))
	d := mustOpen(t, s, id)
	p := bytes.Repeat([]byte{5}, 1<<20)
	for i := range int64(24) {
		if _, err := d.WriteAt(p, i<<20); err != nil {
			t.Fatal(err)
		}
	}
	mustDo(t, d.Flush())
	write(t, d, 0, 1)
	mustDo(t, d.Flush())
	after := fs.AfterRestart()
	after.Flip(path.Join("engine/segments", segmentsOf(t, fs)[0]), (1+256)*block.BlockSize+100)
	s2, err := Open(after, "engine", opt)
	mustDo(t, err)
	if _, err := s2.OpenVolume(id); !errors.Is(err, block.ErrDamaged) {
		t.Errorf("23 MiB that were flushed are gone, opening the disk says %v", err)
	}
	mustDo(t, s2.Close(), s.Close())
}

// TestEpochEndsUnderALook ends and reclaims the epoch in which a look at a disk's head began: what the look has not come to
// yet must be seen as it is now, and a trim must not pass it over.
func TestEpochEndsUnderALook(t *testing.T) {
	const far = 2 << 30
	s, id, d := newDiskOf(t, crashfs.New(9), 3<<30)
	write(t, d, 0, 1)
	write(t, d, 9, 1) // with it the first extent is known before the look goes on to the far one
	write(t, d, far/block.BlockSize, 2)
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	endEpoch := func() {
		snap := uuid.New()
		if err := s.Snapshot(block.Cut{Source: id, Snapshot: snap}); err != nil {
			t.Fatal(err)
		}
		write(t, d, far/block.BlockSize, 3)
		for _, err := range []error{s.Delete(snap), s.Checkpoint(), s.Reclaim(), s.Checkpoint()} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	var seen []int64
	err := d.Extents(0, 3<<30, func(x block.Extent) bool {
		if x.Data {
			seen = append(seen, x.Off)
		}
		if x.Data && x.Off == 0 {
			endEpoch()
		}
		return true
	})
	if err != nil || len(seen) != 3 || seen[2] != far {
		t.Errorf("data is seen at %d (%v), the last is at %d", seen, err, int64(far))
	}
	if err := errors.Join(d.Close(), s.Close()); err != nil {
		t.Error(err)
	}
}

// TestLogIsCutAtItsEnd: what a log lost must be gone for good with the start that went on without it, also when there was nothing
// else since the last checkpoint.
func TestLogIsCutAtItsEnd(t *testing.T) {
	for _, more := range []int{0, 3} {
		fs := crashfs.New(uint64(7 + more))
		s, _, d := newDiskOf(t, fs, 1<<20)
		write(t, d, 0, 1)
		mustDo(t, s.Checkpoint())
		for i := range more {
			write(t, d, 1+i, 2)
			mustDo(t, d.Flush())
		}
		end := s.disks()[0].endOfLog()
		write(t, d, 100, 3)
		mustDo(t, d.(block.Settler).Settle())
		name := segmentName("engine/segments", end.seg())
		picture := fs.AfterRestart()
		mustDo(t, picture.Flip(name, int64(end.slot()+1)*block.BlockSize))
		again, err := Open(picture, "engine", manual)
		mustDo(t, err)
		if info, err := picture.AfterCrash().Stat(name); err != nil || info.Size != int64(end.slot())*block.BlockSize {
			t.Errorf("%d chunks: the log's segment has %d bytes after a power cut, want %d: %v", more, info.Size, int64(end.slot())*block.BlockSize, err)
		}
		mustDo(t, again.Close(), s.Close())
	}
}
