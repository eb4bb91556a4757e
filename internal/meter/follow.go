package meter

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// follow takes over the catalog's changes, a bounded number in each transaction. The number of the last one is committed
// with its samples, so that after a crash none is missed and none is taken twice.
func (s *Service) follow(ctx context.Context) error {
	for {
		var changes []catalog.Change
		err := s.opt.Catalog.View(ctx, func(tx *catalog.Tx) (err error) {
			changes, err = tx.Changes(s.progress.seq, changesAtOnce)
			return err
		})
		if err != nil || len(changes) == 0 {
			return err
		}
		if err := s.take(ctx, changes); err != nil {
			return err
		}
		if len(changes) < changesAtOnce {
			return s.opt.Catalog.Update(ctx, func(tx *catalog.Tx) error { return tx.ForgetChanges(s.progress.seq) })
		}
	}
}

// take commits the samples that the changes give. When it fails, memory is as it was.
func (s *Service) take(ctx context.Context, changes []catalog.Change) error {
	p := s.progress
	w := &writer{service: s}
	var err error
	if w.batch, err = s.store.begin(ctx); err != nil {
		return err
	}
	for _, c := range changes {
		p.clock, p.seq = max(p.clock, c.At.UnixMilli()), c.Seq
		if err := w.change(c, p.clock); err != nil {
			return errors.Join(err, w.batch.rollback(), s.reload(ctx))
		}
	}
	if err := s.commit(w.batch, p); err != nil {
		return errors.Join(err, s.reload(ctx))
	}
	return nil
}

// commit makes the batch durable, and with it how far the meter has come.
func (s *Service) commit(b *batch, p progress) error {
	if s.fault != nil {
		if err := s.fault("before commit"); err != nil {
			return errors.Join(err, b.rollback())
		}
	}
	if err := b.commit(p); err != nil {
		return err
	}
	s.progress = p
	s.clock.Store(p.clock)
	if s.fault != nil {
		return s.fault("after commit")
	}
	return nil
}

// reload forgets what is in memory for what is on disk.
func (s *Service) reload(ctx context.Context) error { return s.load(context.WithoutCancel(ctx)) }

// writer turns changes into rows of one batch.
type writer struct {
	service *Service
	batch   *batch
	written int
}

// change takes over one change of the catalog. What an operation in progress promises does not count before it has
// succeeded, and a deletion when it is done.
func (w *writer) change(c catalog.Change, at int64) error {
	s := w.service
	a := s.alive[c.Volume.UniqueID]
	switch {
	case c.Gone && a == nil:
		return nil // it never came to be
	case c.Gone:
		return w.end(a, at)
	case !counts(c.Volume):
		return nil
	case a == nil:
		return w.start(c.Volume, at)
	}
	if a.Store != c.Volume.Store {
		delete(s.stores, a.Store)
		a.Store = c.Volume.Store
		s.stores[a.Store] = a
		if err := w.batch.moveResource(a.Resource); err != nil {
			return err
		}
	}
	if a.ID.Key() != c.Volume.ID.Key() {
		s.rename(a, c.Volume.ID)
		if err := w.batch.renameResource(a.Resource); err != nil {
			return err
		}
	}
	next := sampleOf(c.Volume)
	next.Used, next.Incremental, next.Exclusive = a.last.Used, a.last.Incremental, a.last.Exclusive
	return w.sample(a, next, at)
}

// counts tells that a volume is metered: what is promised is not, nor a copy from another server before all of it is there.
func counts(v tintype.Volume) bool { return v.Provisioning == tintype.StateSucceeded && v.Copy == nil }

// start begins the life of a resource with the sizes that it has now.
func (w *writer) start(v tintype.Volume, at int64) error {
	s := w.service
	a := &alive{Resource: resourceOf(v, at), stale: true}
	if err := w.batch.addResource(a.Resource); err != nil {
		return err
	}
	a.last = sampleOf(v)
	if sizes, err := s.opt.Volumes.Sizes(v.Store); err == nil {
		a.last.Used = sizes.Used
	} else if !errors.Is(err, block.ErrNotFound) {
		return err
	}
	s.disturb(a)
	s.enter(a)
	if a.Incremental {
		var err error
		if a.last.Incremental, err = s.delta(a); err != nil {
			return err
		}
	}
	a.last.millis = at
	w.written++
	return w.batch.addSample(a.Resource, &a.last)
}

// end ends a resource's life. What a deleted incremental snapshot added goes to the next one of its family.
func (w *writer) end(a *alive, at int64) error {
	s := w.service
	next := s.after(a)
	s.leave(a)
	last := a.last
	last.Deleted, last.millis = true, at
	w.written++
	if err := errors.Join(w.batch.addSample(a.Resource, &last), w.batch.endResource(a.Resource, at)); err != nil {
		return err
	}
	s.disturb(a)
	if next == nil {
		return nil
	}
	n := next.last
	var err error
	if n.Incremental, err = s.delta(next); err != nil {
		return err
	}
	return w.sample(next, n, at)
}

