package identity

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"tintype/internal/smallfile"
)

// algorithm signs our tokens, and is the only one that is accepted.
const algorithm = jose.RS256

const (
	keyBits = 2048
	// maxKeys bounds how many keys are kept: those that were replaced within a token's lifetime.
	maxKeys = 16
)

// signingKey is a private key of tokens and its name. One that was replaced signs nothing any more; tokens that it signed before are
// good until they expire.
type signingKey struct {
	private *rsa.PrivateKey
	id      string
	made    time.Time
	retired time.Time // zero of the one that signs
}

// ends is when the last token has expired that a replaced key can have signed.
func (k signingKey) ends() time.Time { return k.retired.Add(lifetime) }

// signingKeys are those whose tokens may be good, the one that signs first. The file has a PEM block for each, with the times as
// headers.
type signingKeys []signingKey

// openKeys reads the keys, or makes one when the file does not exist.
func openKeys(file string, now time.Time) (signingKeys, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return signingKeys(nil).rotate(file, now)
	}
	if err != nil {
		return nil, err
	}
	all, err := parseKeys(b, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return all, nil
}

// parseKeys reads the content of the file. A key without a time, of the time before they were replaced, counts as made now.
func parseKeys(text []byte, now time.Time) (signingKeys, error) {
	var all signingKeys
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if len(all) == maxKeys {
			return nil, fmt.Errorf("more than %d keys", maxKeys)
		}
		k, err := parseKey(block, now)
		if err != nil {
			return nil, err
		}
		if first := len(all) == 0; first != k.retired.IsZero() {
			return nil, errors.New("the first key signs, and no other")
		}
		all = append(all, k)
	}
	if len(all) == 0 {
		return nil, errors.New("no key")
	}
	return all, nil
}

const madeHeader, retiredHeader = "Made", "Retired"

func parseKey(block *pem.Block, now time.Time) (signingKey, error) {
	k := signingKey{made: now}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return k, err
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return k, errors.New("not an RSA key")
	}
	for name, to := range map[string]*time.Time{madeHeader: &k.made, retiredHeader: &k.retired} {
		if text := block.Headers[name]; text != "" {
			if *to, err = time.Parse(time.RFC3339, text); err != nil {
				return k, err
			}
		}
	}
	k.private = private
	k.id, err = nameOf(private)
	return k, err
}

// nameOf is a key's RFC 7638 thumbprint.
func nameOf(private *rsa.PrivateKey) (string, error) {
	print, err := (&jose.JSONWebKey{Key: &private.PublicKey}).Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(print), err
}

// rotate puts a new key in front of those that may still be good, durably.
func (all signingKeys) rotate(file string, now time.Time) (signingKeys, error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, err
	}
	now = now.UTC().Truncate(time.Second)
	next := signingKeys{{private: private, made: now}}
	if next[0].id, err = nameOf(private); err != nil {
		return nil, err
	}
	for _, k := range all {
		if k.retired.IsZero() {
			k.retired = now
		}
		if now.Before(k.ends()) {
			next = append(next, k)
		}
	}
	if len(next) > maxKeys {
		return nil, fmt.Errorf("%d keys were replaced within %s, and tokens of theirs may be good", len(all), lifetime)
	}
	text, err := next.encode()
	if err != nil {
		return nil, err
	}
	return next, smallfile.Write(file, text)
}

func (all signingKeys) encode() ([]byte, error) {
	var text []byte
	for _, k := range all {
		der, err := x509.MarshalPKCS8PrivateKey(k.private)
		if err != nil {
			return nil, err
		}
		headers := map[string]string{madeHeader: k.made.UTC().Format(time.RFC3339)}
		if !k.retired.IsZero() {
			headers[retiredHeader] = k.retired.UTC().Format(time.RFC3339)
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Headers: headers, Bytes: der})...)
	}
	return text, nil
}

// named finds the key of a token by its id.
func (all signingKeys) named(id string) (signingKey, bool) {
	i := slices.IndexFunc(all, func(k signingKey) bool { return k.id == id })
	if i < 0 {
		return signingKey{}, false
	}
	return all[i], true
}

// public is what the JWKS endpoint shows: the keys of tokens that may be good.
func (all signingKeys) public(now time.Time) jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	for _, k := range all {
		if k.retired.IsZero() || now.Before(k.ends()) {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: &k.private.PublicKey, KeyID: k.id, Algorithm: string(algorithm), Use: "sig"})
		}
	}
	return set
}

// TurnKey has a new key sign tokens when the present one is as old as Options.KeyAge says, durably. Tokens of the old one are good until they expire. It
// tells whether there is a new one; after an error the old one goes on.
func (s *Service) TurnKey() (bool, error) {
	if now := s.opt.Now(); s.opt.KeyAge <= 0 || now.Before((*s.keys.Load())[0].made.Add(s.opt.KeyAge)) {
		return false, nil
	}
	return true, s.rotateKey()
}

func (s *Service) rotateKey() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	next, err := s.keys.Load().rotate(s.keyFile(), s.opt.Now())
	if err != nil {
		return err
	}
	s.keys.Store(&next)
	s.tokens.forget() // each is held to its key's end
	return nil
}

func (s *Service) keyFile() string { return filepath.Join(s.opt.Dir, "keys", "token.pem") }
