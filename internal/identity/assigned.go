package identity

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"
)

// Assigned is a user-assigned identity: a principal that is a resource, of which those who may assign it make use. It has no
// credentials.
type Assigned struct {
	Subscription tintype.SubscriptionID
	Group, Name  string
	Location     string
	Tags         map[string]string
	// ObjectID and ClientID are those of its service principal.
	ObjectID, ClientID string
	Created            time.Time
}

// AssignedType is the resource type of user-assigned identities.
const AssignedType = "Microsoft.ManagedIdentity/userAssignedIdentities"

// AssignAction is what it takes to make use of one.
const AssignAction = AssignedType + "/assign/action"

// ID is the resource id.
func (a Assigned) ID() string {
	return "/subscriptions/" + string(a.Subscription) + "/resourcegroups/" + a.Group + "/providers/" + AssignedType + "/" + a.Name
}

// assigned is what is kept of one beside its service principal.
type assigned struct {
	Subscription tintype.SubscriptionID `json:"subscription"`
	Group        string                 `json:"group"`
	Name         string                 `json:"name"`
	Location     string                 `json:"location"`
	Tags         map[string]string      `json:"tags,omitempty"`
}

// managed tells that the application is an identity without credentials of its own.
func (a app) managed() bool { return a.Local != nil || a.Assigned != nil }

func (a app) assignedIdentity() Assigned {
	r := a.Assigned
	return Assigned{
		Subscription: r.Subscription, Group: r.Group, Name: r.Name, Location: r.Location, Tags: r.Tags,
		ObjectID: a.ObjectID, ClientID: a.AppID, Created: a.Created,
	}
}

// alternatives are the alternative names of the service principal: Graph shows whose identity it is by them.
func (a app) alternatives() []string {
	if a.Assigned == nil {
		return nil
	}
	return []string{"isExplicit=True", a.assignedIdentity().ID()}
}

// OnChange has f called after user-assigned identities were deleted. f must not wait for the service.
func (s *Service) OnChange(f func()) { s.changed.Store(&f) }

// PrincipalOf is the object id of the user-assigned identity with a resource id.
func (s *Service) PrincipalOf(id string) (objectID string, ok bool) {
	a, ok := s.FindAssigned(id)
	return a.ObjectID, ok
}

