package e2e

import (
	"encoding/json"
	"testing"
)

// TestVaultsGoByRoles: from its api-version 2026-02-01 on a new vault that is not told goes by roles; one that is there keeps
// what it has.
func TestVaultsGoByRoles(t *testing.T) {
	a := newAPI(t, start(t, t.TempDir()))
	a.makeGroup("safes")
	put := func(name, version string) (roles bool) {
		t.Helper()
		r := a.send("PUT", a.subscription()+"/resourceGroups/safes/providers/Microsoft.KeyVault/vaults/"+name+"?api-version="+version, map[string]any{
			"location":   "westus2",
			"properties": map[string]any{"sku": map[string]any{"family": "A", "name": "standard"}, "tenantId": a.principal.Tenant, "accessPolicies": []any{}},
		})
		var body struct {
			Properties struct{ EnableRBACAuthorization bool }
		}
		if err := json.Unmarshal(r.body, &body); err != nil || r.status/100 != 2 {
			t.Fatalf("%s: %d %s %v", name, r.status, r.body, err)
		}
		return body.Properties.EnableRBACAuthorization
	}
	if put("older", "2023-07-01") || put("older", "2026-02-01") {
		t.Error("a vault that goes by policies was made to go by roles")
	}
	if !put("newer", "2026-02-01") {
		t.Error("a new vault goes by policies")
	}
}
