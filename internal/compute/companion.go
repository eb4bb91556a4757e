package compute

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// Companions have no bytes, so an operation on one has done all of its work when it is accepted.

// PutCompanion creates the disk access or encryption set that id names, or updates it.
func (s *Service) PutCompanion(ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest) (tintype.Operation, error) {
	if err := tintype.CheckName(id.Kind, id.Name); err != nil {
		return tintype.Operation{}, err
	}
	return s.changeCompanion(ctx, id, func(c tintype.Companion, exists bool) (tintype.Companion, error) {
		if !exists {
			return tintype.NewCompanion(id, want, s.now(), uuid.New())
		}
		return c, c.Apply(want, true, s.now())
	})
}

// PatchCompanion changes what want says and leaves the rest.
func (s *Service) PatchCompanion(ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest) (tintype.Operation, error) {
	return s.changeCompanion(ctx, id, func(c tintype.Companion, exists bool) (tintype.Companion, error) {
		if !exists {
			return c, id.NotFound()
		}
		return c, c.Apply(want, false, s.now())
	})
}

// changeCompanion replaces the companion by what change makes of it, and records the operation, which has ended.
func (s *Service) changeCompanion(ctx context.Context, id tintype.ResourceID,
	change func(c tintype.Companion, exists bool) (tintype.Companion, error),
) (op tintype.Operation, err error) {
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		if _, err := s.group(tx, id); err != nil {
			return err
		}
		c, err := tx.Companion(id.Key())
		if err != nil && !errors.Is(err, catalog.ErrNotFound) {
			return err
		}
		exists := err == nil
		if c, err = change(c.Clone(), exists); err != nil {
			return err
		}
		if err := errors.Join(s.checkActiveKey(c), s.checkIdentities(c)); err != nil {
			return err
		}
		if !exists {
			if err := s.checkQuota(tx, id, c.Location, ""); err != nil {
				return err
			}
		}
		op = s.ended(tintype.OpPutCompanion, c)
		op.Companion = &c
		return errors.Join(tx.PutCompanion(c), putEnded(tx, op, c))
	})
	if err == nil && id.Kind == tintype.KindEncryptionSet && s.opt.Vaults != nil {
		if err := s.settleSet(ctx, id); err != nil {
			s.opt.Log.Error("an encryption set's key will be tried again", "set", id, "error", err)
			s.noteVaults()
		}
	}
	return op, err
}

// ended is an operation on a companion that has ended.
func (s *Service) ended(kind tintype.OperationKind, c tintype.Companion) tintype.Operation {
	return tintype.Operation{
		ID: uuid.New(), Kind: kind, Subscription: c.ID.Subscription, Location: c.Location, Resource: c.ID.String(),
		State: tintype.Succeeded, Started: s.now(), Ended: s.now(),
	}
}

func putEnded(tx *catalog.Tx, op tintype.Operation, c tintype.Companion) error {
	doc, err := plan{}.encode()
	return errors.Join(err, tx.PutOperation(catalog.Operation{Operation: op, Key: c.ID.Key(), Plan: doc}))
}

// GetCompanion gives the companion; ResourceNotFound or ResourceGroupNotFound when there is none.
func (s *Service) GetCompanion(ctx context.Context, id tintype.ResourceID) (c tintype.Companion, err error) {
	err = s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		if _, err = tx.Group(id.GroupKey()); err != nil {
			return absent(err, tintype.GroupNotFound(id.Group))
		}
		c, err = tx.Companion(id.Key())
		return absent(err, id.NotFound())
	})
	return c, edge(err)
}

// CompanionPage is one page of a list of companions, in the order of ids. Next is empty on the last one, else goes into
// the next call's after.
type CompanionPage struct {
	Companions []tintype.Companion
	Next       string
}

// ListCompanions gives a page of the kind's companions in the group, or in the whole subscription when group is "". A kind
// of 0 is all kinds.
func (s *Service) ListCompanions(ctx context.Context, sub tintype.SubscriptionID, group string, kind tintype.Kind, after string) (p CompanionPage, err error) {
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		scope := catalog.Scope{Subscription: sub, Kind: kind}
		if group != "" {
			scope.Group = tintype.GroupKey(sub, group)
			if _, err := tx.Group(scope.Group); err != nil {
				return absent(err, tintype.GroupNotFound(group))
			}
		}
		var err error
		p.Companions, err = tx.Companions(scope, after, pageSize)
		if len(p.Companions) == pageSize {
			p.Next = p.Companions[pageSize-1].ID.Key()
		}
		return err
	})
	return p, edge(err)
}

