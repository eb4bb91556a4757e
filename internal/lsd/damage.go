package lsd

import (
	"cmp"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
)

// Damage is a range of blocks that cannot be read as they were written, in every volume that would read them.
type Damage struct {
	Volumes []block.ID `json:"volumes"`    // disks and snapshots
	Block   uint64     `json:"firstBlock"` // offset in the volume, in blocks of 4 KiB
	Blocks  uint64     `json:"blocks"`
	Segment uint32     `json:"segment,omitempty"` // where the first block lies
	Slot    uint32     `json:"slot,omitempty"`
	Cause   string     `json:"cause"`
}

// Causes of damage in metadata.
const (
	causeVersions = "page versions cannot be read"
	causeLost     = "a page version is lost"
	causeLog      = "a part of the log is lost"
)

// badPages are pages of a lineage, first to last, of which versions cannot be read.
type badPages struct {
	lineage     uint64
	first, last uint32
}

// nextReadable finds, behind a version at which reading failed, the next page whose versions can be read, and says what lies
// between. done tells that there is none.
//
// What Pebble cannot read is a block or a table of its own: a range of keys. Its end is sought by doubling steps and then
// halving, so that a table that is missing costs a few dozen seeks.
func nextReadable(it *pebble.Iterator, after versionID) (bad badPages, next versionID, done bool) {
	readable := func(page uint64) bool {
		if page > 1<<32-1 {
			return it.SeekGE(versionKey(after.lineage+1, 0, ^uint64(0))) || it.Error() == nil
		}
		return it.SeekGE(versionKey(after.lineage, uint32(page), ^uint64(0))) || it.Error() == nil
	}
	lo, step := uint64(after.page), uint64(1) // lo is not readable
	for hi := lo + step; ; hi = lo + step {
		if readable(hi) {
			for hi-lo > 1 {
				if mid := lo + (hi-lo)/2; readable(mid) {
					hi = mid
				} else {
					lo = mid
				}
			}
			bad = badPages{after.lineage, after.page, uint32(min(hi-1, 1<<32-1))}
			if hi > 1<<32-1 {
				return bad, versionID{lineage: after.lineage + 1, epoch: ^uint64(0)}, false
			}
			return bad, versionID{lineage: after.lineage, page: uint32(hi), epoch: ^uint64(0)}, false
		}
		if lo = hi; hi > 1<<32-1 {
			return badPages{after.lineage, after.page, 1<<32 - 1}, versionID{}, true
		}
		step *= 2
	}
}

// unreadableUpTo is the last of the pages from first on, and not behind last, whose versions in a lineage cannot be read; first
// itself where the lineage's own are well.
func (s *Store) unreadableUpTo(lineage uint64, first, last uint32) uint64 {
	it, err := s.iterate(keyVersion)
	if err != nil {
		return uint64(first)
	}
	upTo := first
	if _, _, err := seekVersion(it, lineage, first, headEpoch); errors.Is(err, block.ErrDamaged) {
		bad, _, _ := nextReadable(it, versionID{lineage: lineage, page: first})
		upTo = min(bad.last, last)
	}
	s.troubles.set("salvage", closeIterator(it))
	return uint64(upTo)
}

func (s *Store) hasLineage(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lineages[id] != nil
}

// isRelated tells whether a lineage has blocks in common with others.
func (s *Store) isRelated(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lineages[id]
	return l != nil && (l.parent != nil || len(l.children) > 0)
}

// lineageAfter is the next lineage in the order of numbers.
func (s *Store) lineageAfter(id uint64) (next uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other := range s.lineages {
		if other > id && (!ok || other < next) {
			next, ok = other, true
		}
	}
	return next, ok
}

// seesPages lists the volumes that may read a version of a lineage, with the number of pages that each has.
func (s *Store) seesPages(lineage uint64) map[block.ID]uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	sees := map[block.ID]uint32{}
	for id, v := range s.volumes {
		if v.pending {
			continue
		}
		size := v.lin.size
		if v.node != nil {
			size = v.node.size
		}
		for l := v.lin; l != nil; l = l.parent {
			if l.id == lineage {
				sees[id] = pagesOf(size)
			}
		}
	}
	return sees
}

// damageOfPages names those who see pages whose versions cannot be read. Which versions those were is not known, so all that
// may see any are named.
func (s *Store) damageOfPages(bad badPages, cause string) Damage {
	d := Damage{Block: uint64(bad.first) * leafBlocks, Cause: cause}
	last := uint32(0)
	for id, pages := range s.seesPages(bad.lineage) {
		if bad.first < pages {
			d.Volumes = append(d.Volumes, id)
			last = max(last, min(bad.last, pages-1))
		}
	}
	sortIDs(d.Volumes)
	if len(d.Volumes) > 0 {
		d.Blocks = uint64(last-bad.first+1) * leafBlocks
	}
	return d
}

