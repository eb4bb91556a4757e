package compute

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tintype"
	"tintype/internal/block"
)

func member(name string, want tintype.Desired) tintype.Member {
	return tintype.Member{ID: snapshotID(name), Want: want}
}

// TestSnapshotTogether makes snapshots that have one time and one moment.
func TestSnapshotTogether(t *testing.T) {
	r := newRig(t)
	r.group()
	a, b := r.put(diskID("a"), empty(1)), r.put(diskID("b"), empty(2))
	r.store.put(a.Store, 0, "one")
	r.store.put(b.Store, 0, "two")
	all, err := r.SnapshotTogether(t.Context(), []tintype.Member{
		member("s-a", incremental(diskID("a"))), member("s-b", incremental(diskID("B"))),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.store.put(a.Store, 0, "later")
	for i, want := range []string{"one", "two"} {
		op := r.finish(all[i])
		if got := r.store.content(t, op.Output.Store)[0]; got != want {
			t.Errorf("%s holds %q, want %q", op.Resource, got, want)
		}
	}
	if first, second := r.get(snapshotID("s-a")), r.get(snapshotID("s-b")); !first.Created.Equal(second.Created) ||
		!first.Incremental || first.Size != a.Size || second.Size != b.Size {
		t.Errorf("made together: %+v and %+v", first, second)
	}
}

// TestSnapshotTogetherRefusals refuses a group of which one member can't be had, and leaves nothing of the others.
func TestSnapshotTogetherRefusals(t *testing.T) {
	r := newRig(t)
	r.group()
	r.put(diskID("a"), empty(1))
	r.put(diskID("b"), empty(1))
	r.put(diskID("upload"), upload(tintype.MinUploadBytes))
	r.put(snapshotID("there"), copyOf(diskID("a")))
	good := member("good", copyOf(diskID("a")))
	elsewhere := member("other", copyOf(diskID("b")))
	elsewhere.ID.Group = "h"
	before := r.store.ids()
	for _, x := range []struct {
		code    string
		members []tintype.Member
	}{
		{"NotFound", []tintype.Member{good, member("x", copyOf(diskID("none")))}},
		{"Conflict", []tintype.Member{good, member("there", copyOf(diskID("b")))}},
		{"OperationNotAllowed", []tintype.Member{good, member("x", copyOf(diskID("upload")))}},
		{"InvalidParameter", []tintype.Member{good, member("GOOD", copyOf(diskID("b")))}},
		{"InvalidParameter", []tintype.Member{good, member("x", copyOf(diskID("A")))}},
		{"InvalidParameter", []tintype.Member{good, member("x", empty(1))}},
		{"InvalidParameter", []tintype.Member{good, {ID: diskID("x"), Want: copyOf(diskID("b"))}}},
		{"InvalidParameter", []tintype.Member{good, elsewhere}},
		{"InvalidParameter", []tintype.Member{good, member("-", copyOf(diskID("b")))}},
		{"InvalidParameter", nil},
	} {
		_, err := r.SnapshotTogether(t.Context(), x.members)
		refused(t, err, x.code)
	}
	r.store.refuse = fmt.Errorf("full: %w", block.ErrNoSpace)
	_, err := r.SnapshotTogether(t.Context(), []tintype.Member{good, member("x", copyOf(diskID("b")))})
	refused(t, err, "AllocationFailed")
	if diff := cmp.Diff(before, r.store.ids()); diff != "" {
		t.Errorf("the refusals left (-before +after):\n%s", diff)
	}
	_, err = r.Get(t.Context(), snapshotID("good"))
	refused(t, err, "ResourceNotFound")
}
