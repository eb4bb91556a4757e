package vhost

import (
	"os"
	"sync"
	"sync/atomic"

	"tintype/internal/block"
)

const (
	// maxBatch is how many requests are taken before those that are done are answered.
	maxBatch = 32
	// maxWorkers is how many requests of one queue may be in the device at once beside the one where they are taken.
	maxWorkers = 64
	// singleMin is how many requests have come one after the other from a guest that waits for each answer: a flush of such a
	// one is done where it is taken.
	singleMin = 16
	// watchEvery is of how many requests one is timed.
	watchEvery = 64
)

// cachedReader is what a device may offer besides block.Device: ReadCached fills p and says that it is done if that takes no
// waiting for media. Otherwise p may hold anything, and the read is done by ReadAt.
type cachedReader interface {
	ReadCached(p []byte, off int64) (done, begun bool)
}

// queue is one virtqueue. Requests are taken by whoever holds take; answers are given under done, which is never held for long.
// Whoever needs both locks take first. What both need to read changes under both, and while nothing is in flight.
type queue struct {
	s       *session
	index   int
	dev     block.Device
	cached  cachedReader  // nil when the device has none
	settler block.Settler // nil when the device needs none

	take      sync.Mutex
	num       uint16
	addr      vringAddr
	base      uint16
	kick      *os.File
	started   bool
	enabled   bool
	ring      ring
	lastAvail uint16
	again     []uint16 // taken by who was here before us, and not answered
	slots     []request
	workers   *workers
	finished  []*request // done, and not answered
	buf       buffer
	single    int // requests in a row that came when nothing else was there
	served    uint64

	broken   atomic.Bool
	inFlight atomic.Int32

	done    sync.Mutex
	idle    sync.Cond // nothing is in flight
	flight  *flight   // nil when the front end keeps none
	usedIdx uint16
	call    int // descriptors, -1 when there is none
	err     int
}

func newQueue(s *session, index int) *queue {
	q := &queue{s: s, index: index, dev: s.export.Device, call: -1, err: -1}
	q.idle.L = &q.done
	q.cached, _ = q.dev.(cachedReader)
	q.settler, _ = q.dev.(block.Settler)
	return q
}

// listen takes requests whenever the guest says that there are some, until the file is closed.
func (q *queue) listen(kick *os.File) {
	for {
		q.drain()
		if err := await(kick); err != nil {
			return
		}
	}
}

// drain takes requests until there are none.
func (q *queue) drain() {
	for q.step() {
	}
}

// step takes a batch of requests, and reports whether to look for more.
func (q *queue) step() bool {
	q.take.Lock()
	defer q.take.Unlock()
	took := 0
	for took < maxBatch && q.runs() {
		r, err := q.next()
		if err != nil {
			q.fail(err)
			break
		}
		if r == nil {
			break
		}
		took++
		q.inFlight.Add(1)
		q.serve(r)
	}
	q.answerFinished()
	if !q.runs() {
		return false
	}
	return took > 0 || q.rest()
}

func (q *queue) runs() bool {
	return q.started && q.enabled && !q.broken.Load() && !q.s.closing.Load()
}

// rest asks the guest for a kick, and reports whether there is something already.
func (q *queue) rest() (more bool) {
	err := guard(func() error {
		q.ring.want(true, q.lastAvail)
		if more = q.ring.availIdx() != q.lastAvail; more {
			q.ring.want(false, q.lastAvail)
		}
		return nil
	})
	if err != nil {
		q.fail(err)
	}
	return more && err == nil
}

// next takes a request: nil when there is none. An error is the guest's.
func (q *queue) next() (r *request, err error) {
	err = guard(func() error {
		head := uint16(0)
		if len(q.again) > 0 {
			head, q.again = q.again[0], q.again[1:]
		} else {
			waiting := q.ring.availIdx() - q.lastAvail
			if waiting == 0 {
				return nil
			}
			if waiting > q.num {
				return broken("%d requests in a queue of %d", waiting, q.num)
			}
			head = q.ring.availHead(q.lastAvail)
		}
		if head >= q.num || q.slots[head].busy.Load() {
			return broken("request %d in a queue of %d, which is none or not new", head, q.num)
		}
		q.note(head)
		q.lastAvail++
		r = &q.slots[head]
		return r.read(&q.ring, q.s.mem, head)
	})
	if err != nil {
		return nil, err
	}
	if r != nil {
		r.busy.Store(true)
		if q.served++; q.s.watch != nil && q.served%watchEvery == 1 {
			r.began = q.s.watch.Now()
		}
	}
	return r, nil
}

