// Package rbac knows who may do what: role definitions, Azure's built-in ones among them, and who holds which role on which
// scope. It keeps both in one file and answers from memory.
package rbac

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Ids of built-in roles that the server itself speaks of. Source: "Azure built-in roles", learn.microsoft.com.
const (
	Owner                   = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
	UserAccessAdministrator = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
)

// Permissions is one set of what a role allows: what matches an action and none of the exceptions. In a pattern * stands
// for any text, slashes too; case does not matter. Data actions are about the bytes of a resource, and no action implies
// one.
type Permissions struct {
	Actions, NotActions, DataActions, NotDataActions []string
}

// Role is a role definition.
type Role struct {
	ID          string // a GUID in lower case, the definition's name in its resource id
	Name        string
	Description string
	// Custom roles are the caller's own; the others are built in and never change.
	Custom      bool
	Scopes      []string // at which, and below, it can be assigned; built-in ones anywhere: "/"
	Permissions []Permissions
	Created     time.Time
	Updated     time.Time
	CreatedBy   string // object id; empty for built-in roles
	UpdatedBy   string
}

//go:embed builtin.json
var builtinFile []byte

// builtins reads the roles that every server has.
func builtins() ([]Role, error) {
	var rows []struct {
		ID, Name, Description                            string
		Actions, NotActions, DataActions, NotDataActions []string
	}
	if err := json.Unmarshal(builtinFile, &rows); err != nil {
		return nil, fmt.Errorf("built-in roles: %w", err)
	}
	roles := make([]Role, len(rows))
	for i, r := range rows {
		// When Azure made the first of them, by its own answers.
		made := time.Date(2015, 2, 2, 21, 55, 9, 880642300, time.UTC)
		roles[i] = Role{
			ID: r.ID, Name: r.Name, Description: r.Description, Scopes: []string{"/"}, Created: made, Updated: made,
			Permissions: []Permissions{{r.Actions, r.NotActions, r.DataActions, r.NotDataActions}},
		}
	}
	return roles, nil
}

// Allows tells whether the role includes the action.
func (r Role) Allows(action string) bool {
	return r.folded().allows(strings.ToLower(action))
}

// AllowsData tells whether the role includes the data action.
func (r Role) AllowsData(action string) bool {
	return r.folded().allowsData(strings.ToLower(action))
}

// folded are a role's permissions in lower case.
type folded []Permissions

func (r Role) folded() folded {
	lower := func(all []string) []string {
		out := make([]string, len(all))
		for i, s := range all {
			out[i] = strings.ToLower(s)
		}
		return out
	}
	out := make(folded, len(r.Permissions))
	for i, p := range r.Permissions {
		out[i] = Permissions{lower(p.Actions), lower(p.NotActions), lower(p.DataActions), lower(p.NotDataActions)}
	}
	return out
}

func (f folded) allows(action string) bool {
	return slices.ContainsFunc(f, func(p Permissions) bool { return matches(p.Actions, action) && !matches(p.NotActions, action) })
}

func (f folded) allowsData(action string) bool {
	return slices.ContainsFunc(f, func(p Permissions) bool {
		return matches(p.DataActions, action) && !matches(p.NotDataActions, action)
	})
}

// assignableAt tells whether the role can be given at the scope.
func (r Role) assignableAt(scope string) bool {
	return slices.ContainsFunc(r.Scopes, func(s string) bool { return Covers(s, scope) })
}

// matches tells whether any pattern stands for the action; both are in lower case.
func matches(patterns []string, action string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, action) })
}

// match compares with one pattern. It takes time in the product of the lengths at most: after a *, only the last one is
// ever tried again.
func match(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// Covers tells whether scope is upper or below it, without regard to case. "/" covers all.
func Covers(upper, scope string) bool {
	return covers(fold(upper), fold(scope))
}

func fold(scope string) string { return strings.ToLower(strings.TrimRight(scope, "/")) }

// covers compares folded scopes.
func covers(upper, scope string) bool {
	rest, ok := strings.CutPrefix(scope, upper)
	return ok && (rest == "" || rest[0] == '/')
}

// SameScope tells whether two scopes are one, without regard to case.
func SameScope(a, b string) bool {
	return strings.EqualFold(strings.TrimRight(a, "/"), strings.TrimRight(b, "/"))
}
