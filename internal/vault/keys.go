package vault

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"
)

const (
	defaultBits = 2048
	// maxKeys and maxVersions bound one vault: the file is written as a whole.
	maxKeys     = 1000
	maxVersions = 200
)

func allOps() []string {
	return []string{"encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"}
}

// Create makes a key, or a new version of one: RSA of 2048, 3072 or 4096 bits.
func (s *Service) Create(object, vaultName, name string, bits int, want Attributes) (Key, error) {
	if bits == 0 {
		bits = defaultBits
	}
	if bits != 2048 && bits != 3072 && bits != 4096 {
		return Key{}, badParameter("Property  has invalid value\r\n: the size of an RSA key is 2048, 3072 or 4096.")
	}
	if err := s.check(vaultName, object, "create"); err != nil { // before the work
		return Key{}, err
	}
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return Key{}, err
	}
	return s.addVersion(vaultName, name, private, want)
}

// Import makes a key, or a new version of one, from a private key.
func (s *Service) Import(object, vaultName, name string, private *rsa.PrivateKey, want Attributes) (Key, error) {
	if err := s.check(vaultName, object, "import"); err != nil {
		return Key{}, err
	}
	if bits := private.N.BitLen(); bits != 2048 && bits != 3072 && bits != 4096 {
		return Key{}, badParameter("The size of an RSA key is 2048, 3072 or 4096, not %d.", bits)
	}
	if err := private.Validate(); err != nil {
		return Key{}, badParameter("The numbers of the key do not fit each other.")
	}
	return s.addVersion(vaultName, name, private, want)
}

// Rotate makes a new version of a key, like its newest.
func (s *Service) Rotate(object, vaultName, name string) (Key, error) {
	if err := s.check(vaultName, object, "rotate"); err != nil {
		return Key{}, err
	}
	newest, err := s.find(vaultName, name, "")
	if err != nil {
		return Key{}, err
	}
	return s.addLike(vaultName, newest, Attributes{Ops: newest.Ops, Tags: newest.Tags})
}

// addLike makes a version of the size of another.
func (s *Service) addLike(vaultName string, k Key, want Attributes) (Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, k.Bits)
	if err != nil {
		return Key{}, err
	}
	return s.addVersion(vaultName, k.Name, private, want)
}

// check tells whether a principal may do something with keys of a vault.
func (s *Service) check(vaultName, object, permission string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := s.content.vault(vaultName)
	if err != nil {
		return err
	}
	return s.may(e, object, permission)
}

func (s *Service) addVersion(vaultName, name string, private *rsa.PrivateKey, want Attributes) (k Key, err error) {
	if err := checkKey(name, want); err != nil {
		return k, err
	}
	var id [16]byte
	rand.Read(id[:])
	v := &version{
		ID: hex.EncodeToString(id[:]), Bits: private.N.BitLen(), N: private.N.Bytes(), E: big.NewInt(int64(private.E)).Bytes(),
		Ops: allOps(), Enabled: true, Created: s.opt.Now().Truncate(time.Second), Updated: s.opt.Now().Truncate(time.Second),
	}
	v.set(want)
	plain, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return k, err
	}
	if v.Private, err = seal(s.secret, plain, v.context(vaultName, name)); err != nil {
		return k, err
	}
	err = s.update(vaultName, func(e *entry) error {
		at := slices.IndexFunc(e.Keys, func(x *keyEntry) bool { return strings.EqualFold(x.Name, name) })
		switch {
		case at < 0 && len(e.Keys) >= maxKeys:
			return refuse(Forbidden, "Forbidden", "A vault has at most %d keys on this server.", maxKeys)
		case at < 0:
			e.Keys = append(e.Keys, &keyEntry{Name: name})
			at = len(e.Keys) - 1
		case !e.Keys[at].Deleted.IsZero():
			return &Error{
				Reason: Conflict, Code: "Conflict", Inner: "ObjectIsDeletedButRecoverable",
				Message: "Key " + name + " is currently in a deleted but recoverable state, and its name cannot be reused; in this state, " +
					"the key can only be recovered or purged.",
			}
		case len(e.Keys[at].Versions) >= maxVersions:
			return refuse(Forbidden, "Forbidden", "A key has at most %d versions on this server.", maxVersions)
		}
		e.Keys[at].Versions = append(e.Keys[at].Versions, v)
		k = e.key(e.Keys[at], v)
		return nil
	})
	return k, err
}

// context binds a wrapped private key to its place.
func (v *version) context(vaultName, name string) string {
	return "tintype vault key " + strings.ToLower(vaultName) + " " + strings.ToLower(name) + " " + v.ID
}

