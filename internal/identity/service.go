package identity

import (
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options of a [Service].
type Options struct {
	// Dir is the server's data folder: DIR/identity.json and DIR/keys/token.pem are read, or made.
	Dir    string
	Origin Origin
	Now    func() time.Time
	Log    *slog.Logger
}

// Service issues and checks tokens and knows who may do what. Its methods may be called by many goroutines at once.
type Service struct {
	opt     Options
	key     signingKey
	guesses *guesses
	mux     *http.ServeMux
	// hashing bounds how many passwords are hashed at once: each takes 19 MiB.
	hashing chan struct{}

	mu  sync.RWMutex
	dir directory // guarded by mu
}

// Open reads the directory and the signing key, and makes them on first start. Both are durable when it returns.
func Open(opt Options) (*Service, error) {
	if err := os.MkdirAll(filepath.Join(opt.Dir, "keys"), 0o700); err != nil {
		return nil, err
	}
	s := &Service{opt: opt, guesses: newGuesses(opt.Now), hashing: make(chan struct{}, 2)}
	var err error
	if s.key, err = loadKey(filepath.Join(opt.Dir, "keys", "token.pem")); err != nil {
		return nil, err
	}
	var found bool
	if s.dir, found, err = readDirectory(s.file()); err != nil {
		return nil, err
	}
	if !found {
		s.dir = newDirectory()
		if err := s.dir.write(s.file()); err != nil {
			return nil, err
		}
	}
	s.mux = s.routes()
	return s, nil
}

func (s *Service) file() string { return filepath.Join(s.opt.Dir, "identity.json") }

// Tenant is the one tenant of this server.
func (s *Service) Tenant() Tenant {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.dir.Tenant
}

// Subscriptions of the tenant. The slice is the caller's to read only.
func (s *Service) Subscriptions() []Subscription {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.dir.Subscriptions
}

// Allowed tells whether one of p's roles allows the permission on the scope.
func (s *Service) Allowed(p Principal, permission, scope string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, a := range s.dir.Assignments {
		if a.Principal == p.ObjectID && a.Role.allows(permission) && Assignment(a).covers(scope) {
			return true
		}
	}
	return false
}

// FirstApp is the client id of the principal that was made on first start.
func (s *Service) FirstApp() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.dir.Principals[0].AppID
}

var errNoApp = errors.New("no service principal has this client id")

// ResetSecret gives the principal a new password and forgets the old one. Only its hash is kept.
func (s *Service) ResetSecret(appID string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.dir.byApp(appID)
	if !ok {
		return "", errNoApp
	}
	secret := newSecret()
	next := s.dir
	next.Principals = append([]servicePrincipal(nil), s.dir.Principals...)
	next.Principals[i].SecretHash = hashSecret(secret)
	if err := next.write(s.file()); err != nil {
		return "", err
	}
	s.dir = next
	return secret, nil
}

// SecretFits tells whether the password is the principal's.
func (s *Service) SecretFits(appID, secret string) bool {
	p, ok := s.principalByApp(appID)
	s.hashing <- struct{}{}
	defer func() { <-s.hashing }()
	return ok && s.fits(p, secret)
}

// fits compares with the hash; the caller holds a turn of hashing. A principal without a password has none that fits.
func (s *Service) fits(p servicePrincipal, secret string) bool {
	if p.SecretHash == "" {
		return false
	}
	ok, err := checkSecret(p.SecretHash, secret)
	if err != nil {
		s.opt.Log.Error("check a secret", "app", p.AppID, "error", err)
	}
	return ok
}

func (s *Service) principalByApp(appID string) (servicePrincipal, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if i, ok := s.dir.byApp(appID); ok {
		return s.dir.Principals[i], true
	}
	return servicePrincipal{}, false
}

// isTenant tells whether a path's tenant is ours, by id or by the name that ADFS clients use.
func (s *Service) isTenant(name string) bool {
	return name == adfs || strings.EqualFold(name, s.Tenant().ID)
}
