package lsd

import (
	"errors"
	"slices"
	"time"

	"tintype/internal/block"
)

// A segment of which a part died in long runs, because a guest has overwritten or discarded much at once, need not be moved to give
// that part back: its file is punched. Order: that nobody needs a run is durable before the record of the hole is, and that before the run is
// punched; segments that replay may read are never looked at. A crash before the record leaves nothing behind, one after it
// holes of which it is not known whether they are punched: they are punched again.

const (
	// coldDead is which part of a segment has to have died since it was last looked through for holes, where it lies still: what
	// is being overwritten soon dies as a whole, and is recycled.
	coldDead = 0.25
	// worthLook is the same before a segment is compacted, and mostlyLive the live part with which it is punched instead: with less,
	// moving the rest costs little, and gives back a whole file.
	worthLook, mostlyLive = 0.02, 0.25
	// pinWait is how long punching waits for readers that have found their blocks before.
	pinWait = 100 * time.Millisecond
)

// Punch gives back the room of long dead runs in all segments of which at least a part has died since they were last looked
// through, and returns how many bytes that were. Reads and writes go on, and checkpoints come between its steps.
func (s *Store) Punch(least float64) (int64, error) {
	if err := s.requests.enter(); err != nil {
		return 0, err
	}
	defer s.requests.leave()
	return s.punchAll(least, func(*segment) bool { return true }, func() bool { return false })
}

// punchCold is Punch for what lies still, until stop tells that it is to end; it is asked again every now and then.
func (s *Store) punchCold(stop func() bool) error {
	cold := map[uint32]bool{}
	s.commits.Lock()
	s.eachSettled(func(seg *segment) {
		cold[seg.number] = seg.liveWas == seg.live
		seg.liveWas = seg.live
	})
	s.commits.Unlock()
	_, err := s.punchAll(coldDead, func(seg *segment) bool { return cold[seg.number] }, stop)
	return err
}

// mayHollow tells that a part of a segment has died since it was last looked through. The caller holds the table's mutex, here
// and below.
func (s *segment) mayHollow(part float64) bool {
	grown := s.dead() - s.holes.dead
	return grown > 0 && float64(grown) >= part*float64(s.used)
}

// inDoubt tells that a segment has holes of which it is not known whether they were punched.
func (s *segment) inDoubt() bool { return len(s.holes.all) > 0 && !s.holes.sure }

// punchAll punches, one after another and each once, the segments that fit of which a part has died since they were last looked
// through, and those of which it is not known whether they were punched.
func (s *Store) punchAll(least float64, fits func(*segment) bool, stop func() bool) (bytes int64, err error) {
	next := uint32(0)
	for !stop() {
		seg, failed := s.pinHollow(func() (first *segment) {
			s.eachSettled(func(seg *segment) {
				if seg.number >= next && seg != s.mover.from && (first == nil || seg.number < first.number) &&
					(seg.mayHollow(least) || seg.inDoubt()) && fits(seg) && seg.file.canPunch() {
					first = seg
				}
			})
			return first
		})
		if seg == nil || failed != nil {
			return bytes, errors.Join(err, failed)
		}
		next = seg.number + 1
		slots, failed := s.hollowOut(seg, least, stop)
		bytes += slots * block.BlockSize
		if err = errors.Join(err, failed, s.segments.unpin(seg)); isFull(err) {
			return bytes, err
		}
	}
	return bytes, err
}

// punchFirst punches the segment that compaction would empty next, if so much of it has died since it was last looked through that this may
// save moving it.
func (s *Store) punchFirst(least float64, choose func() *segment, stop func() bool) (some bool, err error) {
	seg, err := s.pinHollow(func() *segment {
		if s.mover.from != nil {
			return nil
		}
		seg := choose()
		if seg == nil {
			return nil
		}
		t := s.segments
		t.mu.Lock()
		defer t.mu.Unlock()
		if float64(seg.live) < mostlyLive*float64(seg.used) || !seg.mayHollow(least) || seg.file == nil || !seg.file.canPunch() {
			return nil
		}
		return seg
	})
	if seg == nil || err != nil {
		return false, err
	}
	slots, err := s.hollowOut(seg, least, stop)
	return slots > 0, errors.Join(err, s.segments.unpin(seg))
}

// pinHollow pins the segment that choose finds, if any.
func (s *Store) pinHollow(choose func() *segment) (*segment, error) {
	s.commits.Lock()
	defer s.commits.Unlock()
	seg := choose()
	if seg == nil {
		return nil, nil
	}
	return s.segments.pin(seg.number)
}

