package nbd

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"tintype/internal/block"
)

const (
	// inlineWrite is the longest write that is served from the read buffer. Longer ones get a buffer of their own and
	// a worker, so that the next request is received meanwhile.
	inlineWrite = 64 << 10
	// inlineRead is the longest read that is tried without a worker.
	inlineRead = 32 << 10
	// batchSize is how many bytes of replies are gathered before they are sent in any case.
	batchSize = 128 << 10
	// singleMin is how many requests have come one after the other from a client that waits for each answer: a flush of such
	// a one is done where it is received.
	singleMin = 16
	// maxBatches is how many batches may wait for the client.
	maxBatches = 4
	// maxHeld is how many bytes the requests of one connection may hold, until their replies have left: room for the
	// largest, twice.
	maxHeld = 2 * (maxPayload + taskCost)
	// taskCost is what a request counts for besides its payload.
	taskCost = 16 << 10
)

// cachedReader is what a device may offer besides block.Device: ReadCached fills p and says that it is done if that takes no
// waiting for media. Otherwise p may hold anything, and the read is done by ReadAt; begun says that what is missing is on its
// way into memory already.
type cachedReader interface {
	ReadCached(p []byte, off int64) (done, begun bool)
}

// transmission is the second phase of a connection ("Transmission"). Its methods belong to the goroutine that reads
// requests, except those on a task, which workers run.
type transmission struct {
	srv     *Server
	export  *export
	dev     block.Device
	cached  cachedReader  // nil when the device has none
	settler block.Settler // nil when the device needs none
	changed atomic.Bool   // by a write whose answer may be on its way, since the last Settle
	choice  choice

	in       input
	out      outbox
	workers  *workers
	arrivals arrivals
	held     *allowance

	underWay atomic.Int32 // tasks whose device call has not returned

	batch   []byte // replies not yet sent
	batches chan []byte

	single int       // requests in a row that came when nothing else was there
	served uint64    // requests, also refused ones
	began  time.Time // of the request that is taken, when it is timed

	gone atomic.Bool // nobody waits for replies any more
}

func newTransmission(c *conn, early *bufio.Reader, chosen choice) *transmission {
	t := &transmission{
		srv: c.srv, export: chosen.export, dev: chosen.export.Device, choice: chosen,
		held: newAllowance(maxHeld), batches: make(chan []byte, maxBatches),
	}
	t.cached, _ = t.dev.(cachedReader)
	t.settler, _ = t.dev.(block.Settler)
	t.out = outbox{nc: c.nc, release: t.release, settle: t.settle}
	t.workers = newWorkers(t.execute)
	t.in = input{src: c.nc, idle: t.flush, buf: make([]byte, inputSize)}
	// A client may not send requests before it knows that it may; bytes it sent all the same are taken as they are.
	t.in.w, _ = early.Read(t.in.buf[:early.Buffered()])
	for range maxBatches {
		t.batches <- nil
	}
	return t
}

// run serves requests until the client leaves or breaks the protocol. It returns when no request is in the device any
// more and every reply has been sent, or cannot be.
func (t *transmission) run() error {
	err := t.serve()
	t.gone.Store(err != nil && !errors.Is(err, os.ErrDeadlineExceeded))
	t.workers.stop()
	t.arrivals.stop()
	if sent := t.flush(); err == nil {
		err = sent
	}
	return err
}

func (t *transmission) serve() error {
	for {
		head, err := t.in.need(requestSize)
		if err != nil {
			return err
		}
		r, err := parseRequest(head)
		if err != nil {
			return err
		}
		t.in.skip(requestSize)
		if r.kind == cmdDisc {
			return nil
		}
		single := t.underWay.Load() == 0
		if err := t.watch(r); err != nil {
			return err
		}
		if t.single++; !single || !t.in.empty() {
			t.single = 0
		}
	}
}

// watchEvery is of how many requests one is timed: reading the clock for each would be felt at 100,000 a second.
const watchEvery = 64

// watch takes a request, and times it when it is its turn. Of one that a worker does, handOver takes the beginning along.
func (t *transmission) watch(r request) error {
	w := t.srv.opt.Watch
	if t.served++; w == nil || t.served%watchEvery != 1 {
		return t.take(r)
	}
	t.began = w.Now()
	err := t.take(r)
	if !t.began.IsZero() {
		w.Took(r.command(), w.Now().Sub(t.began))
		t.began = time.Time{}
	}
	return err
}

// take serves one request or hands it over. An error ends the connection.
func (t *transmission) take(r request) error {
	e := r.check(terms{
		size: t.dev.Size(), readOnly: t.export.readOnly(),
		structured: t.choice.structured, status: len(t.choice.contexts) > 0,
	})
	switch {
	case e != errnoNone:
		return t.reject(r, e)
	case r.n == 0 && r.kind != cmdFlush:
		return t.result(r, errnoNone)
	case r.kind == cmdWrite:
		return t.takeWrite(r)
	case r.kind == cmdRead:
		return t.takeRead(r)
	case r.kind == cmdFlush && t.single >= singleMin && t.in.empty() && t.underWay.Load() == 0:
		return t.result(r, t.errno(t.dev.Flush(), r))
	}
	k, err := t.newTask(r, 0)
	if err != nil {
		return err
	}
	t.handOver(k)
	return nil
}

