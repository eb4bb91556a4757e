package compute

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// lined waits until n requests wait for the resource.
func (r *rig) lined(id tintype.ResourceID, n int) {
	r.t.Helper()
	for range 5000 {
		r.line.mu.Lock()
		have := len(r.line.at[id.Key()])
		r.line.mu.Unlock()
		if have == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	r.t.Fatalf("there are not %d in line", n)
}

func (r *rig) nobodyWaits() {
	r.t.Helper()
	if len(r.line.at) != 0 || r.line.waiting != 0 {
		r.t.Errorf("%d wait, at %v", r.line.waiting, r.line.at)
	}
}

// TestLine has many writers come to one disk while something is in progress on it: they get it in the order in which they came, and nobody
// who comes later overtakes them.
func TestLine(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	first, err := r.Patch(t.Context(), d.ID, tintype.Desired{Tags: map[string]string{"by": "first"}})
	if err != nil {
		t.Fatal(err)
	}
	unlock := r.running.lock(first.Operation.ID.String())
	var order []int // written in transactions, which come one after another
	write := func(name int) {
		err := r.accept(t.Context(), func(tx *catalog.Tx) error {
			v, err := r.existing(tx, d.ID)
			if err != nil {
				return err
			}
			order = append(order, name)
			_, err = r.start(tx, tintype.OpPut, v, plan{}, nil)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	const writers = 20
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			write(i)
			write(writers + i)
		})
		r.lined(d.ID, i+1)
	}
	unlock()
	wg.Wait()
	if len(order) != 2*writers || !slices.IsSorted(order[:writers]) || order[writers-1] != writers-1 {
		t.Errorf("order: %v", order)
	}
	r.nobodyWaits()
}

// TestLineLeft has a request give up while it waits: it is answered at once, and those behind it go on.
func TestLineLeft(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	tag := func(ctx context.Context, by string) error {
		_, err := r.Patch(ctx, d.ID, tintype.Desired{Tags: map[string]string{"by": by}})
		return err
	}
	first, err := r.Patch(t.Context(), d.ID, tintype.Desired{Tags: map[string]string{"by": "first"}})
	if err != nil {
		t.Fatal(err)
	}
	unlock := r.running.lock(first.Operation.ID.String())
	ctx, cancel := context.WithCancel(t.Context())
	ends := make([]chan error, 3)
	for i, ctx := range []context.Context{t.Context(), ctx, t.Context()} {
		ends[i] = make(chan error, 1)
		go func() { ends[i] <- tag(ctx, strconv.Itoa(i)) }()
		r.lined(d.ID, i+1)
	}
	cancel()
	if err := <-ends[1]; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	r.lined(d.ID, 2)
	r.line.mu.Lock()
	r.line.waiting += maxInLine - 2
	r.line.mu.Unlock()
	refused(t, tag(t.Context(), "too many"), "TooManyRequests")
	r.line.mu.Lock()
	r.line.waiting -= maxInLine - 2
	r.line.mu.Unlock()
	unlock()
	if err := errors.Join(<-ends[0], <-ends[2]); err != nil {
		t.Error(err)
	}
	if got := r.get(d.ID).Tags["by"]; got != "2" {
		t.Errorf("tagged last by %s", got)
	}
	r.nobodyWaits()
}

// TestLineManyKeys has writers need several disks each, in any order: all get through, and none is refused.
func TestLineManyKeys(t *testing.T) {
	r := newRig(t)
	r.group()
	var disks []tintype.Volume
	for i := range 4 {
		disks = append(disks, r.put(diskID(fmt.Sprint("d", i)), empty(1)))
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 5 {
				err := r.accept(t.Context(), func(tx *catalog.Tx) error {
					for _, i := range rand.Perm(len(disks))[:3] {
						v, err := r.existing(tx, disks[i].ID)
						if err != nil {
							return err
						}
						if _, err = r.start(tx, tintype.OpPut, v, plan{}, nil); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	r.nobodyWaits()
}

// TestSameNewName has many make one snapshot and one group of them at once: all are answered, and one has made it.
func TestSameNewName(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	var wg sync.WaitGroup
	made := make([]tintype.Accepted, 16)
	for i := range made {
		wg.Go(func() {
			var err error
			if made[i], err = r.Put(t.Context(), snapshotID("s"), copyOf(d.ID)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	news := 0
	unique := map[uuid.UUID]bool{}
	for _, a := range made {
		if a.New {
			news++
		}
		unique[a.Volume.UniqueID] = true
	}
	if news != 1 || len(unique) != 1 {
		t.Errorf("%d have made it, as %v", news, unique)
	}
	r.nobodyWaits()
}
