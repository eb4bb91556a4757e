package lsd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
)

// mover empties segments that are mostly dead, a step at a time, into one that it fills: one after another into the same, as
// long as they are of one lineage. The store's commit mutex guards it.
type mover struct {
	from *segment // being emptied, pinned, or nil
	slot uint32   // of the next chunk in it
	left int      // blocks before it that could not be read, and stay
	to   *segment // being filled, pinned, or nil
	used uint32   // its slots
	buf  []byte
}

// Compact moves the live blocks of one segment, of those with at least minDead of their slots dead, to another one, and
// returns how many blocks that were. Zero says that there is no such segment. Reads and writes go on; checkpoints come
// between its steps. block.ErrDamaged tells of blocks that could not be read: they stay, and so does their segment.
func (s *Store) Compact(minDead float64) (int, error) {
	if err := s.requests.enter(); err != nil {
		return 0, err
	}
	defer s.requests.leave()
	before := s.movedBlocks.Load()
	for {
		state, err := s.compactStep(func() *segment { return s.victim(minDead) })
		if err != nil || state != stepMore {
			return int(s.movedBlocks.Load() - before), err
		}
	}
}

// stepState says how a step of compaction left things.
type stepState int

const (
	stepNone    stepState = iota // there is no segment to empty
	stepMore                     // the present one holds more
	stepEmptied                  // it is empty
)

// compactStep moves the next few blocks of the segment that is being emptied, or of one that choose finds. The commit mutex is
// held for one step, a few dozen milliseconds.
func (s *Store) compactStep(choose func() *segment) (stepState, error) {
	defer s.at(doingCompact)()
	s.commits.Lock()
	defer s.commits.Unlock()
	m := &s.mover
	if err := s.beginVictim(choose); err != nil || m.from == nil {
		return stepNone, err
	}
	s.emptying.Store(m.from.number)
	c := newEmptying(s, m)
	if err := c.run(m); err != nil {
		// What was written to the segment being filled is not written over: a place is used once.
		return stepNone, fmt.Errorf("compact segment %d: %w", c.victim.number, errors.Join(err, s.endVictim(), s.closeOutput()))
	}
	made := c.hi - c.lo - s.segments.inHoles(c.victim, c.lo, c.hi)
	s.segments.counts(c.victim, made)
	s.room.pacer.made.Add(int64(made) - c.taken)
	m.slot, m.left = c.hi, m.left+c.bad
	s.movedBlocks.Add(int64(len(c.blocks)))
	if m.slot < m.from.used && s.segments.liveAfter(m.from.number, 0) > 0 {
		return stepMore, nil
	}
	return stepEmptied, s.victimEmptied()
}

// beginVictim sees to it that there is a segment to empty. The one begun earlier may have died meanwhile.
func (s *Store) beginVictim(choose func() *segment) error {
	m := &s.mover
	if m.from != nil {
		if s.segments.liveAfter(m.from.number, 0) > 0 && s.knows(m.from.lineage) {
			return nil
		}
		if err := s.endVictim(); err != nil {
			return err
		}
	}
	victim := choose()
	if victim == nil {
		return nil
	}
	from, err := s.segments.pin(victim.number)
	m.from, m.slot, m.left = from, 1, 0
	return err
}

// endVictim lets go of the segment that was being emptied.
func (s *Store) endVictim() error {
	from := s.mover.from
	if s.mover.from = nil; from == nil {
		return nil
	}
	return s.segments.unpin(from)
}

// victimEmptied ends with a segment of which all that could be moved was.
func (s *Store) victimEmptied() error {
	m := &s.mover
	from, left := m.from, m.left
	live := s.segments.liveAfter(from.number, 0)
	err := errors.Join(s.endVictim(), s.removeDead())
	if live == 0 {
		return err
	}
	s.segments.skip(from)
	why := fmt.Errorf("%d blocks could not be read", left)
	if live != int64(left) {
		why = fmt.Errorf("%d live blocks found after the last, %d could not be read", live, left)
	}
	return errors.Join(err, fmt.Errorf("compact segment %d: %w: %w", from.number, why, block.ErrDamaged))
}

