package compute

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// Sizes gives the bytes of a disk or snapshot, exactly, as they are now.
func (s *Service) Sizes(ctx context.Context, id tintype.ResourceID) (tintype.Sizes, error) {
	v, err := s.Get(ctx, id)
	if err != nil {
		return tintype.Sizes{}, err
	}
	s.forgetDeleted()
	have, err := s.volumes.Sizes(v.Store)
	var own block.Share
	if err == nil {
		own, err = s.volumes.Share(v.Store)
	}
	if err == nil {
		own.Exclusive, err = s.withMirror(ctx, v.Store, own.Exclusive)
	}
	if errors.Is(err, block.ErrNotFound) {
		if v.Provisioning == tintype.StateUpdating {
			return tintype.Sizes{Provisioned: v.Size}, nil // accepted and not made yet
		}
		if _, gone := s.Get(ctx, id); gone != nil {
			return tintype.Sizes{}, gone // deleted meanwhile
		}
	}
	if err != nil {
		return tintype.Sizes{}, edge(err)
	}
	return tintype.Sizes{Used: have.Used, Incremental: own.Incremental, Exclusive: own.Exclusive, Provisioned: v.Size}, nil
}

// withMirror counts what a copy from another server shares only with the disk that it was copied into, which goes with it.
func (s *Service) withMirror(ctx context.Context, store uuid.UUID, alone int64) (int64, error) {
	var mirror uuid.UUID
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		mirror, err = tx.MirrorOf(store)
		return err
	})
	if errors.Is(err, catalog.ErrNotFound) {
		return alone, nil
	}
	if err != nil {
		return 0, err
	}
	return s.volumes.Freed(store, mirror)
}

// forgetDeleted has the store delete what was deleted, so that nothing shares bytes with a resource that is no more. What
// can't be deleted now counts as there.
func (s *Service) forgetDeleted() {
	if err := s.dropAll(s.ctx); err != nil {
		s.opt.Log.Error("drop will be tried again", "error", err)
	}
}

// maxFreed bounds how many resources one question may name.
const maxFreed = 1000

// Freed tells how many bytes the store would get back if exactly these disks and snapshots were deleted together, and
// deletes nothing. What could not be deleted now is refused as its deletion would be. A resource named twice counts once.
func (s *Service) Freed(ctx context.Context, ids []tintype.ResourceID) (int64, error) {
	if len(ids) == 0 || len(ids) > maxFreed {
		return 0, tintype.InvalidParameter("ids", "1 to %d resources can be named, not %d.", maxFreed, len(ids))
	}
	var stores []uuid.UUID
	seen := map[uuid.UUID]bool{}
	err := s.catalog.View(ctx, func(tx *catalog.Tx) error {
		for _, id := range ids {
			if _, err := tx.Group(id.GroupKey()); err != nil {
				return absent(err, tintype.GroupNotFound(id.Group))
			}
			v, err := tx.Volume(id.Key())
			if err != nil {
				return absent(err, id.NotFound())
			}
			if err := errors.Join(s.present(tx, &v), s.deletable(tx, v)); err != nil {
				return err
			}
			if !seen[v.Store] && s.isMade(v) {
				stores = append(stores, v.Store)
				mirror, err := tx.MirrorOf(v.Store)
				if err == nil {
					stores = append(stores, mirror)
				} else if !errors.Is(err, catalog.ErrNotFound) {
					return err
				}
			}
			seen[v.Store] = true
		}
		return nil
	})
	if err != nil || len(stores) == 0 {
		return 0, edge(err)
	}
	s.forgetDeleted()
	freed, err := s.volumes.Freed(stores...)
	if errors.Is(err, block.ErrNotFound) {
		return 0, tintype.NotAllowed("One of the resources was deleted or changed meanwhile. Please retry.")
	}
	return freed, edge(err)
}

// isMade tells that the store has the volume: one that was accepted a moment ago may still be on its way.
func (s *Service) isMade(v tintype.Volume) bool {
	if v.Provisioning != tintype.StateUpdating {
		return true
	}
	_, err := s.volumes.Sizes(v.Store)
	return !errors.Is(err, block.ErrNotFound)
}
