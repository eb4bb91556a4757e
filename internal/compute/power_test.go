package compute

import (
	"testing"

	"tintype"
)

func (r *rig) power(name string, action tintype.PowerAction) {
	r.t.Helper()
	op, err := r.Power(r.t.Context(), machineID(name), action)
	if err == nil {
		err = r.run(op.ID)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	if op, err = r.Operation(r.t.Context(), testSub, op.ID); err != nil || op.State != tintype.Succeeded || op.Ended.IsZero() {
		r.t.Fatalf("%s: %+v %v", action, op, err)
	}
}

// TestPower takes a machine's disks from its host, and gives them back: only while the machine is running may that have them.
func TestPower(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("a"), empty(1))
	shared := empty(4)
	shared.SKU, shared.MaxShares = "Premium_LRS", ptr(int64(2))
	r.put(diskID("s"), shared)
	r.put(diskID("other"), empty(1))
	r.machine("vm", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{dataDisk(0, "a"), dataDisk(1, "s")}})
	attach := func(disk, host string) error {
		_, err := r.Attach(t.Context(), diskID(disk), host, false)
		return err
	}
	for _, x := range []struct{ disk, host string }{{"a", "VM"}, {"s", "vm"}, {"s", "elsewhere"}, {"other", "vm"}} {
		if err := attach(x.disk, x.host); err != nil {
			t.Fatal(err)
		}
	}
	r.power("vm", tintype.ActionRestart)
	if err := attach("a", "vm"); err != nil {
		t.Fatal(err)
	}
	for _, action := range []tintype.PowerAction{tintype.ActionPowerOff, tintype.ActionDeallocate, tintype.ActionDeallocate} {
		r.power("vm", action)
		r.restart()
		if state, _ := r.get(diskID("a")).Shown(); state != tintype.Reserved {
			t.Errorf("%s leaves the disk %s", action, state)
		}
		for _, disk := range []string{"a", "s"} {
			refused(t, attach(disk, "vm"), "OperationNotAllowed")
		}
	}
	if v := r.get(diskID("s")); v.HostFor(machineID("vm").String()) != "" || len(v.Sharers) != 2 {
		t.Errorf("the shared disk: %+v", v.Sharers)
	}
	if v := r.get(diskID("other")); v.State != tintype.Attached {
		t.Error("a disk that is not the machine's was taken from its host")
	}
	_, _, err := r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{}, tintype.MachineRequest{Data: []tintype.MachineDiskRequest{dataDisk(0, "other")}}, true)
	refused(t, err, "OperationNotAllowed")
	_, err = r.Power(t.Context(), machineID("vm"), tintype.ActionRestart)
	refused(t, err, "OperationNotAllowed")
	r.power("vm", tintype.ActionStart)
	if err := attach("s", "vm"); err != nil {
		t.Fatal(err)
	}
	r.power("vm", tintype.ActionDeallocate)
	if err := r.Generalize(t.Context(), machineID("vm")); err != nil {
		t.Fatal(err)
	}
	_, err = r.Power(t.Context(), machineID("vm"), tintype.ActionStart)
	refused(t, err, "OperationNotAllowed")
	_, err = r.Power(t.Context(), machineID("none"), tintype.ActionStart)
	refused(t, err, "ResourceNotFound")
}

// TestPowerCrash fails at every step of a deallocation: once it was acknowledged no host has the disk.
func TestPowerCrash(t *testing.T) {
	crashes(t, func(r *rig) {
		r.put(diskID("a"), empty(1))
		r.machine("vm", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{dataDisk(0, "a")}})
		if _, err := r.Attach(t.Context(), diskID("a"), "vm", false); err != nil {
			t.Fatal(err)
		}
	}, func(r *rig) error {
		op, err := r.Power(t.Context(), machineID("vm"), tintype.ActionDeallocate)
		if err == nil {
			_ = r.run(op.ID) // dies or not
		}
		return err
	}, func(r *rig, acknowledged bool) {
		c, err := r.GetCompanion(t.Context(), machineID("vm"))
		if err != nil {
			t.Fatal(err)
		}
		off, held := c.Machine.Power == tintype.PowerDeallocated, r.get(diskID("a")).State == tintype.Attached
		if acknowledged && !off || off == held {
			t.Errorf("acknowledged %v, deallocated %v, attached %v", acknowledged, off, held)
		}
	})
}

// TestLatePower finishes a restart late: it takes nothing from the machine's host that came after it.
func TestLatePower(t *testing.T) {
	r := newRig(t)
	r.group()
	for _, name := range []string{"a", "late"} {
		r.put(diskID(name), empty(1))
	}
	attach := func(disk string) {
		t.Helper()
		if _, err := r.Attach(t.Context(), diskID(disk), "vm", false); err != nil {
			t.Fatal(err)
		}
	}
	restart := func() tintype.Operation {
		t.Helper()
		op, err := r.Power(t.Context(), machineID("vm"), tintype.ActionRestart)
		if err != nil {
			t.Fatal(err)
		}
		return op
	}
	wantAttached := func(op tintype.Operation, disk string) {
		t.Helper()
		if err := r.run(op.ID); err != nil || r.get(diskID(disk)).State != tintype.Attached {
			t.Errorf("%s is %s, %v", disk, r.get(diskID(disk)).State, err)
		}
	}
	r.machine("vm", tintype.MachineRequest{Data: []tintype.MachineDiskRequest{dataDisk(0, "a")}})
	attach("a")
	attach("late")
	op := restart()
	if err := r.Detach(t.Context(), diskID("a"), "vm"); err != nil {
		t.Fatal(err)
	}
	attach("a")
	wantAttached(op, "a")

	op = restart()
	more := tintype.MachineRequest{Data: []tintype.MachineDiskRequest{dataDisk(0, "a"), dataDisk(1, "late")}}
	if _, _, err := r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{}, more, true); err != nil {
		t.Fatal(err)
	}
	wantAttached(op, "late")
}

// TestSharedDiskOfStoppedMachine: a machine that is not running gets no disk that its host has, shared or not.
func TestSharedDiskOfStoppedMachine(t *testing.T) {
	r := newRig(t)
	r.group()
	shared := empty(4)
	shared.SKU, shared.MaxShares = "Premium_LRS", ptr(int64(2))
	r.put(diskID("s"), shared)
	r.machine("vm", tintype.MachineRequest{})
	if _, err := r.Attach(t.Context(), diskID("s"), "vm", false); err != nil {
		t.Fatal(err)
	}
	r.power("vm", tintype.ActionPowerOff)
	take := tintype.MachineRequest{Data: []tintype.MachineDiskRequest{dataDisk(0, "s")}}
	_, _, err := r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{}, take, true)
	refused(t, err, "OperationNotAllowed")
	r.power("vm", tintype.ActionStart)
	if _, _, err := r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{}, take, true); err != nil {
		t.Fatal(err)
	}
}