// stopMoving closes what the mover has open.
func (s *Store) stopMoving() error {
	s.commits.Lock()
	defer s.commits.Unlock()
	s.mover.buf = nil
	return errors.Join(s.endVictim(), s.closeOutput())
}

// closeOutput ends the segment that is being filled, and gives back what was reserved in it. The caller holds s.commits.
func (s *Store) closeOutput() error {
	m := &s.mover
	to := m.to
	if m.to = nil; to == nil {
		return nil
	}
	s.segments.leave(to, m.used)
	err := s.segments.truncate(to, m.used)
	s.segments.file(to).complete()
	return errors.Join(err, s.segments.unpin(to))
}

func (s *Store) knows(lineage uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lineages[lineage] != nil
}

// victim is the segment with the smallest live part, among those that no replay needs. The caller holds s.commits.
func (s *Store) victim(minDead float64) *segment {
	var best *segment
	most := minDead
	s.eachSettled(func(seg *segment) {
		if gain := float64(seg.gain()) / float64(seg.used); gain > most || gain == most && gain > 0 && best == nil {
			best, most = seg, gain
		}
	})
	return best
}

// gain is how many slots moving a segment's blocks would free: what they take elsewhere has headers too, and holes take nothing.
// The caller holds the table's mutex.
func (s *segment) gain() int64 {
	headers := (s.live + maxChunkBlocks - 1) / maxChunkBlocks
	return int64(s.used) - 1 - headers - s.live - s.holes.given()
}

// reclaimableSlots counts the slots that moving all segments that can be moved would free. The caller holds s.commits.
func (s *Store) reclaimableSlots() (n int64) {
	s.eachSettled(func(seg *segment) { n += max(seg.gain(), 0) })
	return n
}

