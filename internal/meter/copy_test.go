package meter

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// TestCopyIsMeteredWhole: a snapshot that is copied from another server costs nothing before all of it is there, and then what it
// adds to the one before it.
func TestCopyIsMeteredWhole(t *testing.T) {
	w := newWorld(t, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
	family := uuid.New()
	into := w.disk("into", 64, tintype.StandardLRS) // stands for the disk that is copied into
	w.volumes.write(into.Store, 0, blocksPerGiB)
	first := w.snapshot("first", into, tintype.StandardLRS, family)
	w.tick()
	second := tintype.Volume{
		ID:       tintype.ResourceID{Subscription: testSub, Group: "lab", Kind: tintype.KindSnapshot, Name: "second"},
		UniqueID: uuid.New(), Created: w.clock.Add(time.Second), Location: "westus2", Creation: tintype.Creation{Option: tintype.CreateCopyStart},
		Size: into.Size, SKU: tintype.StandardLRS, State: tintype.Unattached, Store: uuid.New(), Incremental: true, Family: family,
		Provisioning: tintype.StateSucceeded, Copy: &tintype.BackgroundCopy{},
	}
	w.volumes.create(second.Store, second.Size)
	w.update(func(tx *catalog.Tx) error { return tx.PutVolume(second) })
	w.tick()
	w.clock = w.clock.AddDate(0, 0, 1)
	w.tick()
	w.reopen() // finds it in the catalog, and not whole
	w.volumes.write(into.Store, blocksPerGiB, 2*blocksPerGiB)
	second.Store, second.Copy = uuid.New(), nil
	w.volumes.cut(into.Store, second.Store)
	w.update(func(tx *catalog.Tx) error { return tx.PutVolume(second) })
	w.tick()
	w.clock = w.clock.AddDate(0, 0, 1)
	w.tick()
	for _, x := range []struct {
		v    tintype.Volume
		from Day
		gib  int64
	}{{first, day(2026, 4, 1), 1}, {second, day(2026, 4, 2), 2}} {
		rows := w.rows(Query{Scope: Scope{Resource: x.v.ID.String()}, From: day(2026, 4, 1), To: day(2026, 5, 1)})
		if len(rows) == 0 || rows[0].Day != x.from {
			t.Fatalf("%s: %+v", x.v.ID.Name, rows)
		}
		got := w.meter.alive[x.v.UniqueID].last
		if got.Incremental != x.gib*tintype.GiB {
			t.Errorf("%s adds %d bytes, want %d GiB", x.v.ID.Name, got.Incremental, x.gib)
		}
	}
}
