package nbd_test

import (
	"io"
	"sync"
	"testing"
	"time"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
	"tintype/internal/nbd"
)

// TestWatch counts what is timed: one request of 64, by its name, whether the reader or a worker did it.
func TestWatch(t *testing.T) {
	var mu sync.Mutex
	got := map[string]int{}
	ticks := time.Unix(0, 0)
	watch := &nbd.Watch{
		Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			ticks = ticks.Add(time.Second)
			return ticks
		},
		Took: func(command string, d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			if d <= 0 {
				t.Errorf("%s took %v", command, d)
			}
			got[command]++
		},
	}
	_, socket := serveWith(t, nbd.Options{Watch: watch}, nbd.Export{Name: "disk", Device: coldDevice{blocktest.NewMem(4 << 20)}})
	w := goRaw(t, socket, "disk", false)
	const read, write, flush = 0, 1, 3
	cookie := uint64(0)
	for range 2 {
		for _, c := range []struct {
			kind  uint16
			times int
		}{{write, 64}, {read, 64}, {flush, 64}} { // the first of each is timed: at once, by a worker, by a worker
			for range c.times {
				cookie++
				n := uint32(4096)
				if c.kind == flush {
					n = 0
				}
				w.request(0, c.kind, cookie, 0, n)
				if c.kind == write {
					w.write(make([]byte, n))
				}
				if e := w.simple(cookie); e != 0 {
					t.Fatalf("error %d", e)
				}
				if c.kind == read {
					w.read(int(n))
				}
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 3 || got["read"] != 2 || got["write"] != 2 || got["flush"] != 2 {
		t.Errorf("timed %v", got)
	}
}

// BenchmarkWatch is a flood of small writes, unwatched and watched: what timing costs.
func BenchmarkWatch(b *testing.B) {
	for name, watch := range map[string]*nbd.Watch{
		"unwatched": nil, "watched": {Now: time.Now, Took: func(string, time.Duration) {}},
	} {
		b.Run(name, func(b *testing.B) { benchWatched(b, blocktest.NewMem(64<<20), watch) })
	}
}

func benchWatched(b *testing.B, dev block.Device, watch *nbd.Watch) {
	_, socket := serveWith(b, nbd.Options{Watch: watch}, nbd.Export{Name: "disk", Device: dev})
	w := goRaw(b, socket, "disk", false)
	const depth, size = 64, 4096
	var out []byte
	for i := range depth {
		out = append(out, requestBytes(0, 1, uint64(i), uint64(i*size), size)...)
		out = append(out, make([]byte, size)...)
	}
	in := make([]byte, 16*depth)
	for done := 0; done < b.N; done += depth {
		go w.nc.Write(out)
		if _, err := io.ReadFull(w.nc, in); err != nil {
			b.Fatal(err)
		}
	}
}
