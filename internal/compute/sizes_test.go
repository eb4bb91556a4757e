package compute

import (
	"testing"

	"tintype"
)

// TestFreed asks what deletions would free: blocks that two snapshots share come back with the second of them.
func TestFreed(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	r.store.put(d.Store, 1, "shared")
	r.store.put(d.Store, 2, "old")
	r.put(snapshotID("a"), copyOf(diskID("d")))
	r.put(snapshotID("b"), copyOf(diskID("d")))
	r.store.put(d.Store, 2, "new")
	for _, x := range []struct {
		ids  []tintype.ResourceID
		want int64
	}{
		{[]tintype.ResourceID{snapshotID("a")}, 0},
		{[]tintype.ResourceID{snapshotID("a"), snapshotID("B")}, 4096},
		{[]tintype.ResourceID{snapshotID("a"), snapshotID("A"), snapshotID("b"), diskID("d")}, 3 * 4096},
		{[]tintype.ResourceID{diskID("d")}, 4096},
	} {
		got, err := r.Freed(t.Context(), x.ids)
		if err != nil || got != x.want {
			t.Errorf("%v would free %d, %v; want %d", x.ids, got, err, x.want)
		}
	}
	a, _, err := r.Delete(t.Context(), snapshotID("a"))
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a) // and the worker has not yet told the store
	if n, err := r.Freed(t.Context(), []tintype.ResourceID{snapshotID("b")}); n != 4096 || err != nil {
		t.Errorf("after the deletion of the one the other would free %d, %v", n, err)
	}
	s, err := r.Sizes(t.Context(), diskID("d"))
	if want := (tintype.Sizes{Used: 8192, Exclusive: 4096, Provisioned: 1 << 30}); err != nil || s != want {
		t.Errorf("sizes %+v, %v; want %+v", s, err, want)
	}
}

// TestFreedRefusals refuses what the deletion would refuse, and deletes nothing.
func TestFreedRefusals(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("d"), empty(1))
	r.put(snapshotID("s"), copyOf(diskID("d")))
	a, err := r.Put(t.Context(), diskID("coming"), empty(1))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.Freed(t.Context(), []tintype.ResourceID{diskID("coming"), snapshotID("s")}); n != 0 || err != nil {
		t.Errorf("a disk that is not made yet and an empty snapshot would free %d, %v", n, err)
	}
	r.finish(a)
	if _, err := r.Attach(t.Context(), diskID("d"), "h", false); err != nil {
		t.Fatal(err)
	}
	elsewhere := snapshotID("s")
	elsewhere.Group = "none"
	for code, ids := range map[string][]tintype.ResourceID{
		"OperationNotAllowed":   {snapshotID("s"), diskID("d")},
		"ResourceNotFound":      {snapshotID("s"), snapshotID("none")},
		"ResourceGroupNotFound": {elsewhere},
		"InvalidParameter":      nil,
	} {
		_, err := r.Freed(t.Context(), ids)
		refused(t, err, code)
	}
	_, err = r.Freed(t.Context(), make([]tintype.ResourceID, maxFreed+1))
	refused(t, err, "InvalidParameter")
	r.get(snapshotID("s"))
	r.get(diskID("d"))
}
