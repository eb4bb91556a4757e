package lsd

import (
	"errors"
	"time"

	"tintype/internal/block"
)

const (
	// leastDead is the smallest dead part of a segment that is worth moving the rest, while there is room.
	leastDead = 0.1
	// leastGain is the same when room is short, and leastOfAll before a write is refused: to make room for one byte then takes two
	// hundred.
	leastGain, leastOfAll = 0.02, 0.005
	// idleDead is the dead part of all segments at which a store at rest is left alone, and leastIdle that of one: little enough
	// that headers and metadata fit beside it into the twentieth that a store may take more than what it holds.
	idleDead, leastIdle = 0.03, 0.02
)

// allowedOverhead is how much dead space, as a part of the live, is left alone: as much as the live while a fifth of the
// file system is free, down to a quarter when it is full. Cleaning costs the more the tighter it is.
func allowedOverhead(free, total int64) float64 {
	const lazy, tight, roomy = 1.0, 0.25, 0.2
	if total <= 0 {
		return lazy
	}
	part := min(max(float64(free), 0)/float64(total)/roomy, 1)
	return tight + (lazy-tight)*part
}

// overhead is what is allowed now.
func (s *Store) overhead() float64 {
	if s.opt.Overhead > 0 {
		return s.opt.Overhead
	}
	return allowedOverhead(s.room.left.Load(), s.room.total.Load())
}

// tidy compacts while there is more dead space than is allowed, and whatever there is when room is short. It stops between
// two steps, with whole false, when a disk waits for its checkpoint.
func (s *Store) tidy() (whole bool, failed error) {
	forced, gain := false, leastGain
	for !s.keeper.busy() {
		left, err := s.room.look()
		if err != nil {
			return true, errors.Join(failed, err)
		}
		urgent, minDead, look := left < s.room.tight(), leastDead, worthLook
		if urgent {
			minDead, look = gain, coldDead // a look takes as long as a part of the move that it may save
		} else if live, dead := s.settled(); float64(dead) <= s.overhead()*float64(live) {
			return true, errors.Join(failed, s.stopMoving())
		}
		choose := func() *segment { return s.victim(minDead) }
		punched, err := s.punchFirst(look, choose, s.keeper.waited)
		failed = errors.Join(failed, err)
		if punched {
			continue
		}
		state, err := s.compactStep(choose)
		switch {
		case errors.Is(err, block.ErrDamaged):
			failed = errors.Join(failed, err) // it is skipped from now on
		case err != nil:
			return true, errors.Join(failed, err, s.stopMoving())
		case state == stepNone && urgent && !forced:
			// What is dead in the logs is known after a checkpoint.
			forced = true
			failed = errors.Join(failed, s.checkpointLogs())
		case state == stepNone && urgent && gain > leastOfAll && left < s.room.comfort/4:
			gain = leastOfAll
		case state == stepNone:
			return true, errors.Join(failed, s.stopMoving())
		case state == stepEmptied:
			forced = false
		}
		if !urgent {
			s.rest()
		}
	}
	return false, failed
}

// restTime is for how long compaction rests after each step while disks are written and room is not short: it then takes a
// part of what the device can do, and no more.
const restTime = 20 * time.Millisecond

func (s *Store) rest() {
	if n := s.sealed.Load(); n != s.restedAt {
		s.restedAt = n
		time.Sleep(restTime)
	}
}

// checkpointLogs checkpoints the disks that have written since their last.
func (s *Store) checkpointLogs() error {
	var err error
	for _, d := range s.disks() {
		d.mu.Lock()
		some := d.log.bytes > 0 || d.log.tail != nil
		d.mu.Unlock()
		if some {
			err = errors.Join(err, s.checkpoint(d))
		}
	}
	return err
}

// settled counts the live and dead slots of the segments that no replay needs, without holes: only those can be compacted.
func (s *Store) settled() (live, dead int64) {
	s.commits.Lock()
	defer s.commits.Unlock()
	s.eachSettled(func(seg *segment) {
		live += seg.live
		dead += int64(seg.used) - seg.live - seg.holes.given()
	})
	return live, dead
}

// Tighten brings a store at rest to as little space as it takes: everything is checkpointed and reclaimed, what lies scattered
// is put in order, segments are compacted and joined until next to nothing of them is dead, and what was reserved ahead is
// given back. It stops early when writes come.
func (s *Store) Tighten() error {
	if err := s.requests.enter(); err != nil {
		return err
	}
	defer s.requests.leave()
	return s.tighten()
}

