package vhost

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
)

// gate is a device whose reads and flushes wait until it is opened.
type gate struct {
	block.Device
	open    chan struct{}
	waiting atomic.Int32
}

func (g *gate) pass() {
	g.waiting.Add(1)
	<-g.open
}

func (g *gate) await() {
	for g.waiting.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
}

func (g *gate) ReadAt(p []byte, off int64) (int, error) { g.pass(); return g.Device.ReadAt(p, off) }
func (g *gate) Flush() error                            { g.pass(); return g.Device.Flush() }

// diary is a device that writes down what is asked of it, and fails when it is told to.
type diary struct {
	block.Device
	mu   sync.Mutex
	told []string
	fail error
	seen func() string // what the guest sees when Settle is called
}

func (d *diary) note(format string, args ...any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, fmt.Sprintf(format, args...))
	return d.fail
}

func (d *diary) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.told
	d.told = nil
	return t
}

func (d *diary) WriteAt(p []byte, off int64) (int, error) {
	if err := d.note("write %d", off); err != nil {
		return 0, err
	}
	return d.Device.WriteAt(p, off)
}

func (d *diary) ReadAt(p []byte, off int64) (int, error) {
	if err := d.note("read %d", off); err != nil {
		return 0, err
	}
	return d.Device.ReadAt(p, off)
}
func (d *diary) Flush() error                   { return d.note("flush") }
func (d *diary) Trim(off, n int64) error        { return d.note("trim %d %d", off, n) }
func (d *diary) WriteZeroes(off, n int64) error { return d.note("zero %d %d", off, n) }
func (d *diary) Settle() error                  { return d.note("settle%s", d.seen()) }

// TestOrder has no answer come before what it promises.
func TestOrder(t *testing.T) {
	var index atomic.Pointer[byte] // of the used ring
	var answered atomic.Uint32
	dev := &diary{Device: blocktest.NewMem(4 << 20), seen: func() string {
		if load16(index.Load()) != uint16(answered.Load()) {
			return " late"
		}
		return ""
	}}
	_, path := startServer(t, dev, false)
	for _, cached := range []bool{true, false} {
		f := newFrontEnd(t, path)
		features := featureDiscard | featureWriteZeroes
		if cached {
			features |= featureFlush
		}
		f.setUp(features)
		d := f.addQueue(16, 0)
		d.start()
		index.Store(&f.memory(d.addr.used, 4)[2])
		answered.Store(0)
		through := []string{"flush"}
		if cached {
			through = nil
		}
		settle := []string{"settle"}
		zeroes := make([]string, 0, 2)
		zeroes = append(zeroes, "write 0", "write 1048576")
		for _, c := range []struct {
			kind blockCommand
			at   uint64
			data []byte
			room uint64
			want []string
		}{
			{blkOut, 8, make([]byte, 4096), 0, slices.Concat([]string{"write 4096"}, through, settle)},
			{blkOut, 9, make([]byte, 512), 0, slices.Concat([]string{"write 4608"}, through, settle)},
			{blkOut, 0, make([]byte, 1<<20+4096), 0, slices.Concat(zeroes, through, settle)},
			{blkIn, 8, nil, 4096, []string{"read 4096"}},
			{blkFlush, 0, nil, 0, []string{"flush"}},
			{blkDiscard, 0, rangeBody(8, 16, 0), 0, slices.Concat([]string{"trim 4096 8192"}, through, settle)},
			{blkWriteZeroes, 0, rangeBody(8, 16, rangeUnmap), 0, slices.Concat([]string{"zero 4096 8192"}, through, settle)},
			{blkWriteZeroes, 0, rangeBody(0, 2056, 0), 0, slices.Concat(zeroes, through, settle)},
		} {
			if status, _, _ := d.do(c.kind, c.at, c.data, c.room); status != statusOK {
				t.Errorf("%v ends with %d", c.kind, status)
			}
			answered.Add(1)
			if got := dev.all(); !slices.Equal(got, c.want) {
				t.Errorf("%v with flushes %v: the device was told %q instead of %q", c.kind, cached, got, c.want)
			}
		}
		f.conn.Close()
	}
}