// assignedNameRE is what a name may be. Source: "Naming rules and restrictions for Azure resources", learn.microsoft.com.
var assignedNameRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{2,127}$`)

// byAssigned finds a user-assigned identity by its resource id, whatever the case.
func (d directory) byAssigned(id string) (int, bool) {
	i := slices.IndexFunc(d.Apps, func(a app) bool {
		return a.Assigned != nil && strings.EqualFold(a.assignedIdentity().ID(), strings.TrimRight(id, "/"))
	})
	return i, i >= 0
}

// PutAssigned makes the identity with the subscription, group and name of want, or changes the tags of the one that is there; made tells
// which. The caller has checked that the group exists.
func (s *Service) PutAssigned(want Assigned) (out Assigned, made bool, err error) {
	if !assignedNameRE.MatchString(want.Name) {
		return out, false, &tintype.Error{
			Kind: tintype.KindInvalid, Code: "InvalidResourceName",
			Message: "The name of a user-assigned identity has 3 to 128 letters, digits, hyphens and underscores, and begins with a letter or a digit.",
		}
	}
	err = s.change(func(d *directory) error {
		if i, ok := d.byAssigned(want.ID()); ok {
			a := *d.Apps[i].Assigned
			if want.Location != "" && !strings.EqualFold(want.Location, a.Location) {
				return &tintype.Error{
					Kind: tintype.KindConflict, Code: "InvalidResourceLocation",
					Message: fmt.Sprintf("The resource '%s' already exists in location '%s' in resource group '%s'. A resource with the same name cannot be created "+
						"in location '%.64s'. Please select a new resource name.", a.Name, a.Location, a.Group, want.Location),
				}
			}
			a.Tags = want.Tags
			d.Apps[i].Assigned = &a
			out = d.Apps[i].assignedIdentity()
			return nil
		}
		if len(d.Apps) >= maxApps {
			return badRequest("The directory object quota limit of %d applications has been exceeded.", maxApps)
		}
		a := app{
			AppID: uuid.NewString(), ObjectID: uuid.NewString(), Name: want.Name, Created: s.opt.Now().UTC(),
			Assigned: &assigned{Subscription: want.Subscription, Group: want.Group, Name: want.Name, Location: want.Location, Tags: want.Tags},
		}
		d.Apps = append(d.Apps, a)
		out, made = a.assignedIdentity(), true
		return nil
	})
	return out, made, err
}

// FindAssigned finds a user-assigned identity by its resource id.
func (s *Service) FindAssigned(id string) (Assigned, bool) {
	d := s.directory()
	if i, ok := d.byAssigned(id); ok {
		return d.Apps[i].assignedIdentity(), true
	}
	return Assigned{}, false
}

// ListAssigned lists those of a group, or with "" of all groups, in the order in which they were made.
func (s *Service) ListAssigned(sub tintype.SubscriptionID, group string) (out []Assigned) {
	for _, a := range s.directory().Apps {
		if r := a.Assigned; r != nil && r.Subscription == sub && (group == "" || strings.EqualFold(r.Group, group)) {
			out = append(out, a.assignedIdentity())
		}
	}
	return out
}

// DeleteAssigned removes an identity, whose tokens end at once; ok is false when there is none.
func (s *Service) DeleteAssigned(id string) (ok bool, err error) {
	gone, err := s.dropAssigned(func(a Assigned) bool { return strings.EqualFold(a.ID(), strings.TrimRight(id, "/")) })
	return gone > 0, err
}

// DeleteIdentities removes the identities of a resource group.
func (s *Service) DeleteIdentities(sub tintype.SubscriptionID, group string) error {
	_, err := s.dropAssigned(func(a Assigned) bool { return a.Subscription == sub && strings.EqualFold(a.Group, group) })
	return err
}

func (s *Service) dropAssigned(drop func(Assigned) bool) (gone int, err error) {
	var ids []string
	all := s.directory()
	if !slices.ContainsFunc(all.Apps, func(a app) bool { return a.Assigned != nil && drop(a.assignedIdentity()) }) {
		return 0, nil
	}
	err = s.change(func(d *directory) error {
		ids = nil
		d.Apps = slices.DeleteFunc(d.Apps, func(a app) bool {
			if a.Assigned == nil || !drop(a.assignedIdentity()) {
				return false
			}
			ids = append(ids, a.ObjectID)
			return true
		})
		for _, id := range ids {
			d.leave(id)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if f := s.changed.Load(); f != nil {
		(*f)()
	}
	for _, id := range ids {
		if s.opt.Gone != nil {
			err = errors.Join(err, s.opt.Gone(id))
		}
	}
	return len(ids), err
}

// named finds the identity that a local user's program asks for: its own, or a user-assigned one that it may assign. All names must
// be those of one.
func (s *Service) named(own app, names []string) (app, error) {
	if len(names) == 0 {
		return own, nil
	}
	d := s.directory()
	i := slices.IndexFunc(d.Apps, func(a app) bool {
		return (a.ObjectID == own.ObjectID || a.Assigned != nil) && !slices.ContainsFunc(names, func(name string) bool { return !a.isNamed(name) })
	})
	if i < 0 {
		return app{}, ErrNotLocal()
	}
	a := d.Apps[i]
	if a.Assigned == nil {
		return a, nil
	}
	who := Principal{ObjectID: own.ObjectID, AppID: own.AppID, Tenant: d.Tenant.ID}
	if s.opt.MayAssign == nil || !s.opt.MayAssign(who, a.assignedIdentity().ID()) {
		s.opt.Log.Warn("a token of an identity was asked for by a local user who may not assign it", "identity", a.assignedIdentity().ID(), "principal", own.ObjectID)
		return app{}, &LocalError{Status: http.StatusBadRequest, Name: "invalid_request", Text: "Identity not found"}
	}
	return a, nil
}

// isNamed tells whether the name is the application's client id, object id or resource id.
func (a app) isNamed(name string) bool {
	return strings.EqualFold(name, a.AppID) || strings.EqualFold(name, a.ObjectID) ||
		a.Assigned != nil && strings.EqualFold(strings.TrimRight(name, "/"), a.assignedIdentity().ID())
}
