package compute

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/vhd"
)

func secureUpload(size int64) tintype.Desired {
	want := upload(size)
	want.Creation.Option = "UploadPreparedSecure"
	want.SecurityProfile = &tintype.SecurityProfile{Type: "TrustedLaunch"}
	return want
}

// footers writes the footers of an upload: of the disk, and with guest set of its guest state.
func (r *rig) footers(op tintype.Operation, guest bool) {
	r.t.Helper()
	for _, g := range []*tintype.Grant{op.Grant, op.Guest} {
		if g == op.Guest && !guest {
			continue
		}
		footer := vhd.FixedFooter(g.Bytes, vhd.Identity{Unique: g.UniqueID})
		if err := r.SaveFooter(r.t.Context(), g.ID, footer[:]); err != nil {
			r.t.Fatal(err)
		}
	}
}

// TestGuestState uploads a disk with its guest state, cuts and copies both together, reads them under one grant, and leaves nothing behind.
func TestGuestState(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), secureUpload(tintype.MinUploadBytes))
	ask := tintype.AccessRequest{Access: "Write", Seconds: 60, GuestState: true}
	granted := func(id tintype.ResourceID, ask tintype.AccessRequest) tintype.Operation {
		t.Helper()
		a, err := r.Grant(t.Context(), id, ask)
		if err != nil {
			t.Fatal(err)
		}
		op := r.finish(a)
		if op.Guest == nil || op.Guest.Bytes != tintype.GuestStateBytes || op.Guest.Container == op.Grant.Container || op.Guest.ID == op.Grant.ID {
			t.Fatalf("the grants are %+v and %+v", op.Grant, op.Guest)
		}
		return op
	}
	revoked := func(id tintype.ResourceID) tintype.Operation {
		t.Helper()
		a, err := r.Revoke(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return r.finish(a)
	}
	r.footers(granted(d.ID, ask), false)
	if op := revoked(d.ID); op.State != tintype.Failed || op.Failure.Code != "InvalidVhd" || r.get(d.ID).State != tintype.ReadyToUpload {
		t.Fatalf("without its guest state: %s %v", op.State, op.Failure)
	}
	op := granted(d.ID, ask)
	r.footers(op, true)
	r.store.put(op.Grant.Volume, 0, "disk")
	r.store.put(op.Guest.Volume, 0, "state")
	r.restart()
	if op := revoked(d.ID); op.State != tintype.Succeeded {
		t.Fatalf("%s %v", op.State, op.Failure)
	}
	if _, _, err := r.OpenGrant(t.Context(), op.Guest.ID, PublicDoor); err == nil {
		t.Error("the guest state is open without its grant")
	}
	r.put(snapshotID("s"), copyOf(d.ID))
	r.store.put(op.Guest.Volume, 0, "later")
	r.put(diskID("back"), copyOf(snapshotID("s")))
	for _, id := range []tintype.ResourceID{snapshotID("s"), diskID("back")} {
		op := granted(id, tintype.AccessRequest{Access: "Read", Seconds: 60, GuestState: true})
		if got := r.store.content(t, op.Guest.Volume)[0]; got != "state" {
			t.Errorf("the guest state of %s is %q", id.Name, got)
		}
		_, _, err := r.Delete(t.Context(), id)
		refused(t, err, "OperationNotAllowed")
		if op := revoked(id); op.State != tintype.Succeeded {
			t.Errorf("%s %v", op.State, op.Failure)
		}
	}
	for _, id := range []tintype.ResourceID{d.ID, snapshotID("s"), diskID("back")} {
		a, _, err := r.Delete(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		r.finish(a)
	}
	r.wholeStore()
	if left := r.store.ids(); len(left) != 0 {
		t.Errorf("left in the store: %v", left)
	}
}

// TestImportSecure imports a disk and its guest state, and keeps neither when one of them is not to be had.
func TestImportSecure(t *testing.T) {
	r := newRig(t)
	r.group()
	const size = 12 << 20
	state := newImage(map[int64]string{0: "state"}, tintype.GuestStateBytes)
	r.images(map[string]*memImage{"https://h/os": newImage(map[int64]string{0: "disk"}, size), "https://h/state": state})
	want := imported("https://h/os?sig=secret")
	want.Creation.Option, want.Creation.SecurityDataURI = "ImportSecure", "https://h/state?sig=secret"
	want.SecurityProfile = &tintype.SecurityProfile{Type: "ConfidentialVM_VMGuestStateOnlyEncryptedWithPlatformKey"}
	a, err := r.Put(t.Context(), diskID("d"), want)
	if err != nil {
		t.Fatal(err)
	}
	if op := r.ended(a); op.State != tintype.Succeeded {
		t.Fatalf("%s %v", op.State, op.Failure)
	}
	d := r.get(diskID("d"))
	if d.Creation.SecurityURI != "https://h/state" || r.store.content(t, r.get(d.ID.GuestState()).Store)[0] != "state" {
		t.Errorf("%+v", d.Creation)
	}
	state.fail = refusal("gone")
	a, err = r.Put(t.Context(), diskID("e"), want)
	if err != nil {
		t.Fatal(err)
	}
	if op := r.ended(a); op.State != tintype.Failed {
		t.Errorf("without its guest state: %s", op.State)
	}
	r.wholeStore()
}

type refusal string

func (r refusal) Error() string { return string(r) }

// TestGuestStateRefusals wants the reason why there is no guest state.
func TestGuestStateRefusals(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("plain"), empty(1))
	_, err := r.Grant(t.Context(), diskID("plain"), tintype.AccessRequest{Access: "Read", Seconds: 60, GuestState: true})
	refused(t, err, "InvalidParameter")
	if v := r.get(diskID("plain")); v.State != tintype.Unattached {
		t.Errorf("the refusal left it %s", v.State)
	}
	with := func(change func(*tintype.Desired)) tintype.Desired {
		want := secureUpload(tintype.MinUploadBytes)
		change(&want)
		return want
	}
	for _, want := range []tintype.Desired{
		with(func(d *tintype.Desired) { d.SecurityProfile = nil }),
		with(func(d *tintype.Desired) { d.HyperVGeneration = "V1" }),
		with(func(d *tintype.Desired) { d.Creation.UploadBytes = nil }),
		with(func(d *tintype.Desired) { d.Creation.SecurityDataURI = "https://h/state" }),
		with(func(d *tintype.Desired) { d.Creation.Option, d.Creation.SourceURI = "ImportSecure", "https://h/os" }),
		with(func(d *tintype.Desired) { d.SecurityProfile.Type = "ConfidentialVM_DiskEncryptedWithCustomerKey" }),
	} {
		_, err := r.Put(t.Context(), diskID("x"), want)
		refused(t, err, "InvalidParameter")
	}
	_, err = r.Put(t.Context(), snapshotID("x"), secureUpload(tintype.MinUploadBytes))
	refused(t, err, "InvalidParameter")
	r.wholeStore()
}

