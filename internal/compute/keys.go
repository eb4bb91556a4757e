package compute

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// Vaults are where the keys of encryption sets are: vault. A principal is the identity of a set.
type Vaults interface {
	WrapFor(principal, keyURL string, secret []byte) ([]byte, error)
	UnwrapFor(principal, keyURL string, wrapped []byte) ([]byte, error)
	// Usable fails unless the key is there and enabled, and gives the URL of its newest version.
	Usable(keyURL string) (newest string, err error)
	// Seal wraps once more, by the platform's key.
	Seal(p []byte) ([]byte, error)
	Unseal(p []byte) ([]byte, error)
	// OnChange has f called after every change that may make a key usable, or unusable. f does not wait.
	OnChange(f func())
	// Tidy does what is due: rotations, and the end of what was deleted.
	Tidy() error
	// DeleteGroup deletes the vaults of a resource group.
	DeleteGroup(sub tintype.SubscriptionID, group string) error
}

// Identities are the user-assigned identities that encryption sets may go by: identity.
type Identities interface {
	// PrincipalOf is the object id of the one with a resource id.
	PrincipalOf(id string) (objectID string, ok bool)
	// OnChange has f called after any was deleted. f does not wait.
	OnChange(f func())
	// DeleteIdentities deletes those of a resource group.
	DeleteIdentities(sub tintype.SubscriptionID, group string) error
}

// VolumeKeys puts volumes under keys: lsd. A volume whose key is taken away can't be read.
type VolumeKeys interface {
	GiveKey(secret [32]byte) (id string, err error)
	TakeKey(id string) error
	// SetKey puts volumes under the key with an id, or with "" under the platform's.
	SetKey(id string, volumes ...uuid.UUID) error
	// KeyOf is the id of the key that a volume is under.
	KeyOf(volume uuid.UUID) (string, error)
	// Under lists the volumes that are under the key with an id. Once there are none, SetKey alone brings others under it: a copy is
	// under the key of its source.
	Under(id string) ([]uuid.UUID, error)
}

// keyed sets: an encryption set has a key of its own, which a key of a vault wraps. What is given to the store follows the vault:
// a key that its set may not use any more is taken from the store, and everything under it is locked until it is back.

// tidyKeysEvery is how often vaults are asked to do what is due.
const tidyKeysEvery = time.Minute

// followVaults brings the store up to date after every change of a vault.
func (s *Service) followVaults() {
	tick := time.NewTicker(tidyKeysEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-s.ctx.Done():
			return
		case <-s.vaultChanged:
			err = s.settleSets(s.ctx)
		case <-tick.C:
			err = s.opt.Vaults.Tidy()
		}
		if err != nil && s.ctx.Err() == nil {
			s.opt.Log.Error("keys of encryption sets will be tried again", "error", err)
		}
	}
}

// noteVaults has followVaults look. It never waits.
func (s *Service) noteVaults() {
	select {
	case s.vaultChanged <- struct{}{}:
	default:
	}
}

// settleSets gives the store the keys of all sets that may use theirs, takes those that may not, and carries rotations on.
func (s *Service) settleSets(ctx context.Context) error {
	if s.opt.Vaults == nil {
		return nil
	}
	var failed error
	for after := ""; ; {
		var page []tintype.Companion
		err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
			page, err = tx.EncryptionSets(after, pageSize)
			return err
		})
		if err != nil {
			return errors.Join(failed, err)
		}
		for _, c := range page {
			failed = errors.Join(failed, s.settleSet(ctx, c.ID))
			after = c.ID.Key()
		}
		if len(page) < pageSize {
			return failed
		}
	}
}

