package rbac

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/identity"
)

// Assignment gives a principal a role on a scope, and on all below it.
type Assignment struct {
	Name          string // a GUID in lower case
	Principal     string // object id, in lower case
	PrincipalType string // "User", "Group" or "ServicePrincipal"
	Role          string // id of the definition
	Scope         string // "/subscriptions/…", as the caller wrote it
	Description   string
	// Condition, when set, limits what the role allows: version 2.0 of Azure's language.
	Condition        string
	ConditionVersion string
	Created          time.Time
	Updated          time.Time
	CreatedBy        string // object id; empty for what the server made itself
	UpdatedBy        string
}

// groupType is the principal type of a group.
const groupType = "Group"

// Azure's own limits.
const (
	// maxAssignments in a subscription, of which there is one.
	maxAssignments = 4000
	maxDescription = 1024
)

// PutAssignment makes the assignment, or replaces the description and the condition of the one with its name: nothing else of it can change.
// The caller has checked that the principal and the scope exist. The last who can give roles on a subscription gets no condition.
func (s *Service) PutAssignment(by identity.Principal, a Assignment) (out Assignment, created bool, err error) {
	if uuid.Validate(a.Name) != nil || len(a.Name) != 36 {
		return a, false, invalid("InvalidRoleAssignmentId", "The role assignment ID '%.100s' is not valid. The role assignment ID must be a GUID.", a.Name)
	}
	if len(a.Description) > maxDescription {
		return a, false, invalid("RoleAssignmentDescriptionTooLong", "The description of a role assignment has at most %d characters.", maxDescription)
	}
	if err := a.checkCondition(); err != nil {
		return a, false, err
	}
	a.Name, a.Principal, a.Role = strings.ToLower(a.Name), strings.ToLower(a.Principal), strings.ToLower(a.Role)
	a.Scope = strings.TrimRight(a.Scope, "/")
	err = s.administered(func(st *state) error {
		role, ok := st.role(a.Role)
		if !ok || !role.assignableAt(a.Scope) {
			return invalid("RoleDefinitionDoesNotExist", "The specified role definition with ID '%s' does not exist.", bare(a.Role))
		}
		for i, old := range st.Assignments {
			same := old.Principal == a.Principal && old.Role == a.Role && SameScope(old.Scope, a.Scope)
			switch {
			case old.Name == a.Name && !same:
				return conflict("RoleAssignmentUpdateNotPermitted", "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.")
			case old.Name == a.Name:
				old.Description, old.Updated, old.UpdatedBy = a.Description, s.opt.Now().UTC(), by.ObjectID
				old.Condition, old.ConditionVersion = a.Condition, a.ConditionVersion
				st.Assignments[i], out = old, old
				return nil
			case same:
				return conflict("RoleAssignmentExists", "The role assignment already exists. The ID of the existing role assignment is %s.", bare(old.Name))
			}
		}
		if len(st.Assignments) >= maxAssignments {
			return invalid("RoleAssignmentLimitExceeded", "The role assignment limit of %d for the subscription is reached. "+
				"No more role assignments can be created.", maxAssignments)
		}
		a.Created = s.opt.Now().UTC()
		a.Updated, a.CreatedBy, a.UpdatedBy = a.Created, by.ObjectID, by.ObjectID
		st.Assignments = append(st.Assignments, a)
		out, created = a, true
		return nil
	})
	return out, created, err
}

// Assignment gives the one with the name that was made at exactly the scope.
func (s *Service) Assignment(scope, name string) (Assignment, error) {
	for _, a := range s.current().Assignments {
		if strings.EqualFold(a.Name, name) && SameScope(a.Scope, scope) {
			return a, nil
		}
	}
	return Assignment{}, &tintype.Error{
		Kind: tintype.KindNotFound, Code: "RoleAssignmentNotFound",
		Message: "The role assignment '" + strings.ToValidUTF8(name[:min(len(name), 100)], "") + "' is not found.",
	}
}

var errNoAssignment = errors.New("no such assignment")

