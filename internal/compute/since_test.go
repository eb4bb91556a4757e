package compute

import (
	"slices"
	"strings"
	"testing"

	"tintype"
	"tintype/internal/block"
)

// What an attachment is compared with outlives a restart, and cannot be deleted before it ends.
func TestAttachSince(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	var since []tintype.ResourceID
	for _, name := range []string{"s1", "s2", "s3"} {
		since = append(since, r.put(snapshotID(name), copyOf(d.ID)).ID)
	}
	attach := func(id tintype.ResourceID, since ...tintype.ResourceID) error {
		_, err := r.Attach(t.Context(), id, "h", true, since...)
		return err
	}
	elsewhere := since[0]
	elsewhere.Group = "other"
	many := make([]tintype.ResourceID, 101)
	for _, x := range []struct {
		code  string
		since []tintype.ResourceID
	}{
		{"InvalidParameter", []tintype.ResourceID{since[2], since[2]}},
		{"InvalidParameter", []tintype.ResourceID{since[2], d.ID}},
		{"InvalidParameter", []tintype.ResourceID{since[2], since[0], elsewhere}},
		{"InvalidParameter", append([]tintype.ResourceID{since[2]}, many...)},
		{"ResourceNotFound", []tintype.ResourceID{since[2], snapshotID("none")}},
	} {
		refused(t, attach(x.since[0], x.since[1:]...), x.code)
	}
	if v := r.get(since[2]); v.State != tintype.Unattached {
		t.Fatalf("refused, the snapshot is %s", v.State)
	}
	first, err := r.Attach(t.Context(), since[2], "h", true, since[1], since[0])
	if err != nil {
		t.Fatal(err)
	}
	changes := strings.Replace(first.URI, "?", "-since-s2?", 1)
	if len(first.Changes) != 2 || first.Changes[1] != (tintype.Changes{Since: "s2", URI: changes}) {
		t.Errorf("changes at %v of %s", first.Changes, first.URI)
	}
	export := r.get(since[2]).UniqueID.String()
	served := func(want ...string) {
		t.Helper()
		if got := r.door.older[export]; !slices.Equal(got, want) {
			t.Errorf("served with %q, want %q", got, want)
		}
		for _, older := range []string{"s1", "s2", "s3"} {
			if _, has := r.door.serves[export+"-since-"+older]; has != slices.Contains(want, older) {
				t.Errorf("changes since %s served: %v", older, has)
			}
		}
	}
	served("s1", "s2")
	if err := attach(since[2]); err != nil {
		t.Errorf("attached again: %v", err)
	}
	if err := attach(since[2], since[0], since[1]); err != nil {
		t.Errorf("attached again: %v", err)
	}
	refused(t, attach(since[2], since[0]), "OperationNotAllowed")
	undeletable := func() {
		t.Helper()
		_, _, err := r.Delete(t.Context(), since[0])
		if e := refused(t, err, "OperationNotAllowed"); !strings.Contains(e.Message, "Snapshot s1 is compared with /subscriptions/") {
			t.Errorf("text is %q", e.Message)
		}
	}
	undeletable()
	r.restart()
	served("s1", "s2")
	undeletable()
	lost := r.store.volumes[r.get(since[0]).Store]
	delete(r.store.volumes, r.get(since[0]).Store)
	r.restart()
	if _, ok := r.door.serves[export]; !ok {
		t.Error("not served for the loss of an older snapshot")
	}
	served()
	r.store.volumes[r.get(since[0]).Store] = lost
	r.restart()
	if err := r.Detach(t.Context(), since[2], ""); err != nil {
		t.Fatal(err)
	}
	if len(r.door.serves) != 0 {
		t.Errorf("after the attachment %v is served", r.door.serves)
	}
	for _, id := range since {
		if n := r.store.volumes[r.get(id).Store].open; n != 0 {
			t.Errorf("%d handles on %s", n, id.Name)
		}
	}
	if _, _, err := r.Delete(t.Context(), since[0]); err != nil {
		t.Errorf("after the attachment: %v", err)
	}
	r.door.refuse = block.ErrUnrelated
	refused(t, attach(since[2], since[1]), "OperationNotAllowed")
	if n := r.store.volumes[r.get(since[1]).Store].open; n != 0 || r.get(since[2]).State != tintype.Unattached {
		t.Errorf("after a refusal %d handles are open", n)
	}
}

// A group stays while something in it is compared with what is attached elsewhere.
func TestGroupWithComparedSnapshot(t *testing.T) {
	r := newRig(t)
	r.group()
	d := r.put(diskID("d"), empty(1))
	s := r.put(snapshotID("s"), copyOf(d.ID))
	if _, _, err := r.PutGroup(t.Context(), tintype.Group{Subscription: testSub, Name: "other", Location: "westus2"}); err != nil {
		t.Fatal(err)
	}
	away := d.ID
	away.Group = "other"
	r.put(away, copyOf(d.ID))
	if _, err := r.Attach(t.Context(), away, "h", false, s.ID); err != nil {
		t.Fatal(err)
	}
	_, err := r.DeleteGroup(t.Context(), testSub, d.ID.Group)
	if e := refused(t, err, "ResourceGroupDeletionBlocked"); !strings.Contains(e.Message, "Snapshot s is compared with "+away.String()) {
		t.Errorf("text is %q", e.Message)
	}
	if err := r.Detach(t.Context(), away, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.DeleteGroup(t.Context(), testSub, d.ID.Group); err != nil {
		t.Errorf("after the attachment: %v", err)
	}
}
