package lsd

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
)

// hole is a range of slots, up to and without the last, of which nobody needs anything any more: blocks, and the headers of chunks
// none of whose blocks live. Its room is given back, so it may read as zeroes, or as what was there. Where a header is in it, it ends at one that
// stays, or behind the last chunk: whoever follows headers goes on at its end.
type hole struct{ from, to uint32 }

// holes is what is known of a segment's.
type holes struct {
	all  []hole // in order, apart
	sure bool   // their room was given back, durably
	dead int64  // slots that were dead when the segment was last looked through; 0: it never was

	doubts int // how often a copy was made since the start that has none of them
}

// The holes of a segment are kept under h segment(4): form (1), whether they are sure (1), dead slots (4), then each hole's first
// slot (4) and the one behind it (4), little endian. It is committed before anything is punched.
const (
	keyHoles   = 'h'
	holesForm  = 1
	holesFixed = 6
	holeSize   = 8
	// firstHole is the first slot that may be in a hole: a damaged header of the segment is made again from the first chunk.
	firstHole = 2
)

func holesKey(segment uint32) []byte { return binary.BigEndian.AppendUint32([]byte{keyHoles}, segment) }

func (h *holes) encode() []byte {
	p := []byte{holesForm, 0}
	if h.sure {
		p[1] = 1
	}
	p = binary.LittleEndian.AppendUint32(p, uint32(h.dead))
	for _, o := range h.all {
		p = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(p, o.from), o.to)
	}
	return p
}

func decodeHoles(key, p []byte) (segment uint32, h holes, err error) {
	if len(p) > 0 && p[0] != holesForm {
		return 0, h, fmt.Errorf("record %q: form %d, this program knows %d", key, p[0], holesForm)
	}
	if len(key) != 5 || len(p) < holesFixed || (len(p)-holesFixed)%holeSize != 0 || p[1] > 1 {
		return 0, h, fmt.Errorf("record %q: %w", key, block.ErrDamaged)
	}
	le := binary.LittleEndian
	h.sure, h.dead = p[1] == 1, int64(le.Uint32(p[2:]))
	last := uint32(firstHole)
	for p = p[holesFixed:]; len(p) > 0; p = p[holeSize:] {
		o := hole{le.Uint32(p), le.Uint32(p[4:])}
		if o.from < last || o.to <= o.from || o.to > 1<<slotBits {
			return 0, h, fmt.Errorf("record %q: hole from slot %d to %d: %w", key, o.from, o.to, block.ErrDamaged)
		}
		last = o.to + 1
		h.all = append(h.all, o)
	}
	return binary.BigEndian.Uint32(key[1:]), h, nil
}

// loadHoles reads the holes of all segments. To a batch it adds that those of segments that are gone go.
func (s *Store) loadHoles(b *pebble.Batch) error {
	return s.each(keyHoles, func(key, value []byte) error {
		n, h, err := decodeHoles(key, value)
		if err != nil {
			return err
		}
		seg := s.segments.segs[n]
		if seg == nil {
			return dropHoles(b, n)
		}
		seg.holes = h
		return nil
	})
}

// given is how many slots were given back.
func (h *holes) given() (n int64) {
	if h.sure {
		for _, o := range h.all {
			n += int64(o.to - o.from)
		}
	}
	return n
}

// dead is how many of its slots are dead, given back or not. The caller holds the table's mutex.
func (s *segment) dead() int64 { return int64(s.used) - 1 - s.live }

// over is the first slot from one on that is in no hole.
func (t *segmentTable) over(s *segment, slot uint32) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if o := s.holes.at(slot); o != nil {
		return o.to
	}
	return slot
}

// at is the hole that a slot is in, or nil.
func (h *holes) at(slot uint32) *hole {
	i, _ := slices.BinarySearchFunc(h.all, slot+1, func(o hole, behind uint32) int { return cmp.Compare(o.to, behind) })
	if i < len(h.all) && h.all[i].from <= slot {
		return &h.all[i]
	}
	return nil
}

// covers tells that every slot of others is in one of the holes.
func (h *holes) covers(others *holes) bool {
	for _, o := range others.all {
		if in := h.at(o.from); in == nil || in.to < o.to {
			return false
		}
	}
	return true
}

