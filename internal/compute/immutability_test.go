package compute

import (
	"testing"
	"time"

	"tintype"
)

func unlocked(days int64) tintype.ImmutabilityRequest {
	return tintype.ImmutabilityRequest{Days: &days, Type: "Unlocked"}
}

func locking(days int64, kind string) tintype.ImmutabilityRequest {
	return tintype.ImmutabilityRequest{Days: &days, Type: kind, Lock: true}
}

// TestImmutability follows a policy from its making to its end: what it allows at each step, and what it forbids.
func TestImmutability(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("d"), empty(1))
	r.put(snapshotID("s"), copyOf(diskID("d")))
	id := snapshotID("s")
	set := func(want tintype.ImmutabilityRequest, code string) {
		t.Helper()
		a, err := r.SetImmutability(t.Context(), id, want)
		if code != "" {
			refused(t, err, code)
		} else if err != nil || a.Operation.State != tintype.Succeeded || a.Operation.Output.Immutable.Days != *want.Days {
			t.Fatalf("%+v: %v", a, err)
		}
	}
	start := r.clock.Now()
	set(tintype.ImmutabilityRequest{Type: "Unlocked"}, "InvalidParameter")
	set(unlocked(0), "InvalidParameter")
	set(tintype.ImmutabilityRequest{Days: ptr(int64(3)), Type: "Locked"}, "InvalidParameter")
	set(locking(0, "Unlocked"), "OperationNotAllowed") // there is none to remove
	set(unlocked(10), "")
	r.clock.Add(24 * time.Hour)
	set(unlocked(5), "OperationNotAllowed")
	set(unlocked(20), "")
	set(locking(0, "Unlocked"), "") // removed
	if got := r.get(id); got.Immutable.Holds(got.At) || got.Immutable.Locked {
		t.Errorf("removed: %+v", got.Immutable)
	}
	set(unlocked(10), "")
	set(locking(7, "Locked"), "") // shorter, and locked: who may lock may do that
	r.restart()
	locked := r.clock.Now()
	set(unlocked(30), "OperationNotAllowed")
	set(locking(0, "Unlocked"), "OperationNotAllowed")
	set(locking(6, "Locked"), "OperationNotAllowed")
	set(locking(8, "Locked"), "")
	if got := r.get(id).Immutable; !got.Locked || got.Start.Before(start) || got.Start.After(locked) || got.Days != 8 {
		t.Errorf("locked: %+v", got)
	}
	_, _, err := r.Delete(t.Context(), id)
	refused(t, err, "OperationNotAllowed")
	_, err = r.Freed(t.Context(), []tintype.ResourceID{id})
	refused(t, err, "OperationNotAllowed")
	_, err = r.DeleteGroup(t.Context(), testSub, "g")
	refused(t, err, "ResourceGroupDeletionBlocked")
	_, err = r.Patch(t.Context(), id, tintype.Desired{SizeGB: ptr(int64(2))})
	refused(t, err, "OperationNotAllowed")
	a, err := r.Patch(t.Context(), id, tintype.Desired{Tags: map[string]string{"a": "b"}})
	if err != nil || r.finish(a).Output.Immutable == nil {
		t.Errorf("a tag: %v", err)
	}
	r.clock.Add(8 * 24 * time.Hour)
	if got := r.get(id); got.Immutable.Holds(got.At) {
		t.Errorf("still in force: %+v", got.Immutable)
	}
	if a, ok, err := r.Delete(t.Context(), id); err != nil || !ok || r.finish(a).State != tintype.Succeeded {
		t.Errorf("deletion after the end: %v %v", ok, err)
	}
}

// TestInstantAccess shows instant access for as long as it was asked for, and refuses it where Azure does.
func TestInstantAccess(t *testing.T) {
	r := newRig(t)
	r.group()
	v2 := empty(1)
	v2.SKU = "PremiumV2_LRS"
	r.put(diskID("v2"), v2)
	r.put(diskID("d"), empty(1))
	instant := func(source tintype.ResourceID, minutes int64) tintype.Desired {
		want := incremental(source)
		want.Creation.InstantAccess = &minutes
		return want
	}
	for _, x := range []struct {
		source  tintype.ResourceID
		minutes int64
	}{{diskID("d"), 60}, {diskID("v2"), 59}, {diskID("v2"), 301}} {
		_, err := r.Put(t.Context(), snapshotID("x"), instant(x.source, x.minutes))
		refused(t, err, "InvalidParameter")
	}
	r.put(snapshotID("s"), instant(diskID("v2"), 60))
	if got := r.get(snapshotID("s")); got.Access() != "AvailableWithInstantAccess" {
		t.Errorf("at first: %s", got.Access())
	}
	r.clock.Add(61 * time.Minute)
	if got := r.get(snapshotID("s")); got.Access() != "Available" {
		t.Errorf("after an hour: %s", got.Access())
	}
}
