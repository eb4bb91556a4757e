package compute

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// base is an older copy on which the new one is built.
type base struct {
	volume tintype.Volume
	made   time.Time // its source, at the other server
}

// prepareCopy gives the snapshot a disk to be written into that holds as much as possible of what it is to be.
func (s *Service) prepareCopy(ctx context.Context, c *catalog.Copy) error {
	source, err := s.opt.Peers.Snapshot(ctx, c.Source)
	if err == nil && source.UniqueID != c.SourceID {
		err = c.Source.NotFound()
	}
	if err != nil {
		return err
	}
	var v tintype.Volume
	var family []tintype.Volume
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		if v, err = tx.Volume(c.Key); err == nil {
			family, err = tx.FamilyVolumes(v.Family, copyBases)
		}
		return err
	})
	if err != nil {
		return later(err)
	}
	var on *base
	for _, older := range family {
		if older.UniqueID == v.UniqueID || older.Size > source.Size {
			continue
		}
		if older.Copy != nil && older.Copy.Code == "" && older.Created.Before(v.Created) {
			return errLater // it will be the base
		}
		if b, err := s.baseOf(ctx, older, source); err != nil {
			return err
		} else if b != nil && (on == nil || b.made.After(on.made)) {
			on = b
		}
	}
	if on == nil {
		return s.changeCopy(ctx, c, func(*catalog.Tx, *tintype.Volume) error {
			c.Prepared = true
			return nil
		})
	}
	return s.buildOn(ctx, c, v, *on)
}

// baseOf tells whether the new copy can be built on an older one: whether what that is a copy of is still there and older.
func (s *Service) baseOf(ctx context.Context, older, source tintype.Volume) (*base, error) {
	from, ok := tintype.ParseResourceID(older.Creation.Source)
	if !ok || older.Copy != nil || older.Creation.Option != tintype.CreateCopyStart {
		return nil, nil
	}
	have, err := s.opt.Peers.Snapshot(ctx, from)
	var refusal *tintype.Error
	if errors.As(err, &refusal) {
		return nil, nil // without it, all is copied
	}
	if err != nil {
		return nil, err
	}
	if have.UniqueID != older.Creation.SourceUniqueID || have.Family != source.Family || !have.Created.Before(source.Created) {
		return nil, nil
	}
	return &base{older, have.Created}, nil
}

// buildOn makes the disk that the snapshot is written into one that holds what the base does.
func (s *Service) buildOn(ctx context.Context, c *catalog.Copy, v tintype.Volume, on base) error {
	var into uuid.UUID
	err := s.catalog.View(ctx, func(tx *catalog.Tx) error {
		store, cut, err := tx.Mirror(v.Family)
		if err == nil && cut == on.volume.Store {
			into = store
		}
		if errors.Is(err, catalog.ErrNotFound) {
			return nil
		}
		return err
	})
	mirror := err == nil && into != uuid.Nil
	if mirror {
		err = s.volumes.Resize(into, v.Size)
		mirror = !errors.Is(err, block.ErrBadSize) // it had grown for a copy that came to nothing
	}
	if err == nil && !mirror || errors.Is(err, block.ErrBadSize) {
		into = uuid.New()
		if err = s.update(ctx, func(tx *catalog.Tx) error { return tx.AddIntent(into) }); err != nil {
			return err
		}
		err = s.volumes.Clone(into, on.volume.Store, v.Size)
	}
	if err == nil {
		err = errors.Join(s.volumes.SetRedundancy(into, redundancyOf(v.SKU)), s.applyKey(v, into))
	}
	if err == nil {
		err = s.changeCopy(ctx, c, func(tx *catalog.Tx, v *tintype.Volume) error {
			take := func() error { return tx.DeleteIntent(into) }
			if mirror {
				take = func() error { return tx.TakeMirror(v.Family) }
			}
			err := errors.Join(take(), tx.AddDrop(v.Store))
			v.Store, c.Prepared, c.Since = into, true, on.made
			return errors.Join(err, tx.PutVolume(*v))
		})
	}
	if !mirror && (err != nil || c.Ended) {
		err = errors.Join(err, s.update(s.ctx, func(tx *catalog.Tx) error { return errors.Join(tx.DeleteIntent(into), tx.AddDrop(into)) }))
	}
	return err
}
