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
	if err := s.inspect(ctx, id, &want); err != nil {
		return tintype.Accepted{}, err
	}
	if err := s.askPeer(ctx, id, &want); err != nil {
		return tintype.Accepted{}, err
	}
	var a tintype.Accepted
	var c *cut
	ctx, leave := s.line.enter(ctx, false)
	defer leave()
	err := s.accept(ctx, func(tx *catalog.Tx) error {
		v, err := s.writable(tx, id)
		switch {
		case err == nil:
			a, err = s.change(tx, v, want, true)
		case errors.Is(err, catalog.ErrNotFound):
			if a, c, err = s.create(tx, id, want); c != nil && err == nil {
				s.line.hold(id.Key(), turnOf(tx.Context())) // whoever comes while it is cut finds it made
			}
		}
		return err
	})
	if err == nil && c != nil {
		var all []tintype.Accepted
		if all, err = s.acceptCopies(ctx, *c); err == nil {
			a = all[0]
		}
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
	source uuid.UUID      // in the store; none: the disk is empty
	name   string         // of the source resource
	whole  bool           // it is accepted as it is: no worker comes after it
	guest  *cut           // of the guest state that comes with it
}

// create checks a new resource and records it; of a copy only the intent.
func (s *Service) create(tx *catalog.Tx, id tintype.ResourceID, want tintype.Desired) (tintype.Accepted, *cut, error) {
	v, source, err := s.design(tx, id, want)
	if err != nil {
		return tintype.Accepted{}, nil, err
	}
	if source != nil && want.Creation.Remote == nil {
		c, err := s.cutOf(tx, v, *source)
		return tintype.Accepted{}, &c, err
	}
	p := plan{Step: stepCreate, Store: v.Store, Size: v.Size}
	if source != nil {
		err = tx.PutCopy(catalog.Copy{Volume: v.UniqueID, Key: id.Key(), Source: source.ID, SourceID: source.UniqueID, Moved: v.Created})
		if err != nil {
			return tintype.Accepted{}, nil, err
		}
		v.Copy = &tintype.BackgroundCopy{}
	}
	if id.Kind == tintype.KindSnapshot && !v.Uploading() && v.Copy == nil {
		p.Step, p.Temp = stepEmptySnapshot, uuid.New()
	}
	if v.Guest = v.Creation.Option.Secure(); v.Guest {
		if err := s.newGuest(tx, v, *want.Creation, &p); err != nil {
			return tintype.Accepted{}, nil, err
		}
	}
	if v.Creation.Option.Imports() {
		p.Step, p.URI, p.Bytes = stepImport, want.Creation.SourceURI, want.Creation.ImportBytes
	}
	if err := tx.PutVolume(v); err != nil {
		return tintype.Accepted{}, nil, err
	}
	op, err := s.start(tx, tintype.OpPut, v, p, nil)
	return tintype.Accepted{Operation: op, Volume: v, New: true}, nil, err
}

// acceptCopies makes the copies' volumes, which fixes their point in time, and then accepts their operations, all or none.
// When they can't be accepted, nothing of them stays.
func (s *Service) acceptCopies(ctx context.Context, cuts ...cut) ([]tintype.Accepted, error) {
	var all []tintype.Accepted
	err := s.cutAndAccept(ctx, cuts, func(tx *catalog.Tx) error {
		all = nil
		for _, c := range cuts {
			a, err := s.acceptCopy(tx, c)
			if err != nil {
				return err
			}
			all = append(all, a)
		}
		return nil
	})
	return all, err
}

// cutAndAccept makes the volumes of the cuts, whose intents are on record, and runs the transaction that accepts them. When
// either fails, nothing of them stays.
func (s *Service) cutAndAccept(ctx context.Context, cuts []cut, fn func(*catalog.Tx) error) error {
	cuts = withGuests(cuts)
	err := s.copyBytes(cuts)
	for _, c := range cuts { // of disks and snapshots the worker does that
		if err == nil && c.whole {
			err = s.volumes.SetRedundancy(c.volume.Store, redundancyOf(c.volume.SKU))
		}
		if err == nil && (c.whole || c.volume.ID.Kind.Inner()) {
			err = s.applyKey(c.volume, c.volume.Store)
		}
	}
	if err == nil {
		err = s.accept(ctx, fn)
	}
	if err == nil {
		return nil
	}
	if undo := s.undoCuts(cuts); undo != nil {
		return edge(errors.Join(err, undo)) // the next start takes it back
	}
	if drop := s.dropAll(s.ctx); drop != nil {
		s.opt.Log.Error("drop will be tried again", "error", drop)
	}
	return edge(err)
}

