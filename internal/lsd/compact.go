package lsd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"tintype/internal/block"
)

// Compact moves the live blocks of one segment, of those with at least minDead of their slots dead, into a new one, sorted
// by volume address, and returns how many blocks that were. Zero says that there is no such segment. Reads and writes go
// on; checkpoints wait.
func (s *Store) Compact(minDead float64) (int, error) {
	s.commits.Lock()
	defer s.commits.Unlock()
	victim := s.victim(minDead)
	if victim == nil {
		return 0, nil
	}
	c := &compaction{store: s, from: victim, slots: map[uint16]*moved{}}
	if err := c.run(); err != nil {
		if errors.Is(err, block.ErrDamaged) || errors.Is(err, errManySpans) {
			s.segments.skip(victim)
		}
		return 0, fmt.Errorf("compact segment %d: %w", victim.number, err)
	}
	s.movedBlocks.Add(int64(len(c.blocks)))
	return len(c.blocks), s.removeDead()
}

// victim is the segment with the smallest live part, among those that no replay needs.
func (s *Store) victim(minDead float64) *segment {
	s.mu.Lock()
	known := map[uint64]bool{}
	for id := range s.lineages {
		known[id] = true
	}
	s.mu.Unlock()
	replay := s.replayStarts()
	t := s.segments
	t.mu.Lock()
	defer t.mu.Unlock()
	var best *segment
	least := 1 - minDead
	for _, seg := range t.segs {
		if replay.needs(seg) || seg.live == 0 || seg.used < 2 || seg.stuck || seg.file == nil || !known[seg.lineage] {
			continue
		}
		if live := float64(seg.live) / float64(seg.used); live < least || live == least && best == nil {
			best, least = seg, live
		}
	}
	return best
}

// replayStarts says for each disk, by its lineage, in which segment replay would begin.
type replayStarts map[uint64]uint32

// needs tells that replay may read a segment: its blocks are not all counted yet.
func (r replayStarts) needs(seg *segment) bool {
	from, ok := r[seg.lineage]
	return seg.kind == kindLog && ok && seg.number >= from
}

// replayStarts lists where replay would begin. The caller holds s.commits.
func (s *Store) replayStarts() replayStarts {
	first := replayStarts{}
	for _, d := range s.disks() {
		first[d.lin.id] = d.checkpointed.Pos.seg()
	}
	return first
}

var errManySpans = errors.New("too many spans of history in one segment")

// skip leaves a segment that cannot be moved out of compaction, until the next start, so that the others get their turn.
func (t *segmentTable) skip(seg *segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seg.stuck = true
}

// moved is a live block of the victim and where it goes.
type moved struct {
	lba  uint64
	e    entry
	born position
	to   entry
}

// compaction is the move of one segment's live blocks.
type compaction struct {
	store    *Store
	from     *segment
	lineages []*lineage // whose versions may refer to the segment
	pages    []uint32
	versions []versionID // that do
	slots    map[uint16]*moved
	blocks   []*moved
}

// run is the move. Order: the new segment and its name are synced before the commit that refers to it; the maps in memory
// follow the commit; only then may the old segment go. A crash before the commit leaves a new segment without live
// blocks, which the next start removes.
func (c *compaction) run() error {
	if err := c.findPages(); err != nil {
		return err
	}
	c.findLineages()
	if err := c.findBlocks(); err != nil {
		return err
	}
	to, err := c.write()
	if err != nil {
		return err
	}
	if err := c.commit(to); err != nil {
		return errors.Join(err, c.store.segments.unpin(to))
	}
	c.store.moves.Add(1)
	c.follow()
	return c.store.segments.unpin(to)
}

// findPages reads from the segment's chunk headers which pages its blocks belonged to.
func (c *compaction) findPages() error {
	for slot := uint32(1); slot < c.from.used; {
		h, err := c.store.readChunk(c.from, slot)
		if errors.Is(err, errNoChunk) {
			break
		}
		if err != nil {
			return err
		}
		for _, x := range h.extents {
			if x.kind != extentData {
				continue
			}
			for p := x.lba / leafBlocks; p <= (x.lba+uint64(x.count)-1)/leafBlocks; p++ {
				c.pages = append(c.pages, uint32(p))
			}
		}
		slot += h.slots()
	}
	slices.Sort(c.pages)
	c.pages = slices.Compact(c.pages)
	return nil
}

