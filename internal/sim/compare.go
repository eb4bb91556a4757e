package sim

import (
	"errors"
	"fmt"

	"tintype/internal/block"
)

// compare asks for differences of volumes, mostly related ones, and checks them.
func (s *sim) compare() error {
	for range 3 {
		a := s.pick(any1)
		if a == nil {
			return nil
		}
		related := s.rng.IntN(4) > 0
		b := s.pick(func(v *volume) bool { return !related || v.root == a.root })
		if err := s.compareTwo(a, b); err != nil {
			return err
		}
	}
	return nil
}

// compareTwo checks a difference block by block. In the model a block is unchanged when it is the same cell: what was written
// again is another, even with equal bytes.
func (s *sim) compareTwo(a, b *volume) error {
	if s.rng.IntN(3) == 0 { // all of it from Pebble
		if err := s.settleAll(s.store.Checkpoint()); err != nil {
			return err
		}
	}
	off, n := int64(0), b.size
	if s.rng.IntN(2) == 0 {
		off, n = s.span(b.size, b.size)
	}
	got := map[uint64]bool{}
	last := off
	err := s.store.Diff(a.id, b.id, off, n, func(x block.Extent) bool {
		if x.Off < last || x.Len <= 0 || x.Off+x.Len > off+n {
			last = 1 << 62
			return false
		}
		last = x.Off + x.Len
		for lba := uint64(x.Off / block.BlockSize); int64(lba)*block.BlockSize < x.Off+x.Len; lba++ {
			got[lba] = x.Data
		}
		return true
	})
	if a.root != b.root {
		if !errors.Is(err, block.ErrUnrelated) {
			return fmt.Errorf("comparing unrelated volumes: %w", err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if last == 1<<62 {
		return errors.New("ranges of a difference are out of order")
	}
	return matchDiff(a, b, off, n, got)
}

func matchDiff(a, b *volume, off, n int64, got map[uint64]bool) error {
	if n == 0 {
		return nil
	}
	want := map[uint64]bool{}
	first, last := uint64(off/block.BlockSize), uint64((off+n-1)/block.BlockSize)
	for lba, c := range b.now {
		if a.now[lba] != c && lba >= first && lba <= last {
			want[lba] = true
		}
	}
	for lba := range a.now {
		if b.now[lba] == nil && lba >= first && lba <= last {
			want[lba] = false
		}
	}
	for lba, data := range want {
		if has, ok := got[lba]; !ok || has != data {
			return fmt.Errorf("from %s to %s: block %d changed (data: %t), the difference says %t, %t", a.id, b.id, lba, data, ok, has)
		}
	}
	for lba := range got {
		if _, ok := want[lba]; !ok {
			return fmt.Errorf("from %s to %s: block %d did not change, the difference says so", a.id, b.id, lba)
		}
	}
	return nil
}

// weigh asks what deleting some volumes would free, compares with the model, and deletes them.
func (s *sim) weigh() error {
	set := map[block.ID]bool{}
	var ids []block.ID
	for range 1 + s.rng.IntN(4) {
		if v := s.pick(any1); v != nil && !set[v.id] {
			set[v.id] = true
			ids = append(ids, v.id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if s.pickAny(func(v *volume) bool { return v.unsettled }) != nil {
		return nil // what its log overwrote is not known
	}
	freed, err := s.store.Freed(ids...)
	if err != nil {
		return err
	}
	if err := s.weighOne(ids, freed); err != nil {
		return err
	}
	// Where clones branched off, the store may keep what only an epoch without a name holds.
	if want := alone(s.volumes, set); freed != want && !s.cloned(ids) {
		return fmt.Errorf("deleting %d volumes would free %d bytes, the store says %d", len(ids), want, freed)
	}
	if s.rng.IntN(2) == 0 {
		return nil
	}
	return s.deleteAll(ids, freed)
}

// weighOne compares what is told of a single volume.
func (s *sim) weighOne(ids []block.ID, freed int64) error {
	share, err := s.store.Share(ids[0])
	if err != nil {
		return err
	}
	if want := s.volumes[ids[0]].incremental(s.volumes); share.Incremental != want {
		return fmt.Errorf("incremental of %s are %d bytes, the store says %d", ids[0], want, share.Incremental)
	}
	if len(ids) == 1 && share.Exclusive != freed {
		return fmt.Errorf("exclusive to %s are %d bytes, deleting it frees %d", ids[0], share.Exclusive, freed)
	}
	return nil
}

// cloned tells whether one of the volumes has a clone in its family, or had.
func (s *sim) cloned(ids []block.ID) bool {
	for _, id := range ids {
		if s.branched[s.volumes[id].root] {
			return true
		}
	}
	return false
}

// deleteAll deletes volumes and compares what comes back with what was promised.
func (s *sim) deleteAll(ids []block.ID, promised int64) error {
	if err := s.settleAll(errors.Join(s.store.Checkpoint(), s.store.Reclaim())); err != nil {
		return err
	}
	before := s.store.Stats().Live
	for _, id := range ids {
		if h := s.handles[id]; h != nil {
			if err := h.Close(); err != nil {
				return err
			}
			delete(s.handles, id)
		}
		delete(s.volumes, id)
		if err := s.store.Delete(id); err != nil {
			return err
		}
	}
	if err := s.store.Reclaim(); err != nil {
		return err
	}
	if freed := before - s.store.Stats().Live; freed != promised {
		return fmt.Errorf("deleting %d volumes frees %d bytes, %d were promised", len(ids), freed, promised)
	}
	return nil
}
