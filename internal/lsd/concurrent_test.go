package lsd

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// TestCutOverDisks writes a counter to several disks in turn, each write after the one before was accepted, while
// snapshots of all disks are taken together: in each the counters must be a moment of that order. Checkpoints,
// reclaiming and deletes of older snapshots run meanwhile.
func TestCutOverDisks(t *testing.T) {
	const disks, blocks = 3, 64
	s := openTest(t, vfs.OS(), t.TempDir()+"/engine", Options{Keys: &KeyRing{Current: Key{1}}, SegmentSlots: 200, CheckpointBytes: 1 << 20, MaxDirtyLeaves: 4, MaxLeaves: 1})
	var ids [disks]block.ID
	var devs [disks]block.Device
	for i := range ids {
		ids[i] = uuid.New()
		if err := s.Create(ids[i], blocks*block.BlockSize*leafBlocks); err != nil {
			t.Fatal(err)
		}
		var err error
		if devs[i], err = s.OpenVolume(ids[i]); err != nil {
			t.Fatal(err)
		}
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range 4 { // each writer has a block of its own in every disk
		wg.Go(func() {
			p := make([]byte, block.BlockSize)
			for n := uint64(1); !stop.Load(); n++ {
				for i := range devs {
					binary.LittleEndian.PutUint64(p, n)
					if _, err := devs[i].WriteAt(p, int64(w)*leafBlocks*block.BlockSize); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	var old []block.ID
	for round := range 60 {
		cuts := make([]block.Cut, disks)
		for i := range cuts {
			cuts[i] = block.Cut{Source: ids[i], Snapshot: uuid.New()}
		}
		if err := s.Snapshot(cuts...); err != nil {
			t.Fatal(err)
		}
		if err := sameMoment(s, cuts); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, id := range old {
			if err := s.Delete(id); err != nil {
				t.Fatal(err)
			}
		}
		old = old[:0]
		for _, c := range cuts {
			old = append(old, c.Snapshot)
		}
	}
	stop.Store(true)
	wg.Wait()
	for _, d := range devs {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func sameMoment(s *Store, cuts []block.Cut) error {
	p := make([]byte, 8)
	for w := range 4 {
		var n []uint64
		for _, c := range cuts {
			v, err := s.OpenVolume(c.Snapshot)
			if err != nil {
				return err
			}
			if _, err := v.ReadAt(p, int64(w)*leafBlocks*block.BlockSize); err != nil {
				return err
			}
			if err := v.Close(); err != nil {
				return err
			}
			n = append(n, binary.LittleEndian.Uint64(p))
		}
		for i := 1; i < len(n); i++ {
			if n[i] > n[i-1] || n[i]+1 < n[i-1] {
				return fmt.Errorf("writer %d: the disks are at %d", w, n)
			}
		}
		if n[len(n)-1]+1 < n[0] {
			return fmt.Errorf("writer %d: the disks are at %d", w, n)
		}
	}
	return nil
}
