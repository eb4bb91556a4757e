package compute

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// PutGroup creates the group or replaces its tags and who manages it; created tells which.
func (s *Service) PutGroup(ctx context.Context, g tintype.Group) (out tintype.Group, created bool, err error) {
	if err := tintype.CheckGroupName(g.Name); err != nil {
		return out, false, err
	}
	region, err := tintype.CheckGroupLocation(g.Location)
	if err != nil {
		return out, false, err
	}
	if err := tintype.CheckTags(g.Tags); err != nil {
		return out, false, err
	}
	err = s.accept(ctx, func(tx *catalog.Tx) (err error) {
		created = false
		out, err = tx.Group(g.Key())
		switch {
		case errors.Is(err, catalog.ErrNotFound):
			created = true
			out = tintype.Group{Subscription: g.Subscription, Name: g.Name, Location: region.Name, State: tintype.StateSucceeded, Created: s.now()}
		case err != nil:
			return err
		case out.State == tintype.StateDeleting:
			return tintype.GroupBeingDeleted(out.Name)
		case out.Location != region.Name:
			return &tintype.Error{
				Kind: tintype.KindConflict, Code: "InvalidResourceGroupLocation", Target: "location",
				Message: fmt.Sprintf("Invalid resource group location '%s'. The Resource group already exists in location '%s'.",
					region.Name, out.Location),
			}
		}
		out.Tags, out.ManagedBy = g.Tags, g.ManagedBy
		return tx.PutGroup(out)
	})
	return out, created, err
}

// PatchGroup changes of the group what the patch has, in one step with looking at it; ResourceGroupNotFound when there is none.
func (s *Service) PatchGroup(ctx context.Context, sub tintype.SubscriptionID, name string, change tintype.GroupPatch) (out tintype.Group, err error) {
	err = s.accept(ctx, func(tx *catalog.Tx) (err error) {
		switch out, err = tx.Group(tintype.GroupKey(sub, name)); {
		case errors.Is(err, catalog.ErrNotFound):
			return tintype.GroupNotFound(name)
		case err != nil:
			return err
		case out.State == tintype.StateDeleting:
			return tintype.GroupBeingDeleted(out.Name)
		}
		if err := change.Apply(&out); err != nil {
			return err
		}
		return tx.PutGroup(out)
	})
	return out, err
}

// GetGroup gives the group; ResourceGroupNotFound when there is none.
func (s *Service) GetGroup(ctx context.Context, sub tintype.SubscriptionID, name string) (tintype.Group, error) {
	var g tintype.Group
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		g, err = tx.Group(tintype.GroupKey(sub, name))
		return err
	})
	if errors.Is(err, catalog.ErrNotFound) {
		return g, tintype.GroupNotFound(name)
	}
	return g, edge(err)
}

// ListGroups gives the subscription's groups in the order of their names.
func (s *Service) ListGroups(ctx context.Context, sub tintype.SubscriptionID) ([]tintype.Group, error) {
	var groups []tintype.Group
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		groups, err = tx.Groups(sub)
		return err
	})
	return groups, edge(err)
}

// DeleteGroup accepts the deletion of the group and all in it: grants are revoked, and an attached volume refuses the
// whole. Poll it with Operation. A repeated call gives the operation that is in progress.
func (s *Service) DeleteGroup(ctx context.Context, sub tintype.SubscriptionID, name string) (tintype.Accepted, error) {
	var op tintype.Operation
	err := s.accept(ctx, func(tx *catalog.Tx) error {
		g, err := tx.Group(tintype.GroupKey(sub, name))
		if errors.Is(err, catalog.ErrNotFound) {
			return tintype.GroupNotFound(name)
		}
		if err != nil {
			return err
		}
		open, err := tx.OpenOperations(g.Key())
		if err != nil {
			return err
		}
		if len(open) > 0 {
			op = open[0].Operation
			return nil
		}
		if err := s.groupDeletable(tx, g); err != nil {
			return err
		}
		op = tintype.Operation{
			ID: uuid.New(), Kind: tintype.OpDeleteGroup, Subscription: sub, Location: g.Location, Resource: g.ID(),
			State: tintype.InProgress, Started: s.now(),
		}
		g.State = tintype.StateDeleting
		doc, err := plan{}.encode()
		return errors.Join(err, tx.PutGroup(g), tx.PutOperation(catalog.Operation{Operation: op, Key: g.Key(), Plan: doc}))
	})
	if err != nil {
		return tintype.Accepted{}, err
	}
	s.kick(op.ID)
	return tintype.Accepted{Operation: op}, nil
}

// groupPage is how many volumes of a group are looked at at once.
const groupPage = 500

// groupDeletable refuses the deletion of a group in which something is attached, or compared with what is, or used by
// what is in another group.
func (s *Service) groupDeletable(tx *catalog.Tx, g tintype.Group) error {
	err := eachCompanion(tx, g, func(c tintype.Companion) error {
		return errors.Join(usedInside(tx, g, c), s.freeOf(tx, c, g.Key()))
	})
	if err != nil {
		return err
	}
	return eachVolume(tx, g, func(v tintype.Volume) error {
		if v.Immutable.Holds(s.now()) {
			return groupBlocked(g, v.ID, tintype.Immutable(v, "deleted").Message)
		}
		for _, by := range append(v.SharedBy(), v.Machine) {
			if m, ok := tintype.ParseResourceID(by); ok && m.GroupKey() != g.Key() {
				return groupBlocked(g, v.ID, title(v.ID.Kind)+" "+v.ID.Name+" is attached to VM "+by+".")
			}
		}
		how, by := "attached to VM", v.HeldBy
		if v.State != tintype.Attached {
			how = "compared with"
			var err error
			if by, err = comparedBy(tx, v); err != nil || by == "" {
				return err
			}
		}
		return groupBlocked(g, v.ID, title(v.ID.Kind)+" "+v.ID.Name+" is "+how+" "+by+".")
	})
}