// DeleteCompanion deletes the companion, unless something uses it. ok is false when it does not exist in its group, which
// is no error (204).
func (s *Service) DeleteCompanion(ctx context.Context, id tintype.ResourceID) (op tintype.Operation, ok bool, err error) {
	var c tintype.Companion
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		ok = false
		if _, err := s.group(tx, id); err != nil {
			return err
		}
		c, err = tx.Companion(id.Key())
		if errors.Is(err, catalog.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		users, err := tx.Users(id.Key(), "", 1)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return inUse(c, users[0])
		}
		if err := s.freeOf(tx, c, ""); err != nil {
			return err
		}
		ok, op = true, s.ended(tintype.OpDeleteCompanion, c)
		return errors.Join(tx.DeleteCompanion(id.Key()), putEnded(tx, op, c))
	})
	if err == nil && ok {
		err = s.dropSet(c)
	}
	return op, ok, err
}

func inUse(c tintype.Companion, by tintype.Volume) error {
	return tintype.NotAllowed("Resource %s cannot be deleted because it is in use by %s %s.", c.ID, by.ID.Kind.Noun(), by.ID)
}

// Associated gives a page of the ids of what uses the companion, in the order of ids. An image stands for its disks, and a disk or snapshot
// for its guest state, which clients know no ids of.
func (s *Service) Associated(ctx context.Context, id tintype.ResourceID, after string) (ids []tintype.ResourceID, next string, err error) {
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		if _, err := tx.Group(id.GroupKey()); err != nil {
			return absent(err, tintype.GroupNotFound(id.Group))
		}
		if _, err := tx.Companion(id.Key()); err != nil {
			return absent(err, id.NotFound())
		}
		users, err := tx.Users(id.Key(), after, pageSize)
		last := after
		for _, v := range users {
			image, inside := v.ID.Image()
			switch {
			case inside && strings.HasPrefix(last, image.Key()+"/"), v.ID.Kind.Guest():
			case inside:
				ids = append(ids, image)
			default:
				ids = append(ids, v.ID)
			}
			last = v.ID.Key()
		}
		if len(users) == pageSize {
			next = users[pageSize-1].ID.Key()
		}
		return err
	})
	return ids, next, edge(err)
}

// checkCompanions finds the companions that a volume names: each must be in the volume's subscription and region, and an
// encryption set be of the volume's encryption type.
func checkCompanions(tx *catalog.Tx, v tintype.Volume) error {
	for _, id := range v.Settings.Companions() {
		c, err := tx.Companion(id.Key())
		if errors.Is(err, catalog.ErrNotFound) {
			return sourceNotFound(id.Name)
		}
		if err != nil {
			return err
		}
		switch {
		case id.Subscription != v.ID.Subscription || c.Location != v.Location:
			return tintype.InvalidParameter(id.Kind.Noun()+"Id", "The %s '%s' is not in the same subscription and region as the %s '%s'.",
				id.Kind.Noun(), id.Name, v.ID.Kind.Noun(), v.ID.Name)
		case c.Set != nil && c.Set.Type != v.Settings.KeySetType() && v.Settings.Encryption.SetID == "":
			return tintype.InvalidParameter("securityProfile.secureVMDiskEncryptionSetId", "The encryption type of disk encryption set '%s', which %s '%s' names in "+
				"securityProfile.secureVMDiskEncryptionSetId, is '%s' and not '%s'.", id.Name, v.ID.Kind.Noun(), v.ID.Name, c.Set.Type, v.Settings.KeySetType())
		case c.Set != nil && c.Set.Type != v.Settings.KeySetType():
			return tintype.InvalidParameter("encryption.type", "The encryption type '%s' of %s '%s' is not that of disk encryption set '%s', '%s'.",
				v.Settings.KeySetType(), v.ID.Kind.Noun(), v.ID.Name, id.Name, c.Set.Type)
		}
	}
	return nil
}