// settleSet does that for one set.
func (s *Service) settleSet(ctx context.Context, id tintype.ResourceID) error {
	defer s.sets.lock(id.Key())()
	c, err := s.set(ctx, id)
	var refusal *tintype.Error
	if errors.As(err, &refusal) && refusal.Kind == tintype.KindNotFound {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	asked := c.Set.ActiveKey.URL
	follows := c.Set.Rotate != nil && *c.Set.Rotate && c.Set.Old == nil
	if newest, err := s.opt.Vaults.Usable(c.Set.ActiveKey.URL); follows && err == nil && newest != c.Set.ActiveKey.URL {
		c.Set.ActiveKey.URL = newest
		if c.Set.Secret == nil { // nothing is under it yet
			return s.changeSet(ctx, id, func(set *tintype.EncryptionSet) {
				if set.ActiveKey.URL == asked {
					set.ActiveKey.URL, set.Rotated = newest, s.now()
				}
			})
		}
	}
	if c.Set.Secret == nil {
		return nil
	}
	if c.Set.Secret.KeyURL != c.Set.ActiveKey.URL && c.Set.Old == nil {
		if err := s.beginRotation(ctx, &c, asked); err != nil {
			s.opt.Log.Warn("an encryption set keeps its previous key", "set", c.ID, "error", err)
		}
	}
	_, err = s.hand(c, c.Set.Secret)
	if c.Set.Old != nil && err == nil {
		return s.endRotation(ctx, c)
	}
	return s.noteFault(ctx, c, err)
}

// set reads an encryption set.
func (s *Service) set(ctx context.Context, id tintype.ResourceID) (c tintype.Companion, err error) {
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		c, err = tx.Companion(id.Key())
		return absent(err, id.NotFound())
	})
	if err == nil && c.Set == nil {
		err = id.NotFound()
	}
	return c.Clone(), err
}

// hand unwraps a set's key and gives it to the store, or takes it from there when it can't be unwrapped.
func (s *Service) hand(c tintype.Companion, secret *tintype.SetSecret) (string, error) {
	key, err := s.unwrap(c, secret)
	if err != nil {
		if _, given := s.given.Load(secret.ID); given {
			s.opt.Log.Warn("the key of an encryption set is not to be had: its volumes are locked", "set", c.ID, "key", secret.KeyURL, "error", err)
		}
		s.given.Delete(secret.ID)
		return secret.ID, errors.Join(tintype.KeyForbidden(c.ID, secret.KeyURL, err), s.opt.Keys.TakeKey(secret.ID))
	}
	if _, given := s.given.Load(secret.ID); given {
		return secret.ID, nil
	}
	id, err := s.opt.Keys.GiveKey(key)
	if err == nil && id != secret.ID {
		err = fmt.Errorf("encryption set %s: its key is another", c.ID)
	}
	if err == nil {
		s.given.Store(id, true)
		s.opt.Log.Info("the key of an encryption set is there", "set", c.ID, "key", secret.KeyURL)
	}
	return id, err
}

func (s *Service) unwrap(c tintype.Companion, secret *tintype.SetSecret) (key [32]byte, err error) {
	wrapped := secret.Wrapped
	if c.Set.Double() {
		if wrapped, err = s.opt.Vaults.Unseal(wrapped); err != nil {
			return key, err
		}
	}
	p, err := s.opt.Vaults.UnwrapFor(s.principalOf(c.Set.Identity), secret.KeyURL, wrapped)
	if err == nil && len(p) != len(key) {
		err = errors.New("a key of another length")
	}
	copy(key[:], p)
	return key, err
}

// principalOf is the principal by which a set reaches its vault: its own, or else that of its user-assigned identity. It may be nobody's.
func (s *Service) principalOf(i tintype.Identity) string {
	if !i.System() && s.opt.Identities != nil && len(i.Users) > 0 {
		if object, ok := s.opt.Identities.PrincipalOf(i.Users[0]); ok {
			return object
		}
	}
	return i.Principal.String()
}

// checkIdentities refuses a set whose user-assigned identity is not there.
func (s *Service) checkIdentities(c tintype.Companion) error {
	if s.opt.Identities == nil || c.Set == nil {
		return nil
	}
	for _, id := range c.Set.Identity.Users {
		if _, ok := s.opt.Identities.PrincipalOf(id); !ok {
			return &tintype.Error{
				Kind: tintype.KindInvalid, Code: "FailedIdentityOperation", Target: "identity.userAssignedIdentities",
				Message: fmt.Sprintf("Identity operation for resource '%s' failed with error 'Failed to perform resource identity operation. "+
					"The user-assigned identity '%.300s' was not found.'.", c.ID, id),
			}
		}
	}
	return nil
}

// newSecret draws a key for a set, wraps it by the active key, and gives it to the store.
func (s *Service) newSecret(c tintype.Companion) (*tintype.SetSecret, error) {
	var key [32]byte
	rand.Read(key[:])
	url := c.Set.ActiveKey.URL
	wrapped, err := s.opt.Vaults.WrapFor(s.principalOf(c.Set.Identity), url, key[:])
	if err != nil {
		return nil, tintype.KeyForbidden(c.ID, url, err)
	}
	if c.Set.Double() {
		if wrapped, err = s.opt.Vaults.Seal(wrapped); err != nil {
			return nil, err
		}
	}
	id, err := s.opt.Keys.GiveKey(key)
	if err != nil {
		return nil, err
	}
	s.given.Store(id, true)
	return &tintype.SetSecret{ID: id, KeyURL: url, Wrapped: wrapped}, nil
}

