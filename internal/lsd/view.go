package lsd

import (
	"errors"
	"math/bits"

	"tintype/internal/block"
)

// readAt fills p with what a lineage was at the end of a frozen epoch. All of it is in segments: an epoch is synced
// before anything can see it.
func (s *Store) readAt(l *lineage, epoch uint64, p []byte, off int64) error {
	for len(p) > 0 {
		n := min(len(p), int(leafBlocks*block.BlockSize-off%(leafBlocks*block.BlockSize)))
		if err := s.readPageAt(l, epoch, p[:n], off); err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

func (s *Store) readPageAt(l *lineage, epoch uint64, p []byte, off int64) error {
	for {
		moves := s.moves.Load()
		err := s.tryPageAt(l, epoch, p, off, moves)
		if errors.Is(err, errMoved) {
			continue
		}
		if !errors.Is(err, errSegmentGone) {
			return err
		}
		if s.moves.Load() == moves {
			s.damages.metGone(err)
			return err
		}
	}
}

var errMoved = errors.New("blocks were moved")

// tryPageAt reads a page, unless something was moved since a count of moves.
func (s *Store) tryPageAt(l *lineage, epoch uint64, p []byte, off int64, moves uint64) error {
	c, err := s.lookup(l, epoch, uint32(off/(leafBlocks*block.BlockSize)))
	if err != nil {
		return err
	}
	var wants []want
	eachBlock(p, off, func(dst int, lba uint64, o, n int) {
		if e, ok := c.get(uint(lba % leafBlocks)); ok {
			wants = append(wants, want{lba: lba, e: e, dst: dst, o: o, n: n})
		} else {
			clear(p[dst : dst+n])
		}
	})
	pins, err := s.pinAll(nil, wants)
	if err == nil && s.moves.Load() != moves {
		err = errMoved // before it was pinned: there may be a hole now
	}
	if err == nil {
		err = s.fetch(p, wants, pins, nil)
	}
	return errors.Join(err, s.unpinAll(pins))
}

// extents yields what of [off, off+n) has data in a lineage at an epoch, a directory of pages at a time.
func (s *Store) extents(l *lineage, epoch uint64, off, n int64, yield func(block.Extent) bool) error {
	run := runs{next: off, end: off + n, yield: yield, more: true}
	const step = dirLeaves * pageBytes
	for at := off; at < off+n && run.more; at = (at/step + 1) * step {
		stop := min(off+n, (at/step+1)*step)
		pages, err := s.mappedPages(l, epoch, uint32(at/pageBytes), uint32((stop-1)/pageBytes))
		if err != nil {
			return err
		}
		for _, page := range pages {
			c, err := s.lookup(l, epoch, page)
			if err != nil {
				return err
			}
			if !run.more {
				return nil
			}
			for i := range c.each() {
				run.data((int64(page)*leafBlocks + int64(i)) * block.BlockSize)
			}
		}
	}
	run.finish()
	return nil
}

// extentsAtHand is extents of a short range whose map is in memory, or false: each long read asks for them.
func (d *disk) extentsAtHand(off, n int64, yield func(block.Extent) bool) bool {
	const pageBytes = leafBlocks * block.BlockSize
	masks := make([]uint64, 0, 8)
	first := off / pageBytes
	if n <= 0 || (off+n-1)/pageBytes >= first+int64(cap(masks)) {
		return false
	}
	d.mu.Lock()
	for page := first; page <= (off+n-1)/pageBytes; page++ {
		l := d.leaves.get(uint32(page))
		if l == nil {
			d.mu.Unlock()
			return false
		}
		l.used = true
		masks = append(masks, l.mask)
	}
	d.mu.Unlock()
	run := runs{next: off, end: off + n, yield: yield, more: true}
	for i, m := range masks {
		for ; m != 0; m &= m - 1 {
			run.data(((first+int64(i))*leafBlocks + int64(bits.TrailingZeros64(m))) * block.BlockSize)
		}
	}
	run.finish()
	return true
}

// runs joins blocks with data into extents, and what lies between them into extents without.
type runs struct {
	next  int64 // everything before it has been yielded, but for the run
	start int64 // of the run, when open
	open  bool
	end   int64
	yield func(block.Extent) bool
	more  bool
}

// data adds the block that begins at off.
func (r *runs) data(off int64) {
	lo, hi := max(off, r.next), min(off+block.BlockSize, r.end)
	if lo >= hi {
		return
	}
	if r.open && lo == r.next {
		r.next = hi
		return
	}
	r.closeRun()
	r.emit(block.Extent{Off: r.next, Len: lo - r.next})
	r.start, r.next, r.open = lo, hi, true
}

func (r *runs) closeRun() {
	if r.open {
		r.emit(block.Extent{Off: r.start, Len: r.next - r.start, Data: true})
		r.open = false
	}
}

func (r *runs) finish() {
	r.closeRun()
	r.emit(block.Extent{Off: r.next, Len: r.end - r.next})
}

func (r *runs) emit(x block.Extent) {
	if r.more && x.Len > 0 {
		r.more = r.yield(x)
	}
}
