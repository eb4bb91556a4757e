package compute

import (
	"slices"
	"testing"

	"tintype"
)

// shared asks for an empty disk of the sku that several may have.
func shared(sku tintype.SKU, gb, shares int64) tintype.Desired {
	want := empty(gb)
	want.SKU, want.MaxShares = string(sku), &shares
	return want
}

// TestSharedDisk has two hosts attach a disk, a third refused, each with an export of its own, and goes on after a restart.
func TestSharedDisk(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), shared(tintype.PremiumLRS, 4, 2))
	one, err := r.Attach(t.Context(), d.ID, "one", false)
	if err != nil {
		t.Fatal(err)
	}
	two, err := r.Attach(t.Context(), d.ID, "two", true)
	if err != nil || one.URI == two.URI {
		t.Fatalf("%s %s %v", one.URI, two.URI, err)
	}
	if again, err := r.Attach(t.Context(), d.ID, "one", false); err != nil || again.URI != one.URI {
		t.Errorf("attached again: %s %v", again.URI, err)
	}
	_, err = r.Attach(t.Context(), d.ID, "one", true)
	refused(t, err, "OperationNotAllowed")
	_, err = r.Attach(t.Context(), d.ID, "three", false)
	refused(t, err, "ConflictingUserInput")
	v := r.get(d.ID)
	if v.State != tintype.Attached || !slices.Equal(v.SharedBy(), []string{tintype.HostID(testSub, "one"), tintype.HostID(testSub, "two")}) {
		t.Errorf("%s, shared by %v", v.State, v.SharedBy())
	}
	if len(r.door.serves) != 2 {
		t.Errorf("%d exports", len(r.door.serves))
	}
	_, err = r.Patch(t.Context(), d.ID, tintype.Desired{MaxShares: ptr(int64(3))})
	refused(t, err, "OperationNotAllowed")
	_, err = r.Patch(t.Context(), d.ID, tintype.Desired{SizeGB: ptr(int64(8))})
	refused(t, err, "OperationNotAllowed")
	_, _, err = r.Delete(t.Context(), d.ID)
	refused(t, err, "OperationNotAllowed")

	r.restart()
	if len(r.door.serves) != 2 {
		t.Errorf("%d exports after a restart", len(r.door.serves))
	}
	if err := r.Detach(t.Context(), d.ID, "none"); err != nil {
		t.Errorf("a host that has it not: %v", err)
	}
	if err := r.Detach(t.Context(), d.ID, "one"); err != nil {
		t.Fatal(err)
	}
	if v := r.get(d.ID); v.State != tintype.Attached || v.HeldBy != tintype.HostID(testSub, "two") || len(r.door.serves) != 1 {
		t.Errorf("%s, held by %s, %d exports", v.State, v.HeldBy, len(r.door.serves))
	}
	if _, err := r.Attach(t.Context(), d.ID, "three", false); err != nil {
		t.Errorf("in its place: %v", err)
	}
	if err := r.Detach(t.Context(), d.ID, ""); err != nil {
		t.Fatal(err)
	}
	if v := r.get(d.ID); v.State != tintype.Unattached || len(v.Sharers) != 0 || len(r.door.serves) != 0 {
		t.Errorf("%s, shared by %v, %d exports", v.State, v.SharedBy(), len(r.door.serves))
	}
	a, err := r.Patch(t.Context(), d.ID, tintype.Desired{MaxShares: ptr(int64(1))})
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a)
	if _, err := r.Attach(t.Context(), d.ID, "one", false); err != nil {
		t.Fatal(err)
	}
	_, err = r.Attach(t.Context(), d.ID, "two", false)
	refused(t, err, "ConflictingUserInput")
}

// TestSharedByMachines gives a disk to two machines, whose hosts attach it, and takes it back.
func TestSharedByMachines(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), shared(tintype.UltraSSDLRS, 4, 2))
	if _, err := r.Attach(t.Context(), d.ID, "A", false); err != nil {
		t.Fatal(err)
	}
	with := tintype.MachineRequest{Data: []tintype.MachineDiskRequest{dataDisk(0, "d")}}
	r.machine("a", with) // its host was there before
	r.machine("b", with)
	_, _, err := r.PutMachine(t.Context(), machineID("c"), tintype.CompanionRequest{Location: "westus2"}, with, false)
	refused(t, err, "ConflictingUserInput")
	_, err = r.Attach(t.Context(), d.ID, "c", false)
	refused(t, err, "ConflictingUserInput")
	v := r.get(d.ID)
	if !slices.Equal(v.SharedBy(), []string{machineID("a").String(), machineID("b").String()}) || !v.HeldFor(machineID("a").String()) ||
		v.HeldFor(machineID("b").String()) {
		t.Errorf("shared: %+v", v.Sharers)
	}
	_, _, err = r.DeleteMachine(t.Context(), machineID("a"))
	refused(t, err, "OperationNotAllowed")
	if _, ok, err := r.DeleteMachine(t.Context(), machineID("b")); !ok || err != nil {
		t.Fatalf("%v %v", ok, err)
	}
	if err := r.Detach(t.Context(), d.ID, "A"); err != nil {
		t.Fatal(err)
	}
	if state, by := r.get(d.ID).Shown(); state != tintype.Reserved || by != machineID("a").String() {
		t.Errorf("%s of %s", state, by)
	}
	if _, ok, err := r.DeleteMachine(t.Context(), machineID("a")); !ok || err != nil {
		t.Fatalf("%v %v", ok, err)
	}
	if v := r.get(d.ID); len(v.Sharers) != 0 || v.Machine != "" || v.State != tintype.Unattached {
		t.Errorf("left: %+v", v)
	}
}

