package compute

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
)

func collectionID(name string) tintype.ResourceID {
	return tintype.ResourceID{Subscription: testSub, Group: "g", Kind: tintype.KindCollection, Name: name}
}

func pointID(collection, name string) tintype.PointID {
	return tintype.PointID{Collection: collectionID(collection), Name: name}
}

func (r *rig) collect(name, location, source string) {
	r.t.Helper()
	if _, _, err := r.PutCollection(r.t.Context(), collectionID(name), tintype.CompanionRequest{Location: location}, source); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) groupID() string { return tintype.Group{Subscription: testSub, Name: "g"}.ID() }

func (r *rig) point(id tintype.PointID, want tintype.RestorePointRequest) tintype.RestorePoint {
	r.t.Helper()
	p, op, err := r.PutPoint(r.t.Context(), id, want)
	if err != nil {
		r.t.Fatal(err)
	}
	if op.State != tintype.Succeeded {
		r.t.Fatalf("the operation is %s", op.State)
	}
	return p
}

func restoreOf(id tintype.ResourceID) tintype.Desired {
	return tintype.Desired{Location: "westus2", Creation: &tintype.CreationRequest{Option: "Restore", SourceResourceID: id.String()}}
}

// TestRestorePoint makes a point of a group's disks, copies it to another region, restores from both, and deletes all of it.
func TestRestorePoint(t *testing.T) {
	r := newRig(t)
	r.group()
	a, b := r.put(diskID("a"), empty(1)), r.put(diskID("b"), empty(2))
	r.put(diskID("left-out"), empty(1))
	r.put(diskID("upload"), upload(tintype.MinUploadBytes))
	r.store.put(a.Store, 0, "one")
	r.store.put(b.Store, 0, "two")
	r.collect("c", "westus2", r.groupID())
	p := r.point(pointID("c", "p"), tintype.RestorePointRequest{Excluded: []string{diskID("LEFT-OUT").String()}})
	r.store.put(a.Store, 0, "later")
	if len(p.Disks) != 2 || p.Disks[0].Name != "a" || p.Disks[1].Name != "b" {
		t.Fatalf("the point has %+v", p.Disks)
	}
	r.clock.Add(time.Minute)
	second := r.point(pointID("c", "second"), tintype.RestorePointRequest{})
	if f, g := r.get(p.Disks[0].Point), r.get(second.Disks[0].Point); f.Family != g.Family || f.Family == uuid.Nil || f.Family == r.get(p.Disks[1].Point).Family {
		t.Errorf("families %v %v", f.Family, g.Family)
	}
	r.collect("far", "eastus", collectionID("c").String())
	far := r.point(pointID("far", "p"), tintype.RestorePointRequest{Source: pointID("c", "p").String()})
	if !far.Created.Equal(p.Created) || far.Disks[0].Source != p.Disks[0].Point.String() {
		t.Errorf("the copy is %+v", far)
	}
	r.restart()
	if again, err := r.GetPoint(t.Context(), pointID("C", "P")); err != nil || cmp.Diff(p, again) != "" {
		t.Errorf("after a restart: %v %s", err, cmp.Diff(p, again))
	}
	back := r.put(diskID("back"), restoreOf(p.Disks[0].Point))
	east := restoreOf(far.Disks[1].Point)
	east.Location = "eastus"
	there := r.put(diskID("there"), east)
	if r.store.content(t, back.Store)[0] != "one" || r.store.content(t, there.Store)[0] != "two" {
		t.Error("what was restored is not what was there")
	}
	if page, err := r.List(t.Context(), testSub, "g", 0, ""); err != nil || len(page.Volumes) != 6 {
		t.Errorf("a list shows %d volumes, %v", len(page.Volumes), err)
	}
	r.grant(p.Disks[1].Point)
	_, _, err := r.DeleteCollection(t.Context(), collectionID("c"))
	refused(t, err, "OperationNotAllowed")
	if _, ok, err := r.DeletePoint(t.Context(), pointID("c", "second")); !ok || err != nil {
		t.Errorf("deletion: %v %v", ok, err)
	}
	r.revoke(p.Disks[1].Point)
	for _, name := range []string{"c", "far"} {
		if _, ok, err := r.DeleteCollection(t.Context(), collectionID(name)); !ok || err != nil {
			t.Errorf("deletion: %v %v", ok, err)
		}
	}
	if _, ok, err := r.DeleteCollection(t.Context(), collectionID("c")); ok || err != nil {
		t.Errorf("deletion of none: %v %v", ok, err)
	}
	if n := len(r.store.ids()); n != 6 {
		t.Errorf("%d volumes are left in the store", n)
	}
	r.wholeStore()
}

func (r *rig) grant(id tintype.ResourceID) {
	r.t.Helper()
	a, err := r.Grant(r.t.Context(), id, tintype.AccessRequest{Access: "Read", Seconds: 60})
	if err != nil {
		r.t.Fatal(err)
	}
	r.finish(a)
}

