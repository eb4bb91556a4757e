package nbd_test

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"tintype/internal/block/blocktest"
	"tintype/internal/nbd/nbdclient"
)

// slowDevice has a read begun when it is first asked for, and done, now and then, when it is asked for again.
type slowDevice struct {
	*blocktest.Mem
	asked atomic.Uint32
}

func (d *slowDevice) ReadCached(p []byte, off int64) (done, begun bool) {
	if d.asked.Add(1)%3 == 0 {
		return d.Mem.ReadCached(p, off)
	}
	clear(p)
	return false, true
}

// TestReadsThatWereBegun has many reads under way at once, each of which must be answered once with its own bytes.
func TestReadsThatWereBegun(t *testing.T) {
	dev := &slowDevice{Mem: blocktest.NewMem(1 << 20)}
	want := make([]byte, 1<<20)
	for i := range want {
		want[i] = byte(i >> 12 * 7)
	}
	if _, err := dev.WriteAt(want, 0); err != nil {
		t.Fatal(err)
	}
	for name, opts := range map[string][]nbdclient.Option{"structured": nil, "plain": {nbdclient.Plain()}} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, serve(t, dev), "disk", opts...)
			var wg sync.WaitGroup
			for seed := range uint64(40) {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(1, seed))
					for range 200 {
						n := 512 * (1 + r.IntN(32))
						off := 512 * r.IntN((len(want)-n)/512+1)
						got := make([]byte, n)
						if _, err := c.ReadAt(got, int64(off)); err != nil || !bytes.Equal(got, want[off:off+n]) {
							t.Errorf("[%d, +%d): wrong bytes, error %v", off, n, err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
