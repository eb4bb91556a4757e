package tintype

import (
	"fmt"
	"slices"
	"strings"
)

// LockLevel is what a lock forbids on its scope and on all below it.
type LockLevel string

// The levels of a lock.
const (
	CanNotDelete LockLevel = "CanNotDelete"
	ReadOnly     LockLevel = "ReadOnly" // neither change nor delete, and no action
)

// Lock keeps a subscription, a resource group or a resource, and all below it, from being deleted or changed, whoever asks.
type Lock struct {
	Subscription SubscriptionID
	Scope        string // "/subscriptions/…", as the caller wrote it
	Name         string
	Level        LockLevel
	Notes        string
	Owners       []string // ids of applications
}

// Bounds of a lock. Source: Azure's REST reference of management locks.
const (
	maxLockName  = 260
	maxLockNotes = 512
	maxOwners    = 100
)

// ID writes the lock's id as Azure does.
func (l Lock) ID() string { return l.Scope + "/providers/Microsoft.Authorization/locks/" + l.Name }

// ScopeKey is the scope folded to lower case.
func (l Lock) ScopeKey() string { return ScopeKey(l.Scope) }

// ScopeKey folds a scope for comparing and looking up.
func ScopeKey(scope string) string { return strings.ToLower(strings.TrimRight(scope, "/")) }

// Covers tells that what is at the scope, by its key, is locked: it is the lock's own scope or lies below it.
func (l Lock) Covers(key string) bool {
	own := l.ScopeKey()
	return key == own || strings.HasPrefix(key, own+"/")
}

// Check bounds the lock.
func (l Lock) Check() error {
	switch {
	case l.Name == "" || len(l.Name) > maxLockName || strings.ContainsAny(l.Name, `<>%&:?/\`) || strings.HasSuffix(l.Name, "."):
		return &Error{
			Kind: KindInvalid, Code: "InvalidLockName", Target: "name",
			Message: fmt.Sprintf("The lock name '%.64s' is invalid: it has 1 to %d characters, none of them <, >, %%, &, :, ?, / or \\, "+
				"and does not end in a period.", l.Name, maxLockName),
		}
	case l.Level == "":
		return MissingParameter("properties.level")
	case !slices.Contains([]LockLevel{CanNotDelete, ReadOnly}, l.Level):
		return &Error{
			Kind: KindInvalid, Code: "InvalidLockLevel", Target: "properties.level",
			Message: fmt.Sprintf("The lock level '%.64s' is invalid. Supported levels are CanNotDelete,ReadOnly.", l.Level),
		}
	case len(l.Notes) > maxLockNotes:
		return InvalidParameter("properties.notes", "The notes of a lock have at most %d characters.", maxLockNotes)
	case len(l.Owners) > maxOwners:
		return InvalidParameter("properties.owners", "A lock has at most %d owners.", maxOwners)
	}
	return nil
}

// ScopeLocked refuses what locks forbid; clients match on the code.
func ScopeLocked(scope, operation string, locked []string) *Error {
	return &Error{
		Kind: KindConflict, Code: "ScopeLocked",
		Message: fmt.Sprintf("The scope '%s' cannot perform %s operation because following scope(s) are locked: '%s'. "+
			"Please remove the lock and try again.", scope, operation, strings.Join(locked, ",")),
	}
}

// LockNotFound is what a client is told when there is no such lock.
func LockNotFound(name string) *Error {
	return &Error{
		Kind: KindNotFound, Code: "LockNotFound", Message: fmt.Sprintf("The lock '%.260s' could not be found.", name),
	}
}
