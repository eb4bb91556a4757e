package bench

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/lsd"
	"tintype/internal/vfs"
)

var (
	busySize  = flag.Int64("busy.size", 4096, "BenchmarkBusy: size of the disk, MiB")
	busyTime  = flag.Duration("busy.time", 10*time.Second, "BenchmarkBusy: how long each row writes")
	busyRate  = flag.Float64("busy.rate", 400, "BenchmarkBusy: MiB a second at most, about what comes in over NBD; 0 is as much as goes")
	busyWatch = flag.Duration("busy.watch", 0, "BenchmarkBusy: a write that takes longer is told of in stalls.txt, with all that was waited for")
)

// BenchmarkBusy writes at random places of a disk in a store with room, as the server does for a connection with so many writes
// under way, and tells how long they take: while nothing else goes on ("idle"), and while checkpoints and compaction run all the
// time ("busy"). A flush comes every 100 ms.
func BenchmarkBusy(b *testing.B) {
	idle := lsd.Options{CheckpointBytes: 1 << 40, Overhead: 1e6}
	busy := lsd.Options{CheckpointBytes: 512 << 20, Overhead: 0.1}
	for _, c := range []struct {
		name  string
		size  int
		depth int
		opt   lsd.Options
	}{
		{"4k-32-idle", block.BlockSize, 32, idle},
		{"4k-32-busy", block.BlockSize, 32, busy},
		{"1M-8-idle", 1 << 20, 8, idle},
		{"1M-8-busy", 1 << 20, 8, busy},
	} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				benchBusy(b, c.size, c.depth, c.opt)
			}
		})
	}
}

func benchBusy(b *testing.B, size, depth int, opt lsd.Options) {
	b.Helper()
	opt.Keys = &lsd.KeyRing{Current: lsd.Key{1}}
	opt.IdleAfter = -1
	store, err := lsd.Open(vfs.OS(), filepath.Join(b.TempDir(), "engine"), opt)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close() // for when the benchmark ends early; else it is closed below
	id := uuid.New()
	if err := store.Create(id, *busySize<<20); err != nil {
		b.Fatal(err)
	}
	dev, err := store.OpenVolume(id)
	if err != nil {
		b.Fatal(err)
	}
	fill(b, dev)
	if err := store.Checkpoint(); err != nil {
		b.Fatal(err)
	}
	c := &connection{load: load{dev: dev, depth: 1, size: size}, depth: depth}
	defer c.watchFor(b, *busyWatch)()
	moved := store.Stats().Moved
	b.ResetTimer()
	part := c.part(*busyTime)
	b.StopTimer()
	moved = store.Stats().Moved - moved
	if err := errors.Join(c.err, dev.Close(), store.Close()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(part.perSecond(), "writes/s")
	b.ReportMetric(part.perSecond()*float64(size)/(1<<20), "MiB/s")
	b.ReportMetric(float64(moved)/part.took.Seconds()/(1<<20), "moved-MiB/s")
	for _, q := range []float64{0.5, 0.99, 0.999} {
		b.ReportMetric(ms(part.times.quantile(q)), fmt.Sprintf("p%g-ms", q*100))
	}
	b.ReportMetric(ms(part.times.most()), "longest-ms")
}

// connection writes what arrives one after the other, as the server does, for a client that has depth writes under way: each begins
// when the one depth before it has been answered. Answers leave together.
type connection struct {
	load
	depth int
}

func (c *connection) part(lasting time.Duration) stretch {
	c.times = &times{}
	stop, began := make(chan struct{}), time.Now()
	var flusher sync.WaitGroup
	flusher.Go(func() { c.flushes(stop) })
	p, rnd := make([]byte, c.size), rand.New(rand.NewPCG(1, 1))
	places := c.dev.Size() / int64(len(p))
	sent := make([]time.Time, c.depth) // of the writes under way
	for i := range sent {
		sent[i] = began
	}
	written := int64(0)
	for now := began; now.Sub(began) < lasting && c.err == nil; {
		c.watch.begin(0, now)
		for range c.depth {
			if _, err := c.dev.WriteAt(p, rnd.Int64N(places)*int64(len(p))); err != nil {
				c.goOn(err)
			}
		}
		if s, ok := c.dev.(block.Settler); ok {
			if err := s.Settle(); err != nil {
				c.goOn(err)
			}
		}
		c.watch.end(0)
		now = time.Now()
		for i := range sent {
			c.times.add(now.Sub(sent[i]))
		}
		written += int64(c.depth * c.size)
		if early := time.Duration(float64(written)/(*busyRate*(1<<20))*1e9) - now.Sub(began); *busyRate > 0 && early > time.Millisecond {
			time.Sleep(early)
			now = time.Now()
		}
		for i := range sent {
			sent[i] = now
		}
	}
	took := time.Since(began)
	close(stop)
	flusher.Wait()
	return stretch{writes: c.times.count(), took: took, times: c.times}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