func groupBlocked(g tintype.Group, id tintype.ResourceID, why string) error {
	refusal := tintype.NotAllowed("Deletion of resource group '%s' failed as resource '%s' is in use. %s", g.Name, id, why)
	refusal.Code = "ResourceGroupDeletionBlocked"
	return refusal
}

// usedInside refuses a companion that a volume of another group uses.
func usedInside(tx *catalog.Tx, g tintype.Group, c tintype.Companion) error {
	for after := ""; ; {
		users, err := tx.Users(c.ID.Key(), after, groupPage)
		if err != nil || len(users) == 0 {
			return err
		}
		for _, v := range users {
			if v.ID.GroupKey() != g.Key() {
				return groupBlocked(g, c.ID, "It is used by "+v.ID.String()+".")
			}
			after = v.ID.Key()
		}
	}
}

func eachCompanion(tx *catalog.Tx, g tintype.Group, do func(tintype.Companion) error) error {
	for after := ""; ; {
		page, err := tx.Companions(catalog.Scope{Subscription: g.Subscription, Group: g.Key()}, after, groupPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, c := range page {
			if err := do(c); err != nil {
				return err
			}
			after = c.ID.Key()
		}
	}
}

func eachVolume(tx *catalog.Tx, g tintype.Group, do func(tintype.Volume) error) error {
	for after := ""; ; {
		page, err := tx.Volumes(catalog.Scope{Subscription: g.Subscription, Group: g.Key(), Inner: true}, after, groupPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, v := range page {
			if err := do(v); err != nil {
				return err
			}
			after = v.ID.Key()
		}
	}
}

// freeSets has what was copied out of a group that is going come under its own key, before the vaults of the group go.
func (s *Service) freeSets(g tintype.Group) error {
	for finished := uuid.Nil; ; {
		err := s.catalog.View(s.ctx, func(tx *catalog.Tx) error {
			return eachCompanion(tx, g, func(c tintype.Companion) error { return s.freeOf(tx, c, g.Key()) })
		})
		var b *busy
		if !errors.As(err, &b) || b.operation == finished {
			return err
		}
		if err := s.run(b.operation); err != nil {
			return err
		}
		finished = b.operation
	}
}

// finishDeleteGroup finishes what is in progress in the group, then removes all in it and the group itself. Nothing new
// is accepted there since the deletion was.
func (s *Service) finishDeleteGroup(op catalog.Operation) error {
	var g tintype.Group
	var first []uuid.UUID
	err := s.catalog.View(s.ctx, func(tx *catalog.Tx) (err error) {
		if g, err = tx.Group(op.Key); err != nil {
			return err
		}
		return eachVolume(tx, g, func(v tintype.Volume) error {
			open, err := tx.OpenOperations(v.ID.Key())
			for _, o := range open {
				first = append(first, o.ID)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	for _, id := range first {
		if err := s.run(id); err != nil {
			return err
		}
	}
	err = s.catalog.View(s.ctx, func(tx *catalog.Tx) error {
		return eachVolume(tx, g, func(v tintype.Volume) error {
			open, err := tx.OpenOperations(v.ID.Key())
			if err == nil && len(open) > 0 {
				err = errImporting // all else was finished above
			}
			return err
		})
	})
	if err == nil {
		err = s.freeSets(g)
	}
	if err != nil {
		return err
	}
	if s.opt.Vaults != nil {
		if err := s.opt.Vaults.DeleteGroup(g.Subscription, g.Name); err != nil {
			return err
		}
	}
	if s.opt.Identities != nil {
		if err := s.opt.Identities.DeleteIdentities(g.Subscription, g.Name); err != nil {
			return err
		}
	}
	var grants []uuid.UUID
	var sets []tintype.Companion
	err = s.end(op, func(tx *catalog.Tx, _ *catalog.Operation) error {
		grants, sets = nil, nil
		err := eachVolume(tx, g, func(v tintype.Volume) error {
			if grant, err := tx.GrantOf(v.ID.Key()); err == nil {
				grants = append(grants, grant.ID)
			}
			return errors.Join(tx.AddDrop(v.Store), tx.DeleteVolume(v.ID.Key()))
		})
		return errors.Join(err, eachCompanion(tx, g, func(c tintype.Companion) error {
			sets = append(sets, c)
			return errors.Join(s.freeOf(tx, c, g.Key()), deletePointRows(tx, c), leaveMachine(tx, c), tx.DeleteCompanion(c.ID.Key()))
		}), tx.DeleteGroup(g.Key()))
	})
	if err != nil {
		return err
	}
	for _, id := range grants {
		s.opt.CutGrant(id)
	}
	for _, c := range sets {
		err = errors.Join(err, s.dropSet(c))
	}
	return err
}
