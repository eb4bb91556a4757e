package main

import (
	"context"
	"net/http"

	"tintype/internal/block"
	"tintype/internal/identity"
	"tintype/internal/keyvault"
	"tintype/internal/lsd"
	"tintype/internal/vault"
)

// openVaults reads the keys that protect everything, and opens the vaults with them: before the engine, which forgets older
// keys of the platform once it does not need them.
func (s *server) openVaults(ctx context.Context) error {
	var err error
	if s.ring, err = s.opt.keys.ring(ctx, s.stderr, s.opt.data, true); err != nil {
		return err
	}
	ring := vault.Ring{Current: s.ring.Current}
	for _, k := range s.ring.Others {
		ring.Others = append(ring.Others, k)
	}
	s.vaults, err = vault.Open(vault.Options{
		Dir: s.opt.data, Keys: ring, Tenant: s.identity.Tenant().ID, Now: s.now, Log: s.log,
		Allowed: func(object, permission, scope string) bool {
			return s.roles.AllowedData(identity.Principal{ObjectID: object}, permission, scope)
		},
	})
	return err
}

// vaultDoor is where the keys of vaults are reached.
func (s *server) vaultDoor() http.Handler {
	return keyvault.New(keyvault.Options{
		Vaults: s.vaults, Guard: s.identity, Login: func(*http.Request) string { return s.url }, Log: s.log,
	})
}

func isVault(r *http.Request) bool {
	_, ok := vault.NameOf(r.Host)
	return ok
}

// volumeKeys is the engine as the domain gives it keys.
type volumeKeys struct{ *lsd.Store }

// GiveKey gives the engine a customer's key.
func (v volumeKeys) GiveKey(secret [32]byte) (string, error) {
	k := lsd.Key(secret)
	return k.ID(), v.Store.GiveKey(k)
}

// SetKey puts volumes under a key.
func (v volumeKeys) SetKey(key string, volumes ...block.ID) error {
	return v.Store.SetKey(key, volumes...)
}
