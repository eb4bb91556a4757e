package vhost

import "sync"

// workers do requests that take waiting, each worker one at a time. They are started as they are needed and live as long as the
// session.
type workers struct {
	q     *queue
	tasks chan *request
	count int
	wg    sync.WaitGroup
}

func newWorkers(q *queue) *workers { return &workers{q: q, tasks: make(chan *request)} }

// give hands a request to a worker. When all are at work it calls idle and waits for one. Only one goroutine gives at a time.
func (w *workers) give(r *request, idle func()) {
	select {
	case w.tasks <- r:
		return
	default:
	}
	if w.count < maxWorkers {
		w.count++
		w.wg.Go(func() { w.work(r) })
		return
	}
	idle()
	w.tasks <- r
}

func (w *workers) work(r *request) {
	var buf buffer
	one := make([]*request, 1)
	for {
		w.q.execute(r, &buf)
		one[0] = r
		w.q.answer(one)
		var more bool
		if r, more = <-w.tasks; !more {
			return
		}
	}
}

// stop returns when every request that was given is done.
func (w *workers) stop() {
	close(w.tasks)
	w.wg.Wait()
}
