package lsd

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs/crashfs"
)

// shuffled is a disk written block after block at random places, and what each block of it reads as.
type shuffled struct {
	t    *testing.T
	rnd  *rand.Rand
	want []byte
}

func newShuffled(t *testing.T, d block.Device, blocks int) *shuffled {
	w := &shuffled{t: t, rnd: rand.New(rand.NewPCG(7, 7)), want: make([]byte, blocks)}
	w.write(d, blocks)
	return w
}

// write writes some blocks anew, each once.
func (w *shuffled) write(d block.Device, n int) {
	w.t.Helper()
	for _, lba := range w.rnd.Perm(len(w.want))[:n] {
		w.want[lba] = byte(w.rnd.Uint32()) | 1
		write(w.t, d, lba, w.want[lba])
	}
}

func (w *shuffled) check(d block.Device) {
	w.t.Helper()
	for lba, b := range w.want {
		mustRead(w.t, d, lba, b)
	}
}

// piecesOf counts in how many pieces the blocks of a disk lie.
func piecesOf(t *testing.T, d block.Device, blocks int) int {
	t.Helper()
	disk := d.(*handle).disk
	n, last := 0, position(0)
	for lba := range blocks {
		e, ok, err := disk.readBlock(uint64(lba), nil)
		if err != nil || !ok {
			t.Fatalf("block %d: %t, %v", lba, ok, err)
		}
		if e.pos() != last+1 {
			n++
		}
		last = e.pos()
	}
	return n
}

// TestOrder writes a disk, its clone and the disk again at random, and puts them in order: what was written together lies in
// as few pieces as its chunks are, volumes hold what they did and go on sharing it, and there is nothing to do a second time,
// also after a restart.
func TestOrder(t *testing.T) {
	const blocks = 2000
	fs := crashfs.New(1)
	opt := manual
	opt.SegmentSlots = 300
	s, err := Open(fs, "engine", opt)
	mustDo(t, err)
	id, snap, clone := uuid.New(), uuid.New(), uuid.New()
	mustDo(t, s.Create(id, blocks*block.BlockSize))
	d := mustOpen(t, s, id)
	w := newShuffled(t, d, blocks)
	mustDo(t, s.Snapshot(block.Cut{Source: id, Snapshot: snap}), s.Clone(clone, snap, blocks*block.BlockSize))
	c := mustOpen(t, s, clone)
	ofClone := &shuffled{t: t, rnd: w.rnd, want: append([]byte(nil), w.want...)}
	ofClone.write(c, 30)
	ofSnap := append([]byte(nil), w.want...)
	w.write(d, 30)
	mustDo(t, s.Checkpoint())
	live := s.Stats().Live
	if before := piecesOf(t, d, blocks); before < blocks-20 {
		t.Fatalf("the disk lies in %d pieces before", before)
	}

	n, err := s.Order(restRun)
	if err != nil || n < blocks || s.Stats().Ordered != int64(n)*block.BlockSize {
		t.Fatalf("moved %d blocks, %v", n, err)
	}
	if after := piecesOf(t, d, blocks); after > 150 { // the 30 lie in another span of history: two ends each
		t.Errorf("the disk lies in %d pieces after", after)
	}
	if now := s.Stats().Live; now != live {
		t.Errorf("%d bytes are live, before it were %d", now, live)
	}
	look := func() {
		t.Helper()
		w.check(d)
		ofClone.check(c)
		of := mustOpen(t, s, snap)
		(&shuffled{t: t, want: ofSnap}).check(of)
		mustDo(t, of.Close())
		mustCheck(t, s)
		if n, err := s.Order(restRun); n != 0 || err != nil {
			t.Errorf("the second time moves %d blocks, %v", n, err)
		}
	}
	look()
	mustDo(t, d.Close(), c.Close(), s.Close())
	s, err = Open(fs, "engine", opt)
	mustDo(t, err)
	d, c = mustOpen(t, s, id), mustOpen(t, s, clone)
	look()
	mustDo(t, s.Tighten())
	look()
	if n := s.Stats().Ordered; n != 0 {
		t.Errorf("tightening moved %d bytes that lay in order", n)
	}
	mustDo(t, d.Close(), c.Close(), s.Close())
}

// TestOrderBesideDamage has everything put in order but the one block that cannot be read.
func TestOrderBesideDamage(t *testing.T) {
	const blocks = 500
	fs := crashfs.New(1)
	s, _, d := newDiskOf(t, fs, blocks*block.BlockSize)
	w := newShuffled(t, d, blocks)
	mustDo(t, s.Checkpoint())
	const lost = 123
	e, _, err := d.(*handle).disk.readBlock(lost, nil)
	mustDo(t, err, fs.Flip(segmentName("engine/segments", e.seg), int64(e.slot)*block.BlockSize+9))
	n, err := s.Order(restRun)
	if !errors.Is(err, block.ErrDamaged) || n != blocks-1 {
		t.Fatalf("moved %d blocks, %v", n, err)
	}
	p := make([]byte, block.BlockSize)
	if _, err := d.ReadAt(p, lost*block.BlockSize); !errors.Is(err, block.ErrDamaged) {
		t.Errorf("the damaged block reads: %v", err)
	}
	if n := s.Stats().Damaged; n != 1 {
		t.Errorf("%d damaged blocks are named", n)
	}
	write(t, d, lost, 1)
	w.want[lost] = 1
	w.check(d)
	mustDo(t, d.Close(), s.Close())
}

