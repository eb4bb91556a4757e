package compute

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// Move takes disks and snapshots of one resource group into another of the subscription, all of them or none. Their ids change, and
// nothing else: the bytes stay where they are. All has been done when it returns. Nothing else is accepted in either group meanwhile.
func (s *Service) Move(ctx context.Context, from, to tintype.Group, ids []tintype.ResourceID) (op tintype.Operation, err error) {
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		moves, err := s.movable(tx, from, to, ids)
		if err != nil {
			return err
		}
		for _, m := range moves {
			if err := tx.MoveVolume(m.from, m.volume); err != nil {
				return err
			}
		}
		op = tintype.Operation{
			ID: uuid.New(), Kind: tintype.OpMove, Subscription: from.Subscription, Resource: from.ID(),
			State: tintype.Succeeded, Started: s.now(), Ended: s.now(),
		}
		doc, err := plan{}.encode()
		return errors.Join(err, tx.PutOperation(catalog.Operation{Operation: op, Key: from.Key(), Plan: doc}))
	})
	return op, err
}

// CheckMove refuses what Move would refuse.
func (s *Service) CheckMove(ctx context.Context, from, to tintype.Group, ids []tintype.ResourceID) error {
	return s.inTurn(ctx, false, func(ctx context.Context) error {
		return s.catalog.View(ctx, func(tx *catalog.Tx) error {
			_, err := s.movable(tx, from, to, ids)
			return err
		})
	})
}

// move is a volume as it is to be, and the key under which it is.
type move struct {
	from   string
	volume tintype.Volume
}

// movable says what a move makes of each resource, or why one of them cannot be moved.
func (s *Service) movable(tx *catalog.Tx, from, to tintype.Group, ids []tintype.ResourceID) ([]move, error) {
	for _, g := range []*tintype.Group{&from, &to} {
		found, err := s.group(tx, tintype.ResourceID{Subscription: g.Subscription, Group: g.Name})
		if err != nil {
			return nil, err
		}
		*g = found
	}
	var out []move
	for _, id := range ids {
		v, err := s.movableVolume(tx, id)
		if err != nil {
			return nil, err
		}
		m := move{from: v.ID.Key(), volume: v}
		m.volume.ID.Group = to.Name
		if _, err := tx.Volume(m.volume.ID.Key()); !errors.Is(err, catalog.ErrNotFound) {
			if err == nil {
				err = tintype.NotMoved(id, tintype.NotAllowed("A %s of the name %s exists in resource group '%s'.", id.Kind.Noun(), id.Name, to.Name))
			}
			return nil, err
		}
		out = append(out, m)
		if v.Guest {
			g, err := s.writable(tx, v.ID.GuestState())
			if err != nil {
				return nil, err
			}
			state := move{from: g.ID.Key(), volume: g}
			state.volume.ID.Group = to.Name
			out = append(out, state)
		}
	}
	return out, nil
}

// movableVolume refuses what is in use, or not finished: others know it by its id.
func (s *Service) movableVolume(tx *catalog.Tx, id tintype.ResourceID) (tintype.Volume, error) {
	v, err := s.existing(tx, id)
	if err != nil {
		return v, err
	}
	open := v
	open.Immutable = nil // it forbids the end of a snapshot, and this is none
	err = s.deletable(tx, open)
	var refusal *tintype.Error
	switch {
	case errors.As(err, &refusal):
		return v, tintype.NotMoved(id, refusal)
	case err != nil:
		return v, err
	case v.Incremental: // Source: Azure's page on incremental snapshots, restrictions
		return v, tintype.NotMoved(id, tintype.NotAllowed("Snapshot %s is incremental: only full snapshots can be moved.", id.Name))
	case len(v.SharedBy()) > 0:
		return v, tintype.NotMoved(id, tintype.NotAllowed("Disk %s is attached to %s.", id.Name, v.SharedBy()[0]))
	case v.Provisioning != tintype.StateSucceeded || v.Copy != nil || v.State != tintype.Unattached:
		return v, tintype.NotMoved(id, tintype.NotAllowed("%s %s is not finished yet, or in use.", title(id.Kind), id.Name))
	}
	return v, nil
}
