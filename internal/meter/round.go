package meter

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// lookAround takes the sizes of all that exists at the moment, and keeps those that changed.
func (s *Service) lookAround(ctx context.Context, at int64) error {
	w := &writer{service: s}
	var err error
	if w.batch, err = s.store.begin(ctx); err != nil {
		return err
	}
	s.tellDisturbed()
	shares := 0
	for _, info := range s.opt.Volumes.List() {
		a := s.stores[info.ID]
		if a == nil || !a.stale && info.Used == a.last.Used {
			continue // the store has some that are on their way in or out
		}
		next := a.last
		a.stale = true
		next.Used = info.Used
		if shares < sharesARound {
			shares++
			s.share(a, &next)
		}
		if err := w.sample(a, next, at); err != nil {
			return errors.Join(err, w.batch.rollback(), s.reload(ctx))
		}
	}
	p := progress{clock: at, seq: s.progress.seq}
	if err := w.batch.addRound(at, len(s.alive), w.written); err != nil {
		return errors.Join(err, w.batch.rollback(), s.reload(ctx))
	}
	if err := s.commit(w.batch, p); err != nil {
		return errors.Join(err, s.reload(ctx))
	}
	return nil
}

// share asks what a holds alone, which is for information: a store that cannot tell leaves what was known.
func (s *Service) share(a *alive, next *Sample) {
	got, err := s.opt.Volumes.Share(a.Store)
	if err != nil {
		if !errors.Is(err, block.ErrNotFound) {
			s.opt.Log.Warn("a volume's own bytes could not be told", "resource", a.ID.String(), "error", err)
		}
		return
	}
	a.stale = false
	next.Exclusive = got.Exclusive
	if !a.Incremental {
		next.Incremental = got.Incremental
	}
}

// reconcile repairs what following cannot: usage.db or the catalog was lost, or came back from an older copy. What is not
// known begins now, what is no more ends now; what was in between is not known to anybody.
func (s *Service) reconcile(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := progress{clock: s.now()}
	var unknown []tintype.Volume
	exists := map[uuid.UUID]bool{}
	err := s.opt.Catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		if p.seq, err = tx.LastChange(); err != nil {
			return err
		}
		ids, err := tx.Identities()
		if err != nil {
			return err
		}
		for _, id := range ids {
			exists[id] = true
			if s.alive[id] != nil {
				continue
			}
			v, err := tx.VolumeOf(id)
			if err != nil {
				return err
			}
			if counts(v) {
				unknown = append(unknown, v)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.repair(ctx, p, unknown, exists)
}

func (s *Service) repair(ctx context.Context, p progress, unknown []tintype.Volume, exists map[uuid.UUID]bool) error {
	var lost []*alive
	for id, a := range s.alive {
		if !exists[id] {
			lost = append(lost, a)
		}
	}
	if len(unknown) == 0 && len(lost) == 0 && p.seq == s.progress.seq {
		return nil
	}
	s.opt.Log.Warn("usage.db does not fit the catalog: what is not known is metered from now on, what is gone until now",
		"unknown", len(unknown), "gone", len(lost))
	w := &writer{service: s}
	var err error
	if w.batch, err = s.store.begin(ctx); err != nil {
		return err
	}
	for _, a := range lost {
		err = errors.Join(err, w.end(a, p.clock))
	}
	for _, v := range unknown {
		err = errors.Join(err, w.start(v, p.clock))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("repair: %w", err), w.batch.rollback(), s.reload(ctx))
	}
	if err := s.commit(w.batch, p); err != nil {
		return errors.Join(err, s.reload(ctx))
	}
	return nil
}