// TestOrderPassesDamage comes to its end where all that one step would move cannot be read.
func TestOrderPassesDamage(t *testing.T) {
	const blocks = 256
	fs := crashfs.New(1)
	opt := manual
	opt.SegmentSlots, opt.StepBlocks = 2000, 100
	s, err := Open(fs, "engine", opt)
	mustDo(t, err)
	id := uuid.New()
	mustDo(t, s.Create(id, blocks*block.BlockSize))
	d := mustOpen(t, s, id)
	w := newShuffled(t, d, blocks)
	for range 2 {
		mustDo(t, s.Checkpoint())
		for lba := range blocks {
			e, _, err := d.(*handle).disk.readBlock(uint64(lba), nil)
			mustDo(t, err, fs.Flip(segmentName("engine/segments", e.seg), int64(e.slot)*block.BlockSize+9))
		}
		mustDo(t, s.Snapshot(block.Cut{Source: id, Snapshot: uuid.New()}))
		w.write(d, blocks)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.Order(restRun)
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, block.ErrDamaged) {
			t.Errorf("blocks that cannot be read: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it goes on for ever")
	}
	w.check(d)
	mustDo(t, d.Close(), s.Close())
}

// TestOrderGoesOn ends a pass after each few steps, as writes would: the next goes on where it was.
func TestOrderGoesOn(t *testing.T) {
	const blocks = 3000
	opt := manual
	opt.SegmentSlots, opt.StepBlocks = 2000, 300
	s, err := Open(crashfs.New(1), "engine", opt)
	mustDo(t, err)
	id := uuid.New()
	mustDo(t, s.Create(id, blocks*block.BlockSize))
	d := mustOpen(t, s, id)
	w := newShuffled(t, d, blocks)
	mustDo(t, s.checkpointLogs(), s.leaveLogs(func(*diskLog) bool { return true }))
	rounds := 0
	for left := 2; rounds < 100; rounds++ {
		left = 2
		_, err := s.orderAtRest(func() bool { left--; return left < 0 })
		mustDo(t, err)
		if left >= 0 {
			break
		}
	}
	if rounds < 3 || rounds == 100 || piecesOf(t, d, blocks) > blocks/50 {
		t.Errorf("after %d rounds the disk lies in %d pieces", rounds, piecesOf(t, d, blocks))
	}
	w.check(d)
	mustDo(t, d.Close(), s.Close())
}

// TestOrderNeedsRoom leaves a store that is nearly full as it is.
func TestOrderNeedsRoom(t *testing.T) {
	fs := crashfs.New(1)
	s, _, d := newDiskOf(t, fs, 4<<20)
	w := newShuffled(t, d, 1000)
	mustDo(t, s.Checkpoint())
	fs.SetFree(1 << 20)
	if n, err := s.Order(restRun); err != nil || n != 0 {
		t.Fatalf("moved %d blocks, %v", n, err)
	}
	w.check(d)
	mustDo(t, d.Close(), s.Close())
}

// TestOrderAtRest leaves a store to itself: it puts in order what was written at random, its last segment too, and then stays as
// it is; with AsWritten it does not.
func TestOrderAtRest(t *testing.T) {
	const blocks = 3000
	for _, asWritten := range []bool{false, true} {
		opt := manual
		opt.Manual, opt.IdleAfter, opt.AsWritten, opt.SegmentSlots = false, 20*time.Millisecond, asWritten, 2000
		s, err := Open(crashfs.New(1), "engine", opt)
		mustDo(t, err)
		id := uuid.New()
		mustDo(t, s.Create(id, blocks*block.BlockSize))
		d := mustOpen(t, s, id)
		s.keeper.stop() // where every goroutine waits for its turn there are rests between the writes, too
		w := newShuffled(t, d, blocks)
		rested := func() {
			for s.Stats().Reclaiming != "idle: complete" {
				time.Sleep(5 * time.Millisecond)
			}
		}
		mustDo(t, d.Flush())
		s.keeper.stopped = false
		s.keeper.start(s)
		rested()
		switch n := piecesOf(t, d, blocks); {
		case asWritten && n < blocks/2:
			t.Errorf("the disk lies in %d pieces", n)
		case !asWritten && n > blocks/50:
			t.Errorf("the disk lies in %d pieces after a rest", n)
		}
		before := s.Stats().Ordered
		if asWritten != (before == 0) {
			t.Errorf("%d bytes put in order, as written: %t", before, asWritten)
		}
		w.write(d, 1)
		mustDo(t, d.Flush())
		rested()
		if now := s.Stats().Ordered; now != before {
			t.Errorf("one block more moves %d bytes", now-before)
		}
		w.check(d)
		mustCheck(t, s)
		mustDo(t, d.Close(), s.Close())
	}
}
