// Package identity knows who is asking: OAuth 2 and OpenID endpoints, signed tokens, service principals, and the roles
// that they hold on scopes. It also answers the cloud metadata with which clients find those endpoints.
package identity

// Principal is a caller whose token was checked on this request.
type Principal struct {
	// ObjectID of the service principal, a GUID.
	ObjectID string
	// AppID is the client id with which it logs in, a GUID.
	AppID string
	// Tenant that issued the token, a GUID.
	Tenant string
}
