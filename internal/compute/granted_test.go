package compute

import (
	"fmt"
	"testing"
	"time"

	"tintype"
)

// TestGrantUse counts what goes over the wire under a grant, through a restart, and lists it until the grant is over.
func TestGrantUse(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("d"), empty(1))
	a, err := r.Grant(t.Context(), diskID("d"), tintype.AccessRequest{Access: "Read", Seconds: 60, By: "me"})
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a)
	id := a.Operation.Grant.ID
	r.CountUse(id, 10, 0)
	r.CountUse(id, 5, 1)
	if err := r.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.restart()
	r.clock.Add(time.Second)
	r.CountUse(id, 1, 0)
	all, next, err := r.Grants(t.Context(), testSub, "")
	if err != nil || next != "" || len(all) != 1 || all[0].Read != 16 || all[0].Written != 1 || all[0].By != "me" ||
		!all[0].Used.Equal(r.now()) || all[0].Granted.IsZero() {
		t.Errorf("%+v %q %v", all, next, err)
	}
	if all, _, err := r.Grants(t.Context(), "22222222-2222-3333-4444-555555555555", ""); err != nil || len(all) != 0 {
		t.Errorf("of another subscription: %+v %v", all, err)
	}
	r.clock.Add(time.Minute)
	if all, _, err := r.Grants(t.Context(), testSub, ""); err != nil || len(all) != 0 {
		t.Errorf("after its end: %+v %v", all, err)
	}
}

// TestFamilyGrants gives access to at most five incremental snapshots of one disk at a time.
func TestFamilyGrants(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("d"), empty(1))
	r.put(diskID("e"), empty(1))
	for i := range 6 {
		r.put(snapshotID(fmt.Sprint("s", i)), incremental(diskID("d")))
		if i < 5 {
			r.grant(snapshotID(fmt.Sprint("s", i)))
		}
	}
	_, err := r.Grant(t.Context(), snapshotID("s5"), tintype.AccessRequest{Access: "Read", Seconds: 60})
	refused(t, err, "OperationNotAllowed")
	r.put(snapshotID("other"), incremental(diskID("e")))
	r.grant(snapshotID("other"))
	r.revoke(snapshotID("s0"))
	r.grant(snapshotID("s5"))
}

// TestSteps tells of a copy which moment it holds, and of every operation what it does.
func TestSteps(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("d"), empty(1))
	r.clock.Add(time.Hour)
	a, err := r.Put(t.Context(), snapshotID("s"), copyOf(diskID("d")))
	if err != nil {
		t.Fatal(err)
	}
	op, err := r.Operation(t.Context(), testSub, a.Operation.ID)
	if err != nil || len(op.Steps) != 3 || op.Steps[0] != (tintype.Step{Name: "cut", State: tintype.Succeeded}) ||
		op.Steps[2].State != tintype.InProgress || !op.Moment.Equal(r.now()) {
		t.Errorf("%+v %v", op, err)
	}
	if op := r.finish(a); op.Steps[2].State != tintype.Succeeded {
		t.Errorf("%+v", op.Steps)
	}
}
