package compute

import (
	"errors"
	"testing"
	"time"

	"tintype"
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
