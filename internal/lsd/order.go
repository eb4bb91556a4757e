package lsd

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"tintype/internal/block"
)

// A disk that was written at random lies in its segments in the order of writing, and to read a stretch of it in order means
// as many reads as it has blocks. A store at rest puts such stretches in order: it goes through the addresses of a lineage, and
// where its blocks lie scattered it moves all of them at once, as compaction does.
//
// The map itself tells what is scattered, so that nothing has to be remembered of what has been done: what was put in order
// once is found in order, also after a restart.

const (
	// stretchPages is how many pages are judged together, 1 MiB.
	stretchPages = 4
	// restRun is how many blocks have to lie one behind another, on average, for a stretch to be left as it is. A block that is
	// written anew breaks its stretch in two places at most: so no more than 2 x restRun blocks are moved for each that was written.
	restRun = 4
	// lastSlots is how much of a log has to be scattered for its segment to be ended so that it can be put in order, 256 KiB, and
	// lastPart which part of its disk's data that has to be.
	lastSlots, lastPart = chunkSlots / 4, 64
	// roomyPart of the file system has to be free for data to be put in order, or room for all data twice: what is moved lies there
	// twice for a while.
	roomyPart = 8
)

// ordering is one pass over a lineage.
type ordering struct {
	store    *Store
	lineage  uint64
	run      int    // blocks that lie one behind another, on average, where nothing is to be done
	horizon  uint32 // segments from this on were filled by the pass, or begun since
	page     uint64 // at which the next step begins
	moved    int
	bad      int // blocks that could not be read, and stay
	lastStep int // blocks
}

// Order puts what lies scattered in order: each stretch of 1 MiB of which fewer than run blocks lie one behind another, on
// average. It returns how many blocks were moved. What is shared stays shared. Reads and writes go on; checkpoints come between its
// steps. It ends early when less than an eighth of the file system is free, and less than twice what lives. block.ErrDamaged tells of
// blocks that could not be read: they stay where they are.
func (s *Store) Order(run int) (int, error) {
	if err := s.requests.enter(); err != nil {
		return 0, err
	}
	defer s.requests.leave()
	err := s.checkpointLogs()
	if err == nil {
		err = s.leaveLogs(func(l *diskLog) bool { return l.pieces*run > int(l.slot) })
	}
	defer s.at(doingOrder)()
	moved := 0
	for _, id := range s.lineagesSettled() {
		if err != nil {
			break
		}
		o := s.newOrdering(id, run)
		for more := true; more && s.roomy(); {
			more, err = s.orderStep(o)
		}
		moved += o.moved
		if o.bad > 0 {
			err = errors.Join(err, fmt.Errorf("put lineage %d in order: %d blocks could not be read: %w", id, o.bad, block.ErrDamaged))
		}
	}
	return moved, errors.Join(err, s.stopMoving())
}

// orderAtRest is Order for the lineages that have changed since the last time, until stop tells that it is to end. It tells
// whether it ended for want of room. A lineage that fails holds up no other.
func (s *Store) orderAtRest(stop func() bool) (short bool, failed error) {
	defer s.at(doingOrder)()
	all := s.lineagesSettled()
	s.commits.Lock()
	maps.DeleteFunc(s.inOrder, func(id uint64, _ orderMark) bool { return !slices.Contains(all, id) })
	s.commits.Unlock()
	for _, id := range all {
		was, now := s.orderMarks(id)
		if was.whole && now.chunk-was.chunk < fewChunks {
			continue
		}
		o := s.newOrdering(id, restRun)
		o.page = was.page
		ended, err := s.orderPass(o, stop)
		switch {
		case isFull(err):
			return true, failed
		case err != nil && !errors.Is(err, block.ErrDamaged):
			failed = errors.Join(failed, err)
			continue
		case ended:
			s.noteOrder(id, orderMark{chunk: now.chunk, page: o.page})
			return !s.roomy(), failed
		case err != nil || o.bad > 0:
			now.chunk = neverAgain // what cannot be read stays scattered, and is no reason to move what lies around it again and again
		}
		failed = errors.Join(failed, err)
		s.noteOrder(id, now)
	}
	return false, failed
}

