package lsd

import (
	"cmp"
	"encoding/binary"
	"errors"
	"maps"
	"runtime"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
)

// Checkpoint makes page versions of every change in memory, so that the logs before this moment need not be replayed.
func (s *Store) Checkpoint() error {
	var err error
	for _, d := range s.disks() {
		err = errors.Join(err, s.checkpoint(d))
	}
	return err
}

func (s *Store) checkpoint(d *disk) error {
	defer s.at(doingCheckpoint)()
	s.commits.Lock()
	defer s.commits.Unlock()
	return s.checkpointLocked(d)
}

// mark is the place in a disk's log that a checkpoint stands for.
type mark struct {
	record  checkpointRecord
	gen     uint64
	changed []uint32
	left    *segment // the log was ended in it
}

// checkpointLocked is one disk's checkpoint. The order is what keeps it safe: the log is synced before the versions that
// point into it are, and segments are given up only after both. The caller holds s.commits.
func (s *Store) checkpointLocked(d *disk) error {
	if d.damaged != nil {
		return nil
	}
	m, needed, err := d.mark()
	if err != nil || !needed {
		return err
	}
	d.collect(m)
	if err := d.sync(m.record.NextSeq - 1); err != nil {
		return err
	}
	versions := d.versionsOf(m.gen)
	err = s.settlePages(versions)
	if err == nil {
		err = s.commitCheckpoint(d, m, versions)
	}
	if err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.fail(err)
		return err
	}
	d.checkpointed = m.record
	d.dropFrozen(versions)
	s.metaBytes.Store(int64(s.db.Metrics().DiskSpaceUsage()))
	err = s.trimSegment(m.left)
	s.segments.completeBefore(d.lin.id, m.record.Pos)
	return errors.Join(err, s.removeDead())
}

// mark ends a checkpoint generation. The log's tail is sealed so that its end is a whole chunk.
func (d *disk) mark() (mark, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil && !errors.Is(d.failed, block.ErrLocked) { // of one that is locked all is in its files
		return mark{}, false, d.failed
	}
	if d.rotate {
		d.awaitAhead()
	}
	d.seal()
	d.startWriter()
	m := mark{gen: d.gen, changed: d.changed, record: checkpointRecord{
		V: recordVersion, NextSeq: d.log.nextSeq, PrevSum: d.log.prev, Epoch: d.epoch, Used: d.used,
	}}
	was := d.checkpointed
	if len(d.changed) == 0 && d.nfrozen == 0 && !d.rotate && was.NextSeq == m.record.NextSeq && was.Epoch == m.record.Epoch {
		return mark{}, false, nil
	}
	if d.rotate {
		if m.left = d.log.seg; m.left != nil {
			d.store.segments.leave(m.left, d.log.slot)
		}
		d.log.seg, d.rotate = nil, false
		if err := d.dropAhead(); err != nil {
			return mark{}, false, err
		}
	}
	m.record.Pos = d.endOfLog()
	d.gen++
	d.leaving, d.changed = d.changed, nil
	d.log.bytes = 0
	return m, true, nil
}

