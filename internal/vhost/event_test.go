package vhost

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tintype/internal/block/blocktest"
)

// blocking makes a descriptor's open file one whose reads and writes wait.
func blocking(t *testing.T, fd int) {
	t.Helper()
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, 0)
	must(t, err)
}

// within fails the test at once when f does not return in time.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		panic(what + " hangs") // so would what cleans up
	}
}

// fill brings a queue's call to its maximum, when the last call was made.
func fill(t *testing.T, q *queue, call int) {
	t.Helper()
	q.done.Lock()
	defer q.done.Unlock()
	var b [8]byte
	if ready(call, unix.POLLIN) {
		_, err := unix.Read(call, b[:])
		must(t, err)
	}
	binary.LittleEndian.PutUint64(b[:], math.MaxUint64-1)
	_, err := unix.Write(call, b[:])
	must(t, err)
}

// TestEventsThatBlock has the front end make the files that it shares with the server ones that block, full or empty.
func TestEventsThatBlock(t *testing.T) {
	mem := blocktest.NewMem(1 << 20)
	s, path := startServer(t, mem, false)
	f := newFrontEnd(t, path)
	f.setUp(featureFlush)
	d := f.addQueue(16, 0)
	d.start()
	d.works(1)
	blocking(t, d.kick)
	d.works(2)

	blocking(t, d.call)
	fill(t, sessionOf(s).queues[0], d.call)
	for range 3 {
		r := d.lay(nil, blkIn, 0, nil, 4096)
		d.add(r.pieces, 0)
		signal(d.kick)
		within(t, "a request whose call is full", func() {
			for _, ok := d.poll(); !ok; _, ok = d.poll() {
				time.Sleep(time.Millisecond)
			}
		})
	}

	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	must(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	must(t, f.send(setBackendFD, nil, true, pair[0]))
	for err = nil; err == nil; {
		_, err = unix.Write(pair[0], make([]byte, 4096))
	}
	for err = nil; err == nil; {
		_, err = unix.Write(pair[0], make([]byte, 1))
	}
	blocking(t, pair[0])
	within(t, "the news of a size", sessionOf(s).resized)
	within(t, "the end", func() { must(t, s.Remove("disk-0")) })
}

// TestLongChains does requests of as many pieces as there may be, whose memory is not kept.
func TestLongChains(t *testing.T) {
	s, path := startServer(t, blocktest.NewMem(1<<20), false)
	f := newFrontEnd(t, path)
	f.setUp(featureFlush | featureIndirect)
	d := f.addQueue(16, featureIndirect)
	d.start()
	r := d.lay(nil, blkIn, 0, nil, 4096)
	data := r.pieces[1]
	long := []piece{r.pieces[0]}
	for range maxIndirect - 2 {
		long = append(long, piece{data.addr, sector, true})
	}
	long = append(long, r.pieces[2])
	table := f.alloc(descSize*maxIndirect, 16)
	for range 2 * d.num {
		d.add(long, table)
		d.notify()
		if d.wait(); r.status(f) != statusOK {
			t.Fatalf("a read ends with %d", r.status(f))
		}
	}
	q := sessionOf(s).queues[0]
	f.ask(getVringBase, stateBody(0, 0))
	q.done.Lock()
	defer q.done.Unlock()
	for i := range q.slots {
		if c := &q.slots[i].chain; cap(c.out)+cap(c.in) > keepPieces || cap(c.table) > keepPieces*descSize {
			t.Fatalf("%d, %d and %d are kept", cap(c.out), cap(c.in), cap(c.table))
		}
	}
}

// TestMapOffset maps memory that begins far into its file, and no more than that.
func TestMapOffset(t *testing.T) {
	fd, err := unix.MemfdCreate("guest", unix.MFD_CLOEXEC)
	must(t, err)
	defer unix.Close(fd)
	const far = 1<<40 + 3*4096 + 512
	must(t, unix.Ftruncate(fd, far+fileSize))
	_, err = unix.Pwrite(fd, []byte{42}, far)
	must(t, err)
	_, err = unix.Pwrite(fd, []byte{43}, far+fileSize-1)
	must(t, err)
	m, err := newMemory([]place{{guest: guestBase, size: fileSize, user: userA, offset: far}}, []int{fd})
	must(t, err)
	defer m.close()
	r := m.regions[0]
	if len(r.bytes) != fileSize || r.bytes[0] != 42 || r.bytes[fileSize-1] != 43 {
		t.Errorf("%d bytes are another part of the file", len(r.bytes))
	}
	if len(r.whole) > 2*fileSize {
		t.Errorf("%d bytes are mapped", len(r.whole))
	}
}

// TestBase tells the base of a queue as it was set, also before the queue is started again.
func TestBase(t *testing.T) {
	_, path := startServer(t, blocktest.NewMem(1<<20), false)
	f := newFrontEnd(t, path)
	f.setUp(featureFlush)
	d := f.addQueue(16, 0)
	d.start()
	d.works(1)
	for _, step := range []struct {
		set  int
		want uint32
	}{{-1, 2}, {-1, 2}, {7, 7}, {-1, 7}} {
		if step.set >= 0 {
			must(t, f.send(setVringBase, stateBody(0, uint32(step.set)), true))
		}
		b := f.ask(getVringBase, stateBody(0, 0))
		if got := binary.LittleEndian.Uint32(b[4:]); got != step.want {
			t.Errorf("the base is %d after %d was set, not %d", got, step.set, step.want)
		}
	}
}
