package lsd

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// metaWork lets Pebble compact, and has it rest after a failure: of itself it tries again at once, which with a table that is
// damaged is for ever, as fast as the machine can.
type metaWork struct {
	db   pebble.DBForCompaction
	stop chan struct{}
	idle sync.WaitGroup // the granting goroutine

	mu      sync.Mutex
	running int
	rest    int // ticks until the next try
	next    int // ticks to rest after the next failure
	gone    bool
}

const (
	metaTick      = 100 * time.Millisecond
	metaRest      = 50
	metaRestLimit = 6000
)

var _ pebble.CompactionScheduler = (*metaWork)(nil)

func newMetaWork() *metaWork { return &metaWork{stop: make(chan struct{}), next: metaRest} }

// failed begins a rest, twice as long as the last.
func (w *metaWork) failed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rest == 0 {
		w.rest = w.next
		w.next = min(w.next*2, metaRestLimit)
	}
}

func (w *metaWork) succeeded() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = metaRest
}

// Register implements pebble.CompactionScheduler.
func (w *metaWork) Register(_ int, db pebble.DBForCompaction) {
	w.db = db
	w.idle.Go(func() {
		t := time.NewTicker(metaTick)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				w.grant()
			case <-w.stop:
				return
			}
		}
	})
}

// Unregister implements pebble.CompactionScheduler.
func (w *metaWork) Unregister() {
	w.mu.Lock()
	w.gone = true
	w.mu.Unlock()
	close(w.stop)
	w.idle.Wait()
}

// TrySchedule implements pebble.CompactionScheduler.
func (w *metaWork) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.take(), w
}

// take counts one more compaction, if it may be. The caller holds w.mu.
func (w *metaWork) take() bool {
	if w.gone || w.rest > 0 || w.running >= w.db.GetAllowedWithoutPermission() {
		return false
	}
	w.running++
	return true
}

// grant begins what waits, after a rest or because more may run than before.
func (w *metaWork) grant() {
	w.mu.Lock()
	if w.rest > 0 {
		w.rest--
	}
	w.mu.Unlock()
	for {
		if waiting, _ := w.db.GetWaitingCompaction(); !waiting {
			return
		}
		w.mu.Lock()
		ok := w.take()
		w.mu.Unlock()
		if !ok {
			return
		}
		if !w.db.Schedule(w) {
			w.Done()
			return
		}
	}
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler; the next tick sees to it.
func (w *metaWork) UpdateGetAllowedWithoutPermission() {}

// Started implements pebble.CompactionGrantHandle.
func (w *metaWork) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (w *metaWork) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (w *metaWork) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements pebble.CompactionGrantHandle.
func (w *metaWork) Done() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
}
