package identity

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
)

// LocalUser is a user of the operating system whose programs get tokens without a secret.
type LocalUser struct {
	Name string `json:"name"`
	UID  uint32 `json:"uid"`
}

// LocalRequest asks for a token for a local user's program.
type LocalRequest struct {
	// UID of the process that asks, which the caller has found out for itself.
	UID uint32
	// Resource that the token is to be good for.
	Resource string
	// Named are ids that the request gave for the identity it wants: client, object or resource ids.
	Named []string
}

// LocalToken is a token for a local user.
type LocalToken struct {
	Token, ClientID, Resource string
	Begins, Expires           time.Time
}

// LocalError refuses a token to a local program.
type LocalError struct {
	Status     int
	Name, Text string
}

// Error is the name and the text.
func (e *LocalError) Error() string { return e.Name + ": " + e.Text }

// ErrNotLocal refuses who has no identity here. Clients go on to the next way to log in when they hear this.
func ErrNotLocal() error {
	return &LocalError{Status: http.StatusBadRequest, Name: "invalid_request", Text: "Identity not found"}
}

// openLocal finds or makes a principal for each local user that may have tokens. A user is the one it was as long as name and number
// are the same: whoever gets one of them later is another, without roles.
func (s *Service) openLocal() error {
	s.local = map[uint32]string{}
	for _, u := range s.opt.Local {
		if _, twice := s.local[u.UID]; twice {
			return fmt.Errorf("local user %s: there is another one with the number %d", u.Name, u.UID)
		}
		known := func(a app) bool { return a.Local != nil && *a.Local == u }
		if !slices.ContainsFunc(s.directory().Apps, known) {
			err := s.change(func(d *directory) error {
				d.Apps = append(d.Apps, app{
					AppID: uuid.NewString(), ObjectID: uuid.NewString(), Name: "local user " + u.Name, Created: s.opt.Now().UTC(), Local: &u,
				})
				return nil
			})
			if err != nil {
				return err
			}
		}
		apps := s.directory().Apps
		a := apps[slices.IndexFunc(apps, known)]
		s.local[u.UID] = a.ObjectID
		s.opt.Log.Info("a local user has an identity", "user", u.Name, "uid", u.UID, "principal", a.ObjectID)
	}
	return nil
}

// LocalToken issues a token for the identity of a local user. Its error is a *[LocalError] when the user has none, or asks for
// something else.
func (s *Service) LocalToken(r *http.Request, ask LocalRequest) (LocalToken, error) {
	own, ok := s.localApp(ask.UID)
	if !ok {
		s.opt.Log.Warn("a token was asked for by a local user who has no identity here", "uid", ask.UID)
		return LocalToken{}, ErrNotLocal()
	}
	a, err := s.named(own, ask.Named)
	if err != nil {
		return LocalToken{}, err
	}
	if ask.Resource == "" {
		return LocalToken{}, &LocalError{http.StatusBadRequest, "invalid_request", "Parameter resource is missing"}
	}
	if !s.issuesFor(ask.Resource) {
		return LocalToken{}, &LocalError{http.StatusBadRequest, "invalid_resource", fmt.Sprintf(
			"AADSTS500011: The resource principal named %.200s was not found in the tenant named %s.", ask.Resource, s.Tenant().Name)}
	}
	token, expires, err := s.issue(granted{app: a, client: a.AppID, audience: ask.Resource})
	if err != nil {
		return LocalToken{}, err
	}
	s.signedIn(r, SignIn{App: a.AppID, ObjectID: a.ObjectID, Grant: "managed_identity"})
	return LocalToken{Token: token, ClientID: a.AppID, Resource: ask.Resource, Begins: expires.Add(-lifetime), Expires: expires}, nil
}

// localApp finds the identity of a local user who may have tokens now.
func (s *Service) localApp(uid uint32) (app, bool) {
	object, ok := s.local[uid]
	if !ok {
		return app{}, false
	}
	d := s.directory()
	i, ok := d.byID(object)
	if !ok {
		return app{}, false
	}
	return d.Apps[i], true
}

// endedLocal tells whether the principal is a local user's who may have no tokens any more: those that it has are good no longer.
func (s *Service) endedLocal(a app) bool {
	return a.Local != nil && s.local[a.Local.UID] != a.ObjectID
}
