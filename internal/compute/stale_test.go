package compute

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
)

// failedLater is an update of the disk that fails when it is finished, which finish does.
func (r *rig) failedLater(id tintype.ResourceID) (finish func()) {
	r.t.Helper()
	a, err := r.Patch(r.t.Context(), id, tintype.Desired{SizeGB: ptr(int64(2))})
	if err != nil {
		r.t.Fatal(err)
	}
	return func() {
		r.t.Helper()
		r.store.refuse = errors.New("disk on fire")
		if op := r.finish(a); op.State != tintype.Failed {
			r.t.Fatalf("ended as %s", op.State)
		}
		r.store.refuse = nil
	}
}

// TestDetachDuringUpdate has an update be accepted while a host's connections are cut, and fail: the host must not have the disk again.
func TestDetachDuringUpdate(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	if _, err := r.Attach(t.Context(), d.ID, "h", false); err != nil {
		t.Fatal(err)
	}
	var finish func()
	r.door.ending = func() {
		if finish == nil {
			finish = r.failedLater(d.ID)
		}
	}
	if err := r.Detach(t.Context(), d.ID, "h"); err != nil {
		t.Fatal(err)
	}
	finish()
	if v := r.get(d.ID); v.State != tintype.Unattached || v.HeldBy != "" {
		t.Fatalf("the disk is %s, held by %q", v.State, v.HeldBy)
	}
	if _, err := r.Attach(t.Context(), d.ID, "other", false); err != nil {
		t.Fatal(err)
	}
}

// TestMachineGoesDuringUpdate has an update of a machine's disk fail after the machine has gone with its group: the disk is nobody's.
func TestMachineGoesDuringUpdate(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	if _, _, err := r.PutGroup(t.Context(), tintype.Group{Subscription: testSub, Name: "m", Location: "westus2"}); err != nil {
		t.Fatal(err)
	}
	id := machineID("vm")
	id.Group = "m"
	want := tintype.MachineRequest{Data: []tintype.MachineDiskRequest{dataDisk(0, "d")}}
	if _, _, err := r.PutMachine(t.Context(), id, tintype.CompanionRequest{Location: "westus2"}, want, false); err != nil {
		t.Fatal(err)
	}
	finish := r.failedLater(d.ID)
	a, err := r.DeleteGroup(t.Context(), testSub, "m")
	if err != nil {
		t.Fatal(err)
	}
	if op := r.finish(a); op.State != tintype.Succeeded {
		t.Fatal(op.Failure)
	}
	finish()
	if _, _, err := r.Delete(t.Context(), d.ID); err != nil {
		t.Errorf("the disk of a machine that is gone: %v", err)
	}
}

// TestOutlivedGrantIsCut has access run out, and wants the requests under it cut before anybody else can have the volume, whoever comes first.
func TestOutlivedGrantIsCut(t *testing.T) {
	r := newRig(t)
	r.group()
	u := r.put(diskID("u"), upload(tintype.MinUploadBytes))
	for name, next := range map[string]func() error{
		"another grant": func() error {
			_, err := r.Grant(t.Context(), u.ID, tintype.AccessRequest{Access: "Write", Seconds: 60})
			return err
		},
		"an update": func() error {
			_, err := r.Patch(t.Context(), u.ID, tintype.Desired{Tags: map[string]string{"a": "b"}})
			return err
		},
		"a look whether it can be moved": func() error {
			g := tintype.Group{Subscription: testSub, Name: "g"}
			return r.CheckMove(t.Context(), g, g, []tintype.ResourceID{u.ID})
		},
	} {
		g := r.grantOf(u.ID, tintype.AccessRequest{Access: "Write", Seconds: 60})
		r.clock.Add(time.Hour)
		r.cuts = nil
		var refusal *tintype.Error
		if err := next(); err != nil && (!errors.As(err, &refusal) || refusal.Code == "InternalServerError") {
			t.Fatalf("%s: %v", name, err)
		}
		if len(r.cuts) != 1 || r.cuts[0] != g.ID {
			t.Errorf("%s: cut off was %v, not %s", name, r.cuts, g.ID)
		}
		r.clock.Add(time.Hour)
		if err := r.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v := r.get(u.ID); v.State != tintype.ReadyToUpload {
			t.Errorf("%s: the disk is %s in the end", name, v.State)
		}
	}
}

// TestImportWithoutRoom tells a store that is full from an image that cannot be read.
func TestImportWithoutRoom(t *testing.T) {
	r := newRig(t)
	r.group()
	r.images(map[string]*memImage{"https://h/image": newImage(map[int64]string{0: "image"}, 1<<20)})
	r.store.full = block.ErrNoSpace
	a, err := r.Put(t.Context(), diskID("d"), imported("https://h/image"))
	if err != nil {
		t.Fatal(err)
	}
	if op := r.ended(a); op.State != tintype.Failed || op.Failure.Code != "AllocationFailed" {
		t.Errorf("ended as %s: %v", op.State, op.Failure)
	}
	r.wholeStore()
}

// TestMachineMadeAnew has a machine be deleted and made anew while a disk is made for it: the new one stays as it is.
func TestMachineMadeAnew(t *testing.T) {
	r := newRig(t)
	r.group()
	r.machine("vm", tintype.MachineRequest{})
	anew := func() tintype.Machine {
		c, err := r.GetCompanion(t.Context(), machineID("vm"))
		if err != nil {
			t.Fatal(err)
		}
		return *c.Machine
	}
	var other uuid.UUID
	r.store.fault = func(string) error {
		if other == uuid.Nil {
			if _, ok, err := r.DeleteMachine(t.Context(), machineID("vm")); !ok || err != nil {
				t.Error(ok, err)
			}
			r.machine("vm", tintype.MachineRequest{})
			other = anew().VMID
		}
		return nil
	}
	lun := 0
	_, _, err := r.PutMachine(t.Context(), machineID("vm"), tintype.CompanionRequest{}, tintype.MachineRequest{
		Data: []tintype.MachineDiskRequest{{Option: "Empty", Name: "new", SizeGB: 1, LUN: &lun}},
	}, true)
	refused(t, err, "Conflict")
	if now := anew(); now.VMID != other || len(now.Data) != 0 {
		t.Errorf("the new machine is %s with %v, it was %s", now.VMID, now.Data, other)
	}
	r.wholeStore()
}