// secureDisk imports a disk of the name with a guest state.
func (r *rig) secureDisk(name string) tintype.Volume {
	r.t.Helper()
	return r.secureDiskOf(name, tintype.SecurityProfile{Type: "TrustedLaunch"})
}

func (r *rig) secureDiskOf(name string, profile tintype.SecurityProfile) tintype.Volume {
	r.t.Helper()
	r.images(map[string]*memImage{"https://h/os": newImage(nil, 4<<20), "https://h/state": newImage(map[int64]string{0: "state"}, 4<<20)})
	want := imported("https://h/os")
	want.Creation.Option, want.Creation.SecurityDataURI = "ImportSecure", "https://h/state"
	want.SecurityProfile = &profile
	a, err := r.Put(r.t.Context(), diskID(name), want)
	if err != nil {
		r.t.Fatal(err)
	}
	if op := r.ended(a); op.State != tintype.Succeeded {
		r.t.Fatalf("%s %v", op.State, op.Failure)
	}
	return r.get(diskID(name))
}

// TestGuestStateCopyFails wants the copy of a disk refused when one of its two volumes can't be made, whichever it is.
func TestGuestStateCopyFails(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.secureDisk("d")
	for _, v := range []tintype.Volume{d, r.get(d.ID.GuestState())} {
		r.store.spoiled = v.Store
		_, err := r.Put(t.Context(), diskID("copy"), copyOf(d.ID))
		if err == nil {
			t.Fatalf("the copy was accepted without that of %s", v.ID.Name)
		}
		refused(t, second(r.Get(t.Context(), diskID("copy"))), "ResourceNotFound")
		r.wholeStore()
	}
}