// keyFor gives the id of a set's key, which is in the store when it returns nil. The first volume of a set makes it. The caller holds the
// set's lock until it has put what it needs the key for under it: a rotation that goes by meanwhile forgets the key.
func (s *Service) keyFor(ctx context.Context, id tintype.ResourceID) (string, error) {
	c, err := s.set(ctx, id)
	if err != nil {
		return "", err
	}
	if c.Set.Secret != nil {
		return s.hand(c, c.Set.Secret)
	}
	secret, err := s.newSecret(c)
	if err != nil {
		return "", err
	}
	return secret.ID, s.changeSet(ctx, c.ID, func(set *tintype.EncryptionSet) { set.Secret = secret })
}

// changeSet changes what is on record of a set.
func (s *Service) changeSet(ctx context.Context, id tintype.ResourceID, change func(*tintype.EncryptionSet)) error {
	return s.update(ctx, func(tx *catalog.Tx) error {
		c, err := tx.Companion(id.Key())
		if err != nil {
			return absent(err, id.NotFound())
		}
		c = c.Clone()
		change(c.Set)
		return tx.PutCompanion(c)
	})
}

// beginRotation gives a set a new key under its active one; the old is kept until no volume is under it. A set for which another key than
// asked has been asked since comes to that by the next rotation.
func (s *Service) beginRotation(ctx context.Context, c *tintype.Companion, asked string) error {
	secret, err := s.newSecret(*c)
	if err != nil {
		return err
	}
	previous := tintype.KeyReference{VaultID: c.Set.ActiveKey.VaultID, URL: c.Set.Secret.KeyURL}
	begin := func(set *tintype.EncryptionSet) {
		set.Old, set.Secret = set.Secret, secret
		if set.ActiveKey.URL == asked {
			set.ActiveKey.URL = secret.KeyURL
		}
		set.PreviousKeys, set.Rotated = []tintype.KeyReference{previous}, s.now()
	}
	if err := s.changeSet(ctx, c.ID, begin); err != nil {
		return err
	}
	begin(c.Set)
	return nil
}

// endRotation brings what is under the old key of a set under its new one, and forgets the old one. While that is not to be had, it waits.
// What counts is what the store has, and not who names the set: a volume that is on its way to another set, that no record names yet, or that
// is copied just now is of no use without the old key either.
func (s *Service) endRotation(ctx context.Context, c tintype.Companion) error {
	if _, err := s.hand(c, c.Set.Old); err != nil {
		return s.noteFault(ctx, c, err)
	}
	old := c.Set.Old.ID
	for {
		under, err := s.opt.Keys.Under(old)
		if err != nil {
			return err
		}
		if len(under) == 0 {
			break
		}
		for _, store := range under {
			if err := s.turnKey(store, old, c.Set.Secret.ID); err != nil && !errors.Is(err, block.ErrNotFound) {
				return fmt.Errorf("volume %s: %w", store, err)
			}
		}
	}
	s.given.Delete(old)
	s.opt.Log.Info("the key of an encryption set was rotated", "set", c.ID, "key", c.Set.ActiveKey.URL)
	return errors.Join(s.opt.Keys.TakeKey(old), s.changeSet(ctx, c.ID, func(set *tintype.EncryptionSet) {
		set.Old, set.PreviousKeys, set.Fault = nil, nil, nil
	}))
}

// putUnder puts a volume of the store under a key, unless it is.
func (s *Service) putUnder(store uuid.UUID, key string) error {
	defer s.keying.lock(store.String())()
	have, err := s.opt.Keys.KeyOf(store)
	if err != nil || have == key {
		return err
	}
	return s.opt.Keys.SetKey(key, store)
}

// turnKey puts a volume of the store that is under one key under another.
func (s *Service) turnKey(store uuid.UUID, from, to string) error {
	defer s.keying.lock(store.String())()
	have, err := s.opt.Keys.KeyOf(store)
	if err != nil || have != from {
		return err
	}
	return s.opt.Keys.SetKey(to, store)
}

