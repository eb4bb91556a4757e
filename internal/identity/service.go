package identity

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Options of a [Service].
type Options struct {
	// Dir is the server's data folder: DIR/identity.json and DIR/keys/token.pem are read, or made.
	Dir    string
	Origin Origin
	Now    func() time.Time
	Log    *slog.Logger
	// KeyAge is how old the key gets that signs tokens, before TurnKey replaces it; 0: it is not replaced.
	KeyAge time.Duration
	// SignIn, when set, is told of logins.
	SignIn func(SignIn)
	// MayAssign tells whether a principal may make use of the user-assigned identity with a resource id. Nil: nobody may.
	MayAssign func(p Principal, id string) bool
	// Gone, when set, is told of user-assigned identities that were deleted, by object id.
	Gone func(objectID string) error
	// Local are users of the operating system whose programs get tokens without a secret.
	Local []LocalUser
}

// Service issues and checks tokens and knows who exists. Its methods may be called by many goroutines at once.
type Service struct {
	opt     Options
	keys    atomic.Pointer[signingKeys]
	guesses *guesses
	tokens  tokenCache
	mux     *http.ServeMux
	// hashing bounds how many passwords are hashed at once: each takes 19 MiB.
	hashing chan struct{}

	noHash   string // of no password: for users who do not exist
	once     *once
	sessions *sessions
	codes    *pending // authorization codes
	devices  *pending
	pages    []byte            // key of the sign-in pages' marks, of this start
	local    map[uint32]string // object ids of local users who may have tokens, by number; never changes

	writing sync.Mutex // one change at a time
	changed atomic.Pointer[func()]
	dir     atomic.Pointer[directory]
}

// Open reads the directory and the signing key, and makes them on first start. Both are durable when it returns.
func Open(opt Options) (*Service, error) {
	if err := os.MkdirAll(filepath.Join(opt.Dir, "keys"), 0o700); err != nil {
		return nil, err
	}
	s := &Service{opt: opt, guesses: newGuesses(opt.Now), hashing: make(chan struct{}, 2)}
	s.once = &once{now: opt.Now, seen: map[string]time.Time{}}
	s.codes, s.devices = &pending{now: opt.Now, all: map[string]consent{}}, &pending{now: opt.Now, all: map[string]consent{}}
	s.noHash = hashSecret(newSecret())
	s.pages = make([]byte, 32)
	rand.Read(s.pages)
	var err error
	if s.sessions, err = openSessions(opt.Dir, opt.Now); err != nil {
		return nil, err
	}
	keys, err := openKeys(s.keyFile(), opt.Now())
	if err != nil {
		return nil, err
	}
	s.keys.Store(&keys)
	dir, found, err := readDirectory(s.file())
	if err != nil {
		return nil, err
	}
	if !found {
		dir = newDirectory(opt.Now().UTC())
		if err := dir.write(s.file()); err != nil {
			return nil, err
		}
	}
	dir.index()
	s.dir.Store(&dir)
	s.mux = s.routes()
	return s, s.openLocal()
}

func (s *Service) file() string { return filepath.Join(s.opt.Dir, "identity.json") }

func (s *Service) directory() *directory { return s.dir.Load() }

// change runs fn on a copy of the directory, makes that durable, and puts it in the place of what was there.
func (s *Service) change(fn func(*directory) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	next := s.directory().clone()
	if err := fn(&next); err != nil {
		return err
	}
	if err := next.write(s.file()); err != nil {
		return err
	}
	next.index()
	s.dir.Store(&next)
	return nil
}

// Tenant is the one tenant of this server.
func (s *Service) Tenant() Tenant { return s.directory().Tenant }

// Subscriptions of the tenant. The slice is the caller's to read only.
func (s *Service) Subscriptions() []Subscription { return s.directory().Subscriptions }

// First is the application that was made on first start, with the service principal that owns the subscription.
func (s *Service) First() App { return s.directory().Apps[0].public() }

var errNoApp = errors.New("no service principal has this client id")

// ResetSecret gives the principal a new password that never ends, and forgets the others. Only its hash is kept.
func (s *Service) ResetSecret(appID string) (string, error) {
	secret := newSecret()
	hash, err := s.hash(secret)
	if err != nil {
		return "", err
	}
	err = s.change(func(d *directory) error {
		i, ok := d.byApp(appID)
		if !ok {
			return errNoApp
		}
		if d.Apps[i].managed() {
			return errManaged()
		}
		d.Apps[i].Passwords = []password{{KeyID: uuid.NewString(), Hint: secret[:3], Hash: hash, Start: s.opt.Now().UTC()}}
		return nil
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// hash waits for a turn, and gives what is kept of a password.
func (s *Service) hash(secret string) (string, error) {
	if len(secret) > maxSecret {
		return "", badRequest("A password has at most %d characters.", maxSecret)
	}
	s.hashing <- struct{}{}
	defer func() { <-s.hashing }()
	return hashSecret(secret), nil
}

// SecretFits tells whether the password is one of the principal's.
func (s *Service) SecretFits(appID, secret string) bool {
	a, ok := s.principalByApp(appID)
	s.hashing <- struct{}{}
	defer func() { <-s.hashing }()
	return ok && s.fits(a, secret)
}

// fits compares with the hashes of passwords that hold now; the caller holds a turn of hashing.
func (s *Service) fits(a app, secret string) bool {
	now := s.opt.Now()
	for _, p := range a.Passwords {
		if now.Add(leeway).Before(p.Start) || !p.End.IsZero() && !now.Before(p.End) {
			continue
		}
		ok, err := checkSecret(p.Hash, secret)
		if err != nil {
			s.opt.Log.Error("check a secret", "app", a.AppID, "error", err)
		}
		if ok {
			return true
		}
	}
	return false
}

// principalByApp finds the application that logs in with the client id. Without a service principal it cannot.
func (s *Service) principalByApp(appID string) (app, bool) {
	d := s.directory()
	if i, ok := d.byApp(appID); ok && d.Apps[i].ObjectID != "" {
		return d.Apps[i], true
	}
	return app{}, false
}

// isTenant tells whether a path's tenant is ours, by id or by the name that ADFS clients use.
func (s *Service) isTenant(name string) bool {
	return name == adfs || strings.EqualFold(name, s.Tenant().ID)
}
