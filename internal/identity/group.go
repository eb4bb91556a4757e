package identity

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Group is a security group. Its members are users, service principals and other groups; what is given to it, all of them have,
// and the members of those groups too.
type Group struct {
	ObjectID    string
	Name        string
	Nick        string // its mail nickname, which clients require and nothing uses
	Description string
	Created     time.Time
}

// Bounds of groups. The directory is one file that each change writes anew.
const (
	maxGroups      = 2000
	maxMemberships = 20_000 // of all groups together
	maxNick        = 64
	maxGroupText   = 1024
)

// group is what is kept of one.
type group struct {
	ObjectID    string    `json:"objectId"`
	Name        string    `json:"displayName"`
	Nick        string    `json:"mailNickname"`
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created"`
	Members     []string  `json:"members"` // object ids, in lower case
	Owners      []string  `json:"owners,omitempty"`
}

func (g group) public() Group {
	return Group{ObjectID: g.ObjectID, Name: g.Name, Nick: g.Nick, Description: g.Description, Created: g.Created}
}

func (g group) check() error {
	if err := checkName("displayName", g.Name); err != nil {
		return err
	}
	if g.Nick == "" || len(g.Nick) > maxNick || strings.ContainsFunc(g.Nick, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`@()\[]";:<>,`, r)
	}) {
		return badRequest("Invalid value specified for property 'mailNickname' of resource 'Group'.")
	}
	if len(g.Description) > maxGroupText {
		return badRequest("Invalid value specified for property 'description' of resource 'Group'.")
	}
	return nil
}

// byGroup finds the group with the object id.
func (d directory) byGroup(id string) (int, bool) {
	i := slices.IndexFunc(d.Groups, func(g group) bool { return strings.EqualFold(g.ObjectID, id) })
	return i, i >= 0
}

// index notes of which groups each principal is a member.
func (d *directory) index() {
	d.parents = map[string][]string{}
	for _, g := range d.Groups {
		for _, m := range g.Members {
			d.parents[m] = append(d.parents[m], g.ObjectID)
		}
	}
}

// leave takes a principal that is gone out of all groups, and from those that it owned.
func (d *directory) leave(objectID string) {
	for i := range d.Groups {
		is := func(id string) bool { return strings.EqualFold(id, objectID) }
		d.Groups[i].Members = slices.DeleteFunc(d.Groups[i].Members, is)
		d.Groups[i].Owners = slices.DeleteFunc(d.Groups[i].Owners, is)
	}
}

// objectIDOf finds the principal with the id as the directory writes it; "" when it is nobody's.
func (d directory) objectIDOf(id string) string {
	if i, ok := d.byID(id); ok && strings.EqualFold(d.Apps[i].ObjectID, id) {
		return d.Apps[i].ObjectID
	}
	if i, ok := d.byUser(id); ok && strings.EqualFold(d.Users[i].ObjectID, id) {
		return d.Users[i].ObjectID
	}
	if i, ok := d.byGroup(id); ok {
		return d.Groups[i].ObjectID
	}
	return ""
}

// Groups lists them in the order in which they were made.
func (s *Service) Groups() []Group {
	d := s.directory()
	out := make([]Group, len(d.Groups))
	for i, g := range d.Groups {
		out[i] = g.public()
	}
	return out
}

// FindGroup finds a group by its object id.
func (s *Service) FindGroup(id string) (Group, bool) {
	d := s.directory()
	if i, ok := d.byGroup(id); ok {
		return d.Groups[i].public(), true
	}
	return Group{}, false
}

// AddGroup makes a group with the name, the nickname and the description of g, these members and these owners. Names need not be unique.
func (s *Service) AddGroup(g Group, members []string, owners ...string) (Group, error) {
	made := group{ObjectID: uuid.NewString(), Name: g.Name, Nick: g.Nick, Description: g.Description, Created: s.opt.Now().UTC(), Members: []string{}}
	err := s.change(func(d *directory) error {
		if err := made.check(); err != nil {
			return err
		}
		if len(d.Groups) >= maxGroups {
			return badRequest("The directory object quota limit of %d groups has been exceeded.", maxGroups)
		}
		d.Groups = append(d.Groups, made)
		if err := d.own(made.ObjectID, owners); err != nil {
			return err
		}
		return d.join(made.ObjectID, members)
	})
	return made.public(), err
}

