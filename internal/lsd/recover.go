package lsd

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"tintype/internal/block"
)

// recover replays every disk's log from its last checkpoint on. What it finds is checkpointed, and the next write goes
// to a new segment of a new incarnation, so that nothing left over from before can ever be taken for part of the log.
func (s *Store) recover() error {
	if err := s.resumeReclaim(); err != nil {
		return err
	}
	wants := s.keyWants()
	for _, d := range s.disks() {
		err := d.recover()
		switch {
		case errors.Is(err, block.ErrDamaged):
			d.setDamaged(err)
		case errors.Is(err, block.ErrLocked):
			d.setLocked(true)
		case err != nil:
			return fmt.Errorf("recover lineage %d: %w", d.lin.id, err)
		case s.keys.closed(d.lin.id, wants[d.lin.id]):
			d.setLocked(false)
		}
	}
	return nil
}

// setDamaged closes a disk whose log has lost something that was durable: what is left is not what the disk was, and is
// not shown as if it were. Its files stay, and so do its snapshots.
func (d *disk) setDamaged(err error) {
	d.setDamage(err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail(err)
}

// damage tells whether a volume needs a part of a log that is lost: its own, or one that it was cloned from.
func (s *Store) damage(v *volume) error {
	if v.locked.Load() {
		return block.ErrLocked
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	epoch := headEpoch
	if v.node != nil {
		epoch = v.node.epoch
	}
	for l := v.lin; l != nil; l, epoch = l.parent, l.parentEpoch {
		d := l.disk.Load()
		if d == nil || d.damaged == nil || epoch < d.checkpointed.Epoch {
			continue
		}
		if n := l.nodeAt(epoch); n == nil || n.seq >= d.checkpointed.NextSeq {
			return d.damaged
		}
	}
	return nil
}

// recover brings one disk to the end of its log.
func (d *disk) recover() error {
	r := d.checkpointed
	d.epoch, d.used = r.Epoch, r.Used
	d.log.nextSeq, d.log.prev = r.NextSeq, r.PrevSum
	scan := &logScan{d: d, seq: r.NextSeq, prev: r.PrevSum}
	err := scan.run()
	if d.store.opt.overGaps && errors.Is(err, block.ErrDamaged) {
		scan, err = scan.overGaps(err)
	}
	if errors.Is(err, block.ErrLocked) {
		// What a killed process left in the page cache must not go with a power cut that comes before the key.
		if failed := errors.Join(d.store.bringAll(scan.segs), d.settleLog(scan.segs)); failed != nil {
			return failed
		}
	}
	if err != nil && (!d.store.opt.salvage || !errors.Is(err, block.ErrDamaged)) {
		return err
	}
	for _, c := range scan.chunks {
		if err := d.replay(c); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	d.log.nextSeq, d.log.prev = scan.seq, scan.prev
	d.log.written, d.log.durable = scan.seq-1, scan.seq-1
	if err := d.afterSnapshots(); err != nil {
		return err
	}
	d.setDamage(nil)
	// A zone that is not there, or has missed something, may bring chunks that this start knows nothing of, and that went with
	// the power for all others. They must not come back: the checkpoint has to be behind them.
	if len(scan.segs) == 0 && d.epoch == r.Epoch && d.store.zones.allWhole() {
		return nil
	}
	if err := d.store.bringAll(scan.segs); err != nil {
		return err
	}
	if err := d.settleLog(scan.segs); err != nil {
		return err
	}
	if err := scan.trim(); err != nil {
		return err
	}
	d.rotate = true
	return d.store.checkpoint(d)
}

// trim gives back what was reserved behind the end of the log, durably, before a checkpoint has the log go on elsewhere. A power
// cut can have left a chunk there, in some zones and not in others, and nobody looks there again.
func (c *logScan) trim() error {
	end := c.d.checkpointed.Pos
	if n := len(c.chunks); n > 0 {
		last := c.chunks[n-1]
		end = at(last.seg.number, last.slot+last.h.slots())
	}
	i := slices.IndexFunc(c.segs, func(s *segment) bool { return s.number == end.seg() })
	if i < 0 { // another log may have taken the number that was next at the checkpoint
		return nil
	}
	seg, t := c.segs[i], c.d.store.segments
	if t.file(seg) == nil {
		return nil
	}
	if err := t.truncate(seg, max(end.slot(), 1)); err != nil {
		return err
	}
	return t.file(seg).Sync()
}

// settleLog syncs what was replayed: after a killed process it may be in the page cache only, and the next power cut
// must not take back what this start has shown. A header that a power cut took from in front of chunks that arrived is written
// again.
func (d *disk) settleLog(segs []*segment) error {
	dirty := map[*segment]struct{}{}
	for _, s := range segs {
		dirty[s] = struct{}{}
		if !s.salvaged || s.lineage != d.lin.id {
			continue
		}
		buf := make([]byte, block.BlockSize)
		s.encode(buf)
		if _, err := d.store.segments.file(s).WriteAt(buf, 0); err != nil && !isFull(spaceError(err)) {
			return err
		}
		s.salvaged = false
	}
	return d.store.syncSegments(dirty, true)
}

// afterSnapshots begins the epoch after the last frozen one, and makes sure that no snapshot lies behind the end of the
// log: its data was synced before it was acknowledged.
func (d *disk) afterSnapshots() error {
	for _, n := range d.lin.nodes {
		if n.seq >= d.log.nextSeq {
			return fmt.Errorf("the log ends at chunk %d, before the snapshot of epoch %d at chunk %d: %w",
				d.log.nextSeq-1, n.epoch, n.seq, block.ErrDamaged)
		}
		d.epoch = max(d.epoch, n.epoch+1)
	}
	return nil
}

// foundChunk is a chunk found in a segment.
type foundChunk struct {
	h    *chunkHeader
	seg  *segment
	slot uint32
}

// logScan finds the chunks after a checkpoint: first by their headers, then by their data where no later chunk says that
// they were durable.
type logScan struct {
	d       *disk
	seq     uint64 // of the next chunk
	prev    uint32
	segs    []*segment
	chunks  []foundChunk
	durable uint64 // the highest watermark seen in any chunk, valid or stranded
	sought  uint64 // chunks up to this one are looked for also behind gaps; 0: a gap is the end
}

func (c *logScan) run() error {
	first := c.d.checkpointed.Pos
	c.segs = c.d.store.segments.of(c.d.lin.id, first.seg())
	for _, seg := range c.segs {
		slot := uint32(1)
		if seg.number == first.seg() {
			slot = max(slot, first.slot())
		} else if seg.firstSeq != c.seq && seg.firstSeq != 0 && c.sought < c.seq { // 0: it was made before that was known
			// Begun behind a chunk that was lost. Its chunks may still tell that the lost one was durable.
			if err := c.stranded(seg, 1); err != nil {
				return err
			}
			continue
		}
		if err := c.segment(seg, slot); err != nil {
			return err
		}
	}
	return c.verifyTail()
}

// segment follows the chain of chunks in one segment to its end.
func (c *logScan) segment(seg *segment, slot uint32) error {
	for {
		h, err := c.d.store.readChunk(seg, slot, func(h *chunkHeader) bool {
			return h.seq == c.seq && h.prev == c.prev && h.lineage == c.d.lin.id && h.incarnation == seg.incarnation
		})
		if errors.Is(err, errNoChunk) {
			h = nil
			if c.sought >= c.seq {
				if slot, h, err = c.behindGap(seg, slot); err != nil {
					return err
				}
			}
			if h == nil {
				return c.stranded(seg, slot)
			}
		} else if err != nil {
			return err
		}
		c.chunks = append(c.chunks, foundChunk{h, seg, slot})
		c.durable = max(c.durable, h.durable)
		c.seq, c.prev = h.seq+1, h.sum
		slot += h.slots()
	}
}

// stranded looks for chunks behind the end of the log. Where a power cut lost a chunk whose successors arrived, they say
// up to where the log was durable; if that is past its end, what is lost had been acknowledged. All of the segment is looked
// at: the flush that tells of it may have come long after the chunk.
func (c *logScan) stranded(seg *segment, slot uint32) error {
	f := c.d.store.segments.file(seg)
	if f == nil {
		return fmt.Errorf("segment %d is missing: %w", seg.number, block.ErrDamaged)
	}
	return f.eachCopy(func(copy io.ReaderAt) error { return c.strandedIn(copy, seg, slot) })
}

func (c *logScan) strandedIn(copy io.ReaderAt, seg *segment, slot uint32) error {
	buf := make([]byte, chunkSlots*block.BlockSize)
	for slot < 1<<slotBits {
		n, err := copy.ReadAt(buf, int64(slot)*block.BlockSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		next := uint32(0)
		for whole := uint32(n / block.BlockSize); next < whole; {
			h, notChunk := chunkAt(buf[next*block.BlockSize:], at(seg.number, slot+next))
			next++
			if notChunk == nil && h.lineage == c.d.lin.id && h.incarnation == seg.incarnation && h.seq >= c.seq {
				c.durable = max(c.durable, h.durable)
				next += h.slots() - 1 // its data may look like anything
			}
		}
		if err != nil {
			return nil
		}
		slot += next
	}
	return nil
}

// verifyTail checks the data of the chunks above the durable watermark and cuts the log off at the first that is torn.
func (c *logScan) verifyTail() error {
	for i, at := range c.chunks {
		if at.h.seq <= c.durable {
			continue
		}
		ok, err := c.d.store.wholeChunk(at)
		if err != nil {
			return err
		}
		if !ok {
			c.seq, c.prev = at.h.seq, at.h.prev
			c.chunks = c.chunks[:i]
			break
		}
	}
	if c.durable >= c.seq {
		return fmt.Errorf("chunk %d of the log was durable and is gone: %w", c.seq, block.ErrDamaged)
	}
	return nil
}

// readChunk reads the header at a slot, from a copy where it fits. errNoChunk says that there is none, or that the file ends.
func (s *Store) readChunk(seg *segment, slot uint32, fits func(*chunkHeader) bool) (*chunkHeader, error) {
	f := s.segments.file(seg)
	if f == nil {
		return nil, fmt.Errorf("segment %d is missing: %w", seg.number, block.ErrDamaged)
	}
	var h *chunkHeader
	buf := make([]byte, block.BlockSize)
	err := f.readGood(buf, int64(slot)*block.BlockSize, func() (err error) {
		h, err = chunkAt(buf, at(seg.number, slot))
		if err == nil && !fits(h) {
			err = errNoChunk
		}
		return err
	})
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", errNoChunk, err)
	}
	return h, err
}

// wholeChunk tells whether all of a chunk's data that is in no hole is what its header says, each part of it in some copy, and makes the
// other copies alike: after a power cut each may have lost something else.
func (s *Store) wholeChunk(c foundChunk) (bool, error) {
	f := s.segments.file(c.seg)
	buf := make([]byte, max(len(c.h.crcs), 1)*block.BlockSize)
	head := buf[:block.BlockSize]
	ok, err := f.readEach(head, int64(c.slot)*block.BlockSize, func() error {
		h, err := chunkAt(head, at(c.seg.number, c.slot))
		if err == nil && h.sum != c.h.sum {
			err = errNoChunk
		}
		return err
	})
	if !ok || err != nil || len(c.h.crcs) == 0 {
		return ok, err
	}
	cipher, err := s.cipherOf(c.seg)
	if err != nil {
		return false, err
	}
	first := c.slot + 1
	for _, part := range s.segments.outside(c.seg, first, c.slot+c.h.slots()) {
		crcs := c.h.crcs[part.from-first : part.to-first]
		if ok, err := f.wholeBlocks(buf[:len(crcs)*block.BlockSize], part.from, crcs, cipher); !ok || err != nil {
			return ok, err
		}
	}
	return true, nil
}

// wholeBlocks tells whether blocks that lie one behind another have their checksums, each in some copy, and makes the other
// copies alike.
func (c *copies) wholeBlocks(buf []byte, slot uint32, crcs []uint32, cipher *segmentCipher) (bool, error) {
	ok, err := c.readEach(buf, int64(slot)*block.BlockSize, func() error {
		if cipher.reveal(buf, slot, func(i int) uint32 { return crcs[i] }) >= 0 {
			return errChecksum
		}
		return nil
	})
	if ok || err != nil || len(crcs) == 1 {
		return ok, err
	}
	for i := range crcs {
		p := buf[i*block.BlockSize : (i+1)*block.BlockSize]
		if ok, err := c.wholeBlocks(p, slot+uint32(i), crcs[i:i+1], cipher); !ok || err != nil {
			return ok, err
		}
	}
	return true, nil
}

// replay does to the map what the chunk's writes did.
func (d *disk) replay(c foundChunk) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch = max(d.epoch, c.h.epoch)
	slot, crcs := c.slot+1, c.h.crcs
	for _, x := range c.h.extents {
		if err := inside(int64(x.lba), int64(x.count), int64(pagesOf(d.size))*leafBlocks); err != nil {
			return err
		}
		if x.kind == extentHole {
			if err := d.replayHole(x); err != nil {
				return err
			}
			continue
		}
		if _, err := d.need(x.lba, uint64(x.count)); err != nil {
			return err
		}
		d.mapRun(x.lba, at(c.seg.number, slot), crcs[:x.count])
		slot, crcs = slot+x.count, crcs[x.count:]
	}
	return nil
}

func (d *disk) replayHole(x extent) error {
	for lba, end := x.lba, x.lba+uint64(x.count); lba < end; {
		n := min(end-lba, leafBlocks-lba%leafBlocks)
		if _, err := d.need(lba, n); err != nil {
			return err
		}
		d.unmapLeaves(lba, lba+n)
		lba += n
	}
	return nil
}
