package identity

import "strings"

// Role names what its holder may do.
type Role string

// The roles that exist, by Azure's names.
const (
	Owner       Role = "Owner"
	Contributor Role = "Contributor"
	Reader      Role = "Reader"
)

// Assignment gives a principal a role on a scope, and on all below it.
type Assignment struct {
	Principal string // object id
	Role      Role
	Scope     string // a resource id, such as "/subscriptions/…"
}

// allows tells whether the role's actions include the permission. A role that is not known allows nothing.
func (r Role) allows(permission string) bool {
	p := strings.ToLower(permission)
	switch r {
	case Owner:
		return true
	case Contributor:
		return !strings.HasPrefix(p, "microsoft.authorization/") || strings.HasSuffix(p, "/read")
	case Reader:
		return strings.HasSuffix(p, "/read")
	default:
		return false
	}
}

// covers tells whether scope is the assignment's or below it, without regard to case.
func (a Assignment) covers(scope string) bool {
	upper := strings.ToLower(strings.TrimRight(a.Scope, "/"))
	lower := strings.ToLower(strings.TrimRight(scope, "/"))
	return lower == upper || strings.HasPrefix(lower, upper+"/")
}
