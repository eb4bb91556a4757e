package meter

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// world is a meter with a catalog, a store that counts grains instead of keeping bytes, and a clock that is set by hand.
type world struct {
	t       *testing.T
	dir     string
	clock   time.Time
	catalog *catalog.Catalog
	volumes *grains
	meter   *Service
	sheet   *Sheet
}

const testSub = tintype.SubscriptionID("11111111-2222-3333-4444-555555555555")

func newWorld(t *testing.T, start time.Time) *world {
	t.Helper()
	sheet, err := ExamplePrices()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), clock: start, volumes: newGrains(blockSize), sheet: sheet}
	if w.catalog, err = catalog.Open(t.Context(), filepath.Join(w.dir, "catalog.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.catalog.Close() })
	w.update(func(tx *catalog.Tx) error {
		return tx.PutGroup(tintype.Group{Subscription: testSub, Name: "lab", Location: "westus2", State: tintype.StateSucceeded})
	})
	w.open()
	return w
}

func (w *world) update(fn func(*catalog.Tx) error) {
	w.t.Helper()
	err := w.catalog.Update(w.t.Context(), func(tx *catalog.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return tx.RecordChanges(w.clock)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// open starts the meter without its own ticker: tests call Tick.
func (w *world) open() {
	w.t.Helper()
	var err error
	w.meter, err = Open(w.t.Context(), Options{
		File: filepath.Join(w.dir, "usage.db"), Catalog: w.catalog, Volumes: w.volumes, Prices: w.sheet,
		Now: func() time.Time { return w.clock }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	m := w.meter
	w.t.Cleanup(func() { m.Close() })
	if err := w.meter.begin(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) reopen() {
	w.t.Helper()
	if err := w.meter.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

func (w *world) tick() {
	w.t.Helper()
	if err := w.meter.Tick(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// put records a volume as compute does: accepted first, then done.
func (w *world) put(v tintype.Volume) {
	w.t.Helper()
	v.Provisioning = tintype.StateUpdating
	w.update(func(tx *catalog.Tx) error { return tx.PutVolume(v) })
	v.Provisioning = tintype.StateSucceeded
	w.update(func(tx *catalog.Tx) error { return tx.PutVolume(v) })
}

func (w *world) remove(v tintype.Volume) {
	w.t.Helper()
	v.Provisioning = tintype.StateDeleting
	w.update(func(tx *catalog.Tx) error { return tx.PutVolume(v) })
	w.update(func(tx *catalog.Tx) error { return tx.DeleteVolume(v.ID.Key()) })
	w.volumes.remove(v.Store)
}

func (w *world) disk(name string, gib int64, sku tintype.SKU) tintype.Volume {
	w.t.Helper()
	v := tintype.Volume{
		ID:       tintype.ResourceID{Subscription: testSub, Group: "lab", Kind: tintype.KindDisk, Name: name},
		UniqueID: uuid.New(), Created: w.clock, Location: "westus2", Creation: tintype.Creation{Option: tintype.CreateEmpty},
		Size: gib * tintype.GiB, SKU: sku, State: tintype.Unattached, Store: uuid.New(),
	}
	w.volumes.create(v.Store, v.Size)
	w.put(v)
	return v
}

func (w *world) snapshot(name string, of tintype.Volume, sku tintype.SKU, family uuid.UUID) tintype.Volume {
	w.t.Helper()
	v := tintype.Volume{
		ID:       tintype.ResourceID{Subscription: testSub, Group: "lab", Kind: tintype.KindSnapshot, Name: name},
		UniqueID: uuid.New(), Created: w.clock, Location: "westus2",
		Creation: tintype.Creation{Option: tintype.CreateCopy, Source: of.ID.String(), SourceUniqueID: of.UniqueID},
		Size:     of.Size, SKU: sku, State: tintype.Unattached, Store: uuid.New(), Incremental: family != uuid.Nil, Family: family,
	}
	w.volumes.cut(of.Store, v.Store)
	w.put(v)
	return v
}

// rows gives copies of all rows of the query.
func (w *world) rows(q Query) []Row {
	w.t.Helper()
	var all []Row
	err := w.meter.Usage(context.Background(), q, func(r *Row) (bool, error) {
		all = append(all, *r)
		return true, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func day(y int, m time.Month, d int) Day { return DayOf(time.Date(y, m, d, 0, 0, 0, 0, time.UTC)) }

// grains is a store of volumes that consist of numbered grains, each with the number of the write that made it.
type grains struct {
	grain  int64
	writes int64
	all    map[block.ID]*grainy
	refuse error // of comparisons
}

type grainy struct {
	size int64
	root block.ID // of the disk that it descends from
	has  map[int64]int64
}

func newGrains(size int64) *grains { return &grains{grain: size, all: map[block.ID]*grainy{}} }

func (g *grains) create(id block.ID, size int64) {
	g.all[id] = &grainy{size: size, root: id, has: map[int64]int64{}}
}

func (g *grains) cut(source, id block.ID) {
	from := g.all[source]
	to := &grainy{size: from.size, root: from.root, has: make(map[int64]int64, len(from.has))}
	for k, v := range from.has {
		to.has[k] = v
	}
	g.all[id] = to
}

func (g *grains) remove(id block.ID) { delete(g.all, id) }

func (g *grains) write(id block.ID, first, n int64) {
	for i := first; i < first+n; i++ {
		g.writes++
		g.all[id].has[i] = g.writes
	}
}

func (g *grains) used(id block.ID) int64 { return int64(len(g.all[id].has)) * g.grain }

// Sizes, List, Share and Diff are what the meter asks for.
func (g *grains) Sizes(id block.ID) (block.Sizes, error) {
	v := g.all[id]
	if v == nil {
		return block.Sizes{}, block.ErrNotFound
	}
	return block.Sizes{Used: g.used(id), Provisioned: v.size}, nil
}

func (g *grains) List() []block.Info {
	var all []block.Info
	for id, v := range g.all {
		all = append(all, block.Info{ID: id, Size: v.size, Used: g.used(id)})
	}
	return all
}

func (g *grains) Share(id block.ID) (block.Share, error) {
	v := g.all[id]
	if v == nil {
		return block.Share{}, block.ErrNotFound
	}
	alone := int64(0)
	for k, n := range v.has {
		held := false
		for other, o := range g.all {
			held = held || other != id && o.has[k] == n
		}
		if !held {
			alone += g.grain
		}
	}
	return block.Share{Incremental: alone, Exclusive: alone}, nil
}

func (g *grains) Diff(older, newer block.ID, _, _ int64, yield func(block.Extent) bool) error {
	a, b := g.all[older], g.all[newer]
	if a == nil || b == nil {
		return block.ErrNotFound
	}
	if g.refuse != nil {
		return g.refuse
	}
	if a.root != b.root {
		return block.ErrUnrelated
	}
	for k, n := range b.has {
		if a.has[k] != n && !yield(block.Extent{Off: k * g.grain, Len: g.grain, Data: true}) {
			return nil
		}
	}
	for k := range a.has {
		if _, ok := b.has[k]; !ok && !yield(block.Extent{Off: k * g.grain, Len: g.grain}) {
			return nil
		}
	}
	return nil
}

func (g *grains) Freed(ids ...block.ID) (int64, error) {
	share, err := g.Share(ids[0])
	return share.Exclusive, err
}
