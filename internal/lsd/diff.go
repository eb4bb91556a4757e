package lsd

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
)

// point is a lineage at the end of an epoch.
type point struct {
	lin   *lineage
	epoch uint64
}

// line is a point and those that it continues, up to where its history began.
func (p point) line() []point {
	var all []point
	for l, e := p.lin, p.epoch; l != nil; l, e = l.parent, l.parentEpoch {
		all = append(all, point{l, e})
	}
	return all
}

// between lists the epochs that lie between two points, on the way from each to what they have in common.
func between(a, b point) ([]epochSpan, error) {
	up, down := a.line(), b.line()
	for i, x := range up {
		j := slices.IndexFunc(down, func(y point) bool { return y.lin == x.lin })
		if j < 0 {
			continue
		}
		var all []epochSpan
		for _, p := range slices.Concat(up[:i], down[:j]) {
			all = append(all, epochSpan{p.lin, 0, p.epoch})
		}
		lo, hi := min(x.epoch, down[j].epoch), max(x.epoch, down[j].epoch)
		return append(all, epochSpan{x.lin, lo, hi}), nil
	}
	return nil, block.ErrUnrelated
}

// epochSpan is the epochs (lo, hi] of a lineage.
type epochSpan struct {
	lin    *lineage
	lo, hi uint64
}

// Diff yields the ranges of [off, off+n) of a volume whose blocks are not those of an older one, in order and joined, until
// yield returns false. Data says that the range has data now; without, it had data and reads as zeroes. The two must be
// related: snapshots or disks with a history in common, else block.ErrUnrelated. The cost grows with what was changed
// between them and not with their size. A block that was written again with equal bytes counts as changed.
func (s *Store) Diff(older, newer block.ID, off, n int64, yield func(block.Extent) bool) error {
	if err := s.requests.enter(); err != nil {
		return err
	}
	defer s.requests.leave()
	from, err := s.hold(older)
	if err != nil {
		return err
	}
	defer s.letGo(from)
	to, err := s.hold(newer)
	if err != nil {
		return err
	}
	defer s.letGo(to)
	if err := inside(off, n, to.info().Size); err != nil {
		return err
	}
	if err := errors.Join(s.damage(from), s.damage(to)); err != nil {
		return err
	}
	a, b := from.point(), to.point()
	spans, err := between(a, b)
	if err != nil {
		return fmt.Errorf("compare %s with %s: %w", older, newer, err)
	}
	const pageBytes = leafBlocks * block.BlockSize
	if n == 0 {
		return nil
	}
	pages, err := s.changedPages(spans, uint32(off/pageBytes), uint32((off+n-1)/pageBytes))
	if err != nil {
		return err
	}
	return s.diffPages(a, b, pages, &changes{end: off + n, at: off, yield: yield, more: true})
}

func (v *volume) point() point {
	if v.node != nil {
		return point{v.lin, v.node.epoch}
	}
	return point{v.lin, headEpoch}
}

// changedPages lists, in order, the pages of [lo, hi] that have a version in any of the spans.
func (s *Store) changedPages(spans []epochSpan, lo, hi uint32) ([]uint32, error) {
	var pages []uint32
	for _, x := range spans {
		if d := x.lin.disk.Load(); d != nil {
			pages = d.versionPages(pages, x, lo, hi)
		}
	}
	it, err := s.iterate(keyIndex)
	if err != nil {
		return nil, err
	}
	for _, x := range spans {
		if pages, err = indexedPages(it, pages, piece{x.lin.id, x.lo, x.hi}, lo, hi); err != nil {
			break
		}
	}
	slices.Sort(pages)
	return slices.Compact(pages), errors.Join(err, it.Close())
}

// indexedPages adds the pages of [lo, hi] that have a version in the epochs of a piece. It goes over an epoch's versions from
// lo to hi, and then on to the next epoch that has one.
func indexedPages(it *pebble.Iterator, pages []uint32, p piece, lo, hi uint32) ([]uint32, error) {
	at := versionID{lineage: p.lineage, epoch: p.lo + 1, page: lo}
	for ok := it.SeekGE(at.index()); ok; {
		id, is := parseIndexKey(it.Key())
		if !is || id.lineage != p.lineage || id.epoch > p.hi {
			break
		}
		switch {
		case id.page < lo:
			ok = it.SeekGE(versionID{p.lineage, id.epoch, lo}.index())
		case id.page > hi:
			ok = it.SeekGE(versionID{p.lineage, id.epoch + 1, lo}.index())
		default:
			pages = append(pages, id.page)
			ok = it.Next()
		}
	}
	return pages, metaError(it.Error())
}

// versionPages adds the pages of [lo, hi] with versions in memory.
func (d *disk) versionPages(pages []uint32, x epochSpan, lo, hi uint32) []uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	add := func(page uint32) {
		inside := func(f *frozen) bool { return f.epoch > x.lo && f.epoch <= x.hi }
		l := d.leaves.find(page)
		if l != nil && l.dirty && l.epoch > x.lo && l.epoch <= x.hi || slices.ContainsFunc(d.frozen[page], inside) {
			pages = append(pages, page)
		}
	}
	if uint64(hi-lo) < uint64(d.backlog()+len(d.leaving)) {
		for page := uint64(lo); page <= uint64(hi); page++ {
			add(uint32(page))
		}
		return pages
	}
	for _, page := range slices.Concat(d.leaving, d.changed) {
		add(page)
	}
	for page := range d.frozen {
		add(page)
	}
	return pages
}

// diffBatch is how many pages are compared as of one moment.
const diffBatch = 4096

// diffPages compares pages block by block.
func (s *Store) diffPages(a, b point, pages []uint32, out *changes) error {
	for some := range slices.Chunk(pages, diffBatch) {
		if err := s.diffSome(a, b, some, out); err != nil || !out.more {
			return err
		}
	}
	out.finish()
	return nil
}

func (s *Store) diffSome(a, b point, pages []uint32, out *changes) error {
	p, err := s.pairAt(a, b, pages)
	if err != nil {
		return err
	}
	for i, page := range pages {
		var was, now content
		was, now, err = p.at(i)
		if err != nil || !out.more {
			break
		}
		differ := was.mask ^ now.mask
		for i, e := range now.each() {
			if was.mask>>i&1 == 1 && !was.has(i, e.pos()) {
				differ |= 1 << i
			}
		}
		for ; differ != 0; differ &= differ - 1 {
			i := bits.TrailingZeros64(differ)
			out.block((int64(page)*leafBlocks+int64(i))*block.BlockSize, now.mask>>i&1 == 1)
		}
	}
	return errors.Join(err, p.it.Close())
}

// changes joins changed blocks into ranges.
type changes struct {
	at, end int64
	run     block.Extent
	yield   func(block.Extent) bool
	more    bool
}

func (c *changes) block(off int64, data bool) {
	lo, hi := max(off, c.at), min(off+block.BlockSize, c.end)
	if lo >= hi || !c.more {
		return
	}
	if c.run.Len > 0 && c.run.Data == data && c.run.Off+c.run.Len == lo {
		c.run.Len += hi - lo
		return
	}
	c.finish()
	c.run = block.Extent{Off: lo, Len: hi - lo, Data: data}
}

func (c *changes) finish() {
	if c.run.Len > 0 && c.more {
		c.more = c.yield(c.run)
	}
	c.run = block.Extent{}
}
