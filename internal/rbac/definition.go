package rbac

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/identity"
)

// Bounds of custom roles. Source: "Azure RBAC limits" and the role definition reference, learn.microsoft.com.
const (
	maxCustomRoles = 5000
	maxRoleName    = 512
	maxScopes      = 2000
	maxPatterns    = 2048
	maxPattern     = 512
)

// patternRE is what an action may look like.
var patternRE = regexp.MustCompile(`^(\*|[A-Za-z0-9.*-]+)(/[A-Za-z0-9.*-]+)*$`)

// Roles lists the definitions that can be assigned at the scope: the built-in ones, then custom ones by name.
func (s *Service) Roles(scope string) []Role {
	var out []Role
	for _, r := range s.current().roles() {
		if r.assignableAt(scope) || r.Custom && slices.ContainsFunc(r.Scopes, func(at string) bool { return Covers(scope, at) }) {
			out = append(out, r)
		}
	}
	return out
}

// Role gives the definition with the id.
func (s *Service) Role(id string) (Role, error) {
	if r, ok := s.current().role(strings.ToLower(id)); ok {
		return r, nil
	}
	return Role{}, &tintype.Error{
		Kind: tintype.KindNotFound, Code: "RoleDefinitionDoesNotExist",
		Message: fmt.Sprintf("The specified role definition with ID '%.100s' does not exist.", id),
	}
}

// PutRole makes or replaces a custom role. The caller has checked that by may do so at each of its scopes. The
// last who can give roles on a subscription does not lose that by it.
func (s *Service) PutRole(by identity.Principal, r Role) (out Role, created bool, err error) {
	r.ID, r.Custom = strings.ToLower(r.ID), true
	if err := r.check(); err != nil {
		return r, false, err
	}
	err = s.administered(func(st *state) error {
		for _, other := range st.roles() {
			if strings.EqualFold(other.Name, r.Name) && other.ID != r.ID {
				return conflict("RoleDefinitionWithSameNameExists", "A custom role with the same name already exists in this directory. Use a different name.")
			}
		}
		old, exists := st.role(r.ID)
		if exists && !old.Custom {
			return forbidden("RoleDefinitionUpdateNotPermitted", "The built-in role '%s' cannot be changed.", old.Name)
		}
		r.Created, r.CreatedBy = s.opt.Now().UTC(), by.ObjectID
		if r.Updated, r.UpdatedBy = r.Created, by.ObjectID; exists {
			r.Created, r.CreatedBy = old.Created, old.CreatedBy
		}
		i := slices.IndexFunc(st.Roles, func(o Role) bool { return o.ID == r.ID })
		switch {
		case i >= 0:
			st.Roles[i] = r
		case len(st.Roles) >= maxCustomRoles:
			return invalid("RoleDefinitionLimitExceeded", "Role definition limit exceeded. No more role definitions can be created.")
		default:
			st.Roles = append(st.Roles, r)
			created = true
		}
		out = r
		return nil
	})
	return out, created, err
}

var errNoRole = errors.New("no such role")

// DeleteRole removes a custom role that nobody holds; ok is false when there is none.
func (s *Service) DeleteRole(id string) (r Role, ok bool, err error) {
	err = s.change(func(st *state) error {
		var found bool
		if r, found = st.role(strings.ToLower(id)); !found {
			return errNoRole
		}
		if !r.Custom {
			return forbidden("RoleDefinitionUpdateNotPermitted", "The built-in role '%s' cannot be deleted.", r.Name)
		}
		if slices.ContainsFunc(st.Assignments, func(a Assignment) bool { return a.Role == r.ID }) {
			return invalid("RoleDefinitionHasAssignments", "There are existing role assignments referencing role (code: RoleDefinitionHasAssignments).")
		}
		st.Roles = slices.DeleteFunc(st.Roles, func(o Role) bool { return o.ID == r.ID })
		return nil
	})
	if errors.Is(err, errNoRole) {
		return r, false, nil
	}
	return r, err == nil, err
}

// check bounds a custom role.
func (r Role) check() error {
	switch {
	case uuid.Validate(r.ID) != nil || len(r.ID) != 36:
		return invalid("InvalidRoleDefinitionId", "The role definition ID '%.100s' is not valid. The role definition ID must be a GUID.", r.ID)
	case strings.TrimSpace(r.Name) == "" || len(r.Name) > maxRoleName:
		return invalid("RoleDefinitionNameNullOrEmpty", "A role definition needs a name of 1 to %d characters.", maxRoleName)
	case len(r.Description) > maxDescription:
		return invalid("RoleDefinitionDescriptionTooLong", "The description of a role definition has at most %d characters.", maxDescription)
	case len(r.Scopes) == 0 || len(r.Scopes) > maxScopes:
		return invalid("MissingAssignableScopes", "A role definition needs 1 to %d assignable scopes.", maxScopes)
	case len(r.Permissions) == 0 || len(r.Permissions) > maxPatterns:
		return invalid("RoleDefinitionPermissionsNullOrEmpty", "A role definition needs permissions.")
	}
	for _, scope := range r.Scopes {
		if !scopeRE.MatchString(scope) {
			return invalid("InvalidAssignableScope", "The assignable scope '%.200s' is not valid: it is a subscription or a resource group.", scope)
		}
	}
	n := 0
	for _, p := range r.Permissions {
		for _, pattern := range slices.Concat(p.Actions, p.NotActions, p.DataActions, p.NotDataActions) {
			if n++; n > maxPatterns {
				return invalid("RoleDefinitionTooLarge", "A role definition has at most %d actions.", maxPatterns)
			}
			if len(pattern) > maxPattern || !patternRE.MatchString(pattern) {
				return invalid("InvalidActionOrNotAction", "'%.200s' does not match any of the actions supported by the providers.", pattern)
			}
		}
	}
	return nil
}

// scopeRE is a subscription or a resource group.
var scopeRE = regexp.MustCompile(`(?i)^/subscriptions/[0-9a-f-]{36}(/resourceGroups/[^/]{1,90})?/?$`)

func invalid(code, format string, args ...any) error {
	return &tintype.Error{Kind: tintype.KindInvalid, Code: code, Message: fmt.Sprintf(format, args...)}
}

func conflict(code, format string, args ...any) error {
	return &tintype.Error{Kind: tintype.KindConflict, Code: code, Message: fmt.Sprintf(format, args...)}
}

func forbidden(code, format string, args ...any) error {
	return &tintype.Error{Kind: tintype.KindForbidden, Code: code, Message: fmt.Sprintf(format, args...)}
}
