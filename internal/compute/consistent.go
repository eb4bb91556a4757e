package compute

import (
	"context"
	"errors"

	"tintype"
	"tintype/internal/catalog"
)

// maxMembers bounds a consistency group. Azure's largest virtual machines have 64 data disks and one for the system.
const maxMembers = 65

// SnapshotTogether makes snapshots of several disks at one moment: what a guest wrote to any of them after it had its
// answer for a write to another is in none of them without that. All are accepted, in the order of members, or none. Each
// must be new, and a copy. No disk is held up longer than for a snapshot of it alone.
func (s *Service) SnapshotTogether(ctx context.Context, members []tintype.Member) ([]tintype.Accepted, error) {
	if err := checkMembers(members); err != nil {
		return nil, err
	}
	var cuts []cut
	ctx, leave := s.line.enter(ctx, false)
	defer leave()
	err := s.accept(ctx, func(tx *catalog.Tx) error {
		cuts = nil
		for _, m := range members {
			c, err := s.designMember(tx, m)
			if err != nil {
				return err
			}
			if len(cuts) > 0 {
				c.volume.Created = cuts[0].volume.Created // one moment, one time
			}
			cuts = append(cuts, c)
		}
		for _, c := range cuts {
			s.line.hold(c.volume.ID.Key(), turnOf(tx.Context()))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all, err := s.acceptCopies(ctx, cuts...)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		s.kick(a.Operation.ID)
	}
	return all, nil
}

// checkMembers refuses what can be no consistency group, whatever exists.
func checkMembers(members []tintype.Member) error {
	if len(members) == 0 || len(members) > maxMembers {
		return tintype.InvalidParameter("snapshots", "A consistency group has 1 to %d snapshots, not %d.", maxMembers, len(members))
	}
	names, sources := map[string]bool{}, map[string]bool{}
	for _, m := range members {
		if err := tintype.CheckName(m.ID.Kind, m.ID.Name); err != nil {
			return err
		}
		if m.ID.Kind != tintype.KindSnapshot || m.ID.GroupKey() != members[0].ID.GroupKey() {
			return tintype.InvalidParameter("snapshots", "A consistency group has snapshots in one resource group.")
		}
		if names[m.ID.Key()] {
			return tintype.InvalidParameter("snapshots", "Two of the snapshots are named %s.", m.ID.Name)
		}
		names[m.ID.Key()] = true
		if m.Want.Creation == nil {
			return tintype.MissingParameter("creationData")
		}
		source, ok := tintype.ParseResourceID(m.Want.Creation.Source())
		if ok && sources[source.Key()] {
			return tintype.InvalidParameter("snapshots", "Two of the snapshots are of %s %s.", source.Kind.Noun(), source.Name)
		}
		sources[source.Key()] = ok
	}
	return nil
}

// designMember checks one new snapshot and records the intent to make its volume.
func (s *Service) designMember(tx *catalog.Tx, m tintype.Member) (cut, error) {
	_, err := s.writable(tx, m.ID)
	if err == nil {
		return cut{}, &tintype.Error{
			Kind: tintype.KindConflict, Code: "Conflict", Target: m.ID.String(),
			Message: "The snapshot '" + m.ID.Name + "' exists already. A consistency group is made of new snapshots.",
		}
	}
	if !errors.Is(err, catalog.ErrNotFound) {
		return cut{}, err
	}
	v, source, err := s.design(tx, m.ID, m.Want)
	if err != nil {
		return cut{}, err
	}
	if source == nil {
		return cut{}, tintype.InvalidParameter("creationData.createOption", "A consistency group is made with createOption 'Copy'.")
	}
	return s.cutOf(tx, v, *source)
}
