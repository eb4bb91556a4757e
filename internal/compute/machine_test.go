package compute

import (
	"testing"

	"tintype"
)

func machineID(name string) tintype.ResourceID {
	return tintype.ResourceID{Subscription: testSub, Group: "g", Kind: tintype.KindMachine, Name: name}
}

func dataDisk(lun int, name string) tintype.MachineDiskRequest {
	return tintype.MachineDiskRequest{Option: "Attach", DiskID: diskID(name).String(), LUN: &lun, DeleteOption: "Detach"}
}

func (r *rig) machine(name string, want tintype.MachineRequest) {
	r.t.Helper()
	if _, _, err := r.PutMachine(r.t.Context(), machineID(name), tintype.CompanionRequest{Location: "westus2"}, want, false); err != nil {
		r.t.Fatal(err)
	}
}

// TestMachine makes a machine's record of three disks, has its host attach them, makes a restore point, and takes it apart.
func TestMachine(t *testing.T) {
	r := newRig(t)
	r.group()
	for _, name := range []string{"os", "a", "b", "other"} {
		r.put(diskID(name), empty(1))
	}
	os := dataDisk(0, "os")
	os.LUN, os.DeleteOption = nil, "Delete"
	want := tintype.MachineRequest{OS: &os, Data: []tintype.MachineDiskRequest{dataDisk(1, "b"), dataDisk(0, "a")}}
	r.machine("vm", want)
	state, by := r.get(diskID("a")).Shown()
	if state != tintype.Reserved || by != machineID("vm").String() {
		t.Errorf("a disk of the machine is %s, of %s", state, by)
	}
	_, err := r.Attach(t.Context(), diskID("a"), "elsewhere", false)
	refused(t, err, "ConflictingUserInput")
	if _, err := r.Attach(t.Context(), diskID("a"), "VM", false); err != nil {
		t.Fatal(err)
	}
	if state, by := r.get(diskID("a")).Shown(); state != tintype.Attached || by != machineID("vm").String() {
		t.Errorf("attached, it is %s, of %s", state, by)
	}
	_, _, err = r.PutMachine(t.Context(), machineID("other"), tintype.CompanionRequest{Location: "westus2"}, tintype.MachineRequest{Data: want.Data}, false)
	refused(t, err, "ConflictingUserInput")
	_, _, err = r.Delete(t.Context(), diskID("b"))
	refused(t, err, "OperationNotAllowed")

	r.collect("c", "westus2", machineID("vm").String())
	r.restart()
	p := r.point(pointID("c", "p"), tintype.RestorePointRequest{})
	if len(p.Disks) != 3 || !p.Disks[0].OS || p.Disks[0].Name != "os" || p.Disks[1].LUN != 0 || p.Disks[2].Name != "b" || p.Machine == nil {
		t.Errorf("the restore point: %+v", p)
	}

	fewer := tintype.MachineRequest{Data: []tintype.MachineDiskRequest{dataDisk(1, "b")}}
	_, _, err = r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{}, fewer, true)
	refused(t, err, "OperationNotAllowed") // its host has the other
	_, _, err = r.DeleteMachine(t.Context(), machineID("vm"))
	refused(t, err, "OperationNotAllowed")
	if err := r.Detach(t.Context(), diskID("a"), "VM"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{}, fewer, true); err != nil {
		t.Fatal(err)
	}
	if v := r.get(diskID("a")); v.Machine != "" {
		t.Errorf("taken out, it is of %s", v.Machine)
	}
	if _, ok, err := r.DeleteMachine(t.Context(), machineID("vm")); !ok || err != nil {
		t.Fatalf("%v %v", ok, err)
	}
	_, err = r.Get(t.Context(), diskID("os"))
	refused(t, err, "ResourceNotFound")
	if v := r.get(diskID("b")); v.Machine != "" {
		t.Errorf("left behind, it is of %s", v.Machine)
	}
	if _, err := r.GetPoint(t.Context(), pointID("c", "p")); err != nil {
		t.Errorf("the restore point of a machine that is gone: %v", err)
	}
	r.wholeStore()
}

// TestMachineRefusals wants the reason of every request that can't be had.
func TestMachineRefusals(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("a"), empty(1))
	r.put(diskID("upload"), upload(tintype.MinUploadBytes))
	r.put(snapshotID("s"), copyOf(diskID("a")))
	east := empty(1)
	east.Location = "eastus"
	r.put(diskID("east"), east)
	made := tintype.MachineDiskRequest{Option: "Empty", LUN: ptr(0)}
	snap := dataDisk(0, "a")
	snap.DiskID = snapshotID("s").String()
	far := dataDisk(64, "a")
	for _, x := range []struct {
		code string
		want tintype.MachineRequest
	}{
		{"NotFound", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{dataDisk(0, "none")}}},
		{"NotFound", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{dataDisk(0, "east")}}},
		{"OperationNotAllowed", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{dataDisk(0, "upload")}}},
		{"OperationNotAllowed", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{dataDisk(0, "a"), dataDisk(0, "a")}}},
		{"InvalidParameter", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{dataDisk(0, "a"), dataDisk(1, "A")}}},
		{"InvalidParameter", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{made}}},
		{"InvalidParameter", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{snap}}},
		{"InvalidParameter", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{far}}},
		{"PlatformImageNotFound", tintype.MachineRequest{Image: &tintype.ImageReference{Platform: "p:o:s:v"}}},
	} {
		_, _, err := r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{Location: "westus2"}, x.want, false)
		refused(t, err, x.code)
	}
	_, err := r.GetCompanion(t.Context(), machineID("vm"))
	refused(t, err, "ResourceNotFound")
	if v := r.get(diskID("a")); v.Machine != "" {
		t.Errorf("a refusal left the disk to %s", v.Machine)
	}
}
