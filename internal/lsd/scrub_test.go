package lsd

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs/crashfs"
)

// family makes a disk of 100 blocks in two pages, a snapshot of it, and a clone of that which has block 5 for itself; then the
// disk writes block 7 again. All of it is in versions.
func family(t *testing.T) (fs *crashfs.FS, s *Store, disk, snap, clone block.ID) {
	t.Helper()
	fs = crashfs.New(4)
	s, disk, d := newDiskOf(t, fs, 1<<20)
	for i := range 100 {
		write(t, d, i, byte(i+1))
	}
	snap, clone = uuid.New(), uuid.New()
	if err := errors.Join(s.Snapshot(block.Cut{Source: disk, Snapshot: snap}), s.Clone(clone, snap, 1<<20)); err != nil {
		t.Fatal(err)
	}
	c, err := s.OpenVolume(clone)
	if err != nil {
		t.Fatal(err)
	}
	write(t, c, 5, 99)
	write(t, d, 7, 98)
	if err := errors.Join(s.Checkpoint(), c.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	return fs, s, disk, snap, clone
}

// placeOf is where a volume's block lies.
func placeOf(t *testing.T, s *Store, id block.ID, lba uint64) (name string, off int64) {
	t.Helper()
	v := s.volumes[id]
	epoch := headEpoch
	if v.node != nil {
		epoch = v.node.epoch
	}
	c, err := s.lookup(v.lin, epoch, uint32(lba/leafBlocks))
	if err != nil {
		t.Fatal(err)
	}
	e, ok := c.get(uint(lba % leafBlocks))
	if !ok {
		t.Fatalf("block %d is not mapped", lba)
	}
	return segmentName("engine/segments", e.seg), int64(e.slot) * block.BlockSize
}

func scrubbed(t *testing.T, s *Store) ScrubReport {
	t.Helper()
	if err := s.Scrub(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s.ScrubReport()
}

func sorted(ids ...block.ID) []block.ID {
	sortIDs(ids)
	return ids
}

// TestScrubNamesAllWhoReadABlock flips a block that three volumes share, and one that one of them has alone.
func TestScrubNamesAllWhoReadABlock(t *testing.T) {
	fs, s, disk, snap, clone := family(t)
	defer s.Close()
	if r := scrubbed(t, s); len(r.Damages) > 0 || r.Last == nil || r.Last.Bytes != 102*block.BlockSize {
		t.Fatalf("a store that is well: %+v", r)
	}
	for lba, who := range map[uint64][]block.ID{
		20: sorted(disk, snap, clone), 5: sorted(disk, snap), 7: sorted(snap, clone),
	} {
		name, off := placeOf(t, s, snap, lba)
		if err := fs.Flip(name, off+77); err != nil {
			t.Fatal(err)
		}
		r := scrubbed(t, s)
		if len(r.Damages) != 1 || !slices.Equal(r.Damages[0].Volumes, who) || r.Damages[0].Block != lba ||
			r.Damages[0].Blocks != 1 || r.Damages[0].Cause != causeChecksum {
			t.Errorf("block %d of %v is flipped: %+v", lba, who, r.Damages)
		}
		if err := fs.Flip(name, off+77); err != nil {
			t.Fatal(err)
		}
	}
	if r := scrubbed(t, s); len(r.Damages) > 0 {
		t.Errorf("after all is well again: %+v", r.Damages)
	}
}

// TestScrubFindsLostSegments cuts off, removes and unheads segments. What is read otherwise stays well.
func TestScrubFindsLostSegments(t *testing.T) {
	for what, hurt := range map[string]func(fs *crashfs.FS, name string, off int64) error{
		causeMissing: func(fs *crashfs.FS, name string, _ int64) error { return fs.Remove(name) },
		causeShort: func(fs *crashfs.FS, name string, off int64) error {
			f, err := fs.OpenReadWrite(name)
			return errors.Join(err, f.Truncate(off+100), f.Close())
		},
		causeHeader + " of the segment": func(fs *crashfs.FS, name string, _ int64) error { return fs.Flip(name, 20) },
		causeHeader + " of a chunk":     func(fs *crashfs.FS, name string, _ int64) error { return fs.Flip(name, block.BlockSize+20) },
	} {
		fs, s, disk, snap, clone := family(t)
		name, off := placeOf(t, s, snap, 30)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		fs = fs.Restart()
		if err := hurt(fs, name, off); err != nil {
			t.Fatal(err)
		}
		s, err := Open(fs, "engine", manual)
		if err != nil {
			t.Fatal(err)
		}
		r := scrubbed(t, s)
		lost := map[uint64]bool{}
		header := false
		for _, d := range r.Damages {
			if header = header || d.Cause == causeHeader; d.Cause == causeHeader {
				continue
			}
			if d.Cause != what {
				t.Errorf("%s is told as %s", what, d.Cause)
			}
			for i := range d.Blocks {
				lost[d.Block+i] = lost[d.Block+i] || slices.Contains(d.Volumes, snap)
			}
		}
		if wantHeader := what != causeMissing && what != causeShort; header != wantHeader || wantHeader == lost[30] {
			t.Errorf("%s: %+v", what, r.Damages)
		}
		p := make([]byte, block.BlockSize)
		for _, id := range []block.ID{disk, snap, clone} {
			d, err := s.OpenVolume(id)
			if err != nil {
				t.Fatal(err)
			}
			for lba := range uint64(100) {
				if _, err := d.ReadAt(p, int64(lba)*block.BlockSize); id == snap && errors.Is(err, block.ErrDamaged) != lost[lba] {
					t.Errorf("%s: block %d reads %v, lost: %t", what, lba, err, lost[lba])
				} else if err == nil && p[0] != byte(lba+1) && (id != clone || p[0] != 99) && (id != disk || p[0] != 98) {
					t.Errorf("%s: block %d reads other data", what, lba)
				}
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range []block.ID{disk, snap, clone} {
			if err := errors.Join(s.Delete(id), s.Reclaim()); err != nil {
				t.Errorf("%s: delete: %v", what, err)
			}
		}
		if r := scrubbed(t, s); len(r.Damages) > 0 {
			t.Errorf("%s: after all is deleted: %+v", what, r.Damages)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestLostVersionIsNotReplacedByAnOlder takes a page version out of Pebble behind the engine's back: what it hid is not shown
// in its place, now and after a restart.
func TestLostVersionIsNotReplacedByAnOlder(t *testing.T) {
	fs, s, disk, snap, _ := family(t)
	it, err := s.iterate(keyVersion)
	if err != nil {
		t.Fatal(err)
	}
	lin := s.volumes[disk].lin
	id, ok, err := seekVersion(it, lin.id, 0, headEpoch)
	if err != nil || !ok || id.epoch <= s.volumes[snap].node.epoch {
		t.Fatalf("%+v %t %v", id, ok, err)
	}
	if err := errors.Join(it.Close(), s.db.Delete(id.key(), nil)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r := scrubbed(t, s)
		if len(r.Damages) != 1 || r.Damages[0].Cause != causeLost || !slices.Contains(r.Damages[0].Volumes, disk) || r.Damages[0].Blocks != leafBlocks {
			t.Fatalf("a version is lost: %+v", r.Damages)
		}
		if report, err := s.Check(context.Background()); err != nil || report.Clean() {
			t.Fatalf("check: %+v %v", report, err)
		}
		for volume, bad := range map[block.ID]bool{disk: true, snap: false} {
			d, err := s.OpenVolume(volume)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.ReadAt(make([]byte, 10), 7*block.BlockSize); errors.Is(err, block.ErrDamaged) != bad {
				t.Errorf("damaged: %t, the page reads %v", bad, err)
			}
			if _, err := d.ReadAt(make([]byte, 10), 70*block.BlockSize); err != nil {
				t.Errorf("the next page reads %v", err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		fs = fs.Restart()
		if s, err = Open(fs, "engine", manual); err != nil {
			t.Fatal(err)
		}
		if got := s.ScrubReport().Damages; len(got) != 1 {
			t.Errorf("after a restart: %+v", got)
		}
	}
	if err := errors.Join(s.Delete(disk), s.Reclaim(), s.Close()); err != nil {
		t.Error(err)
	}
}

// TestScrubRestoresTheIndex takes an index entry away: it is made again.
func TestScrubRestoresTheIndex(t *testing.T) {
	_, s, disk, _, _ := family(t)
	id := versionID{lineage: s.volumes[disk].lin.id, epoch: s.volumes[disk].lin.disk.Load().epoch, page: 0}
	if _, closer, err := s.db.Get(id.index()); err != nil {
		t.Fatal(err)
	} else if err := errors.Join(closer.Close(), s.db.Delete(id.index(), nil)); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Check(context.Background()); err != nil || r.Clean() {
		t.Fatalf("check does not miss it: %v", err)
	}
	if r := scrubbed(t, s); r.Restored != 1 {
		t.Errorf("%d entries restored", r.Restored)
	}
	mustCheck(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestScrubGoesOnAfterRestart stops a pass half-way, with damage found, and goes on with it in the next life.
func TestScrubGoesOnAfterRestart(t *testing.T) {
	fs := crashfs.New(6)
	opt := manual
	now := time.Unix(5000, 0)
	opt.Now = func() time.Time { return now }
	opt.SegmentSlots = 4096
	s, err := Open(fs, "engine", opt)
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.New()
	if err := s.Create(id, 64<<20); err != nil {
		t.Fatal(err)
	}
	d, err := s.OpenVolume(id)
	if err != nil {
		t.Fatal(err)
	}
	const blocks = 2000
	for i := range blocks {
		write(t, d, i, byte(i+1))
	}
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	name, off := placeOf(t, s, id, 3)
	if err := fs.Flip(name, off); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Scrub(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	half := s.ScrubReport()
	if !half.Running || half.Bytes <= 0 || half.Bytes >= blocks*block.BlockSize || len(half.Damages) != 1 {
		t.Fatalf("half-way: %+v", half)
	}
	if err := errors.Join(d.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	if s, err = Open(fs.Restart(), "engine", opt); err != nil {
		t.Fatal(err)
	}
	r := scrubbed(t, s)
	if r.Running || r.Last.Bytes != blocks*block.BlockSize || !r.Last.Begun.Equal(half.Begun) || !r.Last.Ended.Equal(now) || len(r.Damages) != 1 {
		t.Errorf("at the end: %+v %+v", r, r.Last)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestScrubByItself begins a pass when one is due and when it is asked to, and not otherwise.
func TestScrubByItself(t *testing.T) {
	fs := crashfs.New(7)
	s, err := Open(fs, "engine", Options{Reserve: -1, ScrubRate: 1 << 30, Now: func() time.Time { return time.Unix(9000, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	passed := func(n int) {
		t.Helper()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if r := s.ScrubReport(); r.Last != nil && !r.Running && int(s.damages.passes()) == n {
				return
			}
		}
		t.Fatalf("no pass %d: %+v", n, s.ScrubReport())
	}
	passed(1)
	s.StartScrub()
	passed(2)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
