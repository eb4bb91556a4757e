package compute

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// busy says that an operation on the resource has to be finished first.
type busy struct{ operation uuid.UUID }

func (b *busy) Error() string { return "operation " + b.operation.String() + " is in progress" }

// acceptTries bounds how many operations are finished for the sake of a new one before it is refused. Eight clients at once on one
// resource had one of them lose 64 times in a row: nobody waits in line.
const acceptTries = 1024

// accept runs the transaction that accepts a write. What is in progress on the resource is finished first: all of it is
// quick, and a client that sends its next request before it has polled the last is not refused for it.
func (s *Service) accept(ctx context.Context, fn func(*catalog.Tx) error) error {
	for range acceptTries {
		err := s.update(ctx, fn)
		var b *busy
		if !errors.As(err, &b) {
			return edge(err)
		}
		if err := s.run(b.operation); err != nil {
			return edge(err)
		}
	}
	return tintype.NotAllowed("Another operation is in progress on the resource. Please retry later.")
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

// settled gives the resource with nothing in progress on it. catalog.ErrNotFound when there is none.
func (s *Service) settled(tx *catalog.Tx, id tintype.ResourceID) (tintype.Volume, error) {
	if _, err := s.group(tx, id); err != nil {
		return tintype.Volume{}, err
	}
	ops, err := tx.OpenOperations(id.Key())
	if err != nil {
		return tintype.Volume{}, err
	}
	if len(ops) > 0 {
		return tintype.Volume{}, &busy{operation: ops[0].ID}
	}
	return tx.Volume(id.Key())
}

// writable gives the resource, ready to be changed in this transaction: settled, and with a grant that has run out
// released. catalog.ErrNotFound when there is none.
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
	v.State = released(v.State)
	return v, errors.Join(tx.DeleteGrant(g.ID), tx.PutVolume(v))
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
