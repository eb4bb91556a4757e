package compute

import (
	"testing"
	"time"

	"tintype"
)

// TestOpenEarlier lets the holder of a grant compare with incremental snapshots of the same disk, by their times, and with
// nothing else.
func TestOpenEarlier(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("d"), empty(1))
	r.put(diskID("other"), empty(1))
	made := map[string]time.Time{}
	for _, x := range []struct {
		name string
		want tintype.Desired
	}{
		{"s1", incremental(diskID("d"))}, {"full", copyOf(diskID("d"))}, {"far", incremental(diskID("other"))}, {"s2", incremental(diskID("d"))},
	} {
		r.clock.Add(time.Second)
		made[x.name] = r.put(snapshotID(x.name), x.want).Created
	}
	for _, id := range []tintype.ResourceID{snapshotID("s2"), diskID("d"), snapshotID("full"), diskID("other")} {
		a, err := r.Grant(t.Context(), id, tintype.AccessRequest{Access: "Read", Seconds: 1000})
		if err != nil {
			t.Fatal(err)
		}
		r.finish(a)
		for name, at := range made {
			v, dev, err := r.OpenEarlier(t.Context(), a.Operation.Grant.ID, at.Truncate(time.Microsecond))
			of := map[string]bool{"s1": true, "s2": true}
			if id.Name == "other" {
				of = map[string]bool{"far": true}
			}
			if id.Name == "full" || !of[name] {
				refused(t, err, "PreviousSnapshotNotFound")
				continue
			}
			if err != nil || v.ID != snapshotID(name) {
				t.Errorf("%s since %s: %v %v", id.Name, name, v.ID, err)
				continue
			}
			if err := dev.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := r.Revoke(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		_, _, err = r.OpenEarlier(t.Context(), a.Operation.Grant.ID, made["s1"])
		refused(t, err, "AuthenticationFailed")
	}
}

// TestEarlierOfFailedCopy: a copy that failed holds nothing that another could be compared with.
func TestEarlierOfFailedCopy(t *testing.T) {
	r, p := pair(t)
	d := p.put(diskID("d"), empty(1))
	p.store.put(d.Store, 3, "data")
	one, two := p.snap("one", d), p.snap("two", d)
	r.put(snapshotID("one"), startCopyOf(one))
	p.behave(&tintype.Error{Kind: tintype.KindForbidden, Code: "no"}, nil)
	r.settle()
	p.behave(nil, nil)
	r.put(snapshotID("two"), startCopyOf(two))
	r.settle()
	r.copied(p, snapshotID("two"), two)
	a, err := r.Grant(t.Context(), snapshotID("two"), tintype.AccessRequest{Access: "Read", Seconds: 1000})
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a)
	failed := r.get(snapshotID("one"))
	if failed.Copy == nil || failed.Copy.Code != copyDenied || failed.Family != r.get(snapshotID("two")).Family {
		t.Fatalf("%+v", failed)
	}
	_, _, err = r.OpenEarlier(t.Context(), a.Operation.Grant.ID, failed.Created)
	refused(t, err, "PreviousSnapshotNotFound")
}
