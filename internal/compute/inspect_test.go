package compute

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"tintype"
)

// ailing is a store that knows of damage.
type ailing struct {
	damages []tintype.Damage
	started int
}

func (a *ailing) Scrub() tintype.Scrub      { return tintype.Scrub{Running: a.started > 0} }
func (a *ailing) StartScrub()               { a.started++ }
func (a *ailing) Damages() []tintype.Damage { return a.damages }

// TestDamages names the disks and snapshots that damage hit.
func TestDamages(t *testing.T) {
	r := newRig(t)
	r.group()
	d, s := r.put(diskID("d"), empty(1)), r.put(snapshotID("s"), copyOf(diskID("d")))
	_, _, err := r.Damages(t.Context(), nil)
	refused(t, err, "OperationNotAllowed")
	store := &ailing{damages: []tintype.Damage{
		{Volume: d.Store, Off: 4096, Len: 8192, Cause: "checksum"},
		{Volume: s.Store, Off: 4096, Len: 4096, Cause: "checksum"},
		{Volume: uuid.UUID{9}, Len: 4096, Cause: "missing"},
		{Volume: d.Store, Off: 1 << 20, Len: 4096, Cause: "missing"},
	}}
	r.opt.Health = store
	want := append([]tintype.Damage(nil), store.damages...)
	want[0].Resource, want[1].Resource, want[3].Resource = d.ID, s.ID, d.ID
	all, more, err := r.Damages(t.Context(), nil)
	if diff := cmp.Diff([]tintype.Damage{want[2], want[0], want[3], want[1]}, all); diff != "" || err != nil || more {
		t.Error(err, diff)
	}
	one, _, err := r.Damages(t.Context(), &d.ID)
	if diff := cmp.Diff([]tintype.Damage{want[0], want[3]}, one); diff != "" || err != nil {
		t.Error(err, diff)
	}
	none := diskID("none")
	_, _, err = r.Damages(t.Context(), &none)
	refused(t, err, "ResourceNotFound")
	store.damages = make([]tintype.Damage, maxDamages+1)
	if all, more, err := r.Damages(t.Context(), nil); len(all) != maxDamages || !more || err != nil {
		t.Errorf("%d ranges, more %v, %v", len(all), more, err)
	}
	if now, err := r.Scrub(t.Context(), false); err != nil || now.Running || store.started != 0 {
		t.Errorf("asked, the scrub is %+v, %v", now, err)
	}
	if now, err := r.Scrub(t.Context(), true); err != nil || !now.Running || store.started != 1 {
		t.Errorf("started, the scrub is %+v, %v", now, err)
	}
}
