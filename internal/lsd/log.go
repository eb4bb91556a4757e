package lsd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"tintype/internal/block"
)

func sortSegments(s []*segment) {
	slices.SortFunc(s, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
}

// chunk is a piece of the log in memory: the open tail, or sealed and on its way to its segment. Blocks are placed in
// it once and never change, so readers may take them from here.
type chunk struct {
	chunkHeader

	seg     *segment
	slot    uint32 // of its header
	room    uint32 // blocks it can hold
	buf     []byte // header and blocks, as they were written
	cipher  *segmentCipher
	masker  masker
	written bool
	bulk    bool // all of its blocks are of writes in bulk
}

// diskLog is the writing end of a disk's log. Its disk's mutex guards it; disk.cond tells of every change.
type diskLog struct {
	seg     *segment // the current one, pinned; nil until the first write after a start
	ahead   ahead
	line    lineup
	slot    uint32   // the next free slot in it
	pieces  int      // extents in it since the start: how scattered it is
	tail    *chunk   // open, or nil
	nextSeq uint64   // of the next chunk to be sealed
	prev    uint32   // checksum of the last sealed header
	pending []*chunk // sealed, no writer has them yet
	flying  []*chunk // sealed, in order, up to the last that is not written
	writers int      // goroutines writing
	written uint64   // all chunks up to here are in their files
	durable uint64   // all chunks up to here are synced

	unsynced map[*segment]struct{} // written to since their last sync
	evening  *segment              // evenOut writes to it: no chunk may
	little   int                   // how many syncs in a row had little to do
	syncing  bool
	flushers []flusher // who wait for the sync that is under way, or for the next
	bytes    int64     // appended since the last checkpoint
	loose    int64     // bytes written since the last sync began
	idle     int64     // of them, those that the file system was not told to write
	behind   bool      // it is being told
	stream   stream    // of long writes
	passing  passing   // what was written in bulk lately
	placed   uint64    // blocks and holes ever placed; tells the idle timer that writes go on
	timer    *time.Timer
}

const (
	// maxWriters is how many chunk writes one disk keeps under way.
	maxWriters = 4
	// maxFlying is how many sealed chunks may wait for their files before writers have to wait, 8 MiB.
	maxFlying = 8
	// writeBehind is after how much log the file system is told to write it to the media, 1 MiB: a snapshot or flush in the middle
	// of a stream of writes then finds little left to do.
	writeBehind = 1 << 20
)

// end is the position behind the last sealed chunk in the current segment.
func (l *diskLog) end() position {
	return at(l.seg.number, 0) + position(l.slot)
}

// openTail makes sure that the tail has room for a block and a word, or with blocks false for a word only. The caller holds
// d.mu; space in the file system is reserved when this returns nil, so what is placed then can be acknowledged.
func (d *disk) openTail(blocks bool) error {
	l := &d.log
	if c := l.tail; c != nil {
		if (uint32(len(c.crcs)) < c.room || !blocks) && len(c.extents) < maxChunkWords {
			return nil
		}
		d.seal()
	}
	d.lineUp(func() bool { return len(l.flying) >= maxFlying || l.ahead.busy && d.notReady() })
	if d.failed != nil {
		return d.failed
	}
	if l.tail != nil { // another writer opened it while this one waited
		return d.openTail(blocks)
	}
	slots, err := d.room(blocks)
	if err != nil {
		return err
	}
	if err := d.getReady(l.slot + slots); err != nil {
		return err
	}
	c, err := d.store.cipherOf(l.seg)
	if err != nil {
		return err
	}
	if blocks {
		d.store.noteFull(nil)
	}
	l.tail = &chunk{
		chunkHeader: chunkHeader{
			scheme: l.seg.scheme, incarnation: d.store.incarnation, lineage: d.lin.id, epoch: d.epoch, place: at(l.seg.number, l.slot),
		},
		seg: l.seg, slot: l.slot, room: slots - 1, cipher: c,
		buf: d.store.buffers.get(),
	}
	d.armIdle()
	return nil
}

// room reserves the slots of the next chunk. Where there is no space for blocks, holes still get theirs: a guest must be able to
// free some.
func (d *disk) room(blocks bool) (slots uint32, err error) {
	l := &d.log
	if l.seg == nil || l.slot+2 > d.store.opt.SegmentSlots {
		if err := d.nextSegment(); err != nil {
			return 0, err
		}
	}
	slots = min(chunkSlots, d.store.opt.SegmentSlots-l.slot)
	err = d.store.segments.ensure(l.seg, int64(l.slot+slots)*block.BlockSize, forBlocks)
	if isFull(err) && !blocks {
		return 1, d.store.segments.ensure(l.seg, int64(l.slot+1)*block.BlockSize, forHoles)
	}
	return slots, err
}

func (d *disk) nextSegment() error {
	l := &d.log
	s, err := d.takeAhead()
	if s == nil && err == nil {
		s, err = d.store.newSegment(segmentHeader{
			incarnation: d.store.incarnation, lineage: d.lin.id, firstSeq: l.nextSeq, origin: d.store.origin(d.lin),
		}, d.lin.zonal.Load())
	}
	if err != nil {
		return err
	}
	if old := l.seg; old != nil {
		d.store.segments.leave(old, l.slot)
		if err := d.store.segments.unpin(old); err != nil {
			return err
		}
	}
	l.seg, l.slot, l.pieces = s, 1, 0
	return nil
}

// place appends blocks of data to the tail, as many as fit, and returns how many. The caller holds d.mu and has called
// openTail.
func (c *chunk) place(lba uint64, data []byte, crcs []uint32) (first position, n int) {
	n = min(int(c.room)-len(c.crcs), len(crcs))
	slot := c.slot + 1 + uint32(len(c.crcs))
	copy(c.buf[(1+len(c.crcs))*block.BlockSize:], data[:n*block.BlockSize])
	for i, crc := range crcs[:n] {
		c.crcs = append(c.crcs, crc^c.masker.mask(c.cipher, slot+uint32(i)))
	}
	last := len(c.extents) - 1
	if last >= 0 && c.extents[last].kind == extentData && c.extents[last].lba+uint64(c.extents[last].count) == lba {
		c.extents[last].count += uint32(n)
	} else {
		c.extents = append(c.extents, extent{lba: lba, count: uint32(n), kind: extentData})
	}
	return at(c.seg.number, slot), n
}

// seal ends the tail and hands it to the writers. The caller holds d.mu.
func (d *disk) seal() {
	l := &d.log
	c := l.tail
	if c == nil {
		return
	}
	l.tail = nil
	if len(c.extents) == 0 {
		d.store.buffers.put(c.buf)
		return
	}
	c.seq, c.durable, c.prev = l.nextSeq, l.durable, l.prev
	c.encode(c.buf)
	l.prev = c.sum
	l.nextSeq++
	l.slot += c.slots()
	l.pieces += len(c.extents)
	l.bytes += int64(c.slots()) * block.BlockSize
	l.flying = append(l.flying, c)
	l.pending = append(l.pending, c)
	d.store.sealed.Add(1)
	d.store.changes.Add(1)
	if l.bytes > d.store.room.afterLog(d.store.opt.CheckpointBytes) {
		d.store.wake(d)
	}
}

// startWriter lets another goroutine write pending chunks, if that is of use. The caller holds d.mu.
func (d *disk) startWriter() {
	l := &d.log
	if len(l.pending) == 0 || l.writers >= maxWriters || d.failed != nil {
		return
	}
	l.writers++
	go func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.writePending()
		l.writers--
		d.cond.Broadcast()
	}()
}

