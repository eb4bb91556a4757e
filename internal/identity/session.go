package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"tintype/internal/smallfile"
)

// sessionsVersion is the format of sessions.json. Another one is refused.
const sessionsVersion = 1

const (
	// sessionLife is how long a login lasts without a use; each use renews it.
	sessionLife = 14 * 24 * time.Hour
	// maxSessions bounds the logins that are remembered.
	maxSessions = 10000
	// regret is how long the refresh token before the last one is still good: its answer may have been lost, and az runs
	// commands beside each other.
	regret = 2 * time.Minute
)

// session is one login of a user at a client, which refresh tokens carry on. Only hashes of them are kept.
type session struct {
	User    string    `json:"user"`   // object id
	Client  string    `json:"client"` // client id
	Hash    string    `json:"hash"`
	Before  string    `json:"before,omitempty"`
	Rotated time.Time `json:"rotated"`
	Expires time.Time `json:"expires"`
}

// sessions are all logins, in memory and in one file.
type sessions struct {
	file string
	now  func() time.Time

	mu  sync.Mutex
	all map[string]session // guarded by mu
}

type sessionsDoc struct {
	Version  int                `json:"version"`
	Sessions map[string]session `json:"sessions"`
}

func openSessions(dir string, now func() time.Time) (*sessions, error) {
	s := &sessions{file: filepath.Join(dir, "sessions.json"), now: now, all: map[string]session{}}
	b, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	var d sessionsDoc
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("%s: %w", s.file, err)
	}
	if d.Version != sessionsVersion {
		return nil, fmt.Errorf("%s has format version %d; this program knows version %d", s.file, d.Version, sessionsVersion)
	}
	if d.Sessions != nil {
		s.all = d.Sessions
	}
	return s, nil
}

// save makes next durable and puts it in place; the caller holds mu.
func (s *sessions) save(next map[string]session) error {
	b, err := json.Marshal(sessionsDoc{sessionsVersion, next})
	if err != nil {
		return err
	}
	if err := smallfile.Write(s.file, b); err != nil {
		return err
	}
	s.all = next
	return nil
}

func hashToken(secret string) string {
	sum := sha256.Sum256([]byte(secret)) // of 256 random bits: nothing has to be slowed down
	return hex.EncodeToString(sum[:])
}

// begin makes a session and its first refresh token.
func (s *sessions) begin(user, client string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	next := maps.Clone(s.all)
	maps.DeleteFunc(next, func(_ string, one session) bool { return !now.Before(one.Expires) })
	if len(next) >= maxSessions {
		return "", errors.New("too many logins are remembered")
	}
	id, secret := rand.Text(), rand.Text()+rand.Text()
	next[id] = session{User: user, Client: client, Hash: hashToken(secret), Rotated: now.UTC(), Expires: now.Add(sessionLife).UTC()}
	return id + "." + secret, s.save(next)
}

var errSession = &oauthError{
	status: 400, name: "invalid_grant", code: 70008,
	text: "The provided authorization code or refresh token has expired due to inactivity or was revoked. Send a new interactive authorization request for this user and resource.",
}

// renew takes a refresh token and gives the user and the next one. One that was replaced longer ago than a moment ends the
// session: somebody else has it.
func (s *sessions) renew(token, client string) (user, next string, err error) {
	id, secret, _ := strings.Cut(token, ".")
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.all[id]
	now := s.now()
	if !ok || !now.Before(one.Expires) || !strings.EqualFold(one.Client, client) {
		return "", "", errSession
	}
	hash := hashToken(secret)
	same := func(kept string) bool {
		return kept != "" && subtle.ConstantTimeCompare([]byte(hash), []byte(kept)) == 1
	}
	all := maps.Clone(s.all)
	if !same(one.Hash) && (!same(one.Before) || now.Sub(one.Rotated) > regret) {
		if same(one.Before) {
			delete(all, id)
			return "", "", errors.Join(s.save(all), errSession)
		}
		return "", "", errSession
	}
	fresh := rand.Text() + rand.Text()
	one.Before, one.Hash, one.Rotated, one.Expires = one.Hash, hashToken(fresh), now.UTC(), now.Add(sessionLife).UTC()
	all[id] = one
	return one.User, id + "." + fresh, s.save(all)
}

// end ends all sessions of a user.
func (s *sessions) end(user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(s.all)
	maps.DeleteFunc(next, func(_ string, one session) bool { return strings.EqualFold(one.User, user) })
	if len(next) == len(s.all) {
		return nil
	}
	return s.save(next)
}
