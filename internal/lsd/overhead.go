package lsd

import (
	"errors"

	"tintype/internal/block"
)

// Stats is what a store holds, in bytes.
type Stats struct {
	Live     int64 `json:"liveBytes"`     // blocks that a volume needs
	Dead     int64 `json:"deadBytes"`     // the rest of the segments: superseded blocks, headers
	Physical int64 `json:"physicalBytes"` // segment files, what is reserved ahead included
	Segments int   `json:"segments"`
	Moved    int64 `json:"movedBytes"`    // by compaction since the start
	Damaged  int64 `json:"damagedBlocks"` // met by reads since the start

	Failures []Failure   `json:"failures,omitempty"` // of work in the background
	Zones    []ZoneStats `json:"zones,omitempty"`
}

// Stats tells what the store holds as of the last checkpoints.
func (s *Store) Stats() Stats {
	var st Stats
	t := s.segments
	t.mu.Lock()
	for _, seg := range t.segs {
		st.Segments++
		st.Live += seg.live * block.BlockSize
		st.Physical += max(seg.allocated, int64(seg.used)*block.BlockSize)
	}
	t.mu.Unlock()
	st.Dead = st.Physical - st.Live
	st.Moved = s.movedBlocks.Load() * block.BlockSize
	st.Damaged = s.damages.count()
	st.Failures = s.troubles.list()
	st.Zones = s.zoneStats()
	return st
}

// leastDead is the smallest dead part of a segment that is worth moving the rest.
const leastDead = 0.1

// allowedOverhead is how much dead space, as a part of the live, is left alone: as much as the live while a fifth of the
// file system is free, down to a quarter when it is full. Cleaning costs the more the tighter it is.
func allowedOverhead(free, total int64) float64 {
	const lazy, tight, roomy = 1.0, 0.25, 0.2
	if total <= 0 {
		return lazy
	}
	part := min(float64(free)/float64(total)/roomy, 1)
	return tight + (lazy-tight)*part
}

// tidy compacts while there is more dead space than is allowed. It stops between two steps when a disk waits for its checkpoint,
// and goes on after it.
func (s *Store) tidy() error {
	var failed error
	for !s.keeper.busy() {
		space, err := s.segments.shelf.space(false)
		if err != nil {
			return errors.Join(failed, err)
		}
		live, dead := s.settled()
		if float64(dead) <= allowedOverhead(space.Free-s.opt.Reserve, space.Total)*float64(live) {
			return errors.Join(failed, s.stopMoving())
		}
		switch n, more, err := s.compactStep(func() *segment { return s.victim(leastDead) }); {
		case errors.Is(err, block.ErrDamaged):
			failed = errors.Join(failed, err) // it is skipped from now on
		case err != nil || n == 0 && !more:
			return errors.Join(failed, err, s.stopMoving())
		}
	}
	return failed
}

// settled counts the live and dead slots of the segments that no replay needs: only those can be compacted.
func (s *Store) settled() (live, dead int64) {
	s.commits.Lock()
	replay := s.replayStarts()
	s.commits.Unlock()
	t := s.segments
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, seg := range t.segs {
		if replay.needs(seg) {
			continue
		}
		live += seg.live
		dead += int64(seg.used) - seg.live
	}
	return live, dead
}

// busy tells that something more urgent than compaction waits.
func (k *keeper) busy() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stopped || len(k.due) > 0
}
