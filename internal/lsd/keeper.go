package lsd

import (
	"errors"
	"sync"
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
		for range k.bell {
			s.troubles.set("background work", s.keep())
		}
	}()
	s.wake(nil)
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
	var failed error // of one disk; others must not wait for it
	for {
		s.keeper.mu.Lock()
		var d *disk
		for d = range s.keeper.due {
			delete(s.keeper.due, d)
			break
		}
		s.keeper.mu.Unlock()
		if d == nil {
			break
		}
		failed = errors.Join(failed, s.checkpoint(d))
	}
	s.evict()
	return errors.Join(failed, s.Reclaim(), s.tidy())
}

// leafLoaded keeps the number of leaves in memory near the limit. The caller holds d.mu.
func (s *Store) leafLoaded(d *disk) {
	if d.leaves.n > s.opt.MaxLeaves && d.leaves.n%1024 == 0 {
		s.wake(nil)
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
	if total <= s.opt.MaxLeaves || len(disks) == 0 {
		return
	}
	for _, d := range disks {
		d.evict(s.opt.MaxLeaves / len(disks))
	}
}
