package lsd

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// lookup returns what a page was in a lineage at the end of an epoch: the newest version at or before it, here or up the
// line of parents. Memory is asked first and Pebble after it, at one moment for the whole line: what leaves memory is in
// Pebble by then, and what reclaiming drops meanwhile is hidden by something newer that is in Pebble too.
func (s *Store) lookup(l *lineage, epoch uint64, page uint32) (content, error) {
	found, err := s.lookupPages(l, epoch, []uint32{page})
	if err != nil {
		return content{}, err
	}
	return found[0], nil
}

// lookupPages is lookup for several pages at one moment. An error is the first one's; the others are returned up to the one before
// the first that cannot be looked up.
func (s *Store) lookupPages(l *lineage, epoch uint64, pages []uint32) ([]content, error) {
	found := make([]content, len(pages))
	in := make([]*lineage, len(pages))
	durable := false
	for i, page := range pages {
		found[i], in[i] = inMemory(l, epoch, page)
		durable = durable || in[i] != l
	}
	if !durable {
		return found, nil
	}
	if err := s.unread.known(versionID{lineage: l.id, epoch: epoch, page: pages[0]}); in[0] != l && err != nil {
		return nil, err
	}
	it, err := s.iterate(keyVersion)
	if err != nil {
		return nil, err
	}
	n := 0
	for ; n < len(pages) && err == nil; n++ {
		if in[n] != l {
			found[n], err = s.lookupOne(it, l, epoch, pages[n], in[n], found[n])
		}
	}
	closed := it.Close()
	if err != nil && n > 1 { // which closing repeats
		return found[:n-1], nil
	}
	return found, errors.Join(err, closed)
}

// lookupOne looks a page up in Pebble, where memory has it of lineage stop at best.
func (s *Store) lookupOne(it *pebble.Iterator, l *lineage, epoch uint64, page uint32, stop *lineage, remembered content) (content, error) {
	if s.lost.any.Load() {
		if err := s.notHidden(it, l, epoch, page, stop); err != nil {
			return content{}, err
		}
	}
	c, err := lookupDurable(it, l, epoch, page, stop, remembered)
	s.unread.note(versionID{lineage: l.id, epoch: epoch, page: page}, err)
	return c, err
}

// inMemory looks up the line for what memory has of a page, and tells of which lineage that is; nil when it has nothing.
func inMemory(l *lineage, epoch uint64, page uint32) (content, *lineage) {
	for a, e := l, epoch; a != nil; a, e = a.parent, a.parentEpoch {
		if d := a.disk.Load(); d != nil {
			if c, ok := d.memory(page, e); ok {
				return c, a
			}
		}
	}
	return content{}, nil
}

// lookupDurable walks up the line until the lineage for which memory had an answer, or the end.
func lookupDurable(it *pebble.Iterator, l *lineage, epoch uint64, page uint32, stop *lineage, fallback content) (content, error) {
	for a, e := l, epoch; a != nil && a != stop; a, e = a.parent, a.parentEpoch {
		id, ok, err := seekVersion(it, a.id, page, e)
		if err != nil {
			return content{}, err
		}
		if ok && id.lineage == a.id && id.page == page {
			return versionAt(it)
		}
	}
	return fallback, nil
}

// seekVersion moves to the first version at or after (lineage, page, newest at or before epoch).
func seekVersion(it *pebble.Iterator, lineage uint64, page uint32, epoch uint64) (versionID, bool, error) {
	if !it.SeekGE(versionKey(lineage, page, epoch)) {
		return versionID{}, false, metaError(it.Error())
	}
	id, ok := parseVersionKey(it.Key())
	return id, ok, nil
}

// storedAt reads the version at the iterator as it is stored.
func storedAt(it *pebble.Iterator) (stored, error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return stored{}, metaError(err)
	}
	v, err := decodeVersion(value)
	id, _ := parseVersionKey(it.Key())
	v.epoch = id.epoch
	return v, err
}

// versionAt reads the version at the iterator. Where it is a difference, that moves the iterator on to the whole page below.
func versionAt(it *pebble.Iterator) (content, error) {
	v, err := storedAt(it)
	if err != nil || v.whole {
		return v.content, err
	}
	base, _, err := baseAt(it)
	if err != nil {
		return content{}, err
	}
	return v.over(&base)
}

