package lsd

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
	"tintype/internal/vfs/crashfs"
)

// TestSnapshotDevice runs the suite of read-only devices on snapshots.
func TestSnapshotDevice(t *testing.T) {
	s := openTest(t, crashfs.New(1), "engine", Options{SegmentSlots: 300, MaxLeaves: 8, Reserve: -1})
	blocktest.RunReadOnly(t, func(t *testing.T, content []byte) block.Device {
		id, snap := uuid.New(), uuid.New()
		if err := s.Create(id, int64(len(content))); err != nil {
			t.Fatal(err)
		}
		d, err := s.OpenVolume(id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.WriteAt(content, 0); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{s.Snapshot(block.Cut{Source: id, Snapshot: snap}), d.Close(), s.Delete(id)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		v, err := s.OpenVolume(snap)
		if err != nil {
			t.Fatal(err)
		}
		return v
	})
}

// TestDifferenceRebuilds applies the difference of two snapshots to a copy of the older one: it must become the newer,
// bit by bit, also across a resize and a clone.
func TestDifferenceRebuilds(t *testing.T) {
	s := openTest(t, crashfs.New(2), "engine", Options{SegmentSlots: 70, MaxLeaves: 4, MaxDirtyLeaves: 8, Reserve: -1})
	r := rand.New(rand.NewPCG(1, 1))
	id := uuid.New()
	if err := s.Create(id, 3<<20+512); err != nil {
		t.Fatal(err)
	}
	image := make([]byte, 3<<20+512)
	older := block.Device(nil)
	for range 30 {
		d, err := s.OpenVolume(id)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			p := make([]byte, 1+r.IntN(20000))
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			if _, err := d.WriteAt(p, r.Int64N(d.Size()-int64(len(p)))); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Trim(r.Int64N(d.Size()/2), d.Size()/3); err != nil {
			t.Fatal(err)
		}
		snap, clone := uuid.New(), uuid.New()
		size := d.Size() + r.Int64N(100)*512
		for _, err := range []error{
			s.Snapshot(block.Cut{Source: id, Snapshot: snap}), s.Clone(clone, snap, size), d.Close(), s.Delete(id),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		newer, err := s.OpenVolume(snap)
		if err != nil {
			t.Fatal(err)
		}
		image = rebuild(t, image, older, newer)
		older, id = newer, clone
	}
}

func rebuild(t *testing.T, image []byte, older, newer block.Device) []byte {
	t.Helper()
	image = append(image, make([]byte, newer.Size()-int64(len(image)))...)
	apply := func(x block.Extent) bool {
		clear(image[x.Off : x.Off+x.Len])
		if !x.Data {
			return true
		}
		_, err := newer.ReadAt(image[x.Off:x.Off+x.Len], x.Off)
		return err == nil
	}
	var err error
	if older == nil {
		err = newer.Extents(0, newer.Size(), apply)
	} else {
		err = newer.(block.Comparer).Compare(older, 0, newer.Size(), apply)
	}
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, newer.Size())
	if _, err := newer.ReadAt(want, 0); err != nil || !bytes.Equal(image, want) {
		t.Fatalf("the difference does not lead from the older to the newer (%v)", err)
	}
	return image
}