// TestErrors has each error of a device become one of the request, and nothing more.
func TestErrors(t *testing.T) {
	dev := &diary{Device: blocktest.NewMem(1 << 20), seen: func() string { return "" }}
	_, path := startServer(t, dev, false)
	f := newFrontEnd(t, path)
	f.setUp(featureFlush | featureDiscard | featureWriteZeroes)
	d := f.addQueue(16, 0)
	d.start()
	for _, err := range []error{block.ErrNoSpace, block.ErrDamaged, block.ErrFailed, block.ErrReadOnly, errors.New("another"), nil} {
		dev.mu.Lock()
		dev.fail = err
		dev.mu.Unlock()
		want := byte(statusIOError)
		if err == nil {
			want = statusOK
		}
		for kind, body := range map[blockCommand][]byte{
			blkIn: nil, blkOut: make([]byte, 512), blkFlush: nil, blkDiscard: rangeBody(0, 8, 0), blkWriteZeroes: rangeBody(0, 8, 1),
		} {
			status, _, written := d.do(kind, 0, body, 0)
			if kind == blkIn {
				status, _, written = d.do(kind, 0, nil, 512)
			}
			if status != want || want != statusOK && written != 1 {
				t.Errorf("%v: %v becomes %d, %d bytes written", kind, err, status, written)
			}
		}
	}
}

// TestReadOnly serves a snapshot.
func TestReadOnly(t *testing.T) {
	mem := blocktest.NewMem(1 << 20)
	_, err := mem.WriteAt(bytesOf(3, 4096), 0)
	must(t, err)
	_, path := startServer(t, mem, true)
	f := newFrontEnd(t, path)
	if offered := f.askU64(getFeatures); offered&featureRO == 0 || offered&(featureDiscard|featureWriteZeroes) != 0 {
		t.Errorf("features %#x are offered", offered)
	}
	f.setUp(featureFlush | featureRO)
	d := f.addQueue(16, 0)
	d.start()
	if status, in, _ := d.do(blkIn, 0, nil, 4096); status != statusOK || in[0] != 3 {
		t.Errorf("a read ends with %d, %d", status, in[0])
	}
	for kind, body := range map[blockCommand][]byte{blkOut: make([]byte, 512), blkDiscard: rangeBody(0, 8, 0), blkWriteZeroes: rangeBody(0, 8, 1)} {
		if status, _, _ := d.do(kind, 0, body, 0); status != statusIOError {
			t.Errorf("%v ends with %d", kind, status)
		}
	}
	if status, _, _ := d.do(blkFlush, 0, nil, 0); status != statusOK {
		t.Errorf("a flush ends with %d", status)
	}
}

