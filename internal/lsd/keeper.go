package lsd

import (
	"errors"
	"sync"
	"time"
)

// keeper does in the background what nobody waits for: checkpoints that are due, and reclaiming.
type keeper struct {
	mu      sync.Mutex
	due     map[*disk]struct{}
	bell    chan struct{}
	done    chan struct{}
	stopped bool
}

func (k *keeper) start(s *Store) {
	k.due = map[*disk]struct{}{}
	k.bell = make(chan struct{}, 1)
	k.done = make(chan struct{})
	go func() {
		defer close(k.done)
		s.run()
	}()
	s.wake(nil)
}

// run answers the bell, and tightens the store when nothing has been written for a while.
func (s *Store) run() {
	var idle <-chan time.Time
	if s.opt.IdleAfter > 0 && !s.opt.Manual {
		ticker := time.NewTicker(s.opt.IdleAfter)
		defer ticker.Stop()
		idle = ticker.C
		s.changes.Add(1) // for all that a start knows
	}
	seen := uint64(0)
	for {
		select {
		case _, ok := <-s.keeper.bell:
			if !ok {
				return
			}
			s.troubles.set("background work", s.keep())
		case <-idle:
			if n := s.sealed.Load(); n != seen {
				seen = n
				s.troubles.set("giving back holes", s.punchCold(s.keeper.waited))
				continue
			}
			if c := s.changes.Load(); c != s.tidied.Load() {
				err := s.tighten()
				s.troubles.set("background work", err)
				if err == nil && s.sealed.Load() == seen && !s.keeper.rung() {
					s.tidied.Store(c)
				}
			}
		}
	}
}

func (k *keeper) stop() {
	k.mu.Lock()
	stopped := k.stopped
	k.stopped = true
	if !stopped {
		close(k.bell)
	}
	k.mu.Unlock()
	<-k.done
}

// wake asks for a checkpoint of a disk, or with nil for a round of reclaiming only. It never waits, so a disk's mutex
// may be held.
func (s *Store) wake(d *disk) {
	k := &s.keeper
	if s.opt.Manual || k.bell == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return
	}
	if d != nil {
		k.due[d] = struct{}{}
	}
	select {
	case k.bell <- struct{}{}:
	default:
	}
}

// keep is one round.
func (s *Store) keep() error {
	s.room.beginRound()
	failed := s.checkpointDue()
	s.evict()
	err := s.reclaimUntil(func() bool {
		failed = errors.Join(failed, s.checkpointDue())
		return s.keeper.busy()
	})
	failed = errors.Join(failed, err)
	whole, err := s.tidy()
	return errors.Join(failed, err, s.endRound(whole))
}

// checkpointDue checkpoints the disks that wait for it. One that fails holds up no other.
func (s *Store) checkpointDue() (failed error) {
	for {
		s.keeper.mu.Lock()
		var d *disk
		for d = range s.keeper.due {
			delete(s.keeper.due, d)
			break
		}
		s.keeper.mu.Unlock()
		if d == nil {
			return failed
		}
		failed = errors.Join(failed, s.checkpoint(d))
	}
}

// at notes what the keeper does until the function that it returns is called.
func (s *Store) at(activity int32) func() {
	s.activity.Store(activity)
	return func() { s.activity.Store(doingNothing) }
}

// busy tells that something more urgent than compaction waits.
func (k *keeper) busy() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stopped || len(k.due) > 0
}

// rung tells that the bell waits to be answered.
func (k *keeper) rung() bool { return len(k.bell) > 0 }

// waited tells that somebody waits for the keeper.
func (k *keeper) waited() bool { return k.busy() || k.rung() }

// leafLoaded keeps the number of leaves in memory near the limit. The caller holds d.mu.
func (s *Store) leafLoaded(d *disk) {
	over := d.leaves.n - s.opt.MaxLeaves
	if n := s.leaves.Add(1); n > int64(s.opt.MaxLeaves) && n%1024 == 0 {
		s.wake(nil)
	}
	if over > max(s.opt.MaxLeaves/16, 1024) { // the keeper has long work to do
		d.evictSome()
	}
}

// evict drops cold leaves. Each disk may keep its share of the limit, and what the others do not use.
func (s *Store) evict() {
	disks := s.disks()
	total := 0
	for _, d := range disks {
		d.mu.Lock()
		total += d.leaves.n
		d.mu.Unlock()
	}
	if total > s.opt.MaxLeaves && len(disks) > 0 {
		total = 0
		for _, d := range disks {
			total += d.evict(s.opt.MaxLeaves / len(disks))
		}
	}
	s.leaves.Store(int64(total))
}