// TestSharedMachineGroupGoes deletes the group of a machine whose host has a disk of another group attached: the host keeps it until it detaches.
func TestSharedMachineGroupGoes(t *testing.T) {
	r := newRig(t)
	r.group()
	if _, _, err := r.PutGroup(t.Context(), tintype.Group{Subscription: testSub, Name: "h", Location: "westus2"}); err != nil {
		t.Fatal(err)
	}
	d := r.put(diskID("d"), shared(tintype.PremiumLRS, 4, 2))
	vm := machineID("a")
	vm.Group = "h"
	with := tintype.MachineRequest{Data: []tintype.MachineDiskRequest{dataDisk(0, "d")}}
	if _, _, err := r.PutMachine(t.Context(), vm, tintype.CompanionRequest{Location: "westus2"}, with, false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Attach(t.Context(), d.ID, "a", false); err != nil {
		t.Fatal(err)
	}
	a, err := r.DeleteGroup(t.Context(), testSub, "h")
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a)
	if v := r.get(d.ID); v.State != tintype.Attached || v.HeldBy != tintype.HostID(testSub, "a") || v.Machine != "" || len(r.door.serves) != 1 {
		t.Errorf("%s, held by %s for %q, %d exports", v.State, v.HeldBy, v.Machine, len(r.door.serves))
	}
	_, _, err = r.Delete(t.Context(), d.ID)
	refused(t, err, "OperationNotAllowed")
	if err := r.Detach(t.Context(), d.ID, "a"); err != nil {
		t.Fatal(err)
	}
	if v := r.get(d.ID); v.State != tintype.Unattached || len(v.Sharers) != 0 || len(r.door.serves) != 0 {
		t.Errorf("%s, shared by %v, %d exports", v.State, v.SharedBy(), len(r.door.serves))
	}
	a, _, err = r.Delete(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a)
	r.wholeStore()
}

// TestSharedRefusals wants the reason of what shared disks have not.
func TestSharedRefusals(t *testing.T) {
	r := newRig(t)
	r.group()
	bursting := shared(tintype.PremiumLRS, 1024, 2)
	bursting.Bursting = ptr(true)
	for _, x := range []struct {
		code string
		want tintype.Desired
	}{
		{"BadRequest", shared(tintype.StandardLRS, 1024, 2)},
		{"BadRequest", shared(tintype.PremiumLRS, 512, 4)},
		{"BadRequest", shared(tintype.StandardSSDLRS, 4096, 6)},
		{"BadRequest", shared(tintype.PremiumZRS, 8192, 11)},
		{"BadRequest", shared(tintype.PremiumV2LRS, 4, 16)},
		{"BadRequest", shared(tintype.PremiumLRS, 512, 0)},
		{"InvalidParameter", bursting},
	} {
		_, err := r.Put(t.Context(), diskID("x"), x.want)
		refused(t, err, x.code)
	}
	for _, want := range []tintype.Desired{
		shared(tintype.PremiumLRS, 512, 3), shared(tintype.StandardSSDLRS, 513, 5), shared(tintype.PremiumZRS, 8192, 10), shared(tintype.PremiumV2LRS, 4, 15),
	} {
		r.put(diskID(want.SKU), want)
	}
	r.put(diskID("d"), shared(tintype.PremiumLRS, 4, 2))
	_, err := r.Patch(t.Context(), diskID("d"), tintype.Desired{SKU: string(tintype.StandardLRS)})
	refused(t, err, "BadRequest")
	_, err = r.Patch(t.Context(), diskID("d"), tintype.Desired{Bursting: ptr(true)})
	refused(t, err, "InvalidParameter")
	place := func(change func(*tintype.MachineDiskRequest)) tintype.MachineDiskRequest {
		d := dataDisk(0, "d")
		change(&d)
		return d
	}
	system := dataDisk(0, "d")
	for _, x := range []struct {
		code string
		want tintype.MachineRequest
	}{
		{"InvalidParameter", tintype.MachineRequest{OS: &system}},
		{"BadRequest", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{place(func(d *tintype.MachineDiskRequest) { d.Caching = "ReadOnly" })}}},
		{"InvalidParameter", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{place(func(d *tintype.MachineDiskRequest) { d.DeleteOption = "Delete" })}}},
	} {
		_, _, err := r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{Location: "westus2"}, x.want, false)
		refused(t, err, x.code)
	}
	_, err = r.Attach(t.Context(), diskID("d"), "h", false, snapshotID("s"))
	if err == nil {
		t.Error("a shared disk was attached with a snapshot to compare with")
	}
}
