package compute

import (
	"testing"

	"tintype"
)

// TestPrivateLinks gives access to a private disk as long as its disk access has a connection that is approved, and at the private
// door alone; and closes what was open when the disk's settings change.
func TestPrivateLinks(t *testing.T) {
	r := newRig(t)
	r.group()
	access := tintype.ResourceID{Subscription: testSub, Group: "g", Kind: tintype.KindDiskAccess, Name: "a"}
	if _, err := r.PutCompanion(t.Context(), access, tintype.CompanionRequest{Location: "westus2"}); err != nil {
		t.Fatal(err)
	}
	private := empty(1)
	private.NetworkAccess, private.DiskAccessID = "AllowPrivate", ptr(access.String())
	r.put(diskID("d"), private)
	ask := tintype.AccessRequest{Access: "Read", Seconds: 600}
	link := func(status string) {
		t.Helper()
		if _, op, err := r.PutLink(t.Context(), access, "link", tintype.PrivateLinkRequest{Status: status}); err != nil || op.State != tintype.Succeeded {
			t.Fatalf("%v %v", op, err)
		}
	}
	_, err := r.Grant(t.Context(), diskID("d"), ask)
	refused(t, err, "OperationNotAllowed")
	link("Pending")
	_, err = r.Grant(t.Context(), diskID("d"), ask)
	refused(t, err, "OperationNotAllowed")
	link("Approved")
	r.restart()
	a, err := r.Grant(t.Context(), diskID("d"), ask)
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a)
	g := a.Operation.Grant
	opens := func(door Door, want bool) {
		t.Helper()
		_, dev, err := r.OpenGrant(t.Context(), g.ID, door)
		if (err == nil) != want {
			t.Fatalf("door %v: %v", door, err)
		}
		if err != nil {
			refused(t, err, "AuthorizationFailure")
			return
		}
		if err := dev.Close(); err != nil {
			t.Fatal(err)
		}
	}
	opens(PrivateDoor, true)
	opens(PublicDoor, false)
	link("Rejected")
	opens(PrivateDoor, false)
	link("Approved")
	opens(PrivateDoor, true)
	for _, settings := range []tintype.Desired{{NetworkAccess: "DenyAll"}, {NetworkAccess: "AllowAll", PublicNetworkAccess: "Disabled"}} {
		p, err := r.Patch(t.Context(), diskID("d"), settings)
		if err != nil {
			t.Fatal(err)
		}
		r.finish(p)
		opens(PrivateDoor, false)
		opens(PublicDoor, false)
	}
	p, err := r.Patch(t.Context(), diskID("d"), tintype.Desired{PublicNetworkAccess: "Enabled"})
	if err != nil {
		t.Fatal(err)
	}
	r.finish(p)
	opens(PublicDoor, true)
	if _, ok, err := r.DeleteLink(t.Context(), access, "LINK"); !ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	if _, ok, err := r.DeleteLink(t.Context(), access, "link"); ok || err != nil {
		t.Errorf("deleted again: %v %v", ok, err)
	}
	_, _, err = r.PutLink(t.Context(), access, "link", tintype.PrivateLinkRequest{Status: "Maybe"})
	refused(t, err, "InvalidParameter")
}