// reject answers a request that is not done, past the data that a write brings along.
func (t *transmission) reject(r request, e errno) error {
	if r.kind == cmdWrite {
		if r.n > maxPayloadSkip {
			return fmt.Errorf("nbd: write of %d bytes", r.n)
		}
		if err := t.in.discard(int64(r.n)); err != nil {
			return err
		}
	}
	return t.result(r, e)
}

// takeWrite writes at once what is short and made of whole blocks: the device only takes that in. A ragged write may
// have to read first, and FUA waits for media.
func (t *transmission) takeWrite(r request) error {
	whole := r.off%block.BlockSize == 0 && r.n%block.BlockSize == 0
	if r.n <= inlineWrite && whole && r.flags&cmdFlagFUA == 0 {
		data, err := t.in.need(int(r.n))
		if err != nil {
			return err
		}
		_, err = t.dev.WriteAt(data, int64(r.off))
		t.changed.Store(true)
		t.in.skip(int(r.n))
		return t.result(r, t.errno(err, r))
	}
	k, err := t.newTask(r, int(r.n))
	if err != nil {
		return err
	}
	if err := t.in.read(*k.payload); err != nil {
		t.release(message{task: k})
		return err
	}
	t.handOver(k)
	return nil
}

// settle makes sure that no client hears of a write which the end of this process could take back.
func (t *transmission) settle() error {
	if t.settler == nil || !t.changed.Swap(false) {
		return nil
	}
	return t.settler.Settle()
}

// takeRead answers at once what the device has at hand, and what nobody would have to wait behind: with nothing else
// under way, a worker would only add the time of two switches. The rest goes to workers, so that slow media hold up
// neither other reads nor writes.
func (t *transmission) takeRead(r request) error {
	begun := false
	if r.n <= inlineRead {
		done, on, err := t.readInline(r)
		if done || err != nil {
			return err
		}
		begun = on
	}
	k, err := t.newTask(r, int(r.n))
	if err != nil {
		return err
	}
	k.began, t.began = t.began, time.Time{}
	t.underWay.Add(1)
	if begun {
		t.await(k)
	} else {
		t.workers.give(k, t.flush)
	}
	return nil
}

// readInline reads into the batch, or reports that it is not done when others should do it, and whether the device has begun.
func (t *transmission) readInline(r request) (done, begun bool, err error) {
	alone := t.in.empty() && t.underWay.Load() == 0
	if t.cached == nil && !alone {
		return false, false, nil
	}
	n := int(r.n)
	if err := t.room(chunkHeaderSize + 8 + n); err != nil {
		return false, false, err
	}
	b := t.batch
	if t.choice.structured {
		b = appendData(b, chunkDone, r.cookie, int64(r.off), n)
	} else {
		b = appendSimple(b, errnoNone, r.cookie)
	}
	start := len(b)
	b = b[:start+n]
	if t.cached != nil {
		done, begun = t.cached.ReadCached(b[start:], int64(r.off))
	}
	if !done {
		if !alone {
			return false, begun, nil
		}
		if _, err := t.dev.ReadAt(b[start:], int64(r.off)); err != nil {
			return true, false, t.result(r, t.errno(err, r))
		}
	}
	t.batch = b
	return true, false, nil
}

// newTask makes a task with room for a payload, once the connection may hold that many more bytes.
func (t *transmission) newTask(r request, payload int) (*task, error) {
	cost := int64(taskCost + payload)
	if err := t.held.take(cost, t.flush); err != nil {
		return nil, err
	}
	k := t.srv.tasks.get()
	k.request, k.cost = r, cost
	if payload > 0 {
		k.payload = t.srv.buffers.get(payload)
	}
	return k, nil
}

func (t *transmission) handOver(k *task) {
	k.began, t.began = t.began, time.Time{}
	t.underWay.Add(1)
	t.workers.give(k, t.flush)
}

// result adds a reply to the batch.
func (t *transmission) result(r request, e errno) error {
	if err := t.room(chunkHeaderSize + 256); err != nil {
		return err
	}
	t.batch = appendResult(t.batch, e, r, t.choice.structured)
	return nil
}

// room makes sure that n more bytes fit into the batch.
func (t *transmission) room(n int) error {
	if cap(t.batch)-len(t.batch) >= n {
		return nil
	}
	if err := t.flush(); err != nil {
		return err
	}
	if t.batch == nil {
		t.batch = <-t.batches
	}
	if t.batch == nil {
		t.batch = make([]byte, 0, batchSize)
	}
	return nil
}

// flush sends the batch.
func (t *transmission) flush() error {
	if len(t.batch) == 0 {
		return nil
	}
	b := t.batch
	t.batch = nil
	return t.out.send(message{parts: [][]byte{b}, batch: b})
}

// release takes back what a message held.
func (t *transmission) release(m message) {
	if m.batch != nil {
		t.batches <- m.batch[:0]
	}
	if k := m.task; k != nil {
		t.held.give(k.cost)
		if k.payload != nil {
			t.srv.buffers.put(k.payload)
		}
		t.srv.tasks.put(k)
	}
}

// errno translates a device's error, and tells the operator of one that is not the client's fault.
func (t *transmission) errno(err error, r request) errno {
	e := errnoOf(err, r.kind)
	if e == errnoIO {
		t.srv.opt.Log.Error("nbd: the device failed a request",
			"export", t.export.Name, "command", r.kind, "offset", r.off, "length", r.n, "error", err)
	}
	return e
}
