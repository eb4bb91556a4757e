package vault

import (
	"slices"
	"strings"

	"github.com/google/uuid"
)

const (
	maxPolicies   = 1024 // Azure's limit of a vault
	minRetention  = 7
	mostRetention = 90
)

// keyPermissions are what a policy may allow of keys, and the data actions by which roles do.
func keyPermissions() map[string]string {
	const keys, one = "Microsoft.KeyVault/vaults/keys/", "/action"
	return map[string]string{
		"get": keys + "read", "list": keys + "read", "update": keys + "update" + one, "create": keys + "create" + one,
		"import": keys + "import" + one, "delete": keys + "delete", "recover": keys + "recover" + one, "purge": keys + "purge" + one,
		"backup": keys + "backup" + one, "restore": keys + "restore" + one, "encrypt": keys + "encrypt" + one,
		"decrypt": keys + "decrypt" + one, "wrapkey": keys + "wrap" + one, "unwrapkey": keys + "unwrap" + one, "sign": keys + "sign" + one,
		"verify": keys + "verify" + one, "rotate": keys + "rotate" + one, "getrotationpolicy": "Microsoft.KeyVault/vaults/keyrotationpolicies/read",
		"setrotationpolicy": "Microsoft.KeyVault/vaults/keyrotationpolicies/write", "release": keys + "release" + one,
	}
}

// checkSettings bounds what is asked for and fills in what goes without saying.
func (s *Service) checkSettings(want *Settings) error {
	if want.Tenant == "" {
		want.Tenant = s.opt.Tenant
	}
	if !strings.EqualFold(want.Tenant, s.opt.Tenant) {
		return refuse(BadParameter, "BadRequest", "An invalid value was provided for 'tenantId'.")
	}
	if want.SKU == "" {
		want.SKU = "standard"
	}
	if want.SKU != "standard" && want.SKU != "premium" {
		return refuse(BadParameter, "BadRequest", "The value of 'sku.name' is not one of 'standard', 'premium'.")
	}
	if want.RetentionDays == 0 {
		want.RetentionDays = mostRetention
	}
	if want.RetentionDays < minRetention || want.RetentionDays > mostRetention {
		return refuse(BadParameter, "BadRequest", "The property \"softDeleteRetentionInDays\" must be between %d and %d.", minRetention, mostRetention)
	}
	if want.NetworkAction == "Deny" || want.PublicAccess == "Disabled" {
		return refuse(BadParameter, "BadRequest", "Network rules that keep callers out of a vault are not supported on this server.")
	}
	if len(want.Policies) > maxPolicies {
		return refuse(BadParameter, "BadRequest", "A vault has at most %d access policies.", maxPolicies)
	}
	known := keyPermissions()
	for _, p := range want.Policies {
		if uuid.Validate(p.Object) != nil || uuid.Validate(p.Tenant) != nil {
			return refuse(BadParameter, "BadRequest", "An invalid value was provided for 'accessPolicies'.")
		}
		for _, k := range p.Keys {
			if _, ok := known[strings.ToLower(k)]; !ok && !strings.EqualFold(k, "all") {
				return refuse(BadParameter, "BadRequest", "The permission '%.64s' of keys is not known.", k)
			}
		}
	}
	return nil
}

// ChangePolicies adds to the policies of a vault, replaces those of the same principals, or with remove takes permissions away.
func (s *Service) ChangePolicies(id ID, kind string, policies []Policy) (Vault, error) {
	if _, err := s.Get(id); err != nil {
		return Vault{}, err
	}
	var v Vault
	err := s.update(id.Name, func(e *entry) error {
		set := e.Settings
		set.Policies = slices.Clone(set.Policies)
		for _, p := range policies {
			at := slices.IndexFunc(set.Policies, func(x Policy) bool { return strings.EqualFold(x.Object, p.Object) })
			switch {
			case at < 0 && kind != "remove":
				set.Policies = append(set.Policies, p)
			case at >= 0 && kind == "remove":
				set.Policies = slices.Delete(set.Policies, at, at+1)
			case at >= 0 && kind == "add":
				set.Policies[at].Keys = union(set.Policies[at].Keys, p.Keys)
				set.Policies[at].Secrets = union(set.Policies[at].Secrets, p.Secrets)
				set.Policies[at].Certificates = union(set.Policies[at].Certificates, p.Certificates)
				set.Policies[at].Storage = union(set.Policies[at].Storage, p.Storage)
			case at >= 0:
				set.Policies[at] = p
			}
		}
		if err := s.checkSettings(&set); err != nil {
			return err
		}
		e.Settings, e.Modified = set, s.opt.Now()
		v = e.clone()
		return nil
	})
	return v, err
}

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, x := range b {
		if !slices.ContainsFunc(all, func(y string) bool { return strings.EqualFold(x, y) }) {
			all = append(all, x)
		}
	}
	return all
}

// may checks that a principal may do something with keys of a vault.
func (s *Service) may(e *entry, object, permission string) error {
	ok := false
	if r := e.Settings.RBAC; r != nil && *r {
		ok = s.opt.Allowed != nil && s.opt.Allowed(object, keyPermissions()[strings.ToLower(permission)], e.ID.String())
	} else {
		for _, p := range e.Settings.Policies {
			has := slices.ContainsFunc(p.Keys, func(k string) bool { return strings.EqualFold(k, permission) || strings.EqualFold(k, "all") })
			ok = ok || has && strings.EqualFold(p.Object, object)
		}
	}
	if ok {
		return nil
	}
	err := refuse(Forbidden, "Forbidden", "The user, group or application 'oid=%s' does not have keys %s permission on key vault '%s;location=%s'. "+
		"For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125287", object, permission, e.ID.Name, e.Location)
	err.Inner = "AccessDenied"
	if r := e.Settings.RBAC; r != nil && *r {
		err.Message = "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions " +
			"were changed recently, please observe propagation time.\r\nCaller: oid=" + object + "\r\nAction: '" +
			keyPermissions()[strings.ToLower(permission)] + "'\r\nResource: '" + strings.ToLower(e.ID.String()) + "'\r\nVault: " + e.ID.Name +
			";location=" + e.Location
		err.Inner = "ForbiddenByRbac"
	}
	return err
}