// inHoles counts the slots from lo up to hi that were given back.
func (t *segmentTable) inHoles(s *segment, lo, hi uint32) (n uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !s.holes.sure {
		return 0
	}
	for _, o := range s.holes.all {
		if from, to := max(o.from, lo), min(o.to, hi); from < to {
			n += to - from
		}
	}
	return n
}

// outside lists the ranges of slots from lo up to hi that are in no hole.
func (t *segmentTable) outside(s *segment, lo, hi uint32) (all []hole) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range s.holes.all {
		if o.to <= lo || o.from >= hi {
			continue
		}
		if o.from > lo {
			all = append(all, hole{lo, o.from})
		}
		lo = o.to
	}
	if lo < hi {
		all = append(all, hole{lo, hi})
	}
	return all
}

// holesOf is what is known of a segment's holes.
func (t *segmentTable) holesOf(s *segment) holes {
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.holes
}

// doubtHoles has a segment's holes punched again: a copy of it was made that has none.
func (t *segmentTable) doubtHoles(s *segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.holes.sure = false
	s.holes.doubts++
}

// keepHoles notes a segment's holes, with wait durably: then so is every commit before it, and with them that nothing needs what
// is in the holes. None that the segment has may be missing: what is punched and in no record would pass for lost.
// The caller holds s.commits.
func (s *Store) keepHoles(seg *segment, h holes, wait bool) error {
	t := s.segments
	t.mu.Lock()
	gone, covers := seg.gone, h.covers(&seg.holes)
	t.mu.Unlock()
	if gone {
		return errSegmentGone
	}
	if !covers {
		return fmt.Errorf("holes of segment %d: the record lacks some that are there", seg.number)
	}
	b := s.db.NewBatch()
	if err := b.Set(holesKey(seg.number), h.encode(), nil); err != nil {
		return errors.Join(err, b.Close())
	}
	var err error
	if wait {
		err = s.commit(b)
	} else {
		err = s.commitLazily(b)
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if was := seg.holes.doubts; h.doubts != was {
		h.sure, h.doubts = false, was
	}
	seg.holes = h
	return nil
}

// dropHoles adds to a batch that what is known of a segment's holes goes.
func dropHoles(b *pebble.Batch, segment uint32) error { return b.Delete(holesKey(segment), nil) }

// solidIn tells of the store's folder, or of a zone's, whether no holes can be punched there.
func (h *shelf) solidIn(zone int) *atomic.Bool {
	if zone < 0 {
		return &h.solid
	}
	return &h.zones.all[zone].solid
}

// canPunch tells that holes may be punched in a copy within reach.
func (c *copies) canPunch() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.ContainsFunc(c.sources(), func(s source) bool { return !c.shelf.solidIn(s.zone).Load() })
}

// punch gives a range of every copy within reach back, without making that durable. Where a file system cannot, that copy stays as it
// is, and that folder is not asked again; if none can, errors.ErrUnsupported is returned.
func (c *copies) punch(o hole) error {
	some := false
	err := c.reach(func(s source) error {
		solid := c.shelf.solidIn(s.zone)
		if solid.Load() {
			return nil
		}
		err := s.file.Punch(int64(o.from)*block.BlockSize, int64(o.to-o.from)*block.BlockSize)
		if errors.Is(err, errors.ErrUnsupported) {
			solid.Store(true)
			return nil // it is no reason to leave a zone
		}
		some = some || err == nil
		return err
	})
	if err == nil && !some {
		return errors.ErrUnsupported
	}
	return err
}

// settleHoles makes durable what was punched.
func (c *copies) settleHoles() error {
	return c.reach(func(s source) error { return s.file.Sync() })
}

// reach does something to every copy that can be reached, for what none of them needs. A zone in which it fails is out, but
// for want of space.
func (c *copies) reach(do func(source) error) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var failed error
	for _, s := range c.sources() {
		err := do(s)
		if err != nil && s.zone >= 0 && !errors.Is(err, syscall.ENOSPC) {
			c.shelf.zones.fail(c.shelf.zones.all[s.zone], c.zonal[s.zone].life, err)
			continue
		}
		failed = errors.Join(failed, err)
	}
	return failed
}