func checkKey(name string, want Attributes) error {
	ok := name != "" && len(name) <= 127
	for i := range len(name) {
		ok = ok && (isLetter(name[i]) || name[i] >= '0' && name[i] <= '9' || name[i] == '-')
	}
	if !ok {
		return badParameter("The request URI contains an invalid name: %.140s", name)
	}
	for _, op := range want.Ops {
		if !slices.Contains(allOps(), op) && op != "import" && op != "export" {
			return badParameter("Property  has invalid value\r\n: the key operation '%.64s' is not known.", op)
		}
	}
	if len(want.Tags) > 15 {
		return badParameter("A key has at most 15 tags.")
	}
	for k, v := range want.Tags {
		if len(k) > 256 || len(v) > 256 {
			return badParameter("A tag has at most 256 characters.")
		}
	}
	return nil
}

func (v *version) set(want Attributes) {
	if want.Enabled != nil {
		v.Enabled = *want.Enabled
	}
	if want.NotBefore != nil {
		v.NotBefore = *want.NotBefore
	}
	if want.Expires != nil {
		v.Expires = *want.Expires
	}
	if want.Ops != nil {
		v.Ops = slices.Clone(want.Ops)
	}
	if want.Tags != nil {
		v.Tags = maps.Clone(want.Tags)
	}
}

// Update changes a version, or with "" the newest.
func (s *Service) Update(object, vaultName, name, id string, want Attributes) (k Key, err error) {
	if err := checkKey(name, want); err != nil {
		return k, err
	}
	return k, s.update(vaultName, func(e *entry) error {
		if err := s.may(e, object, "update"); err != nil {
			return err
		}
		key, v, err := e.version(name, id)
		if err != nil {
			return err
		}
		v.set(want)
		v.Updated = s.opt.Now().Truncate(time.Second)
		k = e.key(key, v)
		return nil
	})
}

// Key gives a version of a key, or with "" the newest.
func (s *Service) Key(object, vaultName, name, id string) (Key, error) {
	if err := s.check(vaultName, object, "get"); err != nil {
		return Key{}, err
	}
	return s.find(vaultName, name, id)
}

func (s *Service) find(vaultName, name, id string) (Key, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := s.content.vault(vaultName)
	if err != nil {
		return Key{}, err
	}
	key, v, err := e.version(name, id)
	if err != nil {
		return Key{}, err
	}
	return e.key(key, v), nil
}

// version finds a version of a key that is not deleted.
func (e *entry) version(name, id string) (*keyEntry, *version, error) {
	for _, k := range e.Keys {
		if !strings.EqualFold(k.Name, name) || !k.Deleted.IsZero() || len(k.Versions) == 0 {
			continue
		}
		if id == "" {
			return k, k.Versions[len(k.Versions)-1], nil
		}
		for _, v := range k.Versions {
			if strings.EqualFold(v.ID, id) {
				return k, v, nil
			}
		}
	}
	return nil, nil, noKey(name, id)
}

func (e *entry) key(k *keyEntry, v *version) Key {
	p := e.Settings.PurgeProtection
	return Key{
		Vault: e.ID.Name, Name: k.Name, Version: v.ID, Bits: v.Bits, N: v.N, E: v.E, Ops: slices.Clone(v.Ops), Enabled: v.Enabled,
		NotBefore: v.NotBefore, Expires: v.Expires, Created: v.Created, Updated: v.Updated, Tags: maps.Clone(v.Tags),
		RetentionDays: e.Settings.RetentionDays, PurgeProtected: p != nil && *p,
	}
}

// Keys lists the newest version of each key, by name.
func (s *Service) Keys(object, vaultName string) ([]Key, error) {
	return s.list(object, vaultName, func(e *entry, add func(*keyEntry, *version)) {
		for _, k := range e.Keys {
			if k.Deleted.IsZero() {
				add(k, k.Versions[len(k.Versions)-1])
			}
		}
	})
}

// Versions lists all versions of a key, the oldest first.
func (s *Service) Versions(object, vaultName, name string) ([]Key, error) {
	all, err := s.list(object, vaultName, func(e *entry, add func(*keyEntry, *version)) {
		for _, k := range e.Keys {
			for _, v := range k.Versions {
				if strings.EqualFold(k.Name, name) && k.Deleted.IsZero() {
					add(k, v)
				}
			}
		}
	})
	if err == nil && len(all) == 0 {
		err = noKey(name, "")
	}
	return all, err
}

