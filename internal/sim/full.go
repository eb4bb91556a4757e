package sim

import (
	"errors"
	"fmt"

	"tintype/internal/block"
)

// kept is what writes leave free of a disk that fills, three quarters of the reserve: more than Pebble needs in a history, which does not stand a disk that
// is full in truth.
const kept = 64 << 20

// drawFull has the disk of some histories fill up at times. In zones it does not: a zone that comes back is copied by the
// history itself.
func (s *sim) drawFull() {
	if s.rng.IntN(3) == 0 && len(s.zones.dirs) == 0 {
		s.opt.Reserve = kept / 3 * 4
		s.fills = true
	}
}

// turnFull leaves writes little room, or gives it back.
func (s *sim) turnFull() error {
	if s.full = s.fills && !s.full; s.full {
		s.fs.disk.SetFree(kept + s.rng.Int64N(1<<20))
	} else if s.fills {
		s.fs.disk.SetFree(1 << 40)
	}
	return nil
}

// refused looks at the error of a change that began when the disk's history had n steps. Without room the engine must have
// taken some of its blocks, in order, and then none: the model keeps those.
func (s *sim) refused(v *volume, h block.Device, n int, was state, err error) error {
	if !errors.Is(err, block.ErrNoSpace) {
		return err
	}
	if !s.full {
		return fmt.Errorf("there is room, but: %w", err)
	}
	s.refusals++
	buf := make([]byte, block.BlockSize)
	taken := n
	for i, c := range v.changes[n:] {
		clear(buf)
		off := int64(c.lba) * block.BlockSize
		if _, err := h.ReadAt(buf[:min(block.BlockSize, v.size-off)], off); err != nil {
			return err
		}
		got, zero := s.hash.cell(buf), s.hash.cell(make([]byte, block.BlockSize))
		is := func(want *cell) bool { return want == nil && got.sum == zero.sum || want != nil && got.sum == want.sum }
		switch {
		case is(c.to) && n+i == taken:
			taken++
		case !is(was[c.lba]):
			return fmt.Errorf("disk %s: block %d after a refused write is neither old nor new, or was written before its turn", v.id, c.lba)
		}
	}
	for _, c := range v.changes[taken:] {
		v.now.set(c.lba, was[c.lba])
	}
	v.changes = v.changes[:taken]
	return nil
}

// noRoom tells of the error of a call that moves data that it had no room for it, on a disk that is full.
func (s *sim) noRoom(err error) bool {
	is := s.full && errors.Is(err, block.ErrNoSpace)
	if is {
		s.unmoved++
	}
	return is
}

// tighten does what a store does at rest, after which everything is durable.
func (s *sim) tighten() error {
	err := s.store.Tighten()
	if s.noRoom(err) {
		return nil
	}
	return s.settleAll(err)
}
