package compute

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/vhd"
)

func read(seconds int64) tintype.AccessRequest {
	return tintype.AccessRequest{Access: "Read", Seconds: seconds}
}

func (r *rig) grantOf(id tintype.ResourceID, want tintype.AccessRequest) tintype.Grant {
	r.t.Helper()
	a, err := r.Grant(r.t.Context(), id, want)
	if err != nil {
		r.t.Fatal(err)
	}
	return *r.finish(a).Grant
}

func TestGrantAndRevoke(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	g := r.grantOf(d.ID, read(60))
	if !strings.HasPrefix(g.Account, "md-") || g.Bytes != d.Size || g.Upload || !g.Expires.Equal(r.now().Add(time.Minute)) {
		t.Errorf("grant %+v", g)
	}
	if v := r.get(d.ID); v.State != tintype.ActiveSAS {
		t.Errorf("state is %s", v.State)
	}
	_, dev, err := r.OpenGrant(t.Context(), g.ID, PublicDoor)
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	for _, do := range []func() error{
		func() error { _, err := r.Grant(t.Context(), d.ID, read(60)); return err },
		func() error { _, _, err := r.Delete(t.Context(), d.ID); return err },
		func() error { _, err := r.Attach(t.Context(), d.ID, "h", false); return err },
		func() error {
			_, err := r.Patch(t.Context(), d.ID, tintype.Desired{SizeGB: ptr(int64(2))})
			return err
		},
	} {
		if e := refused(t, do(), "OperationNotAllowed"); e.Kind != tintype.KindConflict {
			t.Errorf("%v is not a conflict", e)
		}
	}
	r.restart()
	if _, dev, err = r.OpenGrant(t.Context(), g.ID, PublicDoor); err != nil {
		t.Fatalf("the grant did not survive a restart: %v", err)
	}
	_ = dev.Close()
	a, err := r.Revoke(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	// The URL opens nothing from the moment of acceptance.
	_, _, err = r.OpenGrant(t.Context(), g.ID, PublicDoor)
	refused(t, err, "AuthenticationFailed")
	if op := r.finish(a); op.State != tintype.Succeeded || len(r.cuts) != 1 || r.cuts[0] != g.ID {
		t.Errorf("ended as %s, cut %v", op.State, r.cuts)
	}
	if v := r.get(d.ID); v.State != tintype.Unattached {
		t.Errorf("state is %s", v.State)
	}
	if a, err = r.Revoke(t.Context(), d.ID); err != nil || r.finish(a).State != tintype.Succeeded {
		t.Errorf("a second revocation: %v", err)
	}
}

func TestGrantRunsOut(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	g := r.grantOf(d.ID, read(60))
	r.clock.Add(time.Minute - 1)
	if _, _, err := r.OpenGrant(t.Context(), g.ID, PublicDoor); err != nil {
		t.Fatal(err)
	}
	r.clock.Add(time.Nanosecond)
	_, _, err := r.OpenGrant(t.Context(), g.ID, PublicDoor)
	refused(t, err, "AuthenticationFailed")
	if v := r.get(d.ID); v.State != tintype.ActiveSAS {
		t.Errorf("state of a volume whose grant ran out just now is %s", v.State)
	}
	r.clock.Add(showExpired)
	if v := r.get(d.ID); v.State != tintype.Unattached {
		t.Errorf("state of a volume whose grant ran out long ago is %s", v.State)
	}
	if _, err := r.Attach(t.Context(), d.ID, "h", false); err != nil {
		t.Errorf("a grant that ran out still stands in the way: %v", err)
	}
	if len(r.cuts) != 1 || r.cuts[0] != g.ID {
		t.Errorf("the disk was attached, and cut was %v, not %s", r.cuts, g.ID)
	}
	r.cuts = nil
	if err := r.Detach(t.Context(), d.ID, "h"); err != nil {
		t.Fatal(err)
	}
	r.grantOf(d.ID, read(1))
	r.clock.Add(time.Hour)
	if err := r.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(r.cuts) != 1 {
		t.Errorf("the sweep cut %v", r.cuts)
	}
}

func TestUpload(t *testing.T) {
	const data = 32 << 20
	r := newRig(t)
	r.group()
	u := r.put(diskID("u"), upload(data+512))
	if u.State != tintype.ReadyToUpload || u.Size != data || r.store.volumes[u.Store].size != data {
		t.Fatalf("upload disk %+v", u)
	}
	_, err := r.Grant(t.Context(), u.ID, read(60))
	refused(t, err, "OperationNotAllowed")
	_, err = r.Attach(t.Context(), u.ID, "h", false)
	refused(t, err, "OperationNotAllowed")
	_, err = r.Put(t.Context(), snapshotID("s"), copyOf(u.ID))
	refused(t, err, "OperationNotAllowed")

	write := tintype.AccessRequest{Access: "Write", Seconds: 600}
	revoke := func() tintype.Operation {
		a, err := r.Revoke(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		return r.finish(a)
	}
	g := r.grantOf(u.ID, write)
	if !g.Upload || !strings.HasPrefix(g.Account, "md-impexp-") || r.get(u.ID).State != tintype.ActiveUpload {
		t.Fatalf("grant %+v", g)
	}
	if f, err := r.Footer(t.Context(), g.ID); err != nil || len(f) != 512 || f[0] != 0 {
		t.Fatalf("footer before any was written: %d bytes, %v", len(f), err)
	}
	if op := revoke(); op.State != tintype.Failed || op.Failure.Code != "InvalidVhd" || !strings.Contains(op.Failure.Message, "conectix") {
		t.Fatalf("an upload without a footer ended as %s %v", op.State, op.Failure)
	}
	if v := r.get(u.ID); v.State != tintype.ReadyToUpload || v.Provisioning != tintype.StateSucceeded {
		t.Fatalf("after a failed upload: %+v", v)
	}
	g = r.grantOf(u.ID, write)
	wrong := vhd.FixedFooter(data+512, vhd.Identity{Unique: uuid.New(), Created: r.now()})
	if err := r.SaveFooter(t.Context(), g.ID, wrong[:]); err != nil {
		t.Fatal(err)
	}
	if op := revoke(); op.State != tintype.Failed || op.Failure.Code != "InvalidVhd" {
		t.Fatalf("a footer of another size ended as %s %v", op.State, op.Failure)
	}
	refused(t, r.SaveFooter(t.Context(), g.ID, wrong[:]), "AuthenticationFailed")

	g = r.grantOf(u.ID, write)
	good := vhd.FixedFooter(data, vhd.Identity{Unique: uuid.New(), Created: r.now()})
	if err := r.SaveFooter(t.Context(), g.ID, good[:]); err != nil {
		t.Fatal(err)
	}
	r.restart()
	if op := revoke(); op.State != tintype.Succeeded {
		t.Fatalf("a good upload ended as %s %v", op.State, op.Failure)
	}
	if v := r.get(u.ID); v.State != tintype.Unattached || v.Size != data {
		t.Fatalf("after the upload: %+v", v)
	}
	_, err = r.Grant(t.Context(), u.ID, write)
	refused(t, err, "OperationNotAllowed")
	r.put(snapshotID("s"), copyOf(u.ID))
}

// TestUploadSnapshot requires of a snapshot what TestUpload does of a disk, and that nothing changes it afterwards.
func TestUploadSnapshot(t *testing.T) {
	const data = 32 << 20
	r := newRig(t)
	r.group()
	u := r.put(snapshotID("u"), upload(data+512))
	if u.State != tintype.ReadyToUpload || u.Size != data || u.Access() != "Pending" || r.store.volumes[u.Store].snapshot {
		t.Fatalf("upload snapshot %+v", u)
	}
	_, err := r.Put(t.Context(), diskID("d"), copyOf(u.ID))
	refused(t, err, "OperationNotAllowed")
	_, err = r.Grant(t.Context(), u.ID, read(60))
	refused(t, err, "OperationNotAllowed")
	write := tintype.AccessRequest{Access: "Write", Seconds: 600}
	end := func() tintype.Operation {
		a, err := r.Revoke(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		return r.finish(a)
	}
	r.grantOf(u.ID, write)
	if op := end(); op.State != tintype.Failed || op.Failure.Code != "InvalidVhd" || r.get(u.ID).State != tintype.ReadyToUpload {
		t.Fatalf("an upload without a footer ended as %s %v", op.State, op.Failure)
	}
	g := r.grantOf(u.ID, write)
	footer := vhd.FixedFooter(data, vhd.Identity{Unique: uuid.New(), Created: r.now()})
	if err := r.SaveFooter(t.Context(), g.ID, footer[:]); err != nil {
		t.Fatal(err)
	}
	r.store.put(g.Volume, 3, "uploaded")
	r.store.refuse = block.ErrNoSpace
	if op := end(); op.State != tintype.Failed || op.Failure.Code != "AllocationFailed" || r.get(u.ID).State != tintype.ReadyToUpload {
		t.Fatalf("an upload without room for its end ended as %s %v", op.State, op.Failure)
	}
	r.store.refuse = nil
	r.grantOf(u.ID, write)
	if op := end(); op.State != tintype.Succeeded {
		t.Fatalf("a good upload ended as %s %v", op.State, op.Failure)
	}
	v := r.get(u.ID)
	if v.State != tintype.Unattached || v.Access() != "Available" || !r.store.volumes[v.Store].snapshot || r.store.content(t, v.Store)[3] != "uploaded" {
		t.Fatalf("after the upload: %+v", v)
	}
	if err := r.dropAll(t.Context()); err != nil || r.store.volumes[u.Store] != nil {
		t.Fatalf("what was written into is left in the store: %v", err)
	}
	_, err = r.Grant(t.Context(), u.ID, write)
	refused(t, err, "OperationNotAllowed")
	r.put(diskID("d"), copyOf(u.ID))
}

func TestUploadRunsOut(t *testing.T) {
	r := newRig(t)
	r.group()
	u := r.put(diskID("u"), upload(tintype.MinUploadBytes))
	r.grantOf(u.ID, tintype.AccessRequest{Access: "Write", Seconds: 1})
	r.clock.Add(time.Second + showExpired)
	if v := r.get(u.ID); v.State != tintype.ReadyToUpload {
		t.Fatalf("state is %s", v.State)
	}
	r.grantOf(u.ID, tintype.AccessRequest{Access: "Write", Seconds: 1})
}

func TestClosedToTheNetwork(t *testing.T) {
	r := newRig(t)
	r.group()
	for i, want := range []tintype.Desired{
		{NetworkAccess: "DenyAll"}, {PublicNetworkAccess: "Disabled"},
	} {
		w := empty(1)
		w.NetworkAccess, w.PublicNetworkAccess, w.DataAccessAuthMode = want.NetworkAccess, want.PublicNetworkAccess, want.DataAccessAuthMode
		d := r.put(diskID("d"+string(rune('0'+i))), w)
		_, err := r.Grant(t.Context(), d.ID, read(60))
		refused(t, err, "OperationNotAllowed")
	}
}

func TestAttachAndDetach(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	first, err := r.Attach(t.Context(), d.ID, "h1", false)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Attach(t.Context(), diskID("D"), "h1", false)
	if err != nil || again.URI != first.URI || again.VhostUser != first.VhostUser || first.VhostUser != r.door.Socket(r.get(d.ID).UniqueID.String()) {
		t.Fatalf("the same host got %+v, %v", again, err)
	}
	if v := r.get(d.ID); v.State != tintype.Attached || !strings.HasSuffix(v.HeldBy, "/h1") {
		t.Errorf("attached disk is %s, held by %q", v.State, v.HeldBy)
	}
	_, err = r.Attach(t.Context(), d.ID, "h2", false)
	refused(t, err, "ConflictingUserInput")
	_, err = r.Attach(t.Context(), d.ID, "h1", true)
	refused(t, err, "OperationNotAllowed")
	refused(t, r.Detach(t.Context(), d.ID, "h2"), "OperationNotAllowed")
	_, err = r.Grant(t.Context(), d.ID, read(60))
	if e := refused(t, err, "OperationNotAllowed"); !strings.HasPrefix(e.Message, "Access not permitted because disk d is currently attached to running VM /subscriptions/") {
		t.Errorf("text is %q", e.Message)
	}
	_, _, err = r.Delete(t.Context(), d.ID)
	if e := refused(t, err, "OperationNotAllowed"); !strings.HasPrefix(e.Message, "Disk d is attached to VM /subscriptions/") {
		t.Errorf("text is %q", e.Message)
	}
	r.put(snapshotID("s"), copyOf(d.ID))
	r.put(d.ID, empty(2)) // a disk grows while it is attached

	r.restart()
	if len(r.door.serves) != 1 {
		t.Fatalf("after the restart %d exports serve", len(r.door.serves))
	}
	if again, err = r.Attach(t.Context(), d.ID, "h1", false); err != nil || again.URI != first.URI {
		t.Fatalf("after the restart the same host got %+v, %v", again, err)
	}
	if err := r.Detach(t.Context(), d.ID, ""); err != nil {
		t.Fatal(err)
	}
	if v := r.get(d.ID); v.State != tintype.Unattached || v.HeldBy != "" || len(r.door.serves) != 0 || r.store.volumes[v.Store].open != 0 {
		t.Errorf("after detaching: %s by %q, %d exports, %d handles", v.State, v.HeldBy, len(r.door.serves), r.store.volumes[v.Store].open)
	}
	if err := r.Detach(t.Context(), d.ID, "h1"); err != nil {
		t.Errorf("detaching twice: %v", err)
	}

	s, err := r.Attach(t.Context(), snapshotID("s"), "h1", false)
	if err != nil || !s.ReadOnly || !r.door.serves[r.get(snapshotID("s")).UniqueID.String()] {
		t.Errorf("an attached snapshot is %+v, %v", s, err)
	}
}

func TestAttachThatFailsLeavesNothing(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	r.door.refuse = errCrash
	if _, err := r.Attach(t.Context(), d.ID, "h", false); err == nil {
		t.Fatal("attached though nothing serves")
	}
	if v := r.get(d.ID); v.State != tintype.Unattached || r.store.volumes[v.Store].open != 0 {
		t.Fatalf("state is %s with %d handles", v.State, r.store.volumes[v.Store].open)
	}
}

// One attached volume that can't be opened keeps nothing else from being served.
func TestDamagedVolumeDoesNotStopTheStart(t *testing.T) {
	r := newRig(t)
	r.group()
	bad, good := r.put(diskID("bad"), empty(1)), r.put(diskID("good"), empty(1))
	for _, v := range []tintype.Volume{bad, good} {
		if _, err := r.Attach(t.Context(), v.ID, "h", false); err != nil {
			t.Fatal(err)
		}
	}
	lost := r.store.volumes[bad.Store]
	delete(r.store.volumes, bad.Store)
	r.restart()
	if _, ok := r.door.serves[good.UniqueID.String()]; !ok || len(r.door.serves) != 1 {
		t.Fatalf("after the restart serve %v", r.door.serves)
	}
	if v := r.get(bad.ID); v.State != tintype.Attached {
		t.Errorf("the other is %s", v.State)
	}
	r.store.volumes[bad.Store] = lost
	if err := r.sweep(t.Context()); err != nil || len(r.door.serves) != 2 {
		t.Errorf("after the sweep serve %v, %v", r.door.serves, err)
	}
}