// sample appends a sample when it says something new.
func (w *writer) sample(a *alive, next Sample, at int64) error {
	if sameSample(a.last, next) {
		return nil
	}
	next.millis = at
	if err := w.batch.addSample(a.Resource, &next); err != nil {
		return err
	}
	w.written++
	a.last = next
	return nil
}

func sameSample(a, b Sample) bool {
	return a.SKU == b.SKU && a.Tier == b.Tier && a.State == b.State && maps.Equal(a.Tags, b.Tags) && a.Provisioned == b.Provisioned &&
		a.Used == b.Used && a.Incremental == b.Incremental && a.Exclusive == b.Exclusive
}

// enter keeps a resource in mind, leave forgets it.
func (s *Service) enter(a *alive) {
	s.alive[a.UniqueID], s.stores[a.Store] = a, a
	s.join(a)
	if a.Incremental {
		s.families[a.Family] = append(s.families[a.Family], a) // in the order in which they came to be
	}
}

func (s *Service) leave(a *alive) {
	delete(s.alive, a.UniqueID)
	delete(s.stores, a.Store)
	s.part(a)
	if !a.Incremental {
		return
	}
	rest := slices.DeleteFunc(s.families[a.Family], func(o *alive) bool { return o == a })
	if len(rest) == 0 {
		delete(s.families, a.Family)
		return
	}
	s.families[a.Family] = rest
}

// rename gives a resource that was moved its id. Its copies know it by those that it had.
func (s *Service) rename(a *alive, id tintype.ResourceID) {
	s.part(a)
	a.Former = append(a.Former, a.ID.Key())
	a.ID = id
	s.join(a)
}

// join has a found by its lineage, part ends that.
func (s *Service) join(a *alive) {
	for _, id := range a.lineage() {
		if s.kin[id] == nil {
			s.kin[id] = map[*alive]bool{}
		}
		s.kin[id][a] = true
	}
}

func (s *Service) part(a *alive) {
	for _, id := range a.lineage() {
		if delete(s.kin[id], a); len(s.kin[id]) == 0 {
			delete(s.kin, id)
		}
	}
}

// lineage are the ids by which those are found that may share bytes with a.
func (a *alive) lineage() []string {
	ids := append([]string{a.ID.Key()}, a.Former...)
	if a.Source != "" {
		ids = append(ids, strings.ToLower(strings.TrimSuffix(a.Source, "/")))
	}
	return ids
}

// disturb notes whose exclusive bytes may change with a: its source's, its copies', and the other copies' of its source. The next
// round tells them, once for all that came between.
func (s *Service) disturb(a *alive) {
	for _, id := range a.lineage() {
		s.disturbed[id] = true
	}
}

// tellDisturbed marks those whose exclusive bytes may have changed.
func (s *Service) tellDisturbed() {
	for id := range s.disturbed {
		for o := range s.kin[id] {
			o.stale = true
		}
	}
	clear(s.disturbed)
}

// after is the incremental snapshot that follows a in its family, or nil.
func (s *Service) after(a *alive) *alive {
	if !a.Incremental {
		return nil
	}
	all := s.families[a.Family]
	if i := slices.Index(all, a); i >= 0 && i+1 < len(all) {
		return all[i+1]
	}
	return nil
}

// before is the incremental snapshot that precedes a in its family, or nil.
func (s *Service) before(a *alive) *alive {
	all := s.families[a.Family]
	if i := slices.Index(all, a); i > 0 {
		return all[i-1]
	}
	return nil
}

// delta is how many bytes an incremental snapshot holds that the one before it in its family does not.
func (s *Service) delta(a *alive) (int64, error) { return s.deltaFrom(s.before(a), a) }

// deltaFrom is how many bytes a holds that older does not. The first of a family holds all of its data, as one does whose
// bytes share no history with the one before.
func (s *Service) deltaFrom(older, a *alive) (int64, error) {
	if older == nil {
		return a.last.Used, nil
	}
	var n int64
	err := s.opt.Volumes.Diff(older.Store, a.Store, 0, a.last.Provisioned, func(e block.Extent) bool {
		if e.Data {
			n += e.Len
		}
		return true
	})
	switch {
	case errors.Is(err, block.ErrUnrelated):
		return a.last.Used, nil
	case errors.Is(err, block.ErrNotFound):
		return Unmeasured, nil // deleted since; its own change comes next
	case errors.Is(err, block.ErrDamaged), errors.Is(err, block.ErrLocked):
		// What cannot be told of one must not keep the meter from all others: it may stay so for good.
		s.opt.Log.Warn("what an incremental snapshot added could not be told", "resource", a.ID.String(), "error", err)
		return Unmeasured, nil
	}
	return n, err
}
