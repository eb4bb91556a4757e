package nbd_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
	"tintype/internal/nbd"
)

// gate is a device whose flushes and reads wait until they are let through, and that knows who is inside.
type gate struct {
	*blocktest.Mem
	flush, read chan struct{} // closed: go on; nil: never waits
	inside      atomic.Int32
	entered     chan struct{}
}

func newGate(size int64) *gate {
	return &gate{Mem: blocktest.NewMem(size), entered: make(chan struct{}, 1000)}
}

func (g *gate) pass(wait chan struct{}) {
	g.inside.Add(1)
	defer g.inside.Add(-1)
	g.entered <- struct{}{}
	if wait != nil {
		<-wait
	}
}

func (g *gate) Flush() error {
	g.pass(g.flush)
	return g.Mem.Flush()
}

func (g *gate) ReadAt(p []byte, off int64) (int, error) {
	g.pass(g.read)
	return g.Mem.ReadAt(p, off)
}

func (g *gate) ReadCached([]byte, int64) (done, begun bool) { return false, false }

func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(testLimit):
		t.Fatalf("%s takes too long", what)
	}
}

// TestSlowRequests holds flushes and reads in the device, and checks that writes and status go on meanwhile on the
// same connection, and that a held FUA write is not answered.
func TestSlowRequests(t *testing.T) {
	g := newGate(1 << 20)
	g.flush, g.read = make(chan struct{}), make(chan struct{})
	w := goRaw(t, serve(t, g), "disk", true)
	w.request(0, 3, 1, 0, 0)
	w.request(0, 0, 2, 0, 4096)
	w.write(append(requestBytes(1, 1, 3, 4096, 4096), make([]byte, 4096)...))
	for i := range uint64(50) {
		w.write(append(requestBytes(0, 1, 100+i, 8192, 4096), make([]byte, 4096)...))
		if e := w.simple(100 + i); e != 0 {
			t.Fatalf("write behind a held flush: error %d", e)
		}
		w.request(0, 7, 200+i, 0, 4096)
		if e := w.result(200+i, true); e != 0 {
			t.Fatalf("status behind a held flush: error %d", e)
		}
	}
	close(g.read)
	if e := w.result(2, true); e != 0 {
		t.Errorf("held read: error %d", e)
	}
	close(g.flush)
	for range 2 { // the flush and the FUA write, in any order
		if b := w.read(16); !bytes.Equal(b[:8], []byte{0x67, 0x44, 0x66, 0x98, 0, 0, 0, 0}) {
			t.Errorf("reply % x", b)
		}
	}
}

