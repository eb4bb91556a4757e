package vhost

import (
	"os"

	"golang.org/x/sys/unix"
)

// setKick sets where the guest tells of requests, and starts the queue. fd is the queue's from here on, also on an error.
func (q *queue) setKick(fd int) error {
	if fd < 0 {
		return broken("queue %d shall be polled", q.index)
	}
	if err := event(fd); err != nil {
		unix.Close(fd)
		return err
	}
	kick := os.NewFile(uintptr(fd), "kick")
	q.take.Lock()
	defer q.take.Unlock()
	if !q.started {
		if err := q.start(); err != nil {
			kick.Close()
			return err
		}
	}
	if q.kick != nil {
		q.kick.Close()
	}
	q.kick = kick
	q.s.listeners.Go(func() { q.listen(kick) })
	return nil
}

// start begins with what the ring holds, and what whoever served it before us has left. The caller holds take.
func (q *queue) start() error {
	if q.num == 0 || q.s.mem == nil {
		return broken("queue %d is started before it is set up", q.index)
	}
	ring, err := newRing(q.s.mem, q.addr, q.num, q.s.features&featureEventIdx != 0)
	if err != nil {
		return err
	}
	flight, err := q.s.flights.queue(q.index, q.num)
	if err != nil {
		return err
	}
	var used, last uint16
	var again []uint16
	err = guard(func() error {
		used, last = ring.usedIdx(), q.base
		if flight != nil {
			var fresh bool
			if again, fresh = flight.recover(used); !fresh {
				last = used
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(again) > 0 {
		q.s.log.Info("vhost: requests that were under way are done again", "export", q.s.export.Name, "queue", q.index, "requests", len(again))
	}
	q.done.Lock()
	defer q.done.Unlock()
	q.ring, q.flight, q.usedIdx = ring, flight, used
	q.lastAvail, q.again = last, again
	q.slots = make([]request, q.num)
	q.single = 0
	q.started = true
	q.broken.Store(false)
	if q.workers == nil {
		q.workers = newWorkers(q)
	}
	return nil
}

// setEnabled lets requests be taken, or not.
func (q *queue) setEnabled(on bool) {
	q.take.Lock()
	q.enabled = on
	q.take.Unlock()
	if on {
		q.s.listeners.Go(q.drain)
	}
}

// stop takes no more requests, waits until none is in flight, and tells where the guest's next will be.
func (q *queue) stop() uint16 {
	q.take.Lock()
	defer q.take.Unlock()
	q.started = false
	if q.kick != nil {
		q.kick.Close()
		q.kick = nil
	}
	q.done.Lock()
	defer q.done.Unlock()
	q.await()
	q.flight = nil
	// Those that were left to us and not begun are still noted as taken.
	return q.lastAvail + uint16(len(q.again))
}

// await returns when nothing is in flight. The caller holds take, so that nothing new comes, and done.
func (q *queue) await() {
	for q.inFlight.Load() > 0 {
		q.idle.Wait()
	}
}

// end stops the queue for good and gives back what it holds.
func (q *queue) end() {
	q.stop()
	if q.workers != nil {
		q.workers.stop()
	}
	q.setEvent(&q.call, -1)
	q.setEvent(&q.err, -1)
}

// setEvent replaces one of the queue's events to the front end.
func (q *queue) setEvent(at *int, fd int) {
	q.done.Lock()
	defer q.done.Unlock()
	if *at >= 0 {
		unix.Close(*at)
	}
	*at = fd
}

// set changes what describes the queue, which must not be running.
func (q *queue) set(change func()) error {
	q.take.Lock()
	defer q.take.Unlock()
	if q.started {
		return broken("queue %d is changed while it runs", q.index)
	}
	change()
	return nil
}

// move finds the ring of a queue that may be running in memory that is new. The caller holds take, and nothing is in flight.
func (q *queue) move(m *memory) error {
	if !q.started {
		return nil
	}
	ring, err := newRing(m, q.addr, q.num, q.ring.eventIdx)
	if err != nil {
		return err
	}
	q.done.Lock()
	defer q.done.Unlock()
	q.ring = ring
	return nil
}