// orderPass goes on with a pass to its end, or until there is no room for more or stop tells it to end early. It rests after
// each step, so that it does not take all of a processor and the device.
func (s *Store) orderPass(o *ordering, stop func() bool) (early bool, err error) {
	for more := true; more; {
		if !s.roomy() || stop() {
			return true, nil
		}
		if more, err = s.orderStep(o); err != nil {
			return false, err
		}
		if o.lastStep > 0 {
			time.Sleep(restTime)
		} else {
			time.Sleep(lookTime)
		}
	}
	return false, nil
}

// orderMark says how far a lineage has been put in order.
type orderMark struct {
	whole bool   // the pass came to its end
	chunk uint64 // the last of its log when the pass began
	page  uint64 // at which a pass goes on that ended early
}

// orderMarks returns the mark of a lineage, and what it is to be when the pass that comes now, or goes on, has come to its end.
func (s *Store) orderMarks(id uint64) (was, now orderMark) {
	s.commits.Lock()
	defer s.commits.Unlock()
	was = s.inOrder[id]
	now = orderMark{whole: true, chunk: s.lastChunk(id)}
	if was.page > 0 || was.chunk == neverAgain {
		now.chunk = was.chunk
	}
	return was, now
}

func (s *Store) noteOrder(id uint64, m orderMark) {
	s.commits.Lock()
	defer s.commits.Unlock()
	s.inOrder[id] = m
}

// endsScattered tells that much of a log is scattered in the segment that it is in; live is what its disk has. The caller holds
// d.mu.
func (l *diskLog) endsScattered(live int64) bool {
	return l.slot > lastSlots && l.pieces*restRun > int(l.slot) && int64(l.slot) > live/lastPart
}

const (
	// fewChunks is how many chunks of log are no reason to look through a lineage again.
	fewChunks = 16
	// lookTime is the rest after a step that found nothing to move.
	lookTime = 4 * time.Millisecond
)

// neverAgain stands for a lineage that is left alone until the next start.
const neverAgain = ^uint64(0)

// lastChunk is the number of the last chunk of a lineage's log that is checkpointed. The caller holds s.commits.
func (s *Store) lastChunk(id uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.lineages[id]; l != nil {
		if d := l.disk.Load(); d != nil {
			return d.checkpointed.NextSeq
		}
	}
	return 0
}

// roomy tells that there is room to have data twice for a while.
func (s *Store) roomy() bool {
	live := int64(0)
	for _, n := range s.segments.liveOfLineages() {
		live += n * block.BlockSize
	}
	left, err := s.room.look()
	return err == nil && left >= max(min(s.room.total.Load()/roomyPart, 2*live), s.room.tight())
}

// lineagesSettled lists the lineages of the segments that can be moved.
func (s *Store) lineagesSettled() []uint64 {
	s.commits.Lock()
	defer s.commits.Unlock()
	all := map[uint64]bool{}
	s.eachSettled(func(seg *segment) { all[seg.lineage] = true })
	return slices.Sorted(maps.Keys(all))
}

func (s *Store) newOrdering(lineage uint64, run int) *ordering {
	return &ordering{store: s, lineage: lineage, run: run, horizon: s.segments.horizon().seg()}
}

// orderStep goes on by some pages, and puts in order what of them lies scattered. The commit mutex is held for one step.
func (s *Store) orderStep(o *ordering) (more bool, err error) {
	s.commits.Lock()
	defer s.commits.Unlock()
	from := map[uint32]*segment{}
	s.eachSettled(func(seg *segment) {
		if seg.lineage == o.lineage && seg.number < o.horizon {
			from[seg.number] = seg
		}
	})
	if len(from) == 0 {
		return false, nil
	}
	if err := s.endVictim(); err != nil {
		return false, err
	}
	most := s.orderMost()
	c := &compaction{store: s, lineage: o.lineage, most: most, slots: map[position]*moved{}}
	c.holds = func(e entry) bool { return from[e.seg] != nil }
	c.written = s.firstUnsettled(o.lineage)
	for p := o.page; p < noPage && p < o.page+uint64(max(most/(leafBlocks*stretchPages), 1)*stretchPages); p++ {
		c.pages = append(c.pages, uint32(p))
	}
	c.findLineages()
	if err := c.findBlocks(); err != nil {
		return false, fmt.Errorf("put lineage %d in order: %w", o.lineage, err)
	}
	next := slices.Min(c.next)
	whole := c.keepScattered(o.run, most)
	if err := s.moveApart(c, from); err != nil {
		return false, fmt.Errorf("put lineage %d in order: %w", o.lineage, errors.Join(err, s.closeOutput()))
	}
	if !whole && len(c.blocks) > 0 { // the rest of these pages comes next
		next = o.page
	}
	o.page, o.lastStep = next, len(c.blocks)
	o.moved += len(c.blocks)
	o.bad += c.bad
	return next < noPage, nil
}