// GroupChange is what is to become of a group; nil leaves it as it is.
type GroupChange struct {
	Name, Nick, Description *string
	Members                 []string // object ids of those who become members, all or none of them
}

// ChangeGroup changes a group. Who becomes a member has what the group has from the next call on.
func (s *Service) ChangeGroup(id string, c GroupChange) error {
	return s.change(func(d *directory) error {
		i, ok := d.byGroup(id)
		if !ok {
			return notThere(id)
		}
		g := &d.Groups[i]
		for to, from := range map[*string]*string{&g.Name: c.Name, &g.Nick: c.Nick, &g.Description: c.Description} {
			if from != nil {
				*to = *from
			}
		}
		if err := g.check(); err != nil {
			return err
		}
		return d.join(id, c.Members)
	})
}

// join adds members to a group.
func (d *directory) join(id string, members []string) error {
	at, _ := d.byGroup(id)
	g := &d.Groups[at]
	n := 0
	for _, other := range d.Groups {
		n += len(other.Members)
	}
	for _, m := range members {
		member := d.objectIDOf(m)
		switch {
		case member == "":
			return notThere(m)
		case member == g.ObjectID:
			return badRequest("A group cannot be a member of itself.")
		case slices.Contains(g.Members, member):
			return badRequest("One or more added object references already exist for the following modified properties: 'members'.")
		case n >= maxMemberships:
			return badRequest("The directory object quota limit of %d memberships has been exceeded.", maxMemberships)
		}
		g.Members = append(g.Members, member)
		n++
	}
	return nil
}

// RemoveMember takes a member out of a group; what it had by the group ends with that.
func (s *Service) RemoveMember(id, member string) error {
	return s.change(func(d *directory) error {
		i, ok := d.byGroup(id)
		if !ok {
			return notThere(id)
		}
		at := slices.IndexFunc(d.Groups[i].Members, func(m string) bool { return strings.EqualFold(m, member) })
		if at < 0 {
			return notThere(member)
		}
		d.Groups[i].Members = slices.Delete(d.Groups[i].Members, at, at+1)
		return nil
	})
}

// DeleteGroup removes a group, and it from others. Its members stay.
func (s *Service) DeleteGroup(id string) (gone Group, err error) {
	err = s.change(func(d *directory) error {
		i, ok := d.byGroup(id)
		if !ok {
			return notThere(id)
		}
		gone = d.Groups[i].public()
		d.Groups = slices.Delete(d.Groups, i, i+1)
		d.leave(gone.ObjectID)
		return nil
	})
	return gone, err
}

// Members are the object ids of a group's own members in the order in which they came, or with deep, of theirs too, each once.
func (s *Service) Members(id string, deep bool) ([]string, error) {
	d := s.directory()
	i, ok := d.byGroup(id)
	if !ok {
		return nil, notThere(id)
	}
	if !deep {
		return slices.Clone(d.Groups[i].Members), nil
	}
	return reach(d.Groups[i].ObjectID, func(of string) []string {
		if i, ok := d.byGroup(of); ok {
			return d.Groups[i].Members
		}
		return nil
	}), nil
}

// MemberOf are the object ids of the groups of which a principal is a member itself, or with deep, also by way of groups. Groups
// may be members of each other in a circle.
func (s *Service) MemberOf(objectID string, deep bool) []string {
	d, id := s.directory(), strings.ToLower(objectID)
	if !deep || len(d.parents[id]) == 0 {
		return slices.Clone(d.parents[id])
	}
	return reach(id, func(of string) []string { return d.parents[of] })
}

// reach lists what can be reached from an id, each once, the nearest first, and never the id itself.
func reach(from string, next func(string) []string) (out []string) {
	seen := map[string]bool{from: true}
	todo := []string{from}
	for len(todo) > 0 {
		for _, id := range next(todo[0]) {
			if !seen[id] {
				seen[id] = true
				out, todo = append(out, id), append(todo, id)
			}
		}
		todo = todo[1:]
	}
	return out
}
