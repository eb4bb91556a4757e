package meter

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// TestLostStore: without its file the meter begins anew with what there is, from then on.
func TestLostStore(t *testing.T) {
	w := newWorld(t, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
	disk := w.disk("data", 64, tintype.StandardLRS)
	w.tick()
	w.clock = w.clock.AddDate(0, 0, 10)
	if err := w.meter.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"usage.db", "usage.db-wal", "usage.db-shm"} {
		if err := os.Remove(filepath.Join(w.dir, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	w.open()
	w.clock = w.clock.AddDate(0, 0, 2)
	w.tick()
	rows := w.rows(Query{Scope: Scope{Resource: disk.ID.String()}, From: day(2026, 4, 1), To: day(2026, 5, 1)})
	if len(rows) != 2 || rows[0].Day != day(2026, 4, 11) {
		t.Errorf("%d rows: %+v", len(rows), rows)
	}
	w.remove(disk)
	w.tick()
	w.reopen()
	w.clock = w.clock.AddDate(0, 0, 2)
	if more := w.rows(Query{Scope: Scope{Resource: disk.ID.String()}, From: day(2026, 4, 1), To: day(2026, 5, 1)}); len(more) != 2 {
		t.Errorf("after its end there are %d rows", len(more))
	}
}

// TestStrangeCatalog: what the catalog has lost without a word, as an older copy of it has, ends at the next start.
func TestStrangeCatalog(t *testing.T) {
	w := newWorld(t, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
	disk, other := w.disk("data", 64, tintype.StandardLRS), w.disk("other", 64, tintype.StandardLRS)
	w.tick()
	w.clock = w.clock.AddDate(0, 0, 3)
	err := w.catalog.Update(t.Context(), func(tx *catalog.Tx) error { return tx.DeleteVolume(disk.ID.Key()) })
	if err != nil {
		t.Fatal(err)
	}
	w.reopen()
	w.clock = w.clock.AddDate(0, 0, 3)
	w.tick()
	for v, want := range map[string]int{disk.ID.String(): 3, other.ID.String(): 6} {
		if rows := w.rows(Query{Scope: Scope{Resource: v}, From: day(2026, 4, 1), To: day(2026, 5, 1)}); len(rows) != want {
			t.Errorf("%s has %d rows, want %d", v, len(rows), want)
		}
	}
}

// TestGoneBeforeMeasured: a snapshot whose bytes are gone when the meter comes to it is billed as nothing, and stops nothing.
func TestGoneBeforeMeasured(t *testing.T) {
	w := newWorld(t, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
	disk := w.disk("data", 64, tintype.StandardLRS)
	w.volumes.write(disk.Store, 0, 1000)
	family := uuid.New()
	one := w.snapshot("one", disk, tintype.StandardLRS, family)
	two := w.snapshot("two", disk, tintype.StandardLRS, family)
	full := w.snapshot("full", disk, tintype.StandardLRS, uuid.Nil)
	w.clock = w.clock.Add(time.Hour)
	w.remove(one)
	w.remove(full)
	w.tick()
	w.clock = w.clock.AddDate(0, 0, 1)
	w.tick()
	for _, v := range []tintype.Volume{one, full} {
		if rows := w.rows(Query{Scope: Scope{Resource: v.ID.String()}, From: day(2026, 4, 1), To: day(2026, 5, 1)}); len(rows) != 0 {
			t.Errorf("%s has rows %+v", v.ID.Name, rows)
		}
		all, err := w.meter.Explain(t.Context(), v.ID, day(2026, 4, 1))
		if err != nil || len(all) != 1 || all[0].Steps[0].Bytes != Unmeasured {
			t.Errorf("%s is explained as %+v, %v", v.ID.Name, all, err)
		}
	}
	// The one that is left has taken over all the data, from when the first was deleted.
	rows := w.rows(Query{Scope: Scope{Resource: two.ID.String()}, From: day(2026, 4, 2), To: day(2026, 4, 3)})
	if len(rows) != 1 || rows[0].Last.Incremental != 1000*blockSize {
		t.Errorf("the next one: %+v", rows)
	}
}

// TestUnreadable: a snapshot that is damaged, or whose key is away, can't be compared with others. Everything else is metered, also at a start.
func TestUnreadable(t *testing.T) {
	for _, why := range []error{block.ErrDamaged, block.ErrLocked} {
		w := newWorld(t, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
		disk := w.disk("data", 64, tintype.StandardLRS)
		w.volumes.write(disk.Store, 0, 1000)
		family := uuid.New()
		w.snapshot("one", disk, tintype.StandardLRS, family)
		two := w.snapshot("two", disk, tintype.StandardLRS, family)
		w.snapshot("three", disk, tintype.StandardLRS, family)
		w.tick()
		w.volumes.refuse = fmt.Errorf("volume: %w", why)
		w.snapshot("four", disk, tintype.StandardLRS, family)
		w.remove(two)
		late := w.disk("late", 64, tintype.StandardLRS)
		w.reopen()
		w.clock = w.clock.AddDate(0, 0, 2)
		w.tick()
		if rows := w.rows(Query{Scope: Scope{Resource: late.ID.String()}, From: day(2026, 4, 1), To: day(2026, 5, 1)}); len(rows) == 0 {
			t.Errorf("%v: nothing is metered any more", why)
		}
	}
}