// eachSettled calls f for the segments that can be moved. The caller holds s.commits.
func (s *Store) eachSettled(f func(*segment)) {
	s.mu.Lock()
	known := map[uint64]bool{}
	for id := range s.lineages {
		known[id] = true
	}
	s.mu.Unlock()
	for id := range s.shut() {
		delete(known, id)
	}
	replay := s.replayStarts()
	t := s.segments
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, seg := range t.segs {
		if replay.needs(seg) || seg.live == 0 || seg.used < 2 || seg.stuck || seg.file == nil || !known[seg.lineage] || seg == s.mover.to {
			continue
		}
		f(seg)
	}
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

// skip leaves a segment that cannot be moved out of compaction, until the next start, so that the others get their turn.
func (t *segmentTable) skip(seg *segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seg.stuck = true
}

// moved is a live block and where it goes.
type moved struct {
	lba  uint64
	e    entry
	born position
	data []byte
	to   entry
}

// compaction is one step: the move of live blocks of one lineage, which lie in one segment or in many.
type compaction struct {
	store    *Store
	lineage  uint64
	from     map[uint32]*segment // those that blocks are moved out of, pinned
	holds    func(entry) bool    // says what is to be moved
	most     int                 // ends the search for blocks at a page; 0: at the last
	lineages []*lineage          // whose versions may refer to the blocks
	next     []uint64            // of each lineage: no page of it between the last one visited and this one has a version
	pages    []uint32
	versions []versionID // that do refer to them
	slots    map[position]*moved
	blocks   []*moved
	cuts     []position // between the spans of history
	bad      int        // blocks that cannot be read
	taken    int64      // slots in the segment that is being filled
	written  position   // all blocks were written first before it
}

// emptying moves the live blocks in a range of a segment's slots.
type emptying struct {
	compaction
	victim *segment
	lo, hi uint32
}

func newEmptying(s *Store, m *mover) *emptying {
	e := &emptying{victim: m.from, lo: m.slot, compaction: compaction{
		store: s, lineage: m.from.lineage, from: map[uint32]*segment{m.from.number: m.from}, slots: map[position]*moved{},
	}}
	e.holds = e.inRange
	return e
}

func (c *emptying) run(m *mover) error {
	if err := c.findPages(); err != nil {
		return err
	}
	c.findLineages()
	if err := c.findBlocks(); err != nil {
		return err
	}
	return c.move(m)
}

// move is the step. Order: the blocks, and the name of a new segment, are synced before the commit that refers to them; the
// maps in memory follow the commit; only then may the old segments go. A crash before the commit leaves blocks behind the used
// part of a segment, which the next start cuts off.
func (c *compaction) move(m *mover) error {
	if err := c.read(m); err != nil || len(c.blocks) == 0 {
		return err
	}
	c.group()
	if err := c.output(m); err != nil {
		return err
	}
	end, err := c.write(m.to, m.used)
	if err != nil {
		return err
	}
	from := m.used
	c.taken = int64(end - from)
	m.used = end // also when the commit fails: it may be durable all the same
	c.store.moving.Store(true)
	defer c.store.moving.Store(false)
	if err := c.commit(m.to, from, end); err != nil {
		return err
	}
	c.store.moves.Add(1)
	c.follow()
	return nil
}

// findPages reads from the segment's chunk headers which pages its blocks belonged to, until enough blocks have been met.
func (c *emptying) findPages() error {
	met := 0
	for c.hi = c.lo; c.hi < c.victim.used && met < c.store.opt.StepBlocks; {
		if c.hi = c.store.segments.over(c.victim, c.hi); c.hi >= c.victim.used {
			break
		}
		h, err := c.store.readChunk(c.victim, c.hi, func(*chunkHeader) bool { return true })
		if errors.Is(err, errNoChunk) {
			c.hi = c.victim.used
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
		c.hi += h.slots()
		if c.victim.kind == kindMoved {
			c.written = max(c.written, position(h.durable))
		} else {
			c.written = at(c.victim.number, c.hi)
		}
		met += len(h.crcs)
	}
	slices.Sort(c.pages)
	c.pages = slices.Compact(c.pages)
	return nil
}

// findLineages lists the lineage and all that descend from it.
func (c *compaction) findLineages() {
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	c.lineages = []*lineage{s.lineages[c.lineage]}
	for i := 0; i < len(c.lineages); i++ {
		c.lineages = append(c.lineages, c.lineages[i].children...)
	}
}

// inRange tells whether a block lies in the range that is being moved.
func (c *emptying) inRange(e entry) bool {
	return e.seg == c.victim.number && uint32(e.slot) >= c.lo && uint32(e.slot) < c.hi
}

// findBlocks finds the blocks that are to be moved, and the versions that refer to them.
func (c *compaction) findBlocks() error {
	return c.eachVersion(func(id versionID, v content) error {
		refers := false
		for i, e := range v.each() {
			if !c.holds(e) {
				continue
			}
			refers = true
			if c.slots[e.pos()] == nil {
				m := &moved{lba: uint64(id.page)*leafBlocks + uint64(i), e: e, born: c.store.segments.born(e)}
				c.slots[e.pos()] = m
				c.blocks = append(c.blocks, m)
			}
		}
		if refers {
			c.versions = append(c.versions, id)
		}
		return nil
	})
}

// eachVersion yields the versions of the pages with the entries that they store: what a difference leaves to the
// page that it is based on is met there.
func (c *compaction) eachVersion(f func(versionID, content) error) error {
	it, err := c.store.iterate(keyVersion)
	if err != nil {
		return err
	}
	c.next = make([]uint64, len(c.lineages))
	for n, page := range c.pages {
		for i, l := range c.lineages {
			if err == nil && c.next[i] <= uint64(page) {
				c.next[i], err = versionsOfPage(it, l.id, page, f)
			}
		}
		if err != nil {
			break
		}
		if c.most > 0 && len(c.blocks) >= c.most {
			c.pages = c.pages[:n+1]
			break
		}
	}
	return errors.Join(err, it.Close())
}

// noPage is behind the last page of every volume.
const noPage = 1 << 32

// versionsOfPage yields a lineage's versions of a page, and returns the next page that has any.
func versionsOfPage(it *pebble.Iterator, lineage uint64, page uint32, f func(versionID, content) error) (next uint64, err error) {
	for ok := it.SeekGE(versionKey(lineage, page, ^uint64(0))); ok; ok = it.Next() {
		id, isVersion := parseVersionKey(it.Key())
		if !isVersion || id.lineage != lineage {
			break
		}
		if id.page != page {
			return uint64(id.page), nil
		}
		v, err := storedAt(it)
		if err == nil {
			err = f(id, v.content)
		}
		if err != nil {
			return 0, err
		}
	}
	return noPage, metaError(it.Error())
}

// read brings the blocks into memory, neighbours in one read, each checked on the way. Those that are damaged stay where they
// are.
func (c *compaction) read(m *mover) error {
	slices.SortFunc(c.blocks, func(a, b *moved) int { return cmp.Compare(a.e.pos(), b.e.pos()) })
	if need := len(c.blocks) * block.BlockSize; len(m.buf) < need {
		m.buf = make([]byte, need)
	}
	wants, pins := make([]want, len(c.blocks)), make([]*segment, len(c.blocks))
	for i, b := range c.blocks {
		wants[i] = want{lba: b.lba, e: b.e, dst: i * block.BlockSize, n: block.BlockSize}
		b.data = m.buf[wants[i].dst:][:block.BlockSize]
		pins[i] = c.from[b.e.seg]
	}
	if len(wants) > 0 && neighbours(wants) < len(wants) {
		c.store.advise(wants, pins, nil)
	}
	good := c.blocks[:0]
	for i := 0; i < len(wants); {
		n := neighbours(wants[i:])
		if c.fetch(m.buf, wants[i:i+n]) == nil {
			good = append(good, c.blocks[i:i+n]...)
			i += n
			continue
		}
		for end := i + n; i < end; i++ {
			err := c.fetch(m.buf, wants[i:i+1])
			switch {
			case err == nil:
				good = append(good, c.blocks[i])
			case errors.Is(err, block.ErrDamaged):
				delete(c.slots, wants[i].e.pos())
				c.bad++
			default:
				return err
			}
		}
	}
	c.blocks = good
	return nil
}

func (c *compaction) fetch(buf []byte, wants []want) error {
	return c.store.fetchRun(buf[wants[0].dst:][:len(wants)*block.BlockSize], wants, c.from[wants[0].e.seg])
}

// group sorts the blocks by the span of history in which they were born, and within one by address. Spans end where an
// epoch that is still needed ends: blocks within one span will always be inherited, or freed, by the same nodes.
func (c *compaction) group() {
	s := c.store
	s.mu.Lock()
	l := s.lineages[c.lineage]
	first := l.base
	cuts := c.cuts[:0]
	for _, n := range l.nodes {
		cuts = append(cuts, n.cut)
	}
	s.mu.Unlock()
	slices.Sort(cuts)
	c.cuts = cuts
	for _, m := range c.blocks {
		i, found := slices.BinarySearch(cuts, m.born)
		if !found && i == 0 {
			m.born = first
		} else if !found {
			m.born = cuts[i-1]
		}
	}
	slices.SortFunc(c.blocks, func(a, b *moved) int {
		return cmp.Or(cmp.Compare(a.born, b.born), cmp.Compare(a.lba, b.lba), cmp.Compare(a.e.pos(), b.e.pos()))
	})
}

// output sees to it that there is a segment of the same lineage with room for the blocks.
func (c *compaction) output(m *mover) error {
	t := c.store.segments
	need := uint32(len(c.blocks) + (len(c.blocks)+maxChunkBlocks-1)/maxChunkBlocks)
	zonal := c.store.isZonal(c.lineage, c.blocks[0].born)
	other := m.to != nil && (m.to.lineage != c.lineage || zonal && !t.file(m.to).isZonal())
	if m.to != nil && (other || m.used > 1 && m.used+need > c.store.opt.SegmentSlots) {
		if err := c.store.closeOutput(); err != nil {
			return err
		}
	}
	if m.to == nil {
		to, err := c.store.newSegment(segmentHeader{
			kind: kindMoved, incarnation: c.store.incarnation, lineage: c.lineage, origin: c.store.origin(c.lineages[0]),
		}, zonal)
		if err != nil {
			return err
		}
		m.to, m.used = to, 1
	}
	return t.ensure(m.to, int64(m.used+need)*block.BlockSize, forMoved)
}

// write puts the blocks into the new segment: chunks like those of a log, outside every chain. They are synced, with the
// segment's name.
func (c *compaction) write(to *segment, slot uint32) (end uint32, err error) {
	s := c.store
	buf := s.buffers.get()
	defer s.buffers.put(buf)
	for part := range slices.Chunk(c.blocks, maxChunkBlocks) {
		h := chunkHeader{scheme: to.scheme, incarnation: s.incarnation, lineage: to.lineage, place: at(to.number, slot)}
		h.durable = uint64(min(c.written, c.endOfSpan(part[len(part)-1].born)))
		for i, m := range part {
			m.to = entry{seg: to.number, slot: uint16(slot) + 1 + uint16(i)}
			if m.to.crc, err = s.moveSum(m.e, c.from[m.e.seg], to, m.to.slot); err != nil {
				return 0, err
			}
			copy(buf[(1+i)*block.BlockSize:], m.data)
			h.crcs = append(h.crcs, m.to.crc)
			h.extents = appendBlock(h.extents, m.lba)
		}
		h.encode(buf)
		if err := s.writeSealed(to, slot, buf[:h.slots()*block.BlockSize]); err != nil {
			return 0, spaceError(err)
		}
		slot += h.slots()
	}
	if err := s.syncSegments(map[*segment]struct{}{to: {}}, to.fresh); err != nil {
		return 0, err
	}
	to.fresh = false
	return slot, nil
}

// endOfSpan is the position before which all blocks were written that count as born at one.
func (c *compaction) endOfSpan(born position) position {
	i, found := slices.BinarySearch(c.cuts, born)
	if found {
		i++
	}
	if i < len(c.cuts) {
		return c.cuts[i]
	}
	return never
}

// appendBlock adds a data block to a list of extents.
func appendBlock(list []extent, lba uint64) []extent {
	if n := len(list); n > 0 && list[n-1].lba+uint64(list[n-1].count) == lba {
		list[n-1].count++
		return list
	}
	return append(list, extent{lba: lba, count: 1, kind: extentData})
}

// births lists the groups by their first slot.
func (c *compaction) births() []birth {
	var all []birth
	for _, m := range c.blocks {
		if len(all) == 0 || all[len(all)-1].pos != m.born {
			all = append(all, birth{slot: uint32(m.to.slot), pos: m.born})
		}
	}
	return all
}

// commit points the versions at the blocks' new places, with their births, and moves the counts.
func (c *compaction) commit(to *segment, slot, end uint32) error {
	b := c.store.db.NewBatch()
	it, err := c.store.iterate(keyVersion)
	if err != nil {
		return err
	}
	for _, id := range c.versions {
		if _, _, err = seekVersion(it, id.lineage, id.page, id.epoch); err != nil {
			break
		}
		v, e := storedAt(it)
		if c.patch(&v.content) {
			e = errors.Join(e, b.Set(id.key(), appendVersion(nil, &v), nil))
		}
		if err = e; err != nil {
			break
		}
	}
	born := c.births()
	counts := ledger{to.number: int64(len(c.blocks))}
	for _, m := range c.blocks {
		counts[m.e.seg]--
	}
	err = errors.Join(err, it.Close(), c.store.putCounts(b, counts),
		b.Set(birthsKey(to.number, slot), appendBirths(nil, end, born), nil))
	if err != nil {
		return errors.Join(err, b.Close())
	}
	// Before the commit: as soon as a reader meets a block's new place it may ask for its birth.
	c.store.segments.addBirths(to, end, born)
	if err := c.store.commit(b); err != nil {
		return err
	}
	c.store.segments.count(counts)
	return nil
}

// patch replaces the entries of moved blocks, in place. A block that no version refers to is met only in the head of a
// deleted disk, whose last changes need not become versions: nobody reads it again.
func (c *compaction) patch(v *content) (some bool) {
	for i, e := range v.ents {
		if m := c.slots[e.pos()]; m != nil {
			v.ents[i] = m.to
			some = true
		}
	}
	return some
}

func (c *compaction) refers(v *content) bool {
	return slices.ContainsFunc(v.ents, func(e entry) bool { return c.slots[e.pos()] != nil })
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