// hollowOut punches a segment, which is pinned, where it is in doubt whether that was done, and looks through it before if at least a part
// of it has died since that was done last; it returns how many slots it gives back. What cannot be read keeps its room, and so does what
// somebody reads for longer.
func (s *Store) hollowOut(seg *segment, least float64, stop func() bool) (slots int64, err error) {
	s.hollowing.Lock()
	defer s.hollowing.Unlock()
	defer s.at(doingPunch)()
	s.emptying.Store(seg.number)
	if stop() || !s.comesAlone(seg) {
		return 0, nil
	}
	t := s.segments
	was := t.holesOf(seg)
	now, err := s.findHoles(seg, least, stop)
	switch {
	case errors.Is(err, errLookStopped):
		t.lookAgain(seg, was)
		return 0, nil
	case errors.Is(err, errSegmentGone), errors.Is(err, block.ErrDamaged):
		return 0, nil // it is gone since, or whoever reads or compacts it tells
	case err != nil:
		return 0, err
	}
	if !now.sure && len(now.all) > 0 {
		s.moves.Add(1)
		if !s.comesAlone(seg) {
			t.lookAgain(seg, was)
			return 0, nil
		}
	}
	err = s.looked(seg, was, now)
	if err == nil {
		slots, err = s.punchNew(seg, was, now)
	}
	if errors.Is(err, errSegmentGone) {
		return 0, nil
	}
	return slots, err
}

// punchNew punches the holes of a segment that were not there for sure before.
func (s *Store) punchNew(seg *segment, was, now holes) (slots int64, err error) {
	if now.sure || len(now.all) == 0 {
		return 0, nil
	}
	f := s.segments.file(seg)
	for _, o := range now.all {
		if was.sure && slices.Contains(was.all, o) {
			continue
		}
		err := f.punch(o)
		if errors.Is(err, errors.ErrUnsupported) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if err := s.checkpointDue(); err != nil {
			return 0, err
		}
	}
	if err := f.settleHoles(); err != nil {
		return 0, err
	}
	return s.gaveBack(seg, was, now)
}

// findHoles looks for a segment's holes, if at least a part of it has died since that was done last. They are not kept yet.
func (s *Store) findHoles(seg *segment, least float64, stop func() bool) (holes, error) {
	t := s.segments
	t.mu.Lock()
	now, used, looks := seg.holes, seg.used, seg.mayHollow(least)
	if looks {
		now.dead = seg.dead()
		seg.holes.dead = now.dead // also when it fails, so that it is not tried again and again
	}
	t.mu.Unlock()
	if !looks || s.lost.any.Load() { // what a version that is lost referred to may be of use to somebody
		return now, nil
	}
	all, err := s.newHollow(seg, used, stop).find()
	if err == nil && all != nil && !slices.Equal(all, now.all) {
		now.all, now.sure = all, false
	}
	return now, err
}

// looked keeps what was found in a segment, durably where there are new holes.
func (s *Store) looked(seg *segment, was, now holes) error {
	if now.dead == was.dead {
		return nil // it was not looked through
	}
	s.commits.Lock()
	defer s.commits.Unlock()
	return s.keepHoles(seg, now, !slices.Equal(now.all, was.all))
}

// lookAgain has a segment looked through again that was not to the end.
func (t *segmentTable) lookAgain(s *segment, was holes) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.holes.dead = was.dead
}

// comesAlone waits until nobody else reads a segment, and tells whether it came to that. With a new count of moves before, who looks for a
// block from then on finds it where it is now, or not at all.
func (s *Store) comesAlone(seg *segment) bool {
	t := s.segments
	alone := func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return seg.pins == 1
	}
	for end := pinWait; !alone(); end -= time.Millisecond {
		if end <= 0 || s.opt.Manual {
			return false
		}
		time.Sleep(time.Millisecond)
	}
	return true
}

// gaveBack notes that a segment's holes are punched.
func (s *Store) gaveBack(seg *segment, was, now holes) (slots int64, err error) {
	s.commits.Lock()
	defer s.commits.Unlock()
	now.sure = true
	if err := s.keepHoles(seg, now, false); err != nil {
		return 0, err
	}
	kept := s.segments.holesOf(seg)
	slots = kept.given() - was.given()
	s.segments.counts(seg, uint32(slots))
	s.room.pacer.made.Add(slots)
	s.reclaimable.Store(s.reclaimableSlots())
	return slots, s.roomMayBe()
}
