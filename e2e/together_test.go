package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"tintype/internal/nbd/nbdclient"
)

// lockstep writes the same number to one disk and, once that is answered, to the other, over and over.
func lockstep(ctx context.Context, first, second *nbdclient.Client) (last uint64, err error) {
	b := make([]byte, 4096)
	for n := uint64(1); ctx.Err() == nil; n++ {
		binary.BigEndian.PutUint64(b, n)
		for _, disk := range []*nbdclient.Client{first, second} {
			if _, err := disk.WriteAt(b, int64(n%64)<<12); err != nil {
				return n, err
			}
		}
		last = n
	}
	return last, nil
}

// newest is the largest number on a volume.
func newest(t *testing.T, uri string) (n uint64) {
	t.Helper()
	c := dial(t, uri)
	defer c.Close()
	b := make([]byte, 64<<12)
	if _, err := c.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	for ; len(b) > 0; b = b[4096:] {
		n = max(n, binary.BigEndian.Uint64(b))
	}
	return n
}

// TestTogether takes snapshots of two disks that a guest writes in lockstep: in each group the second disk is as new as the
// first, or one write behind. Snapshots that are taken one after the other are not.
func TestTogether(t *testing.T) {
	term := open(t, start(t, t.TempDir()))
	term.must("tintype group create -g g -l westus2")
	for _, name := range []string{"data", "log", "aside"} {
		term.must("tintype disk create -g g --size-gb 1 -n " + name)
	}
	first := dial(t, term.must("tintype disk attach -g g -n data --host web1"))
	defer first.Close()
	second := dial(t, term.must("tintype disk attach -g g -n log --host web1"))
	defer second.Close()
	term.must("tintype disk attach -g g -n aside --host web2")
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() {
		if n, err := lockstep(ctx, first, second); err != nil || n < 100 {
			t.Errorf("the load made %d pairs of writes: %v", n, err)
		}
	})
	const rounds = 5
	for i := range rounds {
		sources := "--host web1"
		if i%2 == 1 {
			sources = "--source data log --incremental"
		}
		made := term.must(fmt.Sprintf("tintype snapshot create-group -g g -n r%d %s --query [].name -o tsv", i, sources))
		if !sameWords(made, fmt.Sprintf("r%d-data", i), fmt.Sprintf("r%d-log", i)) {
			t.Errorf("made %q", made)
		}
	}
	term.must("tintype snapshot create -g g -n late-log --source log")
	time.Sleep(20 * time.Millisecond)
	term.must("tintype snapshot create -g g -n late-data --source data")
	stop()
	load.Wait()
	pair := func(prefix string) (data, log uint64) {
		t.Helper()
		return newest(t, term.must("tintype snapshot attach -g g -n "+prefix+"-data")),
			newest(t, term.must("tintype snapshot attach -g g -n "+prefix+"-log"))
	}
	before := uint64(0)
	for i := range rounds {
		data, log := pair(fmt.Sprint("r", i))
		if data != log && data != log+1 || data <= before {
			t.Errorf("round %d: data is at %d, log at %d; the round before was at %d", i, data, log, before)
		}
		before = data
	}
	if data, log := pair("late"); data <= log+1 {
		t.Errorf("one after the other data is at %d, log at %d: the load shows nothing", data, log)
	}
	term.mustFail("tintype snapshot create-group -g g -n r0 --host web1", "exists already")
	term.mustFail("tintype snapshot create-group -g g -n x --source data none", "Resource none is not found")
	term.mustFail("tintype snapshot show -g g -n x-data", "ResourceNotFound")
	term.mustFail("tintype snapshot create-group -g g -n x --host nobody", "No disk is attached")
}