// TestGuestStateGrantRunsOut ends access behind its end, and gives it again.
func TestGuestStateGrantRunsOut(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("up"), secureUpload(tintype.MinUploadBytes))
	r.secureDisk("d")
	for _, x := range []struct {
		name, access string
		left         tintype.DiskState
	}{{"up", "Write", tintype.ReadyToUpload}, {"d", "Read", tintype.Unattached}} {
		ask := tintype.AccessRequest{Access: x.access, Seconds: 60, GuestState: true}
		for range 2 {
			a, err := r.Grant(t.Context(), diskID(x.name), ask)
			if err != nil {
				t.Fatal(err)
			}
			r.finish(a)
			r.clock.Add(time.Hour)
			if a, err = r.Revoke(t.Context(), diskID(x.name)); err != nil {
				t.Fatal(err)
			}
			r.finish(a)
			if disk, guest := r.get(diskID(x.name)).State, r.get(diskID(x.name).GuestState()).State; disk != x.left || guest != x.left {
				t.Fatalf("%s is %s, its guest state %s, want %s", x.name, disk, guest, x.left)
			}
		}
	}
}

// TestCopyFailsLate fails the work on a copy that was cut already, and wants nothing of it left.
func TestCopyFailsLate(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.secureDisk("d")
	before := len(r.store.ids())
	for _, id := range []tintype.ResourceID{diskID("copy"), snapshotID("s")} {
		a, err := r.Put(t.Context(), id, copyOf(d.ID))
		if err != nil {
			t.Fatal(err)
		}
		r.store.spoiled = a.Volume.Store
		if op := r.finish(a); op.State != tintype.Failed {
			t.Fatalf("%s: %s", id.Name, op.State)
		}
		refused(t, second(r.Get(t.Context(), id)), "ResourceNotFound")
		r.wholeStore()
		if now := len(r.store.ids()); now != before {
			t.Errorf("%s: %d volumes, before %d", id.Name, now, before)
		}
	}
}

// TestGuestStateZones wants the guest state kept as redundantly as its disk, from the beginning, in copies, and from a change on.
func TestGuestStateZones(t *testing.T) {
	r := newRig(t)
	r.group()
	kept := func(name string, want block.Redundancy) {
		t.Helper()
		for _, id := range []tintype.ResourceID{diskID(name), diskID(name).GuestState()} {
			if got := r.store.volumes[r.get(id).Store].redundancy; got != want {
				t.Errorf("%s is kept as %v", id.Name, got)
			}
		}
	}
	zoned := secureUpload(tintype.MinUploadBytes)
	zoned.SKU, zoned.Tags = "Premium_ZRS", map[string]string{"team": "a"}
	r.put(diskID("zoned"), zoned)
	if got := r.get(diskID("zoned").GuestState()).Tags["team"]; got != "a" {
		t.Errorf("the guest state is billed under the tag %q", got)
	}
	kept("zoned", block.Zonal)
	r.secureDisk("d")
	kept("d", block.Local)
	a, err := r.Patch(t.Context(), diskID("d"), tintype.Desired{SKU: "Premium_ZRS"})
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a)
	kept("d", block.Zonal)
	copied := copyOf(diskID("d"))
	copied.SKU = "StandardSSD_ZRS"
	r.put(diskID("copy"), copied)
	kept("copy", block.Zonal)
}

// TestGuestStateMoves takes a disk with its guest state to another group, and deletes both there.
func TestGuestStateMoves(t *testing.T) {
	r := newRig(t)
	r.group()
	if _, _, err := r.PutGroup(t.Context(), tintype.Group{Subscription: testSub, Name: "h", Location: "westus2"}); err != nil {
		t.Fatal(err)
	}
	r.secureDisk("d")
	from, to := tintype.Group{Subscription: testSub, Name: "g"}, tintype.Group{Subscription: testSub, Name: "h"}
	if _, err := r.Move(t.Context(), from, to, []tintype.ResourceID{diskID("d")}); err != nil {
		t.Fatal(err)
	}
	moved := diskID("d")
	moved.Group = "h"
	if got := r.store.content(t, r.get(moved.GuestState()).Store)[0]; got != "state" {
		t.Errorf("the guest state is %q", got)
	}
	gone, _, err := r.Delete(t.Context(), moved)
	if err != nil {
		t.Fatal(err)
	}
	r.finish(gone)
	r.wholeStore()
	if left := r.store.ids(); len(left) != 0 {
		t.Errorf("left in the store: %v", left)
	}
}