// DeleteAssignment takes the role away, at once, that the assignment gives as it was read; ok is false when it is gone or was changed since. Whoever
// would be the last who can give roles on a subscription keeps that.
func (s *Service) DeleteAssignment(a Assignment) (ok bool, err error) {
	err = s.administered(func(st *state) error {
		i := slices.Index(st.Assignments, a)
		if i < 0 {
			return errNoAssignment
		}
		st.Assignments = slices.Delete(st.Assignments, i, i+1)
		return nil
	})
	if errors.Is(err, errNoAssignment) {
		return false, nil
	}
	return err == nil, err
}

// administered changes what leaves somebody who can give roles on each subscription where somebody can.
func (s *Service) administered(fn func(*state) error) error {
	return s.change(func(st *state) error {
		held := s.current().administered()
		if err := fn(st); err != nil {
			return err
		}
		st.indexRoles()
		for scope := range st.administered() {
			delete(held, scope)
		}
		if len(held) > 0 {
			return conflict("CannotDeleteLastRbacAdminAssignment", "Cannot delete the last RBAC admin assignment.")
		}
		return nil
	})
}

// administered are the subscriptions on which somebody can give roles.
func (st *state) administered() map[string]bool {
	scopes := map[string]bool{}
	for _, a := range st.Assignments {
		if scope := fold(a.Scope); !scopes[scope] && st.administers(a) {
			scopes[scope] = true
		}
	}
	return scopes
}

// administers tells whether the assignment lets its holder give roles on a whole subscription. A group is no holder: it may
// have no members; nor is who holds the role under a condition.
func (st *state) administers(a Assignment) bool {
	role, ok := st.role(a.Role)
	return ok && strings.Count(a.Scope, "/") == 2 && a.PrincipalType != groupType && a.Condition == "" && role.Allows("Microsoft.Authorization/roleAssignments/write")
}

// Forget drops all assignments at the scope and below it: what they were about is gone, and another thing of that name is not
// theirs.
func (s *Service) Forget(scope string) error {
	return s.change(func(st *state) error {
		st.Assignments = slices.DeleteFunc(st.Assignments, func(a Assignment) bool { return Covers(scope, a.Scope) })
		return nil
	})
}

// ForgetPrincipal drops all assignments of a principal that is gone.
func (s *Service) ForgetPrincipal(objectID string) error {
	return s.change(func(st *state) error {
		st.Assignments = slices.DeleteFunc(st.Assignments, func(a Assignment) bool { return strings.EqualFold(a.Principal, objectID) })
		return nil
	})
}

// Query asks for assignments.
type Query struct {
	Scope string
	// Principal, when set, asks for its assignments alone.
	Principal string
	// AssignedTo, when set, asks for what the principal has: its own assignments and those of its groups.
	AssignedTo string
	// AtScope leaves out those below the scope; those above are always there.
	AtScope bool
}

// Assignments lists them in the order of scopes, from the widest, and names.
func (s *Service) Assignments(q Query) []Assignment {
	var out []Assignment
	var holders []string
	if q.AssignedTo != "" {
		holders = s.holders(q.AssignedTo)
	}
	for _, a := range s.current().Assignments {
		if (Covers(a.Scope, q.Scope) || !q.AtScope && Covers(q.Scope, a.Scope)) &&
			(q.Principal == "" || strings.EqualFold(a.Principal, q.Principal)) && (holders == nil || slices.Contains(holders, a.Principal)) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b Assignment) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Scope), strings.ToLower(b.Scope)), strings.Compare(a.Name, b.Name))
	})
	return out
}

// AnyAt tells whether anything is assigned at the scope itself or below it.
func (s *Service) AnyAt(scope string) bool {
	return slices.ContainsFunc(s.current().Assignments, func(a Assignment) bool { return Covers(scope, a.Scope) })
}

// bare is a GUID as Azure writes it in some texts.
func bare(guid string) string { return strings.ReplaceAll(guid, "-", "") }
