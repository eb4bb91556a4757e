package conformance

import (
	"net/http"
	"strings"

	"tintype/internal/identity"
	"tintype/internal/vault"
)

// recorder is who made a recording, as vaults see it: the principal that the first access policy names.
type recorder struct{ all []exchange }

func (r recorder) AuthenticateVault(req *http.Request) (identity.Principal, error) {
	for _, e := range r.all {
		if e.what.kind == publicVaults && e.path == req.URL.Path && e.Status == http.StatusUnauthorized && req.ContentLength <= 0 {
			// Clients ask without a body where to get a token.
			return identity.Principal{}, &identity.Error{Status: http.StatusUnauthorized, Code: "Unauthorized", Message: "no token"}
		}
	}
	for _, e := range r.all {
		policies, _ := object(object(e.ResponseBody)["properties"])["accessPolicies"].([]any)
		if e.what.kind == vault.Type && len(policies) > 0 {
			id, _ := object(policies[0])["objectId"].(string)
			return identity.Principal{ObjectID: id, Tenant: tenant}, nil
		}
	}
	return identity.Principal{ObjectID: "oid", Tenant: tenant}, nil
}

func (recorder) Tenant() identity.Tenant { return identity.Tenant{ID: tenant, Name: "T"} }

// haveVault makes a vault that the recording finds and did not make: az's tests had theirs before.
func (p *player) haveVault(e exchange) {
	if e.what.kind != vault.Type || e.Method != http.MethodGet || e.Status != http.StatusOK {
		return
	}
	path, _, _ := strings.Cut(strings.TrimPrefix(e.URI, "https://"+armHost), "?")
	target := path + "?api-version=2023-02-01"
	if p.do("GET", target, nil).status == http.StatusOK {
		return
	}
	body := object(e.ResponseBody)
	want := map[string]any{"location": body["location"], "tags": body["tags"], "properties": body["properties"]}
	if a := p.do("PUT", target, want); a.status != http.StatusOK {
		p.t.Fatalf("vault %s: %d %v", path, a.status, a.body)
	}
}
