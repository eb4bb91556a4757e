package lsd

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// room is what writes may still take of the file system. As it gets less, every write waits a little, so that cleaning keeps
// up; only when there is nothing left to clean is a write refused.
type room struct {
	space   func() (vfs.Space, error)
	spare   func() int64 // bytes that can be had at once beside what is free
	reserve int64        // not for writes
	comfort int64        // with less than this, writes wait

	total  atomic.Int64 // bytes in the file system, as of the last look
	left   atomic.Int64 // bytes that writes may take, as of the last look
	placed atomic.Int64 // blocks since then
	waits  atomic.Int64 // writes that found no room at first
	debt   atomic.Int64 // nanoseconds that writes have still to wait
	turn   sync.Mutex   // held by the one that waits: together they are as slow as one

	mu     sync.Mutex
	change *sync.Cond // of mu: there may be room, or a round has ended
	rounds uint64     // of the keeper that have begun
	vain   uint64     // the last of them that found nothing to clean and no room
	freed  uint64     // counts what may have made room
}

func (r *room) init(space func() (vfs.Space, error), spare func() int64, reserve int64) error {
	r.space, r.spare, r.reserve, r.comfort = space, spare, reserve, max(reserve, 8*chunkBytes)
	r.change = sync.NewCond(&r.mu)
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
	left := space.Free - r.reserve + r.spare()
	r.total.Store(space.Total)
	r.left.Store(left)
	r.placed.Store(0)
	return left, nil
}

// afterLog is with how much log a disk needs a checkpoint: what is dead is known only after it, so that the less room there is
// the more often they come.
func (r *room) afterLog(most int64) int64 {
	return min(most, max(r.left.Load()/4, r.comfort/2))
}

// Delays of a block while there is too little room: the first when half of comfort is left, the second the longest. One write
// waits for no more than maxDelay at a time.
const (
	blockDelay   = 200 * time.Microsecond
	longestDelay = 4 * time.Millisecond
	leastDelay   = time.Millisecond // less is saved up
	maxDelay     = 50 * time.Millisecond
)

// delay is how long a block waits.
func (r *room) delay() time.Duration {
	left := r.left.Load()
	if left >= r.comfort {
		return 0
	}
	if left <= 0 {
		return longestDelay
	}
	return time.Duration(min(float64(blockDelay)*float64(r.comfort-left)/float64(left), float64(longestDelay)))
}

// pace lets a write of some blocks wait for its share of cleaning. No lock may be held.
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
	d := r.delay()
	if d == 0 || r.debt.Add(int64(blocks)*int64(d)) < int64(leastDelay) {
		return nil
	}
	r.turn.Lock()
	defer r.turn.Unlock()
	if owed := min(r.debt.Load(), int64(maxDelay)); owed >= int64(leastDelay) && r.delay() > 0 {
		time.Sleep(time.Duration(owed))
		r.debt.Store(max(min(r.debt.Load()-owed, int64(maxDelay)), 0))
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
		if r.freed != freed && r.left.Load() >= needed {
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
	if whole && left < needed {
		r.vain = r.rounds
	}
	r.freed++
	r.change.Broadcast()
	return err
}

// isFull tells that a write found no room.
func isFull(err error) bool { return errors.Is(err, block.ErrNoSpace) }