func (s *Store) tighten() error {
	err := errors.Join(s.checkpointLogs(), s.leaveLogs(s.worthLeaving()))
	sealed := s.sealed.Load() // what was open is sealed now; more comes with writes
	written := func() bool { return s.sealed.Load() != sealed || s.keeper.busy() || s.keeper.rung() }
	err = errors.Join(err, s.reclaimUntil(written))
	// Where room runs short while data is put in order, moving what is left beside it makes some, as long as that is not the larger work.
	for again := err == nil; again && !written(); {
		before, moved, short := s.orderedBlocks.Load(), s.movedBlocks.Load(), false
		if !s.opt.AsWritten {
			short, err = s.orderAtRest(written)
		}
		err = errors.Join(err, s.squeeze(written), s.stopMoving())
		ordered := s.orderedBlocks.Load() - before
		again = err == nil && short && ordered > 0 && s.movedBlocks.Load()-moved <= 2*ordered
	}
	return errors.Join(err, s.stopMoving(), s.giveBack(), s.shedMetaLogs())
}

// squeeze compacts and joins segments until next to nothing of them is dead.
func (s *Store) squeeze(stop func() bool) error {
	// What moving gains is estimated, so that it ends by itself is not left to the estimate.
	for range s.segments.steps(s.opt.StepBlocks) {
		if stop() {
			break
		}
		choose := func() *segment { return s.victim(leastIdle) }
		if live, dead := s.settled(); float64(dead) <= idleDead*float64(live) {
			choose = s.small
		}
		if punched, err := s.punchFirst(worthLook, choose, stop); err != nil {
			return err
		} else if punched {
			continue
		}
		if state, err := s.compactStep(choose); err != nil || state == stepNone {
			return err
		}
	}
	return nil
}

// small is a segment that is worth joining with others of its lineage, because they are many and short, or hold
// little beside holes: each start leaves one.
// The caller holds s.commits.
func (s *Store) small() *segment {
	const short, few = 8, 4
	count := map[uint64]int{}
	least := map[uint64]*segment{}
	s.eachSettled(func(seg *segment) {
		if int64(seg.used)-seg.holes.given() > int64(s.opt.SegmentSlots/short) {
			return
		}
		count[seg.lineage]++
		if l := least[seg.lineage]; l == nil || seg.number < l.number {
			least[seg.lineage] = seg
		}
	})
	if to := s.mover.to; to != nil && count[to.lineage] > 0 { // one lineage after the other: each has its own output
		return least[to.lineage]
	}
	for lineage, n := range count {
		if n > few {
			return least[lineage]
		}
	}
	return nil
}

// steps is how many steps it takes to go through everything there is twice: a step reads so many blocks, live or dead.
func (t *segmentTable) steps(blocks int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, s := range t.segs {
		n += 2 * (int(s.used)/blocks + 2)
	}
	return n
}

// leaveLogs ends the segments that logs are in of which worth tells that they are worth moving blocks out of: that can be done
// then.
func (s *Store) leaveLogs(worth func(*diskLog) bool) error {
	var err error
	for _, d := range s.disks() {
		d.mu.Lock()
		leaves := d.log.seg != nil && worth(&d.log)
		d.rotate = d.rotate || leaves
		d.mu.Unlock()
		if leaves {
			err = errors.Join(err, s.checkpoint(d))
		}
	}
	return err
}

// worthLeaving tells of a log that much of the segment that it is in is dead, or that blocks lie scattered in it.
func (s *Store) worthLeaving() func(*diskLog) bool {
	live := s.segments.liveOfLineages()
	return func(l *diskLog) bool {
		if !s.opt.AsWritten && l.endsScattered(live[l.seg.lineage]) {
			return true
		}
		used := int64(l.slot)
		dead := used - s.segments.liveAfter(l.seg.number, 0)
		return dead > chunkSlots && float64(dead) >= leastDead*float64(used)
	}
}

// liveOfLineages counts the live blocks that each lineage has written.
func (t *segmentTable) liveOfLineages() map[uint64]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[uint64]int64{}
	for _, s := range t.segs {
		all[s.lineage] += s.live
	}
	return all
}

// giveBack cuts off what logs have reserved ahead, and removes the spares.
func (s *Store) giveBack() error {
	_, err := s.segments.dropSpares()
	for _, d := range s.disks() {
		d.mu.Lock()
		if d.log.seg != nil && d.log.tail == nil && d.failed == nil && len(d.log.flying) == 0 && !d.log.ahead.busy {
			err = errors.Join(err, s.segments.truncate(d.log.seg, d.log.slot))
		}
		if next := d.log.ahead.seg; next != nil {
			err = errors.Join(err, s.segments.truncate(next, 1))
		}
		d.mu.Unlock()
	}
	return err
}
