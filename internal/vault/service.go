package vault

import (
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tintype"
)

// Options of a [Service].
type Options struct {
	// Dir is the data folder: DIR/vaults is read, or made.
	Dir string
	// Keys protect private keys.
	Keys Ring
	// Tenant is the one tenant of the server.
	Tenant string
	Now    func() time.Time
	Log    *slog.Logger
	// Allowed tells whether a role gives the principal the permission on the scope; it decides in vaults that leave it to roles.
	Allowed func(object, permission, scope string) bool
}

// Service keeps the vaults. Its methods may be called by many goroutines at once; a change is durable when they return nil.
type Service struct {
	opt  Options
	file string

	mu      sync.RWMutex
	content content
	secret  [32]byte // of the master key
	changed func()   // told after keys or policies have changed
}

// Open reads the vaults.
func Open(opt Options) (*Service, error) {
	s := &Service{opt: opt, file: filepath.Join(opt.Dir, "vaults"), changed: func() {}}
	var err error
	var found bool
	if s.content, s.secret, found, err = read(s.file, opt.Keys); err != nil {
		return nil, err
	}
	if found && s.content.Master.Platform != platformID(opt.Keys.Current) {
		return s, s.Rewrap(opt.Keys.Current)
	}
	return s, nil
}

// OnChange has f called after every change that may make a key usable, or unusable. f must not wait for the service.
func (s *Service) OnChange(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = f
}

// Rewrap protects the vaults by another key of the platform. When it returns nil they need no other.
func (s *Service) Rewrap(platform [32]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.content.Vaults) == 0 { // there need be no file
		m, err := newMaster(platform, s.secret)
		s.content.Master = m
		return err
	}
	return s.change(func(c *content) (err error) {
		c.Master, err = newMaster(platform, s.secret)
		return err
	})
}

// change makes a copy of all that there is, has fn change it, and replaces the file by it. The caller holds s.mu.
func (s *Service) change(fn func(*content) error) error {
	p, err := json.Marshal(s.content)
	if err != nil {
		return err
	}
	var next content
	if err := json.Unmarshal(p, &next); err != nil {
		return err
	}
	if err := fn(&next); err != nil {
		return err
	}
	if err := next.write(s.file); err != nil {
		return err
	}
	s.content = next
	return nil
}

// update is change of one vault that is not deleted.
func (s *Service) update(name string, fn func(*entry) error) error {
	s.mu.Lock()
	err := s.change(func(c *content) error {
		e, err := c.vault(name)
		if err != nil {
			return err
		}
		return fn(e)
	})
	told := s.changed
	s.mu.Unlock()
	if err == nil {
		told()
	}
	return err
}

func (c *content) find(name string) *entry {
	i := slices.IndexFunc(c.Vaults, func(e *entry) bool { return strings.EqualFold(e.ID.Name, name) })
	if i < 0 {
		return nil
	}
	return c.Vaults[i]
}

// vault gives a vault that is not deleted.
func (c *content) vault(name string) (*entry, error) {
	e := c.find(name)
	if e == nil || !e.Deleted.IsZero() {
		return nil, refuse(NotFound, "VaultNotFound", "Vault '%s' was not found.", name)
	}
	return e, nil
}

// Put makes a vault, or changes one to what settings and tags say; made tells which.
func (s *Service) Put(want Vault, by string) (v Vault, made bool, err error) {
	if _, err := tintype.CheckLocation(Type, want.Location); err != nil {
		return v, false, err
	}
	if err := errors.Join(tintype.CheckTags(want.Tags), checkName(want.ID.Name), s.checkSettings(&want.Settings)); err != nil {
		return v, false, err
	}
	s.mu.Lock()
	err = s.change(func(c *content) error {
		e := c.find(want.ID.Name)
		if made = e == nil; made {
			e = &entry{Vault: Vault{ID: want.ID, Location: want.Location, Created: s.opt.Now(), CreatedBy: by}}
			c.Vaults = append(c.Vaults, e)
		}
		if err := e.mayBecome(want); err != nil {
			return err
		}
		if !made && e.Settings.PurgeProtection != nil && want.Settings.PurgeProtection == nil {
			want.Settings.PurgeProtection = e.Settings.PurgeProtection
		}
		e.Settings, e.Tags, e.Modified, e.ModifiedBy = want.Settings, want.Tags, s.opt.Now(), by
		v = e.clone()
		return nil
	})
	told := s.changed
	s.mu.Unlock()
	if err == nil {
		told()
	}
	return v, made, err
}

