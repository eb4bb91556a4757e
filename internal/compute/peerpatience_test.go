package compute

import (
	"errors"
	"testing"
	"time"

	"tintype"
	"tintype/internal/catalog"
)

// TestPeerCopyPatienceRestarts: what was asked in vain before a restart counts, and what was got since ends it.
func TestPeerCopyPatienceRestarts(t *testing.T) {
	r, p := pair(t)
	d := p.put(diskID("d"), empty(1))
	p.store.put(d.Store, 3, "data")
	source := p.snap("s", d)
	r.put(snapshotID("s"), startCopyOf(source))
	p.behave(errors.New("no route"), nil)
	try := func() tintype.Volume {
		t.Helper()
		if err := r.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.await()
		return r.get(snapshotID("s"))
	}
	for hour := range 30 {
		v := try()
		if failed := v.Copy != nil && v.Copy.Code == copyUnreachable; failed != (hour > 24) {
			t.Fatalf("after %d hours: %+v", hour, v.Copy)
		} else if failed {
			return
		}
		r.clock.Add(time.Hour)
		if hour%5 == 4 {
			try() // the time since the last try is known before the end of the process
			r.restart()
		}
	}
}

// TestPeerCopyEndsOnce hands a copy that has ended to whoever saw it before that: it must not come back, nor take access away that
// somebody else has been given since.
func TestPeerCopyEndsOnce(t *testing.T) {
	r, p := pair(t)
	d := p.put(diskID("d"), empty(1))
	p.store.put(d.Store, 7, "first")
	one := p.snap("one", d)
	r.put(snapshotID("one"), startCopyOf(one))
	copies := func() (all []catalog.Copy) {
		if err := r.catalog.View(t.Context(), func(tx *catalog.Tx) (err error) {
			all, err = tx.Copies()
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	seen := copies()
	r.settle()
	r.copied(p, snapshotID("one"), one)
	seen[0].Asked, seen[0].Expires = true, r.clock.Now().Add(time.Hour)
	before := p.released
	r.startCopy(seen[0])
	r.done.Wait()
	if left := copies(); len(left) != 0 || p.released != before {
		t.Errorf("copies %v are on record, access was taken away %d times", left, p.released-before)
	}
	r.copied(p, snapshotID("one"), one)
}
