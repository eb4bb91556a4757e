package sim

import (
	"errors"
	"fmt"

	"tintype/internal/block"
)

// compare asks for the difference of two volumes and checks it block by block. In the model a block is unchanged when it
// is the same cell: what was written again is another, even with equal bytes.
func (s *sim) compare() error {
	a, b := s.pick(any1), s.pick(any1)
	if a == nil {
		return nil
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

// weigh asks what deleting a volume would free, deletes it and compares.
func (s *sim) weigh() error {
	v := s.pick(any1)
	if v == nil {
		return nil
	}
	if err := s.settleAll(errors.Join(s.store.Checkpoint(), s.store.Reclaim())); err != nil {
		return err
	}
	share, err := s.store.Share(v.id)
	if err != nil {
		return err
	}
	before := s.store.Stats().Live
	if h := s.handles[v.id]; h != nil {
		if err := h.Close(); err != nil {
			return err
		}
		delete(s.handles, v.id)
	}
	delete(s.volumes, v.id)
	if err := errors.Join(s.store.Delete(v.id), s.store.Reclaim()); err != nil {
		return err
	}
	if freed := before - s.store.Stats().Live; freed != share.Exclusive {
		return fmt.Errorf("deleting %s (snapshot: %t) frees %d bytes, %d were promised", v.id, v.snapshot, freed, share.Exclusive)
	}
	return nil
}
