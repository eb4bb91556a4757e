package nbd

import "sync"

// maxWorkers is how many requests of one connection may be in the device at once.
const maxWorkers = 64

// workers run tasks, each worker one at a time. They are started as they are needed and live as long as the connection.
type workers struct {
	run   func(*task)
	tasks chan *task
	count int
	wg    sync.WaitGroup
}

func newWorkers(run func(*task)) *workers {
	return &workers{run: run, tasks: make(chan *task)}
}

// give hands a task to a worker. When all are at work it calls idle and waits for one. Only one goroutine gives.
func (w *workers) give(k *task, idle func() error) {
	select {
	case w.tasks <- k:
		return
	default:
	}
	if w.count < maxWorkers {
		w.count++
		w.wg.Go(func() { w.work(k) })
		return
	}
	// What idle cannot send will fail again for the task's own reply.
	_ = idle()
	w.tasks <- k
}

func (w *workers) work(k *task) {
	for w.run(k); ; w.run(k) {
		var more bool
		if k, more = <-w.tasks; !more {
			return
		}
	}
}

// stop returns when every task that was given is done.
func (w *workers) stop() {
	close(w.tasks)
	w.wg.Wait()
}
