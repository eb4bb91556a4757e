package compute

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// accept runs the transaction that accepts a write. What is in progress on the resource is finished first: all of it is
// quick, and a client that sends its next request before it has polled the last is not refused for it. Those who come together go one
// after another, in the order in which they came.
func (s *Service) accept(ctx context.Context, fn func(*catalog.Tx) error) error {
	return s.inTurn(ctx, false, func(ctx context.Context) error { return s.update(ctx, fn) })
}

// inTurn does what try does as soon as nothing is in the way of it: try is done again and again, and must change nothing when it finds something
// busy, nor hold any lock afterwards. What lasts, an import, refuses it. inner is for steps of operations.
func (s *Service) inTurn(ctx context.Context, inner bool, try func(context.Context) error) error {
	ctx, leave := s.line.enter(ctx, inner)
	defer leave()
	var finished uuid.UUID
	for {
		err := try(ctx)
		var b *busy
		var o *outlived
		if errors.As(err, &o) {
			if err := s.endOutlived(ctx, o.grant); err != nil {
				return edge(err)
			}
			continue
		}
		switch {
		case !errors.As(err, &b):
			return edge(err)
		case b.operation != uuid.Nil && b.operation == finished:
			return tintype.NotAllowed("Another operation is in progress on the resource. Please retry later.")
		}
		if err := s.line.wait(ctx, b.key, turnOf(ctx)); err != nil {
			return edge(err)
		}
		if b.operation == uuid.Nil {
			continue
		}
		if err := s.run(b.operation); err != nil {
			return edge(err)
		}
		finished = b.operation
	}
}

// start records a new operation on the resource.
func (s *Service) start(tx *catalog.Tx, kind tintype.OperationKind, v tintype.Volume, p plan, g *tintype.Grant) (tintype.Operation, error) {
	return s.startGrant(tx, kind, v, p, g, nil)
}

// startGrant records a new operation on the resource, and on access to its guest state.
func (s *Service) startGrant(
	tx *catalog.Tx, kind tintype.OperationKind, v tintype.Volume, p plan, g, guest *tintype.Grant,
) (tintype.Operation, error) {
	if kind == tintype.OpPut {
		p.Volume, p.Redundancy = v.Store, redundancyOf(v.SKU)
	}
	doc, err := p.encode()
	if err != nil {
		return tintype.Operation{}, err
	}
	op := tintype.Operation{
		ID: uuid.New(), Kind: kind, Subscription: v.ID.Subscription, Location: v.Location, Resource: v.ID.String(),
		State: tintype.InProgress, Started: s.now(), Grant: g, Guest: guest,
	}
	return op, tx.PutOperation(catalog.Operation{Operation: op, Key: v.ID.Key(), Plan: doc})
}

// kick tells the worker of an accepted operation. When the worker is far behind, the sweep finds it.
func (s *Service) kick(id uuid.UUID) {
	select {
	case s.wake <- id:
	default:
	}
}

// group gives the resource's group when new work may be done in it.
func (s *Service) group(tx *catalog.Tx, id tintype.ResourceID) (tintype.Group, error) {
	g, err := tx.Group(id.GroupKey())
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return g, tintype.GroupNotFound(id.Group)
	case err != nil:
		return g, err
	case g.State == tintype.StateDeleting:
		return g, tintype.GroupBeingDeleted(g.Name)
	}
	return g, nil
}

// settled gives the resource with nothing in progress on it, and nobody before the caller. catalog.ErrNotFound when there is none.
func (s *Service) settled(tx *catalog.Tx, id tintype.ResourceID) (tintype.Volume, error) {
	if _, err := s.group(tx, id); err != nil {
		return tintype.Volume{}, err
	}
	if err := s.free(tx, id.Key()); err != nil {
		return tintype.Volume{}, err
	}
	return tx.Volume(id.Key())
}

// outlived says that a grant which has run out is to be ended first.
type outlived struct{ grant tintype.Grant }

func (o *outlived) Error() string { return "access to " + o.grant.Resource.String() + " has run out" }

// endOutlived ends a grant that has run out: first the requests that began under it, for after that the volume may be somebody else's.
func (s *Service) endOutlived(ctx context.Context, g tintype.Grant) error {
	s.opt.CutGrant(g.ID)
	return s.update(ctx, func(tx *catalog.Tx) error {
		now, err := tx.Grant(g.ID)
		if errors.Is(err, catalog.ErrNotFound) || err == nil && now.Active(s.opt.Now()) {
			return nil
		}
		if err != nil {
			return err
		}
		v, err := tx.Volume(g.Resource.Key())
		if err != nil {
			return err
		}
		v.State = released(v.State)
		return errors.Join(tx.DeleteGrant(g.ID), tx.PutVolume(v))
	})
}

// writable gives the resource, ready to be changed in this transaction: settled, and with no grant that has run out.
// catalog.ErrNotFound when there is none.
func (s *Service) writable(tx *catalog.Tx, id tintype.ResourceID) (tintype.Volume, error) {
	v, err := s.settled(tx, id)
	if err != nil {
		return v, err
	}
	if v.State != tintype.ActiveSAS && v.State != tintype.ActiveUpload {
		return v, nil
	}
	g, err := tx.GrantOf(id.Key())
	if err != nil {
		return v, fmt.Errorf("grant of %s: %w", id, err)
	}
	if g.Active(s.opt.Now()) {
		return v, nil
	}
	return v, &outlived{g}
}

// existing is writable for requests to which a missing resource is an error.
func (s *Service) existing(tx *catalog.Tx, id tintype.ResourceID) (tintype.Volume, error) {
	v, err := s.writable(tx, id)
	if errors.Is(err, catalog.ErrNotFound) {
		return v, id.NotFound()
	}
	return v, err
}

// released is the state in which the end of a grant leaves a volume.
func released(state tintype.DiskState) tintype.DiskState {
	if state == tintype.ActiveUpload {
		return tintype.ReadyToUpload
	}
	return tintype.Unattached
}
