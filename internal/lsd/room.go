package lsd

import (
	"errors"
	"sync"
	"sync/atomic"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// room is what writes may still take of the file system. As it gets less, every write waits a little, so that cleaning keeps
// up; only when there is nothing left to clean is a write refused.
type room struct {
	space   func() (vfs.Space, error)
	other   func() int64 // bytes that can be had at once beside what is free, less what is as good as taken
	reserve int64        // not for writes
	slack   int64        // but for this part of it, so that a checkpoint, which takes some of it for a while, does not stop them
	comfort int64        // with less than this, writes wait
	pacer   pacer

	total  atomic.Int64 // bytes in the file system, as of the last look
	left   atomic.Int64 // bytes that writes may take, as of the last look
	placed atomic.Int64 // blocks since then
	waits  atomic.Int64 // writes that found no room at first

	mu     sync.Mutex
	change *sync.Cond // of mu: there may be room, or a round has ended
	rounds uint64     // of the keeper that have begun
	vain   uint64     // the last of them that found nothing to clean and no room
	freed  uint64     // counts what may have made room
}

func (r *room) init(space func() (vfs.Space, error), other func() int64, reserve int64) error {
	r.space, r.other, r.reserve, r.comfort = space, other, reserve, max(reserve, 8*chunkBytes)
	r.slack = r.reserve * (fullReserve - forBlocks) / fullReserve
	r.change = sync.NewCond(&r.mu)
	// Six seconds for all of comfort, before anything is cleaned.
	r.pacer.init(float64(r.comfort/block.BlockSize)/6, float64(r.slack)/float64(r.comfort), func() float64 {
		_, _ = r.look() // what it fails with a write meets too
		return float64(r.left.Load()) / float64(r.comfort)
	})
	_, err := r.look()
	return err
}

const chunkBytes = chunkSlots * block.BlockSize

// tight is with how little room cleaning becomes urgent.
func (r *room) tight() int64 { return r.comfort + r.comfort/2 }

// look measures what is left.
func (r *room) look() (int64, error) {
	space, err := r.space()
	if err != nil {
		return 0, err
	}
	left := space.Free - r.reserve + r.other()
	r.total.Store(space.Total)
	r.left.Store(left)
	r.placed.Store(0)
	return left, nil
}

// versionRoom is what a page version takes until Pebble has put it where it stays: in its log, in a table, and in the one that the
// table goes into.
const versionRoom = 2 << 10

// promised is how much more there is than what is free: spares, less what checkpoints will take. Half of what Pebble has counts
// towards that, because most of what it is given replaces something.
func (s *Store) promised() int64 {
	due := s.unsaved.Load()*versionRoom - s.metaBytes.Load()/2
	return s.segments.spareBytes() - max(due, 0)
}

// afterLog is with how much log a disk needs a checkpoint: what is dead is known only after it, so that the less room there is
// the more often they come.
func (r *room) afterLog(most int64) int64 {
	return min(most, max(r.left.Load()/4, r.comfort/2))
}

// pace lets a write of some blocks wait until cleaning has made room for it. No lock may be held.
func (s *Store) pace(blocks int) error {
	r := &s.room
	if s.opt.Manual {
		return nil
	}
	if r.placed.Add(int64(blocks)) >= maxChunkBlocks {
		left, err := r.look()
		if err != nil {
			return err
		}
		if left < r.tight() {
			s.wake(nil)
		}
	}
	if r.left.Load() < r.comfort {
		r.pacer.wait(blocks)
	}
	return nil
}

// needed is how much room lets waiting writes go on.
const needed = 2 * chunkBytes

// waitForRoom is called by a write that found no space, with no lock held. It returns nil when there may be some again, and
// block.ErrNoSpace when a whole round of cleaning, begun after the call, has found nothing more to clean.
func (s *Store) waitForRoom(full error) error {
	r := &s.room
	if s.opt.Manual {
		return full
	}
	r.waits.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	round, freed := r.rounds+1, r.freed
	for r.vain < round {
		if r.freed != freed && r.left.Load()+r.slack >= needed {
			return nil
		}
		s.wake(nil)
		r.change.Wait()
	}
	s.noteFull(full)
	return full
}

// roomMayBe tells waiting writes that something was freed.
func (s *Store) roomMayBe() error {
	r := &s.room
	_, err := r.look()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.freed++
	r.change.Broadcast()
	return err
}

func (r *room) beginRound() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rounds++
}

// endRound tells those who wait whether there is any use in it. A round that was broken off for something more urgent says
// nothing; the next one will.
func (s *Store) endRound(whole bool) error {
	r := &s.room
	left, err := r.look()
	r.mu.Lock()
	defer r.mu.Unlock()
	if whole && left+r.slack < needed {
		r.vain = r.rounds
	}
	r.freed++
	r.change.Broadcast()
	return err
}

// isFull tells that a write found no room.
func isFull(err error) bool { return errors.Is(err, block.ErrNoSpace) }