// TestConfig reads the configuration space, and hears when the disk grows.
func TestConfig(t *testing.T) {
	mem := blocktest.NewMem(1<<20 + 512)
	_, path := startServer(t, mem, false)
	f := newFrontEnd(t, path)
	f.setUp(featureFlush)
	config := func(offset, n uint32) []byte {
		body := binary.LittleEndian.AppendUint32(nil, offset)
		body = binary.LittleEndian.AppendUint32(body, n)
		return f.ask(getConfig, append(body, make([]byte, 4+n)...))[12:]
	}
	if c := config(0, 60); binary.LittleEndian.Uint64(c) != 2049 || c[20] != 0 || c[21] != 2 {
		t.Errorf("the configuration is % x", c)
	}
	if c := config(50, 206); len(c) != 206 {
		t.Errorf("%d bytes of configuration", len(c))
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(pair[1])
	must(t, f.send(setBackendFD, nil, true, pair[0]))
	unix.Close(pair[0])
	mem.Grow(2 << 20)
	b := make([]byte, 64)
	n, err := unix.Read(pair[1], b)
	if want := appendMessage(nil, backendConfigChanged, flagVersion, nil); err != nil || !bytes.Equal(b[:n], want) {
		t.Errorf("the server says % x, %v", b[:n], err)
	}
	if c := config(0, 8); binary.LittleEndian.Uint64(c) != 4096 {
		t.Errorf("the capacity is % x", c)
	}
	d := f.addQueue(16, 0)
	d.start()
	if status, _, _ := d.do(blkOut, 4095, make([]byte, 512), 0); status != statusOK {
		t.Errorf("a write to what is new ends with %d", status)
	}
	if status, id, written := d.do(blkGetID, 0, nil, 20); status != statusOK || !bytes.HasPrefix(id, []byte("disk0\x00")) || written != 21 {
		t.Errorf("the id is %q: %d", id, status)
	}
}

// TestOneAtATime refuses a second front end, and takes the next when the first has gone.
func TestOneAtATime(t *testing.T) {
	_, path := startServer(t, blocktest.NewMem(1<<20), false)
	first := newFrontEnd(t, path)
	first.setUp(0)
	second := newFrontEnd(t, path)
	if err := second.raw(appendMessage(nil, getFeatures, flagVersion, nil)); err == nil {
		t.Fatal("two have the disk at once")
	}
	first.askU64(getFeatures)
	first.conn.Close()
	third := newFrontEnd(t, path)
	third.setUp(0)
}

// TestRemove answers what is under way, and lets nothing touch the device afterwards.
func TestRemove(t *testing.T) {
	dev := &gate{Device: blocktest.NewMem(1 << 20), open: make(chan struct{})}
	s, path := startServer(t, dev, false)
	f := newFrontEnd(t, path)
	f.setUp(featureFlush)
	d := f.addQueue(16, 0)
	d.start()
	r := d.lay(nil, blkFlush, 0, nil, 0)
	d.add(r.pieces, 0)
	d.notify()
	dev.await()
	removed := make(chan error)
	go func() { removed <- s.Remove("disk-0") }()
	select {
	case err := <-removed:
		t.Fatalf("the export is gone while a flush is in the device: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(dev.open)
	must(t, <-removed)
	if _, ok := d.poll(); !ok || r.status(f) != statusOK {
		t.Error("the flush was not answered")
	}
	if err := s.Remove("disk-0"); !errors.Is(err, ErrExportUnknown) {
		t.Errorf("removed twice: %v", err)
	}
}

// TestStop stops a queue under a request: the front end is told when that has been answered.
func TestStop(t *testing.T) {
	dev := &gate{Device: blocktest.NewMem(1 << 20), open: make(chan struct{})}
	_, path := startServer(t, dev, false)
	f := newFrontEnd(t, path)
	f.setUp(featureFlush)
	d := f.addQueue(16, 0)
	d.start()
	r := d.lay(nil, blkFlush, 0, nil, 0)
	d.add(r.pieces, 0)
	d.notify()
	dev.await()
	must(t, f.send(getVringBase, stateBody(0, 0), false))
	must(t, f.conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	if _, err := f.conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the queue has stopped while a flush is in the device: %v", err)
	}
	close(dev.open)
	b, _, err := f.reply(getVringBase)
	if want := stateBody(0, 1); err != nil || !bytes.Equal(b, want) {
		t.Fatalf("% x, %v", b, err)
	}
	if _, ok := d.poll(); !ok || r.status(f) != statusOK {
		t.Error("the flush was not answered")
	}
	d.start()
	d.works(2)
}

// TestFlights stops at every point of taking and answering requests, and looks at what whoever carries on finds.
func TestFlights(t *testing.T) {
	area := flightArea{queues: 1, queueSize: 8}
	for _, at := range []string{"took", "answering", "published", "answered"} {
		f := &flight{b: make([]byte, area.each()), num: 8}
		const used = 0xfffd // it goes round
		if again, fresh := f.recover(used); len(again) > 0 || !fresh {
			t.Fatalf("%v, %v of nothing", again, fresh)
		}
		idx := uint16(used)
		for _, head := range []uint16{5, 2, 7, 0, 3} {
			f.take(head)
		}
		for _, head := range []uint16{7, 5} {
			f.answering(head)
			idx++
			f.answered(head, idx)
		}
		want := []uint16{2, 0, 3}
		if at != "took" {
			f.answering(0)
		}
		if at == "published" || at == "answered" {
			idx++
			want = []uint16{2, 3}
		}
		if at == "answered" {
			f.answered(0, idx)
		}
		next := &flight{b: f.b, num: 8}
		if again, fresh := next.recover(idx); !slices.Equal(again, want) || fresh {
			t.Errorf("%s: %v are done again, %v are to be", at, again, want)
		}
		next.take(1) // behind the others
		if again, _ := next.recover(idx); !slices.Equal(again, append(want, 1)) {
			t.Errorf("%s: then %v", at, again)
		}
	}
}

// TestMemoryMoves replaces the memory table under a queue that works, as QEMU does when a guest maps a device.
func TestMemoryMoves(t *testing.T) {
	_, path := startServer(t, coldDevice{blocktest.NewMem(1 << 20)}, false)
	f := newFrontEnd(t, path)
	f.setUp(featureFlush)
	d := f.addQueue(64, 0)
	d.start()
	rnd := rand.New(rand.NewPCG(1, 2))
	floor := f.next
	for range 200 {
		f.next = floor
		var all []*blkRequest
		for len(d.free) > 12 {
			r := d.lay(rnd, blkIn, rnd.Uint64N(2000), nil, 4096)
			all = append(all, r)
			d.add(r.pieces, r.table)
		}
		d.notify()
		must(t, f.sendMemory())
		for range all {
			d.wait()
		}
		for _, r := range all {
			if r.status(f) != statusOK {
				t.Fatal("a read fails")
			}
		}
	}
}

// helperSocket tells a process of this test to be a server: reads of odd sectors never end there.
const helperSocket = "VHOST_TEST_SOCKET"

type oddDevice struct{ block.Device }

func (d oddDevice) ReadAt(p []byte, off int64) (int, error) {
	if off/sector%2 == 1 {
		select {}
	}
	return d.Device.ReadAt(p, off)
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperSocket); dir != "" {
		if err := serveOdd(dir); err != nil {
			panic(err)
		}
		select {}
	}
	m.Run()
}

// TestKilledServer kills a server in the middle of requests; the next one does those again, in their order, that were not answered.
func TestKilledServer(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { killServer(t, rand.New(rand.NewPCG(seed, 9))) })
	}
}

