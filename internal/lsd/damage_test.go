package lsd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs/crashfs"
)

var manual = Options{Keys: &KeyRing{Current: Key{1}}, SegmentSlots: 64, IdleSeal: -1, Reserve: -1, Spares: -1, Manual: true}

// newDiskOf makes a store with one disk, opened.
func newDiskOf(t *testing.T, fs *crashfs.FS, size int64) (*Store, block.ID, block.Device) {
	t.Helper()
	s, err := Open(fs, "engine", manual)
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.New()
	if err := s.Create(id, size); err != nil {
		t.Fatal(err)
	}
	d, err := s.OpenVolume(id)
	if err != nil {
		t.Fatal(err)
	}
	return s, id, d
}

func write(t *testing.T, d block.Device, lba int, b byte) {
	t.Helper()
	p := make([]byte, block.BlockSize)
	for i := range p {
		p[i] = b
	}
	if _, err := d.WriteAt(p, int64(lba)*block.BlockSize); err != nil {
		t.Fatal(err)
	}
}

func segmentsOf(t *testing.T, fs *crashfs.FS) []string {
	t.Helper()
	names, err := fs.List("engine/segments")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestFlippedBitsAreErrors flips one bit in every block of a disk and its snapshot in turn: reading it is ErrDamaged, its
// neighbours read well, and Check names it.
func TestFlippedBitsAreErrors(t *testing.T) {
	fs := crashfs.New(1)
	s, id, d := newDiskOf(t, fs, 1<<20)
	for i := range 20 {
		write(t, d, i, byte(i+1))
	}
	snap := uuid.New()
	if err := s.Snapshot(block.Cut{Source: id, Snapshot: snap}); err != nil {
		t.Fatal(err)
	}
	v, err := s.OpenVolume(snap)
	if err != nil {
		t.Fatal(err)
	}
	name := "engine/segments/" + segmentsOf(t, fs)[0]
	p := make([]byte, block.BlockSize)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 20 {
		// Slot 0 is the segment's header and slot 1 the chunk's.
		off := int64(2+i)*block.BlockSize + r.Int64N(block.BlockSize)
		fs.Flip(name, off)
		for j := range 20 {
			_, err := v.ReadAt(p, int64(j)*block.BlockSize)
			if bad := errors.Is(err, block.ErrDamaged); bad != (i == j) || err != nil && !bad {
				t.Fatalf("block %d is flipped, block %d reads: %v", i, j, err)
			}
		}
		report, err := s.Check(context.Background())
		if err != nil || len(report.Problems) != 1 || !strings.Contains(report.Problems[0], fmt.Sprintf("block %d,", i)) {
			t.Fatalf("block %d is flipped, check says %q, %v", i, report.Problems, err)
		}
		fs.Flip(name, off)
	}
}

// TestLostDurableChunkIsReported wipes one chunk after another of a log that was durable. Below a watermark of a later chunk,
// or of a snapshot, what needs it must not open: the disk, the snapshot and its clone. What was before stays well.
func TestLostDurableChunkIsReported(t *testing.T) {
	const flushes = 6
	for lost := range flushes {
		fs := crashfs.New(2)
		first, id, d := newDiskOf(t, fs, 1<<20)
		write(t, d, 77, 77)
		snap, late, clone := uuid.New(), uuid.New(), uuid.New()
		if err := errors.Join(first.Snapshot(block.Cut{Source: id, Snapshot: snap}), first.Checkpoint()); err != nil {
			t.Fatal(err)
		}
		for i := range flushes {
			write(t, d, i, byte(i+1))
			if err := d.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(first.Snapshot(block.Cut{Source: id, Snapshot: late}), first.Clone(clone, late, 1<<20)); err != nil {
			t.Fatal(err)
		}
		name := "engine/segments/" + segmentsOf(t, fs)[0]
		after := fs.Restart()
		after.Flip(name, int64(3+2*lost)*block.BlockSize+100)
		s, err := Open(after, "engine", manual)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []block.ID{id, late, clone} {
			if _, err = s.OpenVolume(id); !errors.Is(err, block.ErrDamaged) {
				t.Errorf("chunk %d of %d is gone, opening what needs it says %v", lost+1, flushes, err)
			}
		}
		report, checkErr := s.Check(context.Background())
		if checkErr != nil || report.Clean() != (err == nil) {
			t.Errorf("chunk %d of %d is gone, check says %q, %v", lost+1, flushes, report.Problems, checkErr)
		}
		if v, err := s.OpenVolume(snap); err != nil {
			t.Errorf("the snapshot from before: %v", err)
		} else if _, err := v.ReadAt(make([]byte, 4096), 77*4096); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestFullStore fills the file system: writes end with ErrNoSpace before they are acknowledged, nothing is lost, and
// deleting a disk brings the space back.
func TestFullStore(t *testing.T) {
	fs := crashfs.New(3)
	s, _, keep := newDiskOf(t, fs, 1<<20)
	write(t, keep, 0, 7)
	other := uuid.New()
	if err := s.Create(other, 1<<30); err != nil {
		t.Fatal(err)
	}
	d, err := s.OpenVolume(other)
	if err != nil {
		t.Fatal(err)
	}
	s.segments.reserve = 8 << 20
	fs.SetFree(40 << 20)
	p, wrote := make([]byte, 256<<10), int64(0)
	for i := range p {
		p[i] = byte(i)
	}
	for ; err == nil && wrote < 1<<30; wrote += int64(len(p)) {
		_, err = d.WriteAt(p, wrote)
	}
	if !errors.Is(err, block.ErrNoSpace) {
		t.Fatalf("a full store answers %v", err)
	}
	if err := d.Flush(); err != nil {
		t.Fatalf("flush of a full store: %v", err)
	}
	got := make([]byte, len(p))
	for off := int64(0); off < wrote-2*int64(len(p)); off += int64(len(p)) {
		if _, err := d.ReadAt(got, off); err != nil || string(got) != string(p) {
			t.Fatalf("at %d of a full store: %v", off, err)
		}
	}
	for _, err := range []error{d.Close(), s.Delete(other), s.Reclaim()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 {
		write(t, keep, i, byte(i))
	}
	mustCheck(t, s)
}
