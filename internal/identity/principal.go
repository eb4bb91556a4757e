// Package identity knows who is asking: OAuth 2 and OpenID endpoints, signed tokens, service principals and users. It also
// answers the cloud metadata with which clients find those endpoints.
package identity

// Principal is a caller whose token was checked on this request.
type Principal struct {
	// ObjectID of the service principal or user, a GUID.
	ObjectID string
	// AppID is the client id with which it logged in, a GUID.
	AppID string
	// Tenant that issued the token, a GUID.
	Tenant string
	// Name of a user, such as "ann@example"; empty for a service principal.
	Name string
}

// Display is how an answer names the caller: a user by name, a service principal by its client id.
func (p Principal) Display() string {
	if p.Name != "" {
		return p.Name
	}
	return p.AppID
}

// IsUser tells a person from a program.
func (p Principal) IsUser() bool { return p.Name != "" }