func killServer(t *testing.T, rnd *rand.Rand) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), helperSocket+"="+dir)
	child.Stderr = os.Stderr
	must(t, child.Start())
	defer child.Wait()
	defer child.Process.Kill()
	path := dir + "/disk-0"
	for range 3000 {
		if nc, err := net.Dial("unix", path); err == nil {
			nc.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	f := newFrontEnd(t, path)
	f.setUp(featureFlush)
	f.keepFlights(1, 256)
	d := f.addQueue(256, 0)
	d.start()
	var stuck []string
	waiting := map[uint16]bool{}
	answered := 0
	for len(d.free) > 3 {
		at := rnd.Uint64N(1000)
		if len(stuck) == 30 { // workers are left for the rest
			at &^= 1
		}
		r := d.lay(nil, blkIn, at, nil, 512)
		head := d.add(r.pieces, 0)
		if at%2 == 1 {
			stuck = append(stuck, fmt.Sprintf("read %d", at*sector))
			waiting[head] = true
		} else {
			answered++
		}
		if rnd.IntN(5) == 0 {
			d.notify()
		}
	}
	d.notify()
	for range answered {
		if a := d.wait(); waiting[a.head] {
			t.Fatal("a read that cannot end is answered")
		}
	}
	must(t, child.Process.Kill())
	_ = child.Wait() // it was killed
	dev := &diary{Device: blocktest.NewMem(1 << 20), seen: func() string { return "" }}
	_, path = startServer(t, dev, false)
	f.dial(path)
	f.setUp(featureFlush)
	f.keepFlights(1, 256)
	d.start()
	for range len(stuck) {
		a := d.wait()
		if !waiting[a.head] {
			t.Fatalf("request %d is answered, and was not under way", a.head)
		}
		delete(waiting, a.head)
	}
	got := dev.all()
	slices.Sort(got) // workers do them at once
	slices.Sort(stuck)
	if !slices.Equal(got, stuck) {
		t.Errorf("done again were %q instead of %q", got, stuck)
	}
	d.works(1)
}

func serveOdd(dir string) error {
	s := NewServer(Options{Listen: listenIn(dir)})
	return s.Add(Export{Name: "disk-0", Device: oddDevice{blocktest.NewMem(1 << 20)}})
}