// baseAt moves from a difference to the whole page below it, and counts the steps.
func baseAt(it *pebble.Iterator) (base stored, steps int, err error) {
	id, _ := parseVersionKey(it.Key())
	for it.Next() {
		steps++
		below, ok := parseVersionKey(it.Key())
		if !ok || below.lineage != id.lineage || below.page != id.page {
			break
		}
		if v, err := storedAt(it); err != nil || v.whole {
			return v, steps, err
		}
	}
	err = fmt.Errorf("lineage %d page %d epoch %d: %w", id.lineage, id.page, id.epoch, errNoBase)
	return base, steps, errors.Join(metaError(it.Error()), err)
}

// mappedPages lists, in order, the pages of [lo, hi] that may have data in the head.
func (d *disk) mappedPages(lo, hi uint32) ([]uint32, error) {
	return d.store.mappedPages(d.lin, headEpoch, lo, hi)
}

// mappedPages lists, in order, the pages of [lo, hi] that may have data in a lineage at an epoch. Some of them may turn
// out to be empty; a page that is not listed has none.
func (s *Store) mappedPages(l *lineage, epoch uint64, lo, hi uint32) ([]uint32, error) {
	var pages []uint32
	for a, e := l, epoch; a != nil; a, e = a.parent, a.parentEpoch {
		if d := a.disk.Load(); d != nil {
			pages = d.memoryPages(pages, e, lo, hi)
		}
	}
	it, err := s.iterate(keyVersion)
	if err != nil {
		return nil, err
	}
	for a, e := l, epoch; a != nil && err == nil; a, e = a.parent, a.parentEpoch {
		pages, err = durablePages(it, pages, a.id, e, lo, hi)
	}
	slices.Sort(pages)
	return slices.Compact(pages), errors.Join(err, it.Close())
}

func (d *disk) memoryPages(pages []uint32, epoch uint64, lo, hi uint32) []uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leaves.each(lo, hi, func(page uint32, l *leaf) bool {
		if l.dirty && l.epoch <= epoch {
			pages = append(pages, page)
		}
		return true
	})
	if uint64(len(d.frozen)) > uint64(hi-lo) {
		for page := uint64(lo); page <= uint64(hi); page++ {
			if versions := d.frozen[uint32(page)]; len(versions) > 0 && versions[0].epoch <= epoch {
				pages = append(pages, uint32(page))
			}
		}
		return pages
	}
	for page, versions := range d.frozen {
		if page >= lo && page <= hi && versions[0].epoch <= epoch {
			pages = append(pages, page)
		}
	}
	return pages
}

// durablePages adds the pages of one lineage that have a version at or before an epoch.
func durablePages(it *pebble.Iterator, pages []uint32, lineage, epoch uint64, lo, hi uint32) ([]uint32, error) {
	for page := uint64(lo); page <= uint64(hi); {
		id, ok, err := seekVersion(it, lineage, uint32(page), epoch)
		if err != nil || !ok || id.lineage != lineage || id.page > hi {
			return pages, err
		}
		if uint64(id.page) > page && id.epoch > epoch { // its newest version; ask again for the one that counts
			page = uint64(id.page)
			continue
		}
		pages = append(pages, id.page)
		page = uint64(id.page) + 1
	}
	return pages, nil
}

// piece is a range of epochs (lo, hi] of one lineage.
type piece struct {
	lineage uint64
	lo, hi  uint64
}

// find returns the version of a page in any of the pieces. At most one exists: what was superseded is gone.
func find(it *pebble.Iterator, pieces []piece, page uint32) (versionID, bool, error) {
	for _, p := range pieces {
		id, ok, err := seekVersion(it, p.lineage, page, p.hi)
		if err != nil {
			return versionID{}, false, err
		}
		if ok && id.lineage == p.lineage && id.page == page && id.epoch > p.lo {
			return id, true, nil
		}
	}
	return versionID{}, false, nil
}

func compareFrozen(a, b *frozen) int {
	return cmp.Or(cmp.Compare(a.page, b.page), cmp.Compare(a.epoch, b.epoch))
}

func segmentCount(v []byte) int64 { return int64(binary.LittleEndian.Uint32(v)) }
