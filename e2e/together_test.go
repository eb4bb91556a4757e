package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tintype/internal/nbd/nbdclient"
)

// lockstep writes the same number to one disk and, once that is answered, to the other, over and over.
func lockstep(ctx context.Context, first, second *nbdclient.Client, done *atomic.Uint64) (last uint64, err error) {
	b := make([]byte, 4096)
	for n := uint64(1); ctx.Err() == nil; n++ {
		binary.BigEndian.PutUint64(b, n)
		for _, disk := range []*nbdclient.Client{first, second} {
			if _, err := disk.WriteAt(b, int64(n%64)<<12); err != nil {
				return n, err
			}
		}
		last = n
		done.Store(n)
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
	var pairs atomic.Uint64
	load.Go(func() {
		if n, err := lockstep(ctx, first, second, &pairs); err != nil || n < 100 {
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
		now := pairs.Load()
		within(t, "the load stands still", func() bool { return pairs.Load() > now })
	}
	term.must("tintype snapshot create -g g -n late-log --source log")
	later := pairs.Load() + 100
	within(t, "the load stands still", func() bool { return pairs.Load() > later })
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

// TestTogetherKilled kills the server while it makes consistency groups. After each start every group has both its snapshots
// or none, and those whose making was answered are there.
func TestTogetherKilled(t *testing.T) {
	data := t.TempDir()
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	acked := map[string]bool{}
	const rounds = 4
	for round := range rounds + 1 {
		s := launch(t, data)
		a := newAPI(t, s)
		if round == 0 {
			a.makeGroup("g")
			for _, name := range []string{"x", "y"} {
				a.must("PUT", versioned(a.id("g", "disks", name)), emptyDisk(1))
			}
		}
		there := map[string]int{}
		for _, name := range a.list("g", "snapshots") {
			there[name[:len(name)-2]]++
		}
		for group, n := range there {
			if n != 2 {
				t.Fatalf("%d snapshots of group %s are there", n, group)
			}
		}
		for group := range acked {
			if there[group] != 2 {
				t.Fatalf("group %s was acknowledged and is gone", group)
			}
		}
		if round == rounds {
			t.Logf("%d groups acknowledged, %d there", len(acked), len(there))
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			break
		}
		var fuse *time.Timer
		for i := 0; ; i++ {
			if i == round%2 { // now and then one is made before that, however slow the machine is
				fuse = time.AfterFunc(time.Duration(20+rnd.IntN(200))*time.Millisecond, s.Kill)
			}
			group := fmt.Sprintf("r%d-%d", round, i)
			var members []any
			for _, disk := range []string{"x", "y"} {
				body := copyOf(a.id("g", "disks", disk))
				body["name"] = group + "-" + disk
				members = append(members, body)
			}
			r, err := a.try("POST", versioned(a.subscription()+"/resourceGroups/g/providers/Microsoft.Compute/createSnapshotGroup"),
				map[string]any{"snapshots": members})
			if err != nil && fuse == nil {
				t.Fatal(err)
			} else if err != nil {
				break // killed
			}
			if r.status != 201 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			acked[group] = true
		}
		fuse.Stop()
		s.Kill()
	}
	check(t, data)
	if len(acked) == 0 {
		t.Error("no group was made")
	}
}