// writePending writes sealed chunks until none is left. The caller holds d.mu, which is released during the writes.
func (d *disk) writePending() {
	l := &d.log
	for len(l.pending) > 0 && d.failed == nil {
		c := l.pending[0]
		if l.evening == c.seg {
			d.cond.Wait()
			continue
		}
		l.pending = l.pending[1:]
		d.mu.Unlock()
		err := d.store.writeSealed(c.seg, c.slot, c.buf[:c.slots()*block.BlockSize])
		d.mu.Lock()
		if err != nil {
			d.fail(fmt.Errorf("write chunk %d of lineage %d to segment %d: %w", c.seq, d.lin.id, c.seg.number, err))
			return
		}
		if !c.bulk || !d.pass(c) {
			d.writeBehind(c)
		}
		c.written = true
		l.unsynced[c.seg] = struct{}{}
		if l.loose += int64(c.slots()) * block.BlockSize; l.loose > d.store.opt.SyncBytes {
			d.startSync()
		}
		for len(l.flying) > 0 && l.flying[0].written {
			l.written = l.flying[0].seq
			d.store.buffers.put(l.flying[0].buf)
			l.flying[0] = nil
			l.flying = l.flying[1:]
		}
		l.line.release()
		d.cond.Broadcast()
	}
}

// writeBehind has what is written on its way to the media, now and then. The caller holds d.mu.
func (d *disk) writeBehind(c *chunk) {
	l := &d.log
	if l.idle += int64(c.slots()) * block.BlockSize; l.idle >= writeBehind && !l.behind {
		l.idle, l.behind = 0, true
		go d.beginWrite(d.store.segments.file(c.seg))
	}
}

