package nbd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
	"tintype/internal/nbd"
	"tintype/internal/nbd/nbdclient"
)

// guarded is a device that knows when it must not be touched any more.
type guarded struct {
	*blocktest.Mem
	t       *testing.T
	removed atomic.Bool
}

func (g *guarded) touch() {
	if g.removed.Load() {
		g.t.Error("the device is used after Remove returned")
	}
}

func (g *guarded) ReadAt(p []byte, off int64) (int, error) {
	g.touch()
	defer g.touch()
	return g.Mem.ReadAt(p, off)
}

func (g *guarded) WriteAt(p []byte, off int64) (int, error) {
	g.touch()
	defer g.touch()
	return g.Mem.WriteAt(p, off)
}

func (g *guarded) Extents(off, n int64, yield func(block.Extent) bool) error {
	g.touch()
	defer g.touch()
	return g.Mem.Extents(off, n, yield)
}

func (g *guarded) Size() int64 {
	g.touch()
	return g.Mem.Size()
}

// TestStorm lets clients come, work and vanish over unix sockets and TCP, while one export stays and another is taken
// away and brought back all the time. The one that stays must hold what its clients were told it holds.
func TestStorm(t *testing.T) {
	const writers, part = 6, 256 << 10
	steady := blocktest.NewMem(writers * part)
	s, socket := serveExports(t, nbd.Export{Name: "steady", Device: steady})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	uris := []string{"nbd+unix:///%s?socket=" + socket, "nbd://" + l.Addr().String() + "/%s"}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	want := make([]byte, writers*part)
	for i := range int64(writers) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 8))
			for ctx.Err() == nil {
				session(t, fmt.Sprintf(uris[rng.IntN(2)], "steady"), want[i*part:(i+1)*part], i*part, rng)
			}
		})
	}
	for range 3 {
		wg.Go(func() { harass(ctx, fmt.Sprintf(uris[0], "flicker")) })
	}
	wg.Go(func() { flicker(ctx, t, s) })
	wg.Wait()
	got := make([]byte, len(want))
	if _, err := steady.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the device does not hold what was written, error %v", err)
	}
}

// session works in a range of its own over a new connection, checks what it reads, and leaves, politely or not.
func session(t *testing.T, uri string, want []byte, base int64, rng *rand.Rand) {
	c, err := nbdclient.Dial(context.Background(), uri)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	for range rng.IntN(60) {
		off := rng.Int64N(int64(len(want)))
		n := rng.Int64N(min(int64(len(want))-off, 100000)) + 1
		n = min(n, int64(len(want))-off)
		p := make([]byte, n)
		switch rng.IntN(5) {
		case 0:
			_, err = c.ReadAt(p, base+off)
			if err == nil && !bytes.Equal(p, want[off:off+n]) {
				t.Errorf("%d bytes at %d differ", n, base+off)
			}
		case 1:
			err = c.WriteZeroes(base+off, n)
			clear(want[off : off+n])
		case 2:
			err = c.Flush()
		default:
			for i := range p {
				p[i] = byte(rng.Uint32())
			}
			copy(want[off:], p)
			_, err = c.WriteAt(p, base+off)
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// harass works on an export that comes and goes, with many requests in flight, and does not mind being cut off.
func harass(ctx context.Context, uri string) {
	for ctx.Err() == nil {
		c, err := nbdclient.Dial(ctx, uri)
		if err != nil {
			continue
		}
		var wg sync.WaitGroup
		for i := range int64(16) {
			wg.Go(func() {
				p := make([]byte, 5000)
				for err := error(nil); err == nil; {
					if _, err = c.WriteAt(p, i*5000); err == nil {
						_, err = c.BlockStatus(0, 100000)
					}
					if err == nil {
						_, err = c.ReadAt(p, i*5000)
					}
				}
			})
		}
		wg.Wait()
		c.Close()
	}
}

func flicker(ctx context.Context, t *testing.T, s *nbd.Server) {
	for ctx.Err() == nil {
		g := &guarded{Mem: blocktest.NewMem(1 << 20), t: t}
		if err := s.Add(nbd.Export{Name: "flicker", Device: g}); err != nil {
			t.Error(err)
			return
		}
		time.Sleep(3 * time.Millisecond)
		if err := s.Remove("flicker"); err != nil {
			t.Error(err)
		}
		g.removed.Store(true)
	}
	// Leave something for those who still try, so that they see it go.
	time.Sleep(time.Millisecond)
}

// TestStuckClient has a client that neither reads its replies nor leaves: Remove and Shutdown must get rid of it.
func TestStuckClient(t *testing.T) {
	for name, end := range map[string]func(s *nbd.Server) error{
		"remove": func(s *nbd.Server) error { return s.Remove("disk") },
		"shutdown": func(s *nbd.Server) error {
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("Shutdown: %w", err)
			}
			return s.Remove("disk")
		},
	} {
		for _, size := range []uint32{4096, 1 << 20} {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				s, socket := serveExports(t, nbd.Export{Name: "disk", Device: coldDevice{blocktest.NewMem(1 << 20)}}, nbd.Export{Name: "x", Device: blocktest.NewMem(512)})
				w := goRaw(t, socket, "disk", false)
				var sent atomic.Int64
				go func() {
					for {
						if _, err := w.nc.Write(requestBytes(0, 0, 1, 0, size)); err != nil {
							return
						}
						sent.Add(1)
					}
				}()
				for before := int64(-1); sent.Load() == 0 || sent.Load() != before; time.Sleep(200 * time.Millisecond) {
					before = sent.Load() // until nothing is taken any more
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					if err := end(s); err != nil {
						t.Error(err)
					}
				}()
				within(t, name, ended)
				io.Copy(io.Discard, w.nc)
			})
		}
	}
}

// TestDeepQueue has 4000 requests in flight over one connection.
func TestDeepQueue(t *testing.T) {
	mem := blocktest.NewMem(64 << 20)
	c := dial(t, serve(t, coldDevice{mem}), "disk")
	var wg sync.WaitGroup
	for i := range int64(4000) {
		wg.Go(func() {
			p := bytes.Repeat([]byte{byte(i)}, 8192)
			if _, err := c.WriteFUA(p, i*8192); err != nil {
				t.Error(err)
			}
			got := make([]byte, 8192)
			if _, err := c.ReadAt(got, i*8192); err != nil || !bytes.Equal(got, p) {
				t.Errorf("request %d: wrong bytes, error %v", i, err)
			}
		})
	}
	wg.Wait()
}