// TestMultiConn writes through many connections and flushes through one: the device must have seen every write that
// was answered before the flush was sent.
func TestMultiConn(t *testing.T) {
	d := &countingDevice{Mem: blocktest.NewMem(1 << 20)}
	socket := serve(t, d)
	flusher := dial(t, socket, "disk")
	var wg sync.WaitGroup
	for i := range int64(8) {
		c := dial(t, socket, "disk")
		wg.Go(func() {
			for j := range int64(50) {
				if _, err := c.WriteAt(bytes.Repeat([]byte{1}, 512), (i*50+j)*512); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := flusher.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := d.durable.Load(); got != 400 {
		t.Errorf("the flush covers %d of 400 writes", got)
	}
}

// countingDevice counts writes, and how many of them a flush covered.
type countingDevice struct {
	*blocktest.Mem
	written, durable atomic.Int64
}

func (d *countingDevice) WriteAt(p []byte, off int64) (int, error) {
	defer d.written.Add(1)
	return d.Mem.WriteAt(p, off)
}

func (d *countingDevice) Flush() error {
	d.durable.Store(d.written.Load())
	return nil
}

// TestRemoveWaits removes an export with requests in the device: the connection is cut at once, Remove returns only
// when the last has left.
func TestRemoveWaits(t *testing.T) {
	g := newGate(1 << 20)
	g.flush = make(chan struct{})
	s, socket := serveExports(t, nbd.Export{Name: "disk", Device: g}, nbd.Export{Name: "other", Device: blocktest.NewMem(4096)})
	other := dial(t, socket, "other")
	w := goRaw(t, socket, "disk", false)
	for i := range uint64(5) {
		w.request(0, 3, i, 0, 0)
		<-g.entered
	}
	removed := make(chan struct{})
	go func() {
		defer close(removed)
		if err := s.Remove("disk"); err != nil {
			t.Error(err)
		}
		if n := g.inside.Load(); n != 0 {
			t.Errorf("Remove returned with %d requests in the device", n)
		}
	}()
	w.wantEnd()
	select {
	case <-removed:
		t.Fatal("Remove did not wait")
	case <-time.After(20 * time.Millisecond):
	}
	if _, err := net.Dial("unix", socket); err != nil {
		t.Error(err)
	}
	w = greetRaw(t, socket, 3)
	w.option(7, infoData("disk"))
	w.wantReply(7, repErrUnknown)
	close(g.flush)
	within(t, "Remove", removed)
	if err := other.Flush(); err != nil {
		t.Errorf("the other export's connection: %v", err)
	}
	if err := s.Add(nbd.Export{Name: "disk", Device: blocktest.NewMem(4096)}); err != nil {
		t.Errorf("adding it again: %v", err)
	}
	dial(t, socket, "disk")
}

// TestShutdownGrace stops a server while a request is in the device: it is answered before the connection ends.
func TestShutdownGrace(t *testing.T) {
	g := newGate(1 << 20)
	g.flush = make(chan struct{})
	s, socket := serveExports(t, nbd.Export{Name: "disk", Device: g})
	w := goRaw(t, socket, "disk", false)
	idle := greetRaw(t, socket, 3)
	w.request(0, 3, 7, 0, 0)
	<-g.entered
	down := make(chan struct{})
	go func() {
		defer close(down)
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	idle.wantEnd()
	close(g.flush)
	if e := w.simple(7); e != 0 {
		t.Errorf("error %d", e)
	}
	w.wantEnd()
	within(t, "Shutdown", down)
	if _, err := net.Dial("unix", socket); err == nil {
		t.Error("the socket still answers")
	}
}

func TestShutdownTimeout(t *testing.T) {
	g := newGate(1 << 20)
	g.flush = make(chan struct{})
	s, socket := serveExports(t, nbd.Export{Name: "disk", Device: g})
	w := goRaw(t, socket, "disk", false)
	w.request(0, 3, 7, 0, 0)
	<-g.entered
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	w.wantEnd()
	close(g.flush)
}

// TestClientDies cuts clients off at every kind of place, with requests in flight: nothing half-received is written,
// and no goroutine stays.
func TestClientDies(t *testing.T) {
	mem := blocktest.NewMem(8 << 20)
	s, socket := serveExports(t, nbd.Export{Name: "disk", Device: mem})
	before := runtime.NumGoroutine()
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 200 {
		w := goRaw(t, socket, "disk", i%2 == 0)
		var b []byte
		for range rng.IntN(20) {
			n := uint32(rng.IntN(200000))
			b = append(b, requestBytes(0, 0, 1, 0, n)...)
		}
		// The write's payload never comes whole.
		n := 4096 * (1 + rng.IntN(100))
		b = append(b, requestBytes(uint16(rng.IntN(2)), 1, 2, 0, uint32(n))...)
		b = append(b, bytes.Repeat([]byte{0xff}, rng.IntN(n))...)
		b = b[:len(b)-rng.IntN(min(len(b), 28))]
		w.write(b)
		w.nc.Close()
	}
	if err := s.Remove("disk"); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 8<<20)
	if _, err := mem.ReadAt(p, 0); err != nil || bytes.ContainsAny(p, "\xff") {
		t.Errorf("half a write reached the device, error %v", err)
	}
	for end := time.Now().Add(testLimit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if runtime.NumGoroutine() <= before+2 {
			return
		}
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// TestClientThatDoesNotRead asks for far more than fits into the socket and reads nothing for a while: the server must
// stop taking requests instead of filling its memory, and answer all once the client reads.
func TestClientThatDoesNotRead(t *testing.T) {
	for _, c := range []struct {
		kind  uint16
		n     uint32
		count uint64
	}{{0, 4096, 30000}, {0, 1 << 20, 400}, {7, 1 << 20, 30000}, {3, 0, 100000}} {
		t.Run(fmt.Sprintf("command=%d", c.kind), func(t *testing.T) {
			mem := blocktest.NewMem(1 << 20)
			for off := int64(0); off < 1<<20; off += 8192 {
				if _, err := mem.WriteAt([]byte{1}, off); err != nil {
					t.Fatal(err)
				}
			}
			w := goRaw(t, serve(t, coldDevice{mem}), "disk", true)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			go func() {
				for i := range c.count {
					if _, err := w.nc.Write(requestBytes(0, c.kind, 1, 0, c.n)); err != nil {
						t.Errorf("request %d: %v", i, err)
						return
					}
				}
			}()
			time.Sleep(200 * time.Millisecond)
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 100<<20 {
				t.Errorf("the server holds %d MiB for one client", grown>>20)
			}
			in := &raw{t, &unread{w.nc, bufio.NewReader(w.nc)}}
			for range c.count {
				if c.kind == 3 {
					in.simple(1)
				} else if e := in.result(1, true); e != 0 {
					t.Fatalf("error %d", e)
				}
			}
		})
	}
}

// TestDeviceErrors gives each error of a device to each command.
func TestDeviceErrors(t *testing.T) {
	d := &brokenDevice{Mem: blocktest.NewMem(1 << 20)}
	socket := serve(t, d)
	for _, c := range []struct {
		err         error
		write, read uint32
	}{
		{block.ErrNoSpace, enospc, enospc},
		{block.ErrReadOnly, eperm, eperm},
		{block.ErrDamaged, 5, 5},
		{block.ErrFailed, 5, 5},
		{block.ErrOutOfRange, enospc, einval},
		{block.ErrClosed, 108, 108},
		{syscall.EINVAL, 5, 5},
	} {
		d.err.Store(&c.err)
		for _, structured := range []bool{true, false} {
			w := goRaw(t, socket, "disk", structured)
			for _, r := range []struct {
				flags, kind uint16
				n           uint32
				want        uint32
			}{
				{0, 0, 4096, c.read},
				{0, 0, 100000, c.read},
				{0, 0, 512, c.read},
				{1 << 2, 0, 100000, c.read},
				{0, 1, 4096, c.write},
				{0, 1, 100, c.write},
				{0, 1, 200000, c.write},
				{1, 1, 4096, c.write},
				{0, 3, 0, c.read},
				{0, 4, 4096, c.read},
				{0, 6, 4096, c.write},
				{1 << 1, 6, 4096, c.write},
				{0, 7, 4096, c.read},
				{0, 5, 4096, c.read},
			} {
				if !structured && (r.kind == 7 || r.flags == 1<<2) {
					continue
				}
				b := requestBytes(r.flags, r.kind, 77, 0, r.n)
				if r.kind == 1 {
					b = append(b, make([]byte, r.n)...)
				}
				w.write(b)
				if got := w.result(77, structured); got != r.want {
					t.Errorf("%v: command %d, flags %d, %d bytes: error %d, want %d", c.err, r.kind, r.flags, r.n, got, r.want)
				}
			}
		}
	}
}

// brokenDevice fails everything with one error.
type brokenDevice struct {
	*blocktest.Mem
	err atomic.Pointer[error]
}

func (d *brokenDevice) fail() error { return fmt.Errorf("the test: %w", *d.err.Load()) }

func (d *brokenDevice) ReadAt([]byte, int64) (int, error)                   { return 0, d.fail() }
func (d *brokenDevice) ReadCached([]byte, int64) (done, begun bool)         { return false, true }
func (d *brokenDevice) WriteAt([]byte, int64) (int, error)                  { return 0, d.fail() }
func (d *brokenDevice) Flush() error                                        { return d.fail() }
func (d *brokenDevice) Trim(_, _ int64) error                               { return d.fail() }
func (d *brokenDevice) WriteZeroes(_, _ int64) error                        { return d.fail() }
func (d *brokenDevice) Extents(_, _ int64, _ func(block.Extent) bool) error { return d.fail() }

// TestFUAFails checks that a write whose flush fails is not said to have succeeded.
func TestFUAFails(t *testing.T) {
	d := &flushFails{blocktest.NewMem(1 << 20)}
	c := dial(t, serve(t, d), "disk")
	if _, err := c.WriteFUA(make([]byte, 4096), 0); !errors.Is(err, syscall.EIO) {
		t.Errorf("error %v, want EIO", err)
	}
	if err := c.Flush(); !errors.Is(err, syscall.EIO) {
		t.Errorf("error %v, want EIO", err)
	}
}

type flushFails struct{ *blocktest.Mem }

func (flushFails) Flush() error { return block.ErrFailed }

func TestHandshakeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := nbd.NewServer(nbd.Options{HandshakeTimeout: testLimit / 4})
		if err := s.Add(nbd.Export{Name: "disk", Device: blocktest.NewMem(4096)}); err != nil {
			t.Fatal(err)
		}
		l := newPipes()
		served := make(chan error)
		go func() { served <- s.Serve(l) }()
		greeted := func() *raw {
			ours, theirs := net.Pipe()
			l.conns <- theirs
			w := wrapRaw(t, ours)
			w.greet(3)
			return w
		}
		greeted().wantEnd()
		w := greeted()
		w.enter("disk", false)
		time.Sleep(testLimit / 2)
		w.request(0, 3, 1, 0, 0)
		w.simple(1)
		if err := errors.Join(s.Shutdown(t.Context()), <-served); err != nil {
			t.Error(err)
		}
	})
}

// pipes is a listener whose clients are sent to it.
type pipes struct {
	conns  chan net.Conn
	closed context.Context
	close  func()
}

func newPipes() *pipes {
	p := &pipes{conns: make(chan net.Conn)}
	p.closed, p.close = context.WithCancel(context.Background())
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed.Done():
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.close(); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

func TestTooManyClients(t *testing.T) {
	_, socket := serveWith(t, nbd.Options{MaxConns: 2}, nbd.Export{Name: "disk", Device: blocktest.NewMem(4096)})
	first := goRaw(t, socket, "disk", false)
	goRaw(t, socket, "disk", false)
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	wrapRaw(t, nc).wantEnd()
	first.nc.Close()
	waitForPlace(t, socket)
}

// waitForPlace returns once a server that was full greets a client again.
func waitForPlace(t *testing.T, socket string) {
	t.Helper()
	for range 1000 {
		nc, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := nc.Read(make([]byte, 18))
		nc.Close()
		if n == 18 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the place of a client that left is not given away")
}

// TestDeafClient has a client that still sends but cannot be answered any more, which the server learns in a worker
// while its reader waits for requests: it must let go of the connection.
func TestDeafClient(t *testing.T) {
	g := newGate(4096)
	g.flush = make(chan struct{})
	_, socket := serveWith(t, nbd.Options{MaxConns: 1}, nbd.Export{Name: "disk", Device: g})
	w := goRaw(t, socket, "disk", false)
	w.request(0, 3, 1, 0, 0)
	<-g.entered
	if err := w.nc.(*net.UnixConn).CloseRead(); err != nil {
		t.Fatal(err)
	}
	close(g.flush)
	waitForPlace(t, socket)
}

func TestServeEndsWithItsListener(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	s := nbd.NewServer(nbd.Options{})
	l.Close()
	if err := s.Serve(l); err == nil {
		t.Error("Serve on a closed listener returns nil")
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := s.Serve(l); !errors.Is(err, nbd.ErrShutdown) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}
