package meter

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// TestMovedGoesOn: what is moved to another group is one resource as before, under its new id, and its copies still find it.
func TestMovedGoesOn(t *testing.T) {
	w := newWorld(t, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
	d := w.disk("d", 64, tintype.StandardLRS)
	w.volumes.write(d.Store, 0, blocksPerGiB)
	s := w.snapshot("s", d, tintype.StandardLRS, uuid.New())
	w.tick()
	w.clock = w.clock.AddDate(0, 0, 1)
	w.tick()
	moved := d
	moved.ID.Group, moved.Provisioning = "attic", tintype.StateSucceeded
	w.update(func(tx *catalog.Tx) error {
		if err := tx.PutGroup(tintype.Group{Subscription: testSub, Name: "attic", Location: "westus2", State: tintype.StateSucceeded}); err != nil {
			return err
		}
		return tx.MoveVolume(d.ID.Key(), moved)
	})
	w.tick()
	w.reopen()
	w.clock = w.clock.AddDate(0, 0, 1)
	w.tick()
	a := w.meter.alive[d.UniqueID]
	if a == nil || a.ID != moved.ID || !w.meter.kin[d.ID.Key()][a] || !w.meter.kin[d.ID.Key()][w.meter.alive[s.UniqueID]] || !w.meter.kin[moved.ID.Key()][a] {
		t.Errorf("%+v", a)
	}
	all := Query{From: day(2026, 4, 1), To: day(2026, 5, 1)}
	all.Resource = d.ID.String()
	if rows := w.rows(all); len(rows) != 0 {
		t.Errorf("under its old id: %+v", rows)
	}
	all.Resource = moved.ID.String()
	if rows := w.rows(all); len(rows) == 0 || rows[0].Day != day(2026, 4, 1) {
		t.Errorf("under its new id: %+v", rows)
	}
	w.remove(moved)
	w.tick()
	if len(w.meter.kin[d.ID.Key()]) != 1 || w.meter.alive[d.UniqueID] != nil {
		t.Error("it is not forgotten")
	}
}