// beginWrite tells the file system to write what it has of a segment, which may take as long as the media is busy.
func (d *disk) beginWrite(f *copies) {
	f.beginWrite(0, 0)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log.behind = false
}

// name is what a disk is called where its failures are told.
func (d *disk) name() string {
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	if d.lin.headID != (block.ID{}) {
		return fmt.Sprintf("disk %s", d.lin.headID)
	}
	return fmt.Sprintf("lineage %d, a deleted disk", d.lin.id)
}

// fail stops the disk: no write or flush succeeds any more. The caller holds d.mu.
func (d *disk) fail(err error) {
	if d.failed == nil {
		d.failed = fmt.Errorf("%w: %w", block.ErrFailed, err)
		if !errors.Is(err, block.ErrClosed) {
			d.store.troubles.set(d.name(), err)
		}
	}
	d.wakeFlushers()
	d.cond.Broadcast()
}

// flushLocked makes everything placed so far durable. Those who wait at the same time share one sync. The caller holds
// d.mu, which is released while waiting.
func (d *disk) flushLocked() error {
	d.seal()
	return d.syncTo(d.log.nextSeq - 1)
}

// syncTo returns when all chunks up to seq are durable, or the disk has failed.
func (d *disk) syncTo(seq uint64) error {
	l := &d.log
	for l.durable < seq {
		if d.failed != nil {
			return d.failed
		}
		if len(l.pending) > 0 {
			d.writePending()
			continue
		}
		if l.syncing {
			d.awaitSync(seq)
			continue
		}
		if l.written < seq {
			d.cond.Wait()
			continue
		}
		if d.syncOnce(); len(l.flushers) > 0 {
			d.startSync()
		}
	}
	return nil
}

// syncOnce syncs what is written. After a failure the disk stops: what the failed sync covered is in doubt for ever.
func (d *disk) syncOnce() {
	l := &d.log
	upto, segs, fresh := l.written, l.unsynced, false
	l.unsynced = map[*segment]struct{}{}
	for s := range segs {
		fresh = fresh || s.fresh
		s.fresh = false
	}
	if l.little++; l.loose > littleSync {
		l.little = 0
	}
	l.syncing, l.loose = true, 0
	err := d.evenOut(segs)
	if err == nil {
		d.mu.Unlock()
		err = d.store.syncSegments(segs, fresh)
		d.mu.Lock()
	}
	l.syncing = false
	if err != nil {
		d.fail(fmt.Errorf("sync log of lineage %d: %w", d.lin.id, err))
		return
	}
	l.durable = max(l.durable, upto)
	d.wakeFlushers()
	d.cond.Broadcast()
}

// syncSegments makes what is in segments durable, and with fresh their names, at the same time: one commit of the file system's
// journal does for both.
func (s *Store) syncSegments(segs map[*segment]struct{}, fresh bool) error {
	files := make([]*copies, 0, len(segs))
	for seg := range segs {
		files = append(files, s.segments.file(seg))
	}
	var names error
	var wg sync.WaitGroup
	switch {
	case fresh && s.opt.Manual: // a history repeats
		names = s.syncNames(files...)
	case fresh:
		wg.Go(func() { names = s.syncNames(files...) })
	}
	var err error
	for seg := range segs {
		if err = s.segments.file(seg).SyncData(); err != nil {
			break
		}
	}
	wg.Wait()
	return errors.Join(err, names)
}

// syncNames makes the names of segments durable.
func (s *Store) syncNames(files ...*copies) error {
	local, zonal := false, false
	for _, f := range files {
		z := f.isZonal()
		local, zonal = local || !z, zonal || z
	}
	return s.segments.shelf.syncNames(local, zonal)
}

// armIdle writes the tail out when no write has come for a while, so that a killed process loses little. The caller
// holds d.mu.
func (d *disk) armIdle() {
	l := &d.log
	if d.store.opt.IdleSeal <= 0 {
		return
	}
	if l.timer != nil {
		l.timer.Reset(d.store.opt.IdleSeal)
		return
	}
	seen := l.placed
	l.timer = time.AfterFunc(d.store.opt.IdleSeal, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if l.placed != seen {
			seen = l.placed
			if l.tail != nil {
				l.timer.Reset(d.store.opt.IdleSeal)
			}
			return
		}
		d.seal()
		d.startWriter()
	})
}
