package nbd

import "sync"

const (
	// maxArriving is how many reads of one connection may be on their way from media without a worker of their own.
	maxArriving = 256
	// receivers is how many goroutines wait for them. One that waits for a slow read must not hold up all that have come.
	receivers = 4
)

// arrivals finish reads that the device has begun: their data is on its way, whether anybody waits for it or not. So a few
// goroutines do for a deep queue, where a worker for each would cost two switches a read, and what came while one of them
// waited leaves with what it waited for.
type arrivals struct {
	tasks chan *task
	count int
	wg    sync.WaitGroup
}

// await hands over a read that was begun. When too many are under way it first sends what is ready. Only one goroutine calls it.
func (t *transmission) await(k *task) {
	a := &t.arrivals
	if a.tasks == nil {
		a.tasks = make(chan *task, maxArriving)
	}
	if a.count < receivers && a.count <= len(a.tasks) {
		a.count++
		a.wg.Go(t.receive)
	}
	select {
	case a.tasks <- k:
	default:
		// What it cannot send will fail again for the task's own reply.
		_ = t.flush()
		a.tasks <- k
	}
}

// stop returns when every read that was begun is answered.
func (a *arrivals) stop() {
	if a.tasks != nil {
		close(a.tasks)
	}
	a.wg.Wait()
}

// receive waits for reads, oldest first, and answers each together with those behind it that have come too.
func (t *transmission) receive() {
	var ready []message
	for k := range t.arrivals.tasks {
		t.read(k)
		ready = append(ready, t.done(k))
		for len(ready) < maxArriving {
			next := t.arrivals.next()
			if next == nil {
				break
			}
			if done, _ := t.cached.ReadCached(*next.payload, int64(next.request.off)); !done {
				t.sendAll(ready)
				ready = ready[:0]
				t.read(next)
			} else {
				t.found(next)
			}
			ready = append(ready, t.done(next))
		}
		t.sendAll(ready)
		clear(ready)
		ready = ready[:0]
	}
}

// next takes a read if there is one.
func (a *arrivals) next() *task {
	select {
	case k := <-a.tasks:
		return k
	default:
		return nil
	}
}

// sendAll sends answers; an error is the connection's end, which its reader meets too.
func (t *transmission) sendAll(ready []message) { _ = t.out.send(ready...) }
