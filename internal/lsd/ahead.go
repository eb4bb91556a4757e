package lsd

import "tintype/internal/block"

// ahead is what is done for a log before it is needed, so that no write waits for the file system's journal: the next segment is
// made, and room is reserved in the present one. The disk's mutex guards it.
type ahead struct {
	seg   *segment // the next one, pinned, with nothing in it, or nil
	tried *segment // the present one, when its successor was begun
	busy  bool     // a goroutine is at it; disk.cond tells of its end
}

// reserveAhead is how much a segment has reserved behind what is written, where there is room.
const reserveAhead = 4 << 20

// getReady prepares for what comes behind a slot of the present segment. What fails behind the caller's back is tried again when
// it is needed, and said then. The caller holds d.mu.
func (d *disk) getReady(end uint32) error {
	l := &d.log
	if l.ahead.busy || d.lin.zonal.Load() {
		return nil
	}
	s, slots := l.seg, d.store.opt.SegmentSlots
	last := min(max(slots/4, chunkSlots), slots/2)
	reserved, whole := d.store.segments.reserved(s), int64(slots)*block.BlockSize
	switch {
	case l.ahead.seg == nil && l.ahead.tried != s && slots-end <= last:
		l.ahead.tried = s
		return d.meanwhile(d.makeAhead)
	case reserved < whole && reserved-int64(end)*block.BlockSize < reserveAhead/2:
		return d.meanwhile(func() (*segment, error) {
			next := int64(min(end+chunkSlots, slots)) * block.BlockSize
			return nil, d.reserveIfAny(s, max(next, reserved))
		})
	}
	return nil
}

// meanwhile does something without d.mu, which the caller holds, and takes the segment that comes of it, if any, for the next.
func (d *disk) meanwhile(do func() (*segment, error)) error {
	l := &d.log
	if d.store.opt.Manual { // a history repeats
		s, err := do()
		if s != nil {
			l.ahead.seg = s
		}
		return err
	}
	l.ahead.busy = true
	go func() {
		s, _ := do()
		d.mu.Lock()
		defer d.mu.Unlock()
		if l.ahead.busy = false; s != nil {
			l.ahead.seg = s
		}
		l.line.release()
		d.cond.Broadcast()
	}()
	return nil
}

// makeAhead makes a segment, which does not say yet with which chunk it begins.
func (d *disk) makeAhead() (*segment, error) {
	s, err := d.store.newSegment(segmentHeader{
		incarnation: d.store.incarnation, lineage: d.lin.id, origin: d.store.origin(d.lin),
	}, false)
	if err != nil {
		return nil, err
	}
	return s, d.reserveIfAny(s, min(chunkBytes, int64(d.store.opt.SegmentSlots)*block.BlockSize))
}

// reserveIfAny reserves the first n bytes of a segment, if there is room.
func (d *disk) reserveIfAny(s *segment, n int64) error {
	if err := d.store.segments.reserveFor(s, n, forBlocks); !isFull(err) {
		return err
	}
	return nil
}

// notReady tells that the next chunk has no room reserved yet. The caller holds d.mu.
func (d *disk) notReady() bool {
	l := &d.log
	if l.seg == nil || l.slot+2 > d.store.opt.SegmentSlots {
		return true
	}
	end := min(l.slot+chunkSlots, d.store.opt.SegmentSlots)
	return d.store.segments.reserved(l.seg) < int64(end)*block.BlockSize
}

// takeAhead returns the segment that was made for what comes now, or nil. The caller holds d.mu.
func (d *disk) takeAhead() (*segment, error) {
	l := &d.log
	s := l.ahead.seg
	if s != nil && d.lin.zonal.Load() {
		return nil, d.dropAhead()
	}
	l.ahead.seg = nil
	return s, nil
}

// dropAhead lets go of the next segment: what is written from now on is to lie in one that is made later. Its file goes when no
// replay begins before it. The caller holds d.mu, and nothing is under way.
func (d *disk) dropAhead() error {
	s := d.log.ahead.seg
	if d.log.ahead.seg = nil; s == nil {
		return nil
	}
	d.store.segments.leave(s, 1)
	return d.store.segments.unpin(s)
}

// awaitAhead returns when nothing is under way. The caller holds d.mu.
func (d *disk) awaitAhead() {
	for d.log.ahead.busy {
		d.cond.Wait()
	}
}
