package arm

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"tintype"
	"tintype/internal/identity"
	"tintype/internal/vault"
)

// closing is groups of which one is being deleted, but for the first answers about it.
type closing struct {
	*testGroups
	open int
}

func (g *closing) GetGroup(ctx context.Context, sub tintype.SubscriptionID, name string) (tintype.Group, error) {
	found, err := g.testGroups.GetGroup(ctx, sub, name)
	if g.open--; g.open < 0 {
		found.State = tintype.StateDeleting
	}
	return found, err
}

// TestClosingGroup makes vaults and identities in a group whose deletion was accepted before, and while they are made.
func TestClosingGroup(t *testing.T) {
	plain, groups := newRoleRouter(t)
	now := func() time.Time { return time.Unix(1_800_000_000, 0) }
	log := slog.New(slog.DiscardHandler)
	directory, err := identity.Open(identity.Options{Dir: t.TempDir(), Now: now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	vaults, err := vault.Open(vault.Options{Dir: t.TempDir(), Tenant: directory.Tenant().ID, Now: now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	seen := &closing{testGroups: groups}
	opt := plain.opt
	opt.Identities, opt.Vaults = directory, vaults
	opt.Types = append(opt.Types, IdentityTypes(directory, seen)...)
	opt.Types = append(opt.Types, VaultTypes(VaultOptions{Vaults: vaults, Groups: seen, Domain: "vault.test"})...)
	rt, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if w := as(t, rt, firstPrincipal, "PUT", groupPath+"?api-version=2021-04-01", `{"location":"westus2"}`); w.Code != 201 {
		t.Fatal(w.Body)
	}
	left := func() int {
		return len(directory.ListAssigned(testSub, "")) + len(vaults.List(testSub, "", false))
	}
	properties := `"tenantId":"` + directory.Tenant().ID + `","accessPolicies":[],"sku":{"family":"A","name":"standard"}`
	for _, put := range []struct{ path, body string }{
		{"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/worker?api-version=2023-01-31", `{"location":"westus2"}`},
		{"/providers/Microsoft.KeyVault/vaults/my-vault?api-version=2023-07-01", `{"location":"westus2","properties":{` + properties + `}}`},
		{"/providers/Microsoft.KeyVault/vaults/my-vault?api-version=2023-07-01", `{"location":"westus2","properties":{"createMode":"recover",` + properties + `}}`},
	} {
		for open := range 2 {
			seen.open = open
			w := as(t, rt, firstPrincipal, "PUT", groupPath+put.path, put.body)
			if w.Code != 409 || errorCode(w) != "ResourceGroupBeingDeleted" || left() != 0 {
				t.Errorf("%s, seen open %d times: %d %s, %d left", put.path, open, w.Code, w.Body, left())
			}
		}
	}
}