// note writes down that a request was taken. Whoever answered the one that had this head before may still be about to note that: the
// guest saw the answer first. The lock is left also where there is no memory.
func (q *queue) note(head uint16) {
	if q.flight == nil {
		return
	}
	q.done.Lock()
	defer q.done.Unlock()
	q.flight.take(head)
}

// serve does a request where it was taken if that takes no waiting, and otherwise gives it to a worker.
func (q *queue) serve(r *request) {
	alone := q.inFlight.Load() == 1
	if q.single++; !alone {
		q.single = 0
	}
	if q.here(r, alone) {
		q.finished = append(q.finished, r)
		return
	}
	q.workers.give(r, q.answerFinished)
}

// here does a request that nobody has to wait behind, and reports whether it did.
func (q *queue) here(r *request, alone bool) bool {
	switch r.kind {
	case blkOut:
		off, n, ok := r.span(q.dev.Size())
		if ok && (n > inlineWrite || off%block.BlockSize != 0 || n%block.BlockSize != 0 || q.s.writeThrough) {
			return false
		}
	case blkIn:
		off, n, ok := r.span(q.dev.Size())
		if ok && n > inlineRead {
			return false
		}
		if ok && q.cached != nil {
			p := q.buf.get(q.s, n)
			if done, _ := q.cached.ReadCached(p, off); done {
				r.written = uint32(n) + 1
				q.judge(r, copyOut(r.in, p, 0))
				return true
			}
		}
		if ok && (!alone || !q.empty()) {
			return false
		}
	case blkFlush:
		if q.single < singleMin || !q.empty() {
			return false
		}
	case blkDiscard, blkWriteZeroes:
		return false
	}
	q.execute(r, &q.buf)
	return true
}

// empty tells that no further request waits.
func (q *queue) empty() (empty bool) {
	err := guard(func() error {
		empty = q.ring.availIdx() == q.lastAvail && len(q.again) == 0
		return nil
	})
	return err == nil && empty
}

// answerFinished answers what was done where it was taken.
func (q *queue) answerFinished() {
	if len(q.finished) > 0 {
		q.answer(q.finished)
		q.finished = q.finished[:0]
	}
}

// answer tells the guest of requests. No guest hears of a write that the end of this process could take back.
func (q *queue) answer(all []*request) {
	q.settle(all)
	for _, r := range all {
		if !r.began.IsZero() {
			q.s.watch.Took(r.kind.String(), q.s.watch.Now().Sub(r.began))
		}
	}
	q.done.Lock()
	wake := false
	before := q.usedIdx
	err := guard(func() error {
		for _, r := range all {
			q.answerOne(r)
		}
		if q.ring.eventIdx {
			wake = passed(q.ring.usedEvent(), before, q.usedIdx)
		} else {
			wake = !q.ring.quiet()
		}
		return nil
	})
	if wake {
		signal(q.call)
	}
	if q.inFlight.Add(-int32(len(all))) == 0 {
		q.idle.Broadcast()
	}
	q.done.Unlock()
	if err != nil {
		q.fail(err)
	}
}

func (q *queue) settle(all []*request) {
	changed := false
	for _, r := range all {
		changed = changed || r.changed
	}
	if !changed || q.settler == nil {
		return
	}
	if err := q.settler.Settle(); err != nil {
		q.s.log.Error("vhost: writes could not be handed over", "export", q.s.export.Name, "error", err)
		for _, r := range all {
			if r.changed {
				r.fail(statusIOError)
			}
		}
	}
}

// answerOne is called under guard. The place of the request may be used again as soon as the guest sees the answer. A request that
// was given up stays noted as taken, so that whoever comes after us does it, and the guest hears of no error.
func (q *queue) answerOne(r *request) {
	if r.left && q.flight != nil {
		return
	}
	head, status := r.head, r.status
	each(r.in, r.room, 1, func(p []byte) { p[0] = status })
	if q.flight != nil {
		q.flight.answering(head)
	}
	q.ring.put(q.usedIdx, head, r.written)
	r.shrink()
	r.busy.Store(false)
	q.usedIdx++
	q.ring.publish(1)
	if q.flight != nil {
		q.flight.answered(head, q.usedIdx)
	}
}

// fail stops a queue whose driver broke the rules, until the front end sets it up anew.
func (q *queue) fail(err error) {
	if q.broken.Swap(true) {
		return
	}
	q.s.log.Warn("vhost: a queue is out of order until the guest resets its device", "export", q.s.export.Name, "queue", q.index, "error", err)
	q.done.Lock()
	defer q.done.Unlock()
	signal(q.err)
}