// findLineages lists the segment's lineage and all that descend from it.
func (c *compaction) findLineages() {
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	c.lineages = []*lineage{s.lineages[c.from.lineage]}
	for i := 0; i < len(c.lineages); i++ {
		c.lineages = append(c.lineages, c.lineages[i].children...)
	}
}

// findBlocks finds the versions that refer to the segment, and the blocks that they hold there.
func (c *compaction) findBlocks() error {
	err := c.eachVersion(func(id versionID, v content) error {
		refers := false
		for i, e := range v.each() {
			if e.seg != c.from.number {
				continue
			}
			refers = true
			if c.slots[e.slot] == nil {
				m := &moved{lba: uint64(id.page)*leafBlocks + uint64(i), e: e, born: c.store.segments.born(e)}
				c.slots[e.slot] = m
				c.blocks = append(c.blocks, m)
			}
		}
		if refers {
			c.versions = append(c.versions, id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if int64(len(c.blocks)) != c.from.live {
		return fmt.Errorf("%d live blocks found, its count says %d: %w", len(c.blocks), c.from.live, block.ErrDamaged)
	}
	return c.group()
}

func (c *compaction) eachVersion(f func(versionID, content) error) error {
	it, err := c.store.iterate(keyVersion)
	if err != nil {
		return err
	}
	for _, page := range c.pages {
		for _, l := range c.lineages {
			for ok := it.SeekGE(versionKey(l.id, page, ^uint64(0))); ok && err == nil; ok = it.Next() {
				id, isVersion := parseVersionKey(it.Key())
				if !isVersion || id.lineage != l.id || id.page != page {
					break
				}
				var v content
				if v, err = versionAt(it); err == nil {
					err = f(id, v)
				}
			}
		}
		if err = errors.Join(err, it.Error()); err != nil {
			break
		}
	}
	return errors.Join(err, it.Close())
}

// group sorts the blocks by the span of history in which they were born, and within one by address. Spans end where an
// epoch that is still needed ends: blocks within one span will always be inherited, or freed, by the same nodes.
func (c *compaction) group() error {
	s := c.store
	s.mu.Lock()
	var cuts []position
	for _, n := range s.lineages[c.from.lineage].nodes {
		cuts = append(cuts, n.cut)
	}
	s.mu.Unlock()
	slices.Sort(cuts)
	for _, m := range c.blocks {
		i, found := slices.BinarySearch(cuts, m.born)
		if !found && i == 0 {
			m.born = c.first()
		} else if !found {
			m.born = cuts[i-1]
		}
	}
	slices.SortFunc(c.blocks, func(a, b *moved) int {
		return cmp.Or(cmp.Compare(a.born, b.born), cmp.Compare(a.lba, b.lba), cmp.Compare(a.e.pos(), b.e.pos()))
	})
	if n := len(c.births(0)); n > maxBirths {
		return fmt.Errorf("%w: %d, and %d fit", errManySpans, n, maxBirths)
	}
	return nil
}

// first is the position at which the lineage's own history begins.
func (c *compaction) first() position {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	return c.store.lineages[c.from.lineage].base
}

// births lists the groups by their first slot, the first block being at slot.
func (c *compaction) births(slot uint32) []birth {
	var all []birth
	for i, m := range c.blocks {
		if len(all) == 0 || all[len(all)-1].pos != m.born {
			all = append(all, birth{slot: slot + uint32(i) + uint32(i/maxChunkBlocks), pos: m.born})
		}
	}
	return all
}

// write makes the new segment: chunks like those of a log, outside every chain. It is synced, with its name.
func (c *compaction) write() (*segment, error) {
	t := c.store.segments
	to, err := t.create(segmentHeader{
		kind: kindMoved, incarnation: c.store.incarnation, lineage: c.from.lineage, births: c.births(2),
	})
	if err != nil {
		return nil, err
	}
	slots := uint32(1)
	for part := range slices.Chunk(c.blocks, maxChunkBlocks) {
		if err := t.ensure(to, int64(slots+1+uint32(len(part)))*block.BlockSize); err != nil {
			return nil, errors.Join(err, t.unpin(to))
		}
		n, err := c.writeChunk(to, slots, part)
		if err != nil {
			return nil, errors.Join(err, t.unpin(to))
		}
		slots += n
	}
	t.leave(to, slots)
	err = errors.Join(t.file(to).Truncate(int64(slots)*block.BlockSize), t.file(to).Sync(), t.shelf.syncNames())
	if err != nil {
		return nil, errors.Join(err, t.unpin(to))
	}
	to.fresh = false
	return to, nil
}

// writeChunk copies up to a chunk of blocks, each checked on the way.
func (c *compaction) writeChunk(to *segment, slot uint32, part []*moved) (uint32, error) {
	s := c.store
	buf := s.buffers.get()
	defer s.buffers.put(buf)
	h := chunkHeader{incarnation: s.incarnation, lineage: c.from.lineage, place: at(to.number, slot)}
	for i, m := range part {
		w := []want{{lba: m.lba, e: m.e, n: block.BlockSize}}
		if err := s.fetchRun(buf[(1+i)*block.BlockSize:(2+i)*block.BlockSize], w, c.from); err != nil {
			return 0, err
		}
		m.to = entry{seg: to.number, slot: uint16(slot) + 1 + uint16(i), crc: m.e.crc}
		h.crcs = append(h.crcs, m.e.crc)
		h.extents = appendBlock(h.extents, m.lba)
	}
	h.encode(buf)
	_, err := s.segments.file(to).WriteAt(buf[:h.slots()*block.BlockSize], int64(slot)*block.BlockSize)
	return h.slots(), spaceError(err)
}

// appendBlock adds a data block to a list of extents.
func appendBlock(list []extent, lba uint64) []extent {
	if n := len(list); n > 0 && list[n-1].lba+uint64(list[n-1].count) == lba {
		list[n-1].count++
		return list
	}
	return append(list, extent{lba: lba, count: 1, kind: extentData})
}

// commit points the versions at the new segment and moves the counts.
func (c *compaction) commit(to *segment) error {
	b := c.store.db.NewBatch()
	it, err := c.store.iterate(keyVersion)
	if err != nil {
		return err
	}
	for _, id := range c.versions {
		if _, _, err = seekVersion(it, id.lineage, id.page, id.epoch); err != nil {
			break
		}
		v, e := versionAt(it)
		c.patch(&v)
		if err = errors.Join(e, b.Set(id.key(), appendVersion(nil, &v), nil)); err != nil {
			break
		}
	}
	counts := ledger{c.from.number: -int64(len(c.blocks)), to.number: int64(len(c.blocks))}
	if err = errors.Join(err, it.Close(), c.store.putCounts(b, counts)); err != nil {
		return errors.Join(err, b.Close())
	}
	if err := c.store.commit(b); err != nil {
		return err
	}
	c.store.segments.count(counts)
	return nil
}

// patch replaces the entries of moved blocks, in place. A block that no version refers to is met only in the head of a
// deleted disk, whose last changes need not become versions: nobody reads it again.
func (c *compaction) patch(v *content) {
	for i, e := range v.ents {
		if m := c.slots[e.slot]; m != nil && e.seg == c.from.number {
			v.ents[i] = m.to
		}
	}
}

func (c *compaction) refers(v *content) bool {
	return slices.ContainsFunc(v.ents, func(e entry) bool { return e.seg == c.from.number })
}

// follow patches the maps in memory, of parents before their clones: a clone made meanwhile, which may have read an old
// address from its parent, is met when its parent is done.
func (c *compaction) follow() {
	for todo := c.lineages[:1]; len(todo) > 0; {
		l := todo[0]
		if d := l.disk.Load(); d != nil {
			c.patchMemory(d)
		}
		c.store.mu.Lock()
		todo = slices.Concat(todo[1:], l.children)
		c.store.mu.Unlock()
	}
}

// patchMemory does to the maps in memory what commit did to those in Pebble, a few pages at a time. Frozen versions
// get new entries: others may be reading the old. Each step counts as a move, so that a map which was being read while it
// was old is read again.
func (c *compaction) patchMemory(d *disk) {
	for pages := range slices.Chunk(c.pages, 256) {
		d.mu.Lock()
		for _, page := range pages {
			if int(page/dirLeaves) >= len(d.leaves.dirs) {
				continue
			}
			if l := d.leaves.get(page); l != nil && c.refers(&l.content) {
				l.own()
				c.patch(&l.content)
			}
			for _, f := range d.frozen[page] {
				if c.refers(&f.content) {
					moved := f.clone()
					c.patch(&moved)
					f.content = moved
				}
			}
		}
		c.store.moves.Add(1)
		d.mu.Unlock()
	}
}