func (r *rig) revoke(id tintype.ResourceID) {
	r.t.Helper()
	a, err := r.Revoke(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	r.finish(a)
}

// TestPointGoesWithItsGroup deletes a group with all its restore points.
func TestPointGoesWithItsGroup(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("a"), empty(1))
	r.collect("c", "westus2", diskID("a").String())
	p := r.point(pointID("c", "p"), tintype.RestorePointRequest{})
	r.grant(p.Disks[0].Point)
	a, err := r.DeleteGroup(t.Context(), testSub, "g")
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a)
	if err := r.dropAll(t.Context()); err != nil || len(r.store.ids()) != 0 || len(r.cuts) != 1 {
		t.Errorf("%v: %d volumes are left, %d grants were cut", err, len(r.store.ids()), len(r.cuts))
	}
}

// TestPointCrash fails at every step of making a restore point, restarts, and wants all of it or nothing.
func TestPointCrash(t *testing.T) {
	for step := 0; ; step++ {
		r := newRig(t)
		r.group()
		r.put(diskID("a"), empty(1))
		r.put(diskID("b"), empty(1))
		r.collect("c", "westus2", r.groupID())
		left := step
		r.fault = func(string) error {
			if left--; left < 0 {
				return errCrash
			}
			return nil
		}
		r.store.fault = r.fault
		_, _, err := r.PutPoint(t.Context(), pointID("c", "p"), tintype.RestorePointRequest{})
		done := left >= 0
		r.restart()
		if e := r.dropAll(t.Context()); e != nil {
			t.Fatal(e)
		}
		p, gone := r.GetPoint(t.Context(), pointID("c", "p"))
		if err == nil && gone != nil {
			t.Fatalf("step %d: acknowledged and lost: %v", step, gone)
		}
		want := 2 + len(p.Disks)
		if n := len(r.store.ids()); n != want {
			t.Fatalf("step %d: %d volumes are left, want %d", step, n, want)
		}
		r.wholeStore()
		if done {
			return
		}
	}
}

// TestPointRefusals wants the reason of every request that can't be had, and nothing left of it.
func TestPointRefusals(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("a"), empty(1))
	snap := r.put(snapshotID("s"), copyOf(diskID("a")))
	r.collect("c", "westus2", diskID("a").String())
	r.collect("far", "eastus", collectionID("c").String())
	p := r.point(pointID("c", "p"), tintype.RestorePointRequest{})
	before := r.store.ids()
	for _, x := range []struct{ code, location, source string }{
		{"InvalidParameter", "westus2", ""},
		{"InvalidParameter", "westus2", snap.ID.String()},
		{"NotFound", "westus2", diskID("none").String()},
		{"ResourceGroupNotFound", "westus2", r.groupID() + "x"},
		{"InvalidParameter", "eastus", diskID("a").String()},
		{"LocationRequired", "", diskID("a").String()},
	} {
		_, _, err := r.PutCollection(t.Context(), collectionID("new"), tintype.CompanionRequest{Location: x.location}, x.source)
		refused(t, err, x.code)
	}
	_, _, err := r.PutCollection(t.Context(), collectionID("c"), tintype.CompanionRequest{Location: "westus2"}, r.groupID())
	refused(t, err, "PropertyChangeNotAllowed")
	for _, x := range []struct {
		code string
		id   tintype.PointID
		want tintype.RestorePointRequest
	}{
		{"OperationNotAllowed", pointID("c", "P"), tintype.RestorePointRequest{}},
		{"ResourceNotFound", pointID("none", "p"), tintype.RestorePointRequest{}},
		{"InvalidParameter", pointID("c", "-"), tintype.RestorePointRequest{}},
		{"InvalidParameter", pointID("c", "q"), tintype.RestorePointRequest{Mode: "ApplicationConsistent"}},
		{"InvalidParameter", pointID("c", "q"), tintype.RestorePointRequest{Excluded: []string{"a"}}},
		{"OperationNotAllowed", pointID("c", "q"), tintype.RestorePointRequest{Excluded: []string{diskID("a").String()}}},
		{"InvalidParameter", pointID("far", "q"), tintype.RestorePointRequest{}},
		{"InvalidParameter", pointID("far", "q"), tintype.RestorePointRequest{Source: pointID("far", "p").String()}},
		{"NotFound", pointID("far", "q"), tintype.RestorePointRequest{Source: pointID("c", "none").String()}},
	} {
		_, _, err := r.PutPoint(t.Context(), x.id, x.want)
		refused(t, err, x.code)
	}
	_, err = r.Put(t.Context(), diskID("x"), restoreOf(snap.ID))
	refused(t, err, "InvalidParameter")
	_, err = r.Put(t.Context(), diskID("x"), copyOf(p.Disks[0].Point))
	refused(t, err, "InvalidParameter")
	r.store.refuse = fmt.Errorf("full: %w", block.ErrNoSpace)
	_, _, err = r.PutPoint(t.Context(), pointID("c", "q"), tintype.RestorePointRequest{})
	refused(t, err, "AllocationFailed")
	if diff := cmp.Diff(before, r.store.ids()); diff != "" {
		t.Errorf("the refusals left (-before +after):\n%s", diff)
	}
}
