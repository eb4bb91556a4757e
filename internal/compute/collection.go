package compute

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// PutCollection creates the collection of restore points that id names, of what source names, or replaces its tags; created
// tells which. The source of an existing one cannot change.
func (s *Service) PutCollection(
	ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest, source string,
) (c tintype.Companion, created bool, err error) {
	if err := tintype.CheckName(id.Kind, id.Name); err != nil {
		return c, false, err
	}
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		if _, err := s.group(tx, id); err != nil {
			return err
		}
		c, err = tx.Companion(id.Key())
		created = errors.Is(err, catalog.ErrNotFound)
		switch {
		case created:
			c, err = s.newCollection(tx, id, want, source)
		case err == nil && source != "" && !sameID(source, c.Collection.Source):
			err = tintype.ChangeNotAllowed("source.id", id)
		case err == nil:
			c = c.Clone()
			err = c.Apply(want, true, s.now())
		}
		if err != nil {
			return err
		}
		return tx.PutCompanion(c)
	})
	return c, created, err
}

// PatchCollection replaces the collection's tags when there are any in want. source, when it is not empty, is that of the collection.
func (s *Service) PatchCollection(
	ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest, source string,
) (c tintype.Companion, err error) {
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		if _, err := s.group(tx, id); err != nil {
			return err
		}
		if c, err = tx.Companion(id.Key()); err != nil {
			return absent(err, id.NotFound())
		}
		if source != "" && !sameID(source, c.Collection.Source) {
			return tintype.ChangeNotAllowed("source.id", id)
		}
		c = c.Clone()
		return errors.Join(c.Apply(want, false, s.now()), tx.PutCompanion(c))
	})
	return c, err
}

func sameID(a, b string) bool {
	return tintype.ScopeKey("/"+a) == tintype.ScopeKey("/"+b) || tintype.ScopeKey(a) == tintype.ScopeKey(b)
}

func (s *Service) newCollection(tx *catalog.Tx, id tintype.ResourceID, want tintype.CompanionRequest, source string) (tintype.Companion, error) {
	c, err := tintype.NewCompanion(id, want, s.now(), uuid.Nil)
	if err != nil {
		return c, err
	}
	if c.Collection, err = tintype.NewCollection(source, uuid.New()); err != nil {
		return c, err
	}
	from, _ := tintype.ParseResourceID(source)
	switch group, isGroup := tintype.ParseGroupID(source); {
	case isGroup:
		c.Collection.Location = c.Location
		_, err = tx.Group(group.Key())
		err = absent(err, tintype.GroupNotFound(group.Name))
	case from.Kind == tintype.KindDisk:
		var v tintype.Volume
		v, err = tx.Volume(from.Key())
		c.Collection.Location, err = v.Location, absent(err, sourceNotFound(from.Name))
	default:
		var of tintype.Companion
		of, err = tx.Companion(from.Key())
		c.Collection.Location, err = of.Location, absent(err, sourceNotFound(from.Name))
	}
	if err == nil && from.Kind != tintype.KindCollection && c.Collection.Location != c.Location {
		err = tintype.InvalidParameter("location", "The restore point collection '%s' in location '%s' must be in the location of its "+
			"source, '%s'.", id.Name, c.Location, c.Collection.Location)
	}
	return c, err
}

// DeleteCollection deletes the collection with all its restore points, unless someone has access to one of them. ok is
// false when it does not exist in its group, which is no error (204).
func (s *Service) DeleteCollection(ctx context.Context, id tintype.ResourceID) (op tintype.Operation, ok bool, err error) {
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		if _, err := s.group(tx, id); err != nil {
			return err
		}
		c, err := tx.Companion(id.Key())
		if ok = err == nil; errors.Is(err, catalog.ErrNotFound) {
			return nil
		}
		if err == nil {
			err = s.dropBelow(tx, id.Key())
		}
		if err != nil {
			return err
		}
		op = s.ended(tintype.OpDeleteCompanion, c)
		return errors.Join(deletePointRows(tx, c), tx.DeleteCompanion(id.Key()), putEnded(tx, op, c))
	})
	if err == nil && ok {
		s.forgetDeleted()
	}
	return op, ok, err
}

// dropBelow deletes the volumes of restore points below the key, unless one is in use.
func (s *Service) dropBelow(tx *catalog.Tx, key string) error {
	inner, err := tx.VolumesBelow(key)
	if err != nil {
		return err
	}
	for _, v := range inner {
		if v, err = s.writable(tx, v.ID); err != nil {
			return err
		}
		if err := s.deletable(tx, v); err != nil {
			return err
		}
		if err := errors.Join(tx.AddDrop(v.Store), tx.DeleteVolume(v.ID.Key())); err != nil {
			return err
		}
	}
	return nil
}

// deletePointRows forgets the restore points of a collection that is going; of other companions there are none.
func deletePointRows(tx *catalog.Tx, c tintype.Companion) error {
	if c.Collection == nil {
		return nil
	}
	points, err := tx.Points(c.ID.Key())
	for _, p := range points {
		err = errors.Join(err, tx.DeletePoint(p.ID.Key()))
	}
	return err
}