// mayBecome tells whether a vault may be changed to what is asked for.
func (e *entry) mayBecome(want Vault) error {
	switch {
	case !e.ID.same(want.ID):
		return refuse(Conflict, "VaultAlreadyExists", "The vault name '%s' is already in use. Vault names are globally unique so it is "+
			"possible that the name is already taken. If you are sure that the vault name was not taken then it is possible that a vault "+
			"with the same name was recently deleted but not purged after being placed in a recoverable state.", want.ID.Name)
	case !e.Deleted.IsZero():
		return refuse(Conflict, "ConflictError", "A vault with the same name already exists in deleted state. You need to either recover or "+
			"purge existing key vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft delete.")
	case regionOf(e.Location) != regionOf(want.Location):
		return refuse(Conflict, "InvalidResourceLocation", "The resource '%s' already exists in location '%s' in resource group '%s'. A "+
			"resource with the same name cannot be created in location '%s'. Please select a new resource name.",
			e.ID.Name, e.Location, e.ID.Group, want.Location)
	case e.Settings.PurgeProtection != nil && *e.Settings.PurgeProtection && want.Settings.PurgeProtection != nil && !*want.Settings.PurgeProtection:
		return refuse(BadParameter, "BadRequest", "The property \"enablePurgeProtection\" cannot be set to false. Enabling the purge protection "+
			"for a vault is an irreversible action.")
	}
	return nil
}

// regionOf is the name of the region that a location, which a vault keeps as it was written, means.
func regionOf(location string) string { return strings.ReplaceAll(strings.ToLower(location), " ", "") }

// Get gives a vault.
func (s *Service) Get(id ID) (Vault, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.content.find(id.Name)
	if e == nil || !e.Deleted.IsZero() || !e.ID.same(id) {
		return Vault{}, refuse(NotFound, "ResourceNotFound", "The Resource '%s/%s' under resource group '%s' was not found. "+
			"For more details please go to https://aka.ms/ARMResourceNotFoundFix", Type, id.Name, id.Group)
	}
	return e.clone(), nil
}

// List gives the vaults of a group, or with group "" of the subscription, or those of the subscription that are deleted, by
// name.
func (s *Service) List(sub tintype.SubscriptionID, group string, deleted bool) []Vault {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []Vault
	for _, e := range s.content.Vaults {
		if e.ID.Subscription == sub && (group == "" || strings.EqualFold(group, e.ID.Group)) && deleted != e.Deleted.IsZero() {
			all = append(all, e.clone())
		}
	}
	slices.SortFunc(all, func(a, b Vault) int { return strings.Compare(strings.ToLower(a.ID.Name), strings.ToLower(b.ID.Name)) })
	return all
}

// Delete deletes a vault, which can be recovered; ok is false when there is none.
func (s *Service) Delete(id ID) (ok bool, err error) {
	if _, err := s.Get(id); err != nil {
		return false, nil
	}
	return true, s.update(id.Name, func(e *entry) error {
		e.Deleted = s.opt.Now()
		return nil
	})
}

// DeleteGroup deletes the vaults of a group.
func (s *Service) DeleteGroup(sub tintype.SubscriptionID, group string) error {
	var err error
	for _, v := range s.List(sub, group, false) {
		_, failed := s.Delete(v.ID)
		err = errors.Join(err, failed)
	}
	return err
}

