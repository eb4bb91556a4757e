package vhost

import (
	"sync"
	"testing"
	"time"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
)

// slow is a device whose first write waits until it is opened.
type slow struct {
	block.Device
	once    sync.Once
	open    chan struct{}
	waiting chan struct{}
}

func newSlow(size int64) *slow {
	return &slow{Device: blocktest.NewMem(size), open: make(chan struct{}), waiting: make(chan struct{})}
}

func (d *slow) WriteAt(p []byte, off int64) (int, error) {
	d.once.Do(func() {
		close(d.waiting)
		<-d.open
	})
	return d.Device.WriteAt(p, off)
}

// sessionOf is the session of the front end that has a server's disk.
func sessionOf(s *Server) *session {
	s.mu.Lock()
	e := s.exports["disk-0"]
	s.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.session
}

// removeDuring removes the export while the device's first write waits.
func removeDuring(t *testing.T, s *Server, dev *slow) {
	t.Helper()
	<-dev.waiting
	x := sessionOf(s)
	removed := make(chan error)
	go func() { removed <- s.Remove("disk-0") }()
	for !x.closing.Load() {
		time.Sleep(time.Millisecond)
	}
	close(dev.open)
	must(t, <-removed)
}

// TestRemoveInWrite ends the service in the middle of a write of several pieces, which is done to its end: Linux writes up to 1280 KiB
// at once.
func TestRemoveInWrite(t *testing.T) {
	const size = 1280 << 10
	for _, noted := range []bool{false, true} {
		dev := newSlow(4 << 20)
		s, path := startServer(t, dev, false)
		f := newFrontEnd(t, path)
		f.setUp(featureFlush)
		if noted {
			f.keepFlights(1, 16)
		}
		d := f.addQueue(16, 0)
		d.start()
		r := d.lay(nil, blkOut, 0, bytesOf(7, size), 0)
		d.add(r.pieces, 0)
		d.notify()
		removeDuring(t, s, dev)
		if _, ok := d.poll(); !ok || r.status(f) != statusOK {
			t.Errorf("noted %v: the write is answered %v with %d", noted, ok, r.status(f))
		}
		last := make([]byte, 512)
		if _, err := dev.ReadAt(last, size-512); err != nil || last[0] != 7 {
			t.Errorf("noted %v: the write was not done to its end: %v", noted, err)
		}
	}
}

// TestRemoveInLongWrite ends the service in the middle of a request that is too long to wait for. The guest does not hear of it, and
// the next server does it.
func TestRemoveInLongWrite(t *testing.T) {
	const parts, part = 65, 1 << 20
	dev := newSlow((parts + 1) * part)
	s, path := startServer(t, dev, false)
	f := newFrontEnd(t, path)
	f.setUp(featureFlush | featureWriteZeroes)
	f.keepFlights(1, 256)
	d := f.addQueue(256, 0)
	d.start()
	r := d.lay(nil, blkOut, 0, bytesOf(7, part), 0)
	long := []piece{r.pieces[0]}
	for range parts {
		long = append(long, r.pieces[1])
	}
	head := d.add(append(long, r.pieces[2]), 0)
	// Zeroes that are written out, 65 MiB in two ranges.
	zeroes := d.lay(nil, blkWriteZeroes, 0, append(rangeBody(0, 33<<11, 0), rangeBody(0, 32<<11, 0)...), 0)
	other := d.add(zeroes.pieces, 0)
	d.notify()
	removeDuring(t, s, dev)
	if a, ok := d.poll(); ok {
		t.Fatalf("request %d is answered", a.head)
	}
	_, path = startServer(t, dev.Device, false)
	f.dial(path)
	f.setUp(featureFlush | featureWriteZeroes)
	f.keepFlights(1, 256)
	d.start()
	again := map[uint16]bool{head: true, other: true}
	for range 2 {
		delete(again, d.wait().head)
	}
	if len(again) > 0 || r.status(f) != statusOK || zeroes.status(f) != statusOK {
		t.Errorf("the next server does not do %v; %d, %d", again, r.status(f), zeroes.status(f))
	}
	d.works(5)
}

// TestNoteAfterAnswer has a guest offer a head again between seeing its answer and the note that it was answered.
func TestNoteAfterAnswer(t *testing.T) {
	dev := &gate{Device: blocktest.NewMem(1 << 20), open: make(chan struct{})}
	s, path := startServer(t, dev, false)
	f := newFrontEnd(t, path)
	f.setUp(featureFlush)
	f.keepFlights(1, 16)
	d := f.addQueue(16, 0)
	d.start()
	if status, _, _ := d.do(blkOut, 8, make([]byte, 4096), 0); status != statusOK {
		t.Fatalf("a write ends with %d", status)
	}
	q := sessionOf(s).queues[0]
	r := d.lay(nil, blkFlush, 0, nil, 0)
	q.done.Lock() // as whoever answers has it
	head := d.add(r.pieces, 0)
	d.notify()
	for end := time.Now().Add(100 * time.Millisecond); dev.waiting.Load() == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	q.flight.answered(head, q.usedIdx)
	q.done.Unlock()
	dev.await()
	q.done.Lock()
	if q.flight.entry(head)[0] != 1 {
		t.Error("a request is in the device, and not noted")
	}
	q.done.Unlock()
	close(dev.open)
	if d.wait(); r.status(f) != statusOK {
		t.Errorf("the flush ends with %d", r.status(f))
	}
}
