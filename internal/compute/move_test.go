package compute

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"tintype"
)

// TestMoves takes a disk and its snapshots to another group, over a restart, and refuses what is in use.
func TestMoves(t *testing.T) {
	r := newRig(t)
	r.group()
	from, to := tintype.Group{Subscription: testSub, Name: "g"}, tintype.Group{Subscription: testSub, Name: "h"}
	r.put(diskID("d"), empty(1))
	r.put(snapshotID("s"), copyOf(diskID("d")))
	disk := r.get(diskID("d"))
	both := []tintype.ResourceID{diskID("d"), snapshotID("s")}
	refuse := func(code string, ids ...tintype.ResourceID) {
		t.Helper()
		for _, err := range []error{r.CheckMove(t.Context(), from, to, ids), second(r.Move(t.Context(), from, to, ids))} {
			refused(t, err, code)
		}
	}
	refuse("ResourceGroupNotFound", both...)
	if _, _, err := r.PutGroup(t.Context(), tintype.Group{Subscription: testSub, Name: "H", Location: "eastus"}); err != nil {
		t.Fatal(err)
	}
	refuse("ResourceNotFound", diskID("d"), diskID("nope"))
	r.put(snapshotID("i"), incremental(diskID("d")))
	refuse("ResourceMoveProviderValidationFailed", diskID("d"), snapshotID("i"))
	r.grant(snapshotID("s"))
	refuse("ResourceMoveProviderValidationFailed", both...)
	r.revoke(snapshotID("s"))
	moved := diskID("d")
	moved.Group = "h"
	r.put(moved, empty(2))
	refuse("ResourceMoveProviderValidationFailed", both...)
	a, _, err := r.Delete(t.Context(), moved)
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a)

	if err := r.CheckMove(t.Context(), from, to, both); err != nil {
		t.Fatal(err)
	}
	op, err := r.Move(t.Context(), from, to, both)
	if err != nil || op.State != tintype.Succeeded || op.Kind != tintype.OpMove {
		t.Fatalf("%+v %v", op, err)
	}
	r.restart()
	refused(t, second(r.Get(t.Context(), diskID("d"))), "ResourceNotFound")
	got := r.get(moved)
	want := disk
	want.ID.Group = "H"
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	snapshot := snapshotID("s")
	snapshot.Group = "h"
	if got := r.get(snapshot); got.Creation.Source != diskID("d").String() {
		t.Errorf("made of %s", got.Creation.Source)
	}
	// What is there goes on: another snapshot, and another disk of the old name.
	again := snapshotID("t")
	again.Group = "h"
	r.put(again, copyOf(moved))
	r.put(diskID("d"), empty(3))
	a, err = r.DeleteGroup(t.Context(), testSub, "g")
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a)
	if got := r.get(moved); got.Store != disk.Store {
		t.Errorf("another volume: %v", got.Store)
	}
	r.wholeStore()
}

func second[T any](_ T, err error) error { return err }