// Deleted gives a deleted vault by location and name.
func (s *Service) Deleted(sub tintype.SubscriptionID, location, name string) (Vault, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.content.find(name)
	if e == nil || e.Deleted.IsZero() || e.ID.Subscription != sub || !strings.EqualFold(e.Location, location) {
		return Vault{}, refuse(NotFound, "DeletedVaultNotFound", "The specified deleted vault '%s' does not exist.", name)
	}
	return e.clone(), nil
}

// Recover brings a deleted vault back, with all that was in it.
func (s *Service) Recover(id ID) (Vault, error) {
	return s.revive(id, func(c *content, e *entry) error {
		e.Deleted = time.Time{}
		return nil
	})
}

// Purge removes a deleted vault for ever. A vault that is protected against that stays until its time is over.
func (s *Service) Purge(id ID) error {
	_, err := s.revive(id, func(c *content, e *entry) error {
		if p := e.Settings.PurgeProtection; p != nil && *p && s.opt.Now().Before(e.Purges()) {
			return refuse(Conflict, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed.")
		}
		c.Vaults = slices.DeleteFunc(c.Vaults, func(x *entry) bool { return x == e })
		return nil
	})
	return err
}

func (s *Service) revive(id ID, fn func(*content, *entry) error) (v Vault, err error) {
	s.mu.Lock()
	err = s.change(func(c *content) error {
		e := c.find(id.Name)
		if e == nil || e.Deleted.IsZero() || e.ID.Subscription != id.Subscription {
			return refuse(NotFound, "DeletedVaultNotFound", "The specified deleted vault '%s' does not exist.", id.Name)
		}
		err := fn(c, e)
		v = e.clone()
		return err
	})
	told := s.changed
	s.mu.Unlock()
	if err == nil {
		told()
	}
	return v, err
}

// Expire removes what was deleted longer ago than it is kept.
func (s *Service) Expire() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, due := s.opt.Now(), false
	for _, e := range s.content.Vaults {
		due = due || !e.Deleted.IsZero() && !now.Before(e.Purges())
		for _, k := range e.Keys {
			due = due || !k.Deleted.IsZero() && !now.Before(e.purges(k))
		}
	}
	if !due {
		return nil
	}
	return s.change(func(c *content) error {
		c.Vaults = slices.DeleteFunc(c.Vaults, func(e *entry) bool { return !e.Deleted.IsZero() && !now.Before(e.Purges()) })
		for _, e := range c.Vaults {
			e.Keys = slices.DeleteFunc(e.Keys, func(k *keyEntry) bool { return !k.Deleted.IsZero() && !now.Before(e.purges(k)) })
		}
		return nil
	})
}

func (e *entry) purges(k *keyEntry) time.Time {
	return k.Deleted.AddDate(0, 0, e.Settings.RetentionDays)
}

// NameFree tells whether a vault may get the name, and why not.
func (s *Service) NameFree(name string) (free bool, reason, message string) {
	if checkName(name) != nil {
		return false, "AccountNameInvalid", "The vault name '" + name + "' is invalid."
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.content.find(name) != nil {
		return false, "AlreadyExists", "The vault name '" + name + "' is already in use."
	}
	return true, "", ""
}

// checkName: 3 to 24 letters, digits and hyphens, the first a letter, no hyphen at the end or beside another.
func checkName(name string) error {
	ok := len(name) >= 3 && len(name) <= 24 && isLetter(name[0]) && !strings.HasSuffix(name, "-") && !strings.Contains(name, "--")
	for i := range len(name) {
		ok = ok && (isLetter(name[i]) || name[i] >= '0' && name[i] <= '9' || name[i] == '-')
	}
	if !ok {
		return refuse(BadParameter, "VaultNameNotValid", "The vault name '%.64s' is invalid. A vault's name must be between 3-24 alphanumeric "+
			"characters. The name must begin with a letter, end with a letter or digit, and not contain consecutive hyphens. Follow this link "+
			"for more information: https://go.microsoft.com/fwlink/?linkid=2147742", name)
	}
	return nil
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