// noteFault records why a set's key is of no use, or that it is of use again. A refusal of the vault is no failure of ours.
func (s *Service) noteFault(ctx context.Context, c tintype.Companion, err error) error {
	var refusal *tintype.Error
	if err != nil && !errors.As(err, &refusal) {
		return err
	}
	var fault *tintype.KeyFault
	if refusal != nil {
		fault = &tintype.KeyFault{Code: refusal.Code, Message: refusal.Message}
	}
	if is := c.Set.Fault; is == fault || is != nil && fault != nil && *is == *fault {
		return nil
	}
	return s.changeSet(ctx, c.ID, func(set *tintype.EncryptionSet) { set.Fault = fault })
}

// applyKey puts a volume that was made or changed under the key that its settings name.
func (s *Service) applyKey(v tintype.Volume, store uuid.UUID) error {
	if s.opt.Keys == nil {
		return nil
	}
	key := ""
	if id, ok := tintype.ParseResourceID(v.Settings.KeySet()); ok {
		defer s.sets.lock(id.Key())()
		var err error
		if key, err = s.keyFor(s.ctx, id); err != nil {
			return err
		}
	}
	return s.putUnder(store, key)
}

// underKey answers errLater unless a volume that a record is about to name is under the key that its settings name by now. Before a
// record names it no rotation finds it, and afterwards each does.
func (s *Service) underKey(tx *catalog.Tx, v tintype.Volume, store uuid.UUID) error {
	if s.opt.Keys == nil {
		return nil
	}
	have, err := s.opt.Keys.KeyOf(store)
	if err != nil {
		return err
	}
	want := ""
	if id, ok := tintype.ParseResourceID(v.Settings.KeySet()); ok {
		c, err := tx.Companion(id.Key())
		if err != nil {
			return later(err)
		}
		if c.Set == nil || c.Set.Secret == nil {
			return errLater
		}
		want = c.Set.Secret.ID
	}
	if have != want {
		return errLater
	}
	return nil
}

// freeOf refuses the end of a set under whose key the store has a volume that somebody may want: one that the set's users are copied to, or
// that an update takes out of the set, is under that key until a worker has come to it. busy is whoever that waits for. What is to be deleted
// does not count, nor what is in a group that goes with the set.
func (s *Service) freeOf(tx *catalog.Tx, c tintype.Companion, going string) error {
	if c.Set == nil || s.opt.Keys == nil {
		return nil
	}
	for _, secret := range []*tintype.SetSecret{c.Set.Secret, c.Set.Old} {
		if secret == nil {
			continue
		}
		under, err := s.opt.Keys.Under(secret.ID)
		if err != nil {
			return err
		}
		for _, store := range under {
			if err := leaves(tx, c, store, going); err != nil {
				return err
			}
		}
	}
	return nil
}

// leaves is busy while a volume is on its way from under a set's key.
func leaves(tx *catalog.Tx, c tintype.Companion, store uuid.UUID, going string) error {
	if gone, err := tx.Dropped(store); err != nil || gone {
		return err
	}
	v, err := tx.VolumeByStore(store)
	if errors.Is(err, catalog.ErrNotFound) {
		return tintype.NotAllowed("Resource %s cannot be deleted while something is made under its key. Please retry later.", c.ID)
	}
	if err != nil || v.ID.GroupKey() == going {
		return err
	}
	open, err := tx.OpenOperations("")
	if err != nil {
		return err
	}
	for _, op := range open {
		if key := v.ID.Key(); op.Key == key || strings.HasPrefix(key, op.Key+"/") { // a guest state is its owner's
			return &busy{key: op.Key, operation: op.ID}
		}
	}
	return inUse(c, v)
}

// dropSet takes the keys of a set that was deleted.
func (s *Service) dropSet(c tintype.Companion) error {
	if c.Set == nil || s.opt.Keys == nil {
		return nil
	}
	var err error
	for _, secret := range []*tintype.SetSecret{c.Set.Secret, c.Set.Old} {
		if secret != nil {
			s.given.Delete(secret.ID)
			err = errors.Join(err, s.opt.Keys.TakeKey(secret.ID))
		}
	}
	return err
}

// checkActiveKey refuses a set whose key is not there, or not enabled.
func (s *Service) checkActiveKey(c tintype.Companion) error {
	if s.opt.Vaults == nil || c.Set == nil {
		return nil
	}
	if _, err := s.opt.Vaults.Usable(c.Set.ActiveKey.URL); err != nil {
		return &tintype.Error{
			Kind: tintype.KindInvalid, Code: "KeyVaultKeyNotFound", Target: "properties.activeKey.keyUrl", Cause: err,
			Message: fmt.Sprintf("The key '%s' of disk encryption set '%s' is not found in its key vault, or is disabled.",
				c.Set.ActiveKey.URL, c.ID.Name),
		}
	}
	return nil
}