// collect freezes the leaves that the generation changed, a few at a time: a write that comes between freezes its own.
func (d *disk) collect(m mark) {
	for pages := range slices.Chunk(m.changed, breathLeaves) {
		d.mu.Lock()
		for _, page := range pages {
			if l := d.leaves.get(page); l != nil && l.dirty && l.gen <= m.gen {
				d.freeze(page, l)
				l.dirty = false
			}
		}
		d.mu.Unlock()
		runtime.Gosched() // or this takes the mutex again before those who wait for it
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leaving = nil
	d.store.unsaved.Add(-int64(len(m.changed)))
}

// endOfLog is after every position in the log and before every one to come. The caller holds d.mu, and the tail is
// sealed.
func (d *disk) endOfLog() position {
	if d.log.seg == nil {
		return d.store.segments.horizon()
	}
	return d.log.end()
}

// trimSegment gives back what was reserved behind the last chunk of a segment that a log has left.
func (s *Store) trimSegment(seg *segment) error {
	if seg == nil {
		return nil
	}
	return errors.Join(s.segments.truncate(seg, seg.used), s.segments.unpin(seg))
}

func (d *disk) sync(seq uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncTo(seq)
}

// versionsOf takes the frozen versions of a generation that has ended, by page and epoch.
func (d *disk) versionsOf(gen uint64) []*frozen {
	d.mu.Lock()
	all := d.froze[gen]
	delete(d.froze, gen)
	d.mu.Unlock()
	slices.SortFunc(all, compareFrozen)
	return all
}

// ledger gathers what a batch changes in the live counts of segments.
type ledger map[uint32]int64

func (l ledger) add(e entry, n int64) { l[e.seg] += n }

// commitCheckpoint writes versions, counts and the checkpoint's place in one commit.
func (s *Store) commitCheckpoint(d *disk, m mark, versions []*frozen) error {
	b := s.db.NewBatch()
	w, err := s.newVersionWriter(d, m, b)
	if err != nil {
		return errors.Join(err, b.Close())
	}
	err = w.writeAll(versions)
	err = errors.Join(err, closeIterator(w.it))
	for _, n := range w.unknown {
		err = errors.Join(err, n.put(b))
	}
	err = errors.Join(err, putRecord(b, idKey(keyCheckpoint, d.lin.id), m.record), s.putCounts(b, w.counts),
		s.putTallies(b, d.lin.id, w.tallies))
	if err != nil {
		return errors.Join(err, b.Close())
	}
	if err := s.commit(b); err != nil {
		return err
	}
	s.segments.count(w.counts)
	return nil
}

func (s *Store) putCounts(b *pebble.Batch, counts ledger) error {
	for _, n := range slices.Sorted(maps.Keys(counts)) {
		live := s.segments.liveAfter(n, counts[n])
		if live < 0 {
			return errors.New("live count below zero: the store's counts are wrong")
		}
		if err := b.Set(segmentKey(n), binary.LittleEndian.AppendUint32(nil, uint32(live)), nil); err != nil {
			return err
		}
	}
	return nil
}

// versionWriter turns a disk's frozen versions into records and counts.
type versionWriter struct {
	lin     *lineage
	b       *pebble.Batch
	it      *pebble.Iterator
	table   *segmentTable
	told    *troubles
	breathe func()
	counts  ledger
	tallies map[uint64]*tally // by epoch
	since   position          // blocks at or after it are not counted yet
	nodes   []owner           // by epoch, the head last if the disk is not deleted
	unknown []*node           // nodes whose records are not in Pebble yet
	buf     []byte
}

// owner is a node with what it owns, as of the checkpoint.
type owner struct {
	epoch  uint64
	pieces []piece
	start  position
	starts []position // and those of the nodes above it, oldest first
}

func (s *Store) newVersionWriter(d *disk, m mark, b *pebble.Batch) (*versionWriter, error) {
	it, err := s.iterate(keyVersion)
	if err != nil {
		return nil, err
	}
	w := &versionWriter{lin: d.lin, b: b, it: it, table: s.segments, told: s.troubles, breathe: s.breathe, counts: ledger{}, tallies: map[uint64]*tally{}, since: d.checkpointed.Pos}
	s.mu.Lock()
	defer s.mu.Unlock()
	nodes := slices.Clone(d.lin.nodes)
	if d.lin.head {
		nodes = append(nodes, d.lin.headNode())
	}
	for _, n := range nodes {
		if s.reclaiming.takes(n) {
			continue
		}
		if n.epoch >= d.checkpointed.Epoch { // older ones cannot see a version written now
			pieces, start := s.reclaiming.leaves(n)
			w.nodes = append(w.nodes, owner{n.epoch, pieces, start, n.starts()})
		}
		// An epoch that ended after the mark is not synced yet: its record would claim log that a power cut can take.
		if n.epoch < m.record.Epoch && !n.known {
			w.unknown = append(w.unknown, n)
		}
	}
	return w, nil
}

// writeAll takes versions sorted by page and epoch.
func (w *versionWriter) writeAll(versions []*frozen) error {
	for done := 0; len(versions) > 0; done++ {
		if done%breathPages == breathPages-1 {
			w.breathe()
		}
		n := 1
		for n < len(versions) && versions[n].page == versions[0].page {
			n++
		}
		if err := w.writePage(versions[:n]); err != nil {
			return err
		}
		versions = versions[n:]
	}
	return nil
}

// writePage writes those of a page's versions that a node sees: a version is seen by the first node at or after its
// epoch, unless the next version comes before that node.
func (w *versionWriter) writePage(versions []*frozen) error {
	var prev *frozen
	var g ground
	for i, f := range versions {
		o, ok := w.owner(f.epoch)
		if !ok || i+1 < len(versions) && versions[i+1].epoch <= o.epoch {
			continue
		}
		var err error
		if prev == nil {
			g, err = w.supersede(f, o)
		} else {
			g.was = prev.content
			w.countNew(f, func(i uint, e entry) bool { return !prev.has(i, e.pos()) })
		}
		if err != nil {
			return err
		}
		if w.tallies[f.epoch] == nil {
			w.tallies[f.epoch] = newTally()
		}
		w.tallies[f.epoch].change(w.table, &g.was, &f.content, o.starts)
		if err := w.put(f, &g); err != nil {
			return err
		}
		prev = f
	}
	return nil
}

func (w *versionWriter) owner(epoch uint64) (owner, bool) {
	i, _ := slices.BinarySearchFunc(w.nodes, epoch, func(o owner, e uint64) int { return cmp.Compare(o.epoch, e) })
	if i == len(w.nodes) {
		return owner{}, false
	}
	return w.nodes[i], true
}

func (w *versionWriter) countNew(f *frozen, isNew func(uint, entry) bool) {
	for i, e := range f.each() {
		if isNew(i, e) {
			w.counts.add(e, 1)
		}
	}
}

// supersede replaces the version that the same node has in Pebble, if any: what only that one held is free.
func (w *versionWriter) supersede(f *frozen, o owner) (ground, error) {
	w.countNew(f, func(_ uint, e entry) bool { return w.table.bornSince(e, w.since) })
	g, err := w.ground(f.page, o)
	if errors.Is(err, block.ErrDamaged) {
		w.told.set("checkpoint", err)
		return ground{was: f.content}, nil // what it held stays counted; the new version is whole, and hides it
	}
	if err != nil || g.own == nil {
		return g, err
	}
	w.counts.free(w.table, g.own, &f.content, o.start)
	return g, dropVersion(w.b, g.ownID)
}

// free counts the blocks of old that were born at or after start and that next does not hold.
func (l ledger) free(t *segmentTable, old, next *content, start position) {
	for i, e := range old.each() {
		if (next == nil || !next.has(i, e.pos())) && t.bornSince(e, start) {
			l.add(e, -1)
		}
	}
}

func dropVersion(b *pebble.Batch, id versionID) error {
	return errors.Join(b.Delete(id.key(), nil), b.Delete(id.index(), nil))
}

// put writes a version as the difference to the whole page below it, where that pays.
func (w *versionWriter) put(f *frozen, g *ground) error {
	v := stored{content: f.content, epoch: f.epoch, whole: true}
	if g.base != nil && g.depth < mostDifferences {
		v = difference(g.base, &f.content, f.epoch)
	}
	g.depth++
	if v.whole {
		g.base, g.depth = &v, 0
	}
	id := versionID{lineage: w.lin.id, epoch: f.epoch, page: f.page}
	w.buf = appendVersion(w.buf[:0], &v)
	return errors.Join(w.b.Set(id.key(), w.buf, nil), w.b.Set(id.index(), nil, nil))
}

// removeDead deletes the segments that no version refers to and no replay needs. The caller holds s.commits.
func (s *Store) removeDead() error {
	known := s.segments.horizon() // disks made from here on are not in the list below
	replay := s.replayStarts()
	if to := s.mover.to; to != nil && s.segments.liveAfter(to.number, 0) == 0 {
		if err := s.closeOutput(); err != nil { // its disk may be gone
			return err
		}
	}
	removed, slots, err := s.segments.remove(func(seg *segment) bool {
		if seg.kind == kindMoved {
			return seg != s.mover.to
		}
		return seg.number < known.seg() && !replay.needs(seg)
	})
	s.room.pacer.made.Add(slots)
	for _, n := range removed {
		err = errors.Join(err, s.forgetSegment(n))
	}
	s.reclaimable.Store(s.reclaimableSlots())
	if len(removed) > 0 {
		err = errors.Join(err, s.roomMayBe())
	}
	return err
}

// forgetSegment drops what Pebble keeps of a segment that is gone. Its file is not made again: a power cut may bring the
// records back, without harm.
func (s *Store) forgetSegment(n uint32) error {
	b := s.db.NewBatch()
	return errors.Join(b.Delete(segmentKey(n), nil), dropBirths(b, n), dropHoles(b, n), b.Commit(pebble.NoSync))
}

// putStore adds the store's record to a batch. The caller holds s.record until the batch is committed, so that the numbers
// in Pebble never go back.
func (s *Store) putStore(b *pebble.Batch) error {
	return putRecord(b, []byte{keyStore}, storeRecord{
		V: recordVersion, Incarnation: s.incarnation, NextSegment: s.nextSegment, NextLineage: s.nextLineage.Load(),
	})
}

// extendSegments makes the next few thousand segment numbers usable. Numbers are never used twice, not even for
// segments that are gone: positions order the history of blocks.
func (s *Store) extendSegments(next uint32) (uint32, error) {
	const ahead = 4096
	if next > 1<<32-2*ahead {
		return 0, errors.New("segment numbers are used up")
	}
	s.record.Lock()
	defer s.record.Unlock()
	s.nextSegment = next + ahead
	b := s.db.NewBatch()
	if err := s.putStore(b); err != nil {
		return 0, err
	}
	return next + ahead, s.commit(b)
}