// TestGuestStateFailedUpdate wants a disk kept as it was when the update of its guest state fails behind its own.
func TestGuestStateFailedUpdate(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.secureDisk("d")
	r.store.spoiled = r.get(d.ID.GuestState()).Store
	a, err := r.Patch(t.Context(), d.ID, tintype.Desired{SKU: "Premium_ZRS"})
	if err != nil {
		t.Fatal(err)
	}
	if op := r.finish(a); op.State != tintype.Failed {
		t.Fatalf("the update has %s", op.State)
	}
	if v := r.get(d.ID); v.SKU != d.SKU || r.store.volumes[v.Store].redundancy != block.Local || r.get(d.ID.GuestState()).SKU != d.SKU {
		t.Errorf("it is %s, kept as %v", v.SKU, r.store.volumes[v.Store].redundancy)
	}
}

// TestGuestStateRestorePoint keeps the guest state of a disk in restore points, and in their copies, gives access to it, and brings it back with the disk.
func TestGuestStateRestorePoint(t *testing.T) {
	r := newRig(t)
	r.group()
	r.secureDisk("d")
	r.collect("c", "westus2", diskID("d").String())
	p := r.point(pointID("c", "p"), tintype.RestorePointRequest{})
	gone, _, err := r.Delete(t.Context(), diskID("d"))
	if err != nil {
		t.Fatal(err)
	}
	r.finish(gone)
	r.collect("copies", "eastus", pointID("c", "p").Collection.String())
	copied := r.point(pointID("copies", "p"), tintype.RestorePointRequest{Source: p.ID.String()})
	r.restart()
	for _, point := range []tintype.RestorePoint{p, copied} {
		disks, err := r.DiskPoints(t.Context(), point.ID)
		if err != nil || len(disks) != 1 || !disks[0].Guest {
			t.Fatalf("%v %+v", err, disks)
		}
		id := disks[0].ID
		parsed, ok := tintype.ParseResourceID(id.GuestState().String())
		if got := r.store.content(t, r.get(id.GuestState()).Store)[0]; got != "state" || !ok || parsed != id.GuestState() {
			t.Errorf("%q, %+v", got, parsed)
		}
		a, err := r.Grant(t.Context(), id, tintype.AccessRequest{Access: "Read", Seconds: 60, GuestState: true})
		if err != nil {
			t.Fatal(err)
		}
		if op := r.finish(a); op.Guest == nil || op.Guest.Resource != id.GuestState() {
			t.Errorf("%+v", op)
		}
		_, _, err = r.DeletePoint(t.Context(), point.ID)
		refused(t, err, "OperationNotAllowed")
		r.revoke(id)
		back := tintype.Desired{Location: disks[0].Location, Creation: &tintype.CreationRequest{Option: "Restore", SourceResourceID: id.String()}}
		name := "back-" + back.Location
		r.put(diskID(name), back)
		if v := r.get(diskID(name)); !v.Guest || v.Settings.SecurityProfile.Type != "TrustedLaunch" || r.store.content(t, r.get(v.ID.GuestState()).Store)[0] != "state" {
			t.Errorf("%+v", v)
		}
	}
	for _, point := range []tintype.RestorePoint{p, copied} {
		if _, ok, err := r.DeletePoint(t.Context(), point.ID); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	r.wholeStore()
	if left := r.store.ids(); len(left) != 4 {
		t.Errorf("left in the store: %v", left)
	}
	r.machine("vm", tintype.MachineRequest{
		OS:   &tintype.MachineDiskRequest{DiskID: diskID("back-westus2").String()},
		Kept: map[string]json.RawMessage{"securityProfile": json.RawMessage(`{"securityType":"TrustedLaunch"}`)},
	})
	if err := r.Generalize(t.Context(), machineID("vm")); err != nil {
		t.Fatal(err)
	}
	_, _, err = r.PutImage(t.Context(), imageID("i"), tintype.CompanionRequest{Location: "westus2"}, tintype.ImageRequest{Machine: machineID("vm").String()})
	if e := refused(t, err, "OperationNotAllowed"); !strings.Contains(e.Message, "TrustedLaunch security type") {
		t.Error(e.Message)
	}
}