func sortIDs(ids []block.ID) {
	slices.SortFunc(ids, func(a, b block.ID) int { return slices.Compare(a[:], b[:]) })
}

// mostLookups bounds the work of naming volumes in one report; damage beyond it is told without names.
const mostLookups = 100_000

// damageOfBlocks names the volumes that read each of some blocks, and joins neighbours that the same volumes see. Blocks that
// nobody reads any more are left out.
func (s *Store) damageOfBlocks(bad []badBlock) []Damage {
	slices.SortFunc(bad, func(a, b badBlock) int {
		return cmp.Or(cmp.Compare(a.lba/leafBlocks, b.lba/leafBlocks), cmp.Compare(a.pos, b.pos))
	})
	var all []Damage
	budget := mostLookups
	for len(bad) > 0 {
		n := 1
		for n < len(bad) && bad[n].lba/leafBlocks == bad[0].lba/leafBlocks {
			n++
		}
		all = append(all, s.damageOfPage(bad[:n], &budget)...)
		bad = bad[n:]
	}
	slices.SortFunc(all, func(a, b Damage) int {
		return cmp.Or(slices.CompareFunc(a.Volumes, b.Volumes, func(a, b block.ID) int { return slices.Compare(a[:], b[:]) }),
			cmp.Compare(a.Block, b.Block))
	})
	return joinDamages(all)
}

func joinDamages(all []Damage) []Damage {
	var joined []Damage
	for _, d := range all {
		if n := len(joined); n > 0 {
			last := &joined[n-1]
			if last.Block+last.Blocks == d.Block && last.Cause == d.Cause && slices.Equal(last.Volumes, d.Volumes) {
				last.Blocks += d.Blocks
				continue
			}
		}
		joined = append(joined, d)
	}
	return joined
}

// damageOfPage does it for blocks of one page.
func (s *Store) damageOfPage(bad []badBlock, budget *int) []Damage {
	seen := make([]Damage, len(bad))
	for i, b := range bad {
		seen[i] = Damage{Block: b.lba, Blocks: 1, Segment: b.pos.seg(), Slot: b.pos.slot(), Cause: b.cause}
	}
	named := *budget > 0
	for _, v := range s.views(bad) {
		if *budget--; *budget < 0 {
			break
		}
		c, err := s.lookup(v.lin, v.epoch, uint32(bad[0].lba/leafBlocks))
		if err != nil {
			continue // told of as damage of the metadata
		}
		for i, b := range bad {
			if c.has(uint(b.lba%leafBlocks), b.pos) {
				seen[i].Volumes = append(seen[i].Volumes, v.id)
			}
		}
	}
	var all []Damage
	for _, d := range seen {
		if len(d.Volumes) > 0 || !named {
			all = append(all, d)
		}
	}
	return all
}

// viewOf is a volume as lookups want it.
type viewOf struct {
	id    block.ID
	lin   *lineage
	epoch uint64
}

// views lists the volumes that may refer to blocks: those of the lineages whose logs they lie in and of what descends from them.
func (s *Store) views(bad []badBlock) []viewOf {
	owners := map[uint64]bool{}
	for _, b := range bad {
		lineage, ok := s.segments.lineageOf(b.pos.seg())
		if !ok {
			owners = nil // a segment that is gone says nothing of itself
			break
		}
		owners[lineage] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []viewOf
	for id, v := range s.volumes {
		if v.pending {
			continue
		}
		related := owners == nil
		for l := v.lin; l != nil && !related; l = l.parent {
			related = owners[l.id]
		}
		if !related {
			continue
		}
		view := viewOf{id: id, lin: v.lin, epoch: headEpoch}
		if v.node != nil {
			view.epoch = v.node.epoch
		}
		all = append(all, view)
	}
	slices.SortFunc(all, func(a, b viewOf) int { return slices.Compare(a.id[:], b.id[:]) })
	return all
}

// lineageOf is whose log a segment belongs to, if its header is known.
func (t *segmentTable) lineageOf(n uint32) (uint64, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seg := t.segs[n]
	if seg == nil || seg.lineage == 0 {
		return 0, false
	}
	return seg.lineage, true
}

// lostLogs names the volumes that need a part of a log that is lost. Their whole size is told: what they were is not known.
func (s *Store) lostLogs() []Damage {
	s.mu.Lock()
	all := make([]*volume, 0, len(s.volumes))
	for _, v := range s.volumes {
		if !v.pending {
			all = append(all, v)
		}
	}
	s.mu.Unlock()
	var found []Damage
	for _, v := range all {
		if err := s.damage(v); errors.Is(err, block.ErrDamaged) {
			size := v.info().Size
			found = append(found, Damage{
				Volumes: []block.ID{v.id}, Blocks: uint64(size+block.BlockSize-1) / block.BlockSize, Cause: causeLog,
			})
		}
	}
	slices.SortFunc(found, func(a, b Damage) int { return slices.Compare(a.Volumes[0][:], b.Volumes[0][:]) })
	return found
}
