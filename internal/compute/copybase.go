package compute

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// base is an older copy on which the new one is built.
type base struct {
	volume tintype.Volume
	made   time.Time // its source, at the other server
}

// prepareCopy gives the snapshot a disk to be written into that holds as much as possible of what it is to be.
func (s *Service) prepareCopy(ctx context.Context, c *catalog.Copy) error {
	var v tintype.Volume
	var family []tintype.Volume
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		if v, err = tx.Volume(c.Key); err != nil {
			return later(err)
		}
		if busy, err := tx.CopyingBefore(v); err != nil || busy {
			return errors.Join(err, errLater) // it will be the base
		}
		family, err = tx.WholeBefore(v, copyBases)
		return err
	})
	if err != nil {
		return err
	}
	source, err := s.opt.Peers.Snapshot(ctx, c.Source)
	if err == nil && source.UniqueID != c.SourceID {
		err = c.Source.NotFound()
	}
	if err != nil {
		return err
	}
	c.Moved = s.now()
	var on *base
	for _, older := range family {
		if older.Size > source.Size {
			continue
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
	if !ok || older.Creation.Option != tintype.CreateCopyStart {
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

// buildOn makes the disk that the snapshot is written into one that holds what the base does: the mirror, or else a clone. Until a
// record names it, it is an intent: a mirror is taken before anything is done with it, so that no other copy has it.
func (s *Service) buildOn(ctx context.Context, c *catalog.Copy, v tintype.Volume, on base) error {
	into, err := s.takeMirror(ctx, v, on)
	if err == nil && into != uuid.Nil {
		err = s.volumes.Resize(into, v.Size)
	}
	if err == nil && into == uuid.Nil {
		into = uuid.New()
		if err = s.update(ctx, func(tx *catalog.Tx) error { return tx.AddIntent(into) }); err == nil {
			err = s.volumes.Clone(into, on.volume.Store, v.Size)
		}
	}
	if err == nil {
		err = errors.Join(s.volumes.SetRedundancy(into, redundancyOf(v.SKU)), s.applyKey(v, into))
	}
	err = storeFailure(err)
	if err == nil {
		was := v
		err = s.changeCopy(ctx, c, func(tx *catalog.Tx, v *tintype.Volume) error {
			if err := s.fits(tx, *v, was, into); err != nil {
				return err
			}
			err := errors.Join(tx.DeleteIntent(into), tx.AddDrop(v.Store))
			v.Store, c.Prepared, c.Since = into, true, on.made
			return errors.Join(err, tx.PutVolume(*v))
		})
	}
	if into != uuid.Nil && (err != nil || c.Ended) {
		err = errors.Join(err, s.update(s.ctx, func(tx *catalog.Tx) error { return errors.Join(tx.DeleteIntent(into), tx.AddDrop(into)) }))
	}
	return err
}

// takeMirror takes the family's mirror as an intent if it holds what the base does, and gives no id when it does not.
func (s *Service) takeMirror(ctx context.Context, v tintype.Volume, on base) (into uuid.UUID, err error) {
	err = s.update(ctx, func(tx *catalog.Tx) error {
		into, err = tx.TakeMirror(v.Family, on.volume.Store)
		if errors.Is(err, catalog.ErrNotFound) {
			return nil
		}
		return errors.Join(err, tx.AddIntent(into))
	})
	return into, err
}