func (s *Service) acceptCopy(tx *catalog.Tx, c cut) (tintype.Accepted, error) {
	_, err := s.writable(tx, c.volume.ID)
	if err == nil {
		return tintype.Accepted{}, alreadyExists(c.volume.ID)
	}
	if !errors.Is(err, catalog.ErrNotFound) {
		return tintype.Accepted{}, err
	}
	// Others may have been made since the first look.
	if err := errors.Join(checkLimits(tx, c.volume), s.checkQuota(tx, c.volume.ID, c.volume.Location, c.volume.SKU)); err != nil {
		return tintype.Accepted{}, err
	}
	if g := c.guest; g != nil {
		if err := errors.Join(tx.DeleteIntent(g.volume.Store), tx.PutVolume(g.volume)); err != nil {
			return tintype.Accepted{}, err
		}
	}
	if err := errors.Join(countCut(tx, c.volume), tx.DeleteIntent(c.volume.Store), tx.PutVolume(c.volume)); err != nil {
		return tintype.Accepted{}, err
	}
	op, err := s.start(tx, tintype.OpPut, c.volume, plan{Copied: true}, nil)
	return tintype.Accepted{Operation: op, Volume: c.volume, New: true}, err
}

// acceptCuts records what was made whole, and under its key. A rotation that went by meanwhile did not find it: it is refused then.
func (s *Service) acceptCuts(tx *catalog.Tx, cuts []cut) error {
	for _, one := range withGuests(cuts) {
		v := one.volume
		err := s.underKey(tx, v, v.Store)
		if errors.Is(err, errLater) {
			err = tintype.NotAllowed("The key of disk encryption set %s has changed at the same time. Please retry.", v.Settings.KeySet())
		}
		if err := errors.Join(err, tx.DeleteIntent(v.Store), tx.PutVolume(v)); err != nil {
			return err
		}
	}
	return nil
}

// copyBytes makes one disk with its guest state, or any number of snapshots that are cut at one moment. It stops at the first failure.
func (s *Service) copyBytes(cuts []cut) error {
	var snapshots []block.Cut
	var err error
	for _, c := range cuts {
		if kind := c.volume.ID.Kind; kind == tintype.KindDisk || kind == tintype.KindDiskGuest {
			switch {
			case err != nil:
			case c.source == uuid.Nil:
				err = s.volumes.Create(c.volume.Store, c.volume.Size)
			default:
				err = s.volumes.Clone(c.volume.Store, c.source, c.volume.Size)
			}
			continue
		}
		snapshots = append(snapshots, block.Cut{
			Source: c.source, Snapshot: c.volume.Store, Redundancy: redundancyOf(c.volume.SKU),
		})
	}
	if err == nil && len(snapshots) > 0 {
		err = s.volumes.Snapshot(snapshots...)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, block.ErrNotFound):
		return sourceNotFound(s.missing(cuts)) // deleted since it was looked up
	}
	return storeError(err)
}

// missing names a source that the store does not have.
func (s *Service) missing(cuts []cut) string {
	for _, c := range cuts {
		if c.source == uuid.Nil {
			continue // an empty disk has none
		}
		if _, err := s.volumes.Sizes(c.source); errors.Is(err, block.ErrNotFound) {
			return c.name
		}
	}
	return cuts[0].name
}

// undoCuts takes back the volumes of copies that were not accepted.
func (s *Service) undoCuts(cuts []cut) error {
	return s.update(s.ctx, func(tx *catalog.Tx) error {
		for _, c := range cuts {
			if err := errors.Join(tx.DeleteIntent(c.volume.Store), tx.AddDrop(c.volume.Store)); err != nil {
				return err
			}
		}
		return nil
	})
}

func alreadyExists(id tintype.ResourceID) error {
	return &tintype.Error{
		Kind: tintype.KindConflict, Code: "Conflict",
		Message: fmt.Sprintf("The %s '%s' was created by another request at the same time. Please retry.", id.Kind.Noun(), id.Name),
	}
}

func sourceNotFound(name string) *tintype.Error {
	return &tintype.Error{
		Kind: tintype.KindNotFound, Code: "NotFound",
		Message: fmt.Sprintf("Resource %s is not found.", name),
	}
}