// orderMost is how many blocks one step moves at most.
func (s *Store) orderMost() int {
	most := min(s.opt.StepBlocks, int(s.opt.SegmentSlots)-1)
	return max(most-(most+maxChunkBlocks)/(maxChunkBlocks+1), 1)
}

// moveApart moves the blocks of a step. The segments that are empty then go. The caller holds s.commits.
func (s *Store) moveApart(c *compaction, from map[uint32]*segment) (err error) {
	c.from = map[uint32]*segment{}
	for _, b := range c.blocks {
		if n := b.e.seg; c.from[n] == nil {
			seg, err := s.segments.pin(n)
			if err != nil {
				return errors.Join(err, s.unpinAll(slices.Collect(maps.Values(c.from))))
			}
			c.from[n] = seg
		}
	}
	err = errors.Join(c.move(&s.mover), s.unpinAll(slices.Collect(maps.Values(c.from))))
	if err != nil {
		return err
	}
	s.room.pacer.made.Add(-c.taken)
	s.orderedBlocks.Add(int64(len(c.blocks)))
	for n := range c.from {
		if s.segments.liveAfter(n, 0) == 0 {
			return s.removeDead()
		}
	}
	return nil
}

// firstUnsettled is the position before which everything was written that can be moved of a lineage: where replay would begin,
// or for one whose disk is gone where the last that continues it does. The caller holds s.commits.
func (s *Store) firstUnsettled(lineage uint64) position {
	if n, ok := s.replayStarts()[lineage]; ok {
		return at(n, 0)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last, l := position(0), s.lineages[lineage]
	for _, n := range l.nodes {
		last = max(last, n.cut)
	}
	for _, c := range l.children {
		last = max(last, c.base)
	}
	return last
}

// keepScattered keeps, of the blocks that were found, those of stretches that lie scattered, up to a number of them. It tells
// whether these are all.
func (c *compaction) keepScattered(run, most int) (whole bool) {
	c.group()
	type stretch struct{ blocks, breaks int }
	found := map[uint64]*stretch{}
	for i, m := range c.blocks {
		n := m.lba / (stretchPages * leafBlocks)
		st := found[n]
		if st == nil {
			st = &stretch{}
			found[n] = st
		}
		st.blocks++
		if i == 0 {
			continue
		}
		before := c.blocks[i-1]
		if before.born != m.born || before.lba/(stretchPages*leafBlocks) != n {
			continue
		}
		if gap := m.e.pos() - before.e.pos(); gap < 1 || gap > 2 { // a header may come between
			st.breaks++
		}
	}
	c.blocks = slices.DeleteFunc(c.blocks, func(m *moved) bool {
		st := found[m.lba/(stretchPages*leafBlocks)]
		return st.breaks*run <= st.blocks
	})
	if whole = len(c.blocks) <= most; !whole {
		c.blocks = c.blocks[:most]
	}
	c.slots, c.pages = make(map[position]*moved, len(c.blocks)), c.pages[:0]
	for _, m := range c.blocks {
		c.slots[m.e.pos()] = m
		c.pages = append(c.pages, uint32(m.lba/leafBlocks))
	}
	slices.Sort(c.pages)
	c.pages = slices.Compact(c.pages)
	c.versions = slices.DeleteFunc(c.versions, func(id versionID) bool {
		_, touched := slices.BinarySearch(c.pages, id.page)
		return !touched
	})
	return whole
}
