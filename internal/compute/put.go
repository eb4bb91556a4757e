package compute

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// Put creates the disk or snapshot that id names, or updates it. What comes back is the accepted operation and the
// resource as accepted. The bytes of a copy are cut before Put returns.
func (s *Service) Put(ctx context.Context, id tintype.ResourceID, want tintype.Desired) (tintype.Accepted, error) {
	if err := tintype.CheckName(id.Kind, id.Name); err != nil {
		return tintype.Accepted{}, err
	}
	var a tintype.Accepted
	var c *cut
	err := s.accept(ctx, func(tx *catalog.Tx) error {
		v, err := s.writable(tx, id)
		switch {
		case err == nil:
			a, err = s.change(tx, v, want, true)
		case errors.Is(err, catalog.ErrNotFound):
			a, c, err = s.create(tx, id, want)
		}
		return err
	})
	if err == nil && c != nil {
		a, err = s.acceptCopy(ctx, *c)
	}
	if err != nil {
		return tintype.Accepted{}, err
	}
	s.kick(a.Operation.ID)
	return a, nil
}

// cut is a copy whose volume is on record as an intent and still has to be made.
type cut struct {
	volume tintype.Volume // as it will be; Store names the new volume
	source uuid.UUID      // in the store
	name   string         // of the source resource
}

// create checks a new resource and records it; of a copy only the intent.
func (s *Service) create(tx *catalog.Tx, id tintype.ResourceID, want tintype.Desired) (tintype.Accepted, *cut, error) {
	v, source, err := s.design(tx, id, want)
	if err != nil {
		return tintype.Accepted{}, nil, err
	}
	if source != nil {
		return tintype.Accepted{}, &cut{volume: v, source: source.Store, name: source.ID.Name}, tx.AddIntent(v.Store)
	}
	p := plan{Step: stepCreate, Store: v.Store, Size: v.Size}
	if id.Kind == tintype.KindSnapshot {
		p.Step, p.Temp = stepEmptySnapshot, uuid.New()
	}
	if err := tx.PutVolume(v); err != nil {
		return tintype.Accepted{}, nil, err
	}
	op, err := s.start(tx, tintype.OpPut, v, p, nil)
	return tintype.Accepted{Operation: op, Volume: v, New: true}, nil, err
}

// acceptCopy makes the copy's volume, which fixes its point in time, and then accepts the operation. When it can't be
// accepted, nothing of it stays.
func (s *Service) acceptCopy(ctx context.Context, c cut) (tintype.Accepted, error) {
	var a tintype.Accepted
	err := s.copyBytes(c)
	if err == nil {
		err = s.accept(ctx, func(tx *catalog.Tx) error {
			_, err := s.writable(tx, c.volume.ID)
			if err == nil {
				return alreadyExists(c.volume.ID)
			}
			if !errors.Is(err, catalog.ErrNotFound) {
				return err
			}
			if err := errors.Join(tx.DeleteIntent(c.volume.Store), tx.PutVolume(c.volume)); err != nil {
				return err
			}
			op, err := s.start(tx, tintype.OpPut, c.volume, plan{}, nil)
			a = tintype.Accepted{Operation: op, Volume: c.volume, New: true}
			return err
		})
	}
	if err == nil {
		return a, nil
	}
	if undo := s.undoIntent(c.volume.Store); undo != nil {
		return a, edge(errors.Join(err, undo)) // the next start takes it back
	}
	if drop := s.dropAll(s.ctx); drop != nil {
		s.opt.Log.Error("drop will be tried again", "error", drop)
	}
	return a, edge(err)
}

func (s *Service) copyBytes(c cut) error {
	var err error
	if c.volume.ID.Kind == tintype.KindSnapshot {
		err = s.volumes.Snapshot(block.Cut{Source: c.source, Snapshot: c.volume.Store})
	} else {
		err = s.volumes.Clone(c.volume.Store, c.source, c.volume.Size)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, block.ErrNotFound):
		return sourceNotFound(c.name) // deleted since it was looked up
	}
	return storeError(err)
}

func alreadyExists(id tintype.ResourceID) error {
	return &tintype.Error{
		Kind: tintype.KindConflict, Code: "Conflict",
		Message: fmt.Sprintf("The %s '%s' was created by another request at the same time. Please retry.", id.Kind.Noun(), id.Name),
	}
}

func sourceNotFound(name string) error {
	return &tintype.Error{
		Kind: tintype.KindNotFound, Code: "NotFound",
		Message: fmt.Sprintf("Resource %s is not found.", name),
	}
}
