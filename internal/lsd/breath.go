package lsd

import (
	"runtime"
	"sync/atomic"
	"time"
)

// breath has background work stop for a moment every now and then while clients are served. Work that never waits keeps one of the
// few threads that Go runs until it is made to leave, 10 ms later, and nobody looks at the network meanwhile: with a checkpoint and
// Pebble's tables at work, that is what the slowest requests waited for, and a client that connects five times in a row.
type breath struct {
	seen atomic.Int64 // requests let in, when they were looked at last
	calm atomic.Int32 // times that they were looked at since there were more
	held atomic.Int32 // times that it would have stopped, but for a disk that waits for its checkpoint

	waited atomic.Int32 // commits that a client waits for: a snapshot's may need room that only Pebble's tables can make
}

const (
	// breathTime is how long it stops at least. Go's timers make a millisecond of it, which is as it should be: with what was really
	// 50 µs (timerfd), writers' p99.9 while checkpoints ran was 44 ms instead of 5.
	breathTime = 50 * time.Microsecond
	// breathPages is after how many page versions a checkpoint stops, some 100 µs of work.
	breathPages = 8
	// breathUrgent is of how many times it stops once when a disk waits for its checkpoint: what would have been short pauses all
	// through 2 GiB of log is then behind, and memory may be short.
	breathUrgent = 16
	// breathCalm is for how many looks a request counts as under way, some seconds: requests come in bursts, and a client that
	// connects has made none.
	breathCalm = 4096
	// breathStalled is the same when a disk waits for its checkpoint: then no requests may mean that all of them wait for that.
	breathStalled = 16
	// breathLeaves is how many leaves are frozen or let go of under a disk's mutex before those who wait for it have their turn: some
	// 250 µs of work.
	breathLeaves = 256
)

// breathe waits a moment where that helps requests, and lets go first whatever is ready to run: Go puts who wakes up ahead of those who
// wait in line, so that two that rest in turn, or one that takes a mutex again as soon as it has let it go, kept others waiting, the
// writer of Pebble's log for 40 ms. No lock that a write needs may be held.
func (s *Store) breathe() {
	if s.mayBreathe() {
		time.Sleep(breathTime)
	}
	runtime.Gosched()
}

// mayBreathe tells that there are requests, and that none of them waits for room, for a commit or, but for a few times, for a checkpoint.
func (s *Store) mayBreathe() bool {
	b := &s.breath
	busy := s.keeper.busy()
	calm := int32(breathCalm)
	if busy {
		calm = breathStalled
	}
	if n := s.requests.let.Load(); b.seen.Swap(n) != n {
		b.calm.Store(0)
	} else if b.calm.Add(1) > calm {
		b.calm.Store(calm) // it must not come around
		return false
	}
	if s.opt.Manual || b.waited.Load() > 0 || s.room.left.Load() < s.room.comfort {
		return false
	}
	return !busy || b.held.Add(1)%breathUrgent == 0
}
