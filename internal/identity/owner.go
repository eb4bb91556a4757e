package identity

import (
	"slices"
	"strings"
)

// maxOwners of a group is Microsoft Graph's own bound.
const maxOwners = 100

// own adds owners to a group: users and service principals, who may change it and its members.
func (d *directory) own(id string, owners []string) error {
	at, _ := d.byGroup(id)
	g := &d.Groups[at]
	for _, o := range owners {
		owner := d.objectIDOf(o)
		_, isGroup := d.byGroup(owner)
		switch {
		case owner == "":
			return notThere(o)
		case isGroup:
			return badRequest("An owner of a group is a user or a service principal.")
		case slices.Contains(g.Owners, owner):
			return badRequest("One or more added object references already exist for the following modified properties: 'owners'.")
		case len(g.Owners) >= maxOwners:
			return badRequest("The limit of %d owners of a group has been exceeded.", maxOwners)
		}
		g.Owners = append(g.Owners, owner)
	}
	return nil
}

// AddOwner makes a user or a service principal an owner of a group.
func (s *Service) AddOwner(id, owner string) error {
	return s.change(func(d *directory) error {
		if _, ok := d.byGroup(id); !ok {
			return notThere(id)
		}
		return d.own(id, []string{owner})
	})
}

// RemoveOwner takes the group from an owner. The last one stays.
func (s *Service) RemoveOwner(id, owner string) error {
	return s.change(func(d *directory) error {
		i, ok := d.byGroup(id)
		if !ok {
			return notThere(id)
		}
		owners := d.Groups[i].Owners
		at := slices.IndexFunc(owners, func(o string) bool { return strings.EqualFold(o, owner) })
		switch {
		case at < 0:
			return notThere(owner)
		case len(owners) == 1:
			return badRequest("The group must have at least one owner, hence this owner cannot be removed.")
		}
		d.Groups[i].Owners = slices.Delete(owners, at, at+1)
		return nil
	})
}

// Owners are the object ids of a group's owners in the order in which they came.
func (s *Service) Owners(id string) ([]string, error) {
	d := s.directory()
	i, ok := d.byGroup(id)
	if !ok {
		return nil, notThere(id)
	}
	return slices.Clone(d.Groups[i].Owners), nil
}

// Owned are the object ids of the groups that a principal owns.
func (s *Service) Owned(objectID string) (ids []string) {
	for _, g := range s.directory().Groups {
		if slices.ContainsFunc(g.Owners, func(o string) bool { return strings.EqualFold(o, objectID) }) {
			ids = append(ids, g.ObjectID)
		}
	}
	return ids
}

// Owns tells whether a principal owns the group.
func (s *Service) Owns(objectID, group string) bool {
	return slices.ContainsFunc(s.Owned(objectID), func(id string) bool { return strings.EqualFold(id, group) })
}