func (s *Service) list(object, vaultName string, each func(*entry, func(*keyEntry, *version))) (all []Key, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := s.content.vault(vaultName)
	if err != nil {
		return nil, err
	}
	if err := s.may(e, object, "list"); err != nil {
		return nil, err
	}
	each(e, func(k *keyEntry, v *version) { all = append(all, e.key(k, v)) })
	slices.SortStableFunc(all, func(a, b Key) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return all, nil
}

// DeleteKey deletes a key with all its versions; it can be recovered.
func (s *Service) DeleteKey(object, vaultName, name string) (d Deleted, err error) {
	return d, s.update(vaultName, func(e *entry) error {
		if err := s.may(e, object, "delete"); err != nil {
			return err
		}
		k, v, err := e.version(name, "")
		if err != nil {
			return err
		}
		k.Deleted = s.opt.Now().Truncate(time.Second)
		d = Deleted{Key: e.key(k, v), At: k.Deleted, Purges: e.purges(k)}
		return nil
	})
}

// DeletedKeys lists the deleted keys of a vault, or the one with a name.
func (s *Service) DeletedKeys(object, vaultName, name string) (all []Deleted, err error) {
	permission := "list"
	if name != "" {
		permission = "get"
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := s.content.vault(vaultName)
	if err != nil {
		return nil, err
	}
	if err := s.may(e, object, permission); err != nil {
		return nil, err
	}
	for _, k := range e.Keys {
		if !k.Deleted.IsZero() && (name == "" || strings.EqualFold(name, k.Name)) {
			all = append(all, Deleted{Key: e.key(k, k.Versions[len(k.Versions)-1]), At: k.Deleted, Purges: e.purges(k)})
		}
	}
	if name != "" && len(all) == 0 {
		return nil, refuse(NotFound, "KeyNotFound", "Deleted Key not found: %s", name)
	}
	slices.SortFunc(all, func(a, b Deleted) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// RecoverKey brings a deleted key back.
func (s *Service) RecoverKey(object, vaultName, name string) (k Key, err error) {
	err = s.deletedKey(object, vaultName, name, "recover", func(e *entry, d *keyEntry) error {
		d.Deleted = time.Time{}
		k = e.key(d, d.Versions[len(d.Versions)-1])
		return nil
	})
	return k, err
}

// PurgeKey removes a deleted key for ever: what only it opens is lost.
func (s *Service) PurgeKey(object, vaultName, name string) error {
	return s.deletedKey(object, vaultName, name, "purge", func(e *entry, d *keyEntry) error {
		if p := e.Settings.PurgeProtection; p != nil && *p {
			err := refuse(Forbidden, "Forbidden", "Operation \"purge\" is not allowed because purge protection is enabled for this vault. Key Vault "+
				"service will automatically purge it after the retention period has passed.")
			err.Inner = "ForbiddenByPolicy"
			return err
		}
		e.Keys = slices.DeleteFunc(e.Keys, func(k *keyEntry) bool { return k == d })
		return nil
	})
}

func (s *Service) deletedKey(object, vaultName, name, permission string, fn func(*entry, *keyEntry) error) error {
	return s.update(vaultName, func(e *entry) error {
		if err := s.may(e, object, permission); err != nil {
			return err
		}
		for _, k := range e.Keys {
			if strings.EqualFold(k.Name, name) && !k.Deleted.IsZero() {
				return fn(e, k)
			}
		}
		return refuse(NotFound, "KeyNotFound", "Deleted Key not found: %s", name)
	})
}

// private gives a version's private key, for an operation that its principal may do.
func (s *Service) private(object, vaultName, name, id, op string) (*rsa.PrivateKey, Key, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := s.content.vault(vaultName)
	if err != nil {
		return nil, Key{}, err
	}
	if err := s.may(e, object, op); err != nil {
		return nil, Key{}, err
	}
	k, v, err := e.version(name, id)
	if err != nil {
		return nil, Key{}, err
	}
	if err := s.usable(v, op); err != nil {
		return nil, Key{}, err
	}
	plain, err := open(s.secret, v.Private, v.context(e.ID.Name, k.Name))
	if err != nil {
		return nil, Key{}, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, Key{}, err
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, Key{}, errors.New("a private key is not RSA")
	}
	return private, e.key(k, v), nil
}

// usable tells whether a version may be used for an operation: it is enabled, its time has come, and where something is
// protected anew, its time is not over.
func (s *Service) usable(v *version, op string) error {
	now := s.opt.Now()
	old := op == "decrypt" || op == "unwrapKey" || op == "verify"
	switch {
	case !v.Enabled:
		return disabled(op)
	case !v.NotBefore.IsZero() && now.Before(v.NotBefore) && !old:
		return &Error{Reason: Forbidden, Code: "Forbidden", Inner: "KeyNotYetValid", Message: "Operation " + op + " is not allowed on a key that is not yet valid."}
	case !v.Expires.IsZero() && !now.Before(v.Expires) && !old:
		return &Error{Reason: Forbidden, Code: "Forbidden", Inner: "KeyExpired", Message: "Operation " + op + " is not allowed on an expired key."}
	case !slices.Contains(v.Ops, op):
		return refuse(Forbidden, "Forbidden", "Operation %s is not permitted on this key.", op)
	}
	return nil
}
