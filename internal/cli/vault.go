package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

const vaultsAPI = "2022-07-01"

const vaultType = "Microsoft.KeyVault/vaults"

func vaultCommands(env Env) *cobra.Command {
	name := &option{long: "name", short: "n", required: true, help: "Name of the vault"}
	group := &option{long: "resource-group", short: "g", help: "Name of resource group; where it is left out, the vault is looked for"}
	needed := *group
	needed.required = true
	who := []*option{
		{long: "object-id", help: "A GUID that identifies the principal that will receive permissions"},
		{long: "spn", help: "Name of a service principal that will receive permissions"},
		{long: "upn", help: "Name of a user principal that will receive permissions"},
	}
	one := []*option{name, group}
	all := family(env, "keyvault", "Manage key vaults and their keys", []command{
		{name: "keyvault create", short: "Create a vault.", run: createVault, table: placeColumns, options: []*option{
			name, &needed, locationOption(), tagOption(),
			{long: "enable-purge-protection", arity: boolean, choices: booleans, help: "Whether protection against purge is enabled for this vault"},
			{long: "enable-rbac-authorization", arity: boolean, choices: booleans, help: "Whether roles decide about access to keys, and access policies are ignored"},
			{long: "retention-days", integer: true, help: "Soft delete data retention days. It accepts >=7 and <=90; default: 90"},
			{long: "sku", choices: []string{"premium", "standard"}, help: "SKU details; default: standard"},
			{long: "no-self-perms", arity: boolean, choices: booleans, help: "Don't add permissions for the current user/service principal in the new vault"},
		}},
		{name: "keyvault list", short: "List vaults.", run: listVaults, options: []*option{group}, table: placeColumns},
		{name: "keyvault show", short: "Show details of a vault.", run: withVault(showVault), options: one, table: placeColumns},
		{name: "keyvault delete", short: "Delete a vault. It can be recovered until it is purged.", run: withVault(deleteVault), options: one},
		{name: "keyvault set-policy", short: "Update security policy settings for a vault.", run: withVault(setPolicy), table: placeColumns, options: append(append(one, who...), &option{
			long: "key-permissions", arity: anyNo, choices: keyPermissions, help: "Space-separated list of key permissions to assign",
		})},
		{name: "keyvault delete-policy", short: "Delete security policy settings for a vault.", run: withVault(deletePolicy), options: append(one, who...), table: placeColumns},
		{name: "keyvault list-deleted", short: "Get information about the deleted vaults.", run: listDeletedVaults, table: placeColumns},
		{name: "keyvault recover", short: "Recover a vault.", run: recoverVault, options: []*option{name, group, locationOption()}, table: placeColumns},
		{name: "keyvault purge", short: "Permanently delete a deleted vault.", run: purgeVault, options: []*option{name, locationOption()}},
	})
	all.AddCommand(vaultKeyCommands(env))
	return all
}

var keyPermissions = []string{
	"all", "backup", "create", "decrypt", "delete", "encrypt", "get", "getrotationpolicy", "import", "list", "purge", "recover", "release", "restore", "rotate",
	"setrotationpolicy", "sign", "unwrapKey", "update", "verify", "wrapKey",
}

// caller is the object id that the client's own tokens are about.
func (s *session) caller(ctx context.Context) (string, error) {
	token, err := s.client.authorize(ctx, s.client.principal.ResourceManager+"/.default")
	if err != nil {
		return "", err
	}
	var claims struct {
		ObjectID string `json:"oid"`
	}
	if parts := strings.Split(token, "."); len(parts) == 3 {
		b, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil && json.Unmarshal(b, &claims) == nil && claims.ObjectID != "" {
			return claims.ObjectID, nil
		}
	}
	return "", errors.New("the server's token does not say whose it is")
}

func createVault(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	properties := map[string]any{
		"tenantId": s.client.principal.Tenant, "sku": map[string]any{"family": "A", "name": args.or("sku", "standard")}, "enableSoftDelete": true,
		"enableRbacAuthorization": args.yes("enable-rbac-authorization"), "accessPolicies": []any{},
	}
	if args.has("retention-days") {
		properties["softDeleteRetentionInDays"] = args.int("retention-days")
	}
	if args.yes("enable-purge-protection") {
		properties["enablePurgeProtection"] = true
	}
	if !args.yes("enable-rbac-authorization") && !args.yes("no-self-perms") {
		id, err := s.caller(ctx)
		if err != nil {
			return nil, err
		}
		properties["accessPolicies"] = []any{s.policy(id, []string{"all"})}
	}
	location, err := s.location(ctx, args.get("resource-group"))
	if err != nil {
		return nil, err
	}
	body := map[string]any{"location": location, "properties": properties}
	if args.has("tags") {
		body["tags"] = parseTags(args.values["tags"])
	}
	id := s.inGroup(vaultType, args.get("name"))
	if _, err := s.write(ctx, http.MethodPut, versioned(id, vaultsAPI), body); err != nil {
		return nil, err
	}
	return showVault(ctx, s, id)
}

func (s *session) policy(id string, keys []string) map[string]any {
	return map[string]any{"tenantId": s.client.principal.Tenant, "objectId": id, "permissions": map[string]any{"keys": keys}}
}

func (s *session) vaults(ctx context.Context, what string) ([]map[string]any, error) {
	return s.list(ctx, versioned("/subscriptions/"+s.subscription()+"/providers/Microsoft.KeyVault/"+what, vaultsAPI))
}

func listVaults(ctx context.Context, s *session, args *arguments) (any, error) {
	p := &place{path: vaultType, api: vaultsAPI}
	return p.list(ctx, s, args)
}

// vaultID finds a vault by its name, which is one in all of the server.
func (s *session) vaultID(ctx context.Context, name string) (string, error) {
	if s.args.get("resource-group") != "" {
		return s.inGroup(vaultType, name), nil
	}
	all, err := s.vaults(ctx, "vaults")
	if err != nil {
		return "", err
	}
	for _, v := range all {
		if strings.EqualFold(text(v, "name"), name) {
			return text(v, "id"), nil
		}
	}
	return "", azText("The Vault or HSM '" + name + "' not found within subscription.")
}

// withVault connects, and finds the vault.
func withVault(run func(context.Context, *session, string) (any, error)) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, args *arguments) (any, error) {
		if err := s.connect(); err != nil {
			return nil, err
		}
		id, err := s.vaultID(ctx, args.get("name"))
		if err != nil {
			return nil, err
		}
		return run(ctx, s, id)
	}
}

// showVault leaves properties where they are, as az does for vaults.
func showVault(ctx context.Context, s *session, id string) (any, error) {
	wire, err := s.get(ctx, id, vaultsAPI)
	addResourceGroup(wire)
	return result(wire, err)
}

func deleteVault(ctx context.Context, s *session, id string) (any, error) {
	_, err := s.client.do(ctx, http.MethodDelete, versioned(id, vaultsAPI), nil)
	return nil, err
}

// receiver is whom the options name.
func (s *session) receiver(ctx context.Context) (string, error) {
	var given []string
	for _, name := range []string{"object-id", "spn", "upn"} {
		if s.args.has(name) {
			given = append(given, s.args.get(name))
		}
	}
	if len(given) != 1 {
		return "", usagef("exactly one of --object-id, --spn and --upn is required")
	}
	if s.args.has("object-id") {
		return given[0], nil
	}
	id, _, err := s.assignee(ctx, given[0])
	return id, err
}

func (s *session) changePolicy(ctx context.Context, id, how string, policy map[string]any) (any, error) {
	_, err := s.client.do(ctx, http.MethodPut, versioned(id+"/accessPolicies/"+how, vaultsAPI), map[string]any{"properties": map[string]any{"accessPolicies": []any{policy}}})
	if err != nil {
		return nil, err
	}
	return showVault(ctx, s, id)
}

// policies are a vault's, and whose the command is about.
func (s *session) policies(ctx context.Context, id string) (who string, all []map[string]any, err error) {
	if who, err = s.receiver(ctx); err != nil {
		return "", nil, err
	}
	wire, err := s.get(ctx, id, vaultsAPI)
	if err != nil {
		return "", nil, err
	}
	have, _ := lookup(wire, "properties.accessPolicies")
	all, err = objects(have)
	return who, all, err
}

// setPolicy replaces what the principal may do, as az does. Who may do nothing has no policy.
func setPolicy(ctx context.Context, s *session, id string) (any, error) {
	who, all, err := s.policies(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if strings.EqualFold(text(p, "objectId"), who) {
			if _, err := s.changePolicy(ctx, id, "remove", p); err != nil {
				return nil, err
			}
		}
	}
	return s.changePolicy(ctx, id, "add", s.policy(who, s.args.values["key-permissions"]))
}

func deletePolicy(ctx context.Context, s *session, id string) (any, error) {
	who, all, err := s.policies(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if strings.EqualFold(text(p, "objectId"), who) {
			return s.changePolicy(ctx, id, "remove", p)
		}
	}
	return nil, azText("No matching policies found")
}

func listDeletedVaults(ctx context.Context, s *session, _ *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	return s.vaults(ctx, "deletedVaults")
}

// deleted finds a deleted vault.
func (s *session) deleted(ctx context.Context, name string) (map[string]any, error) {
	all, err := s.vaults(ctx, "deletedVaults")
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if p, _ := v["properties"].(map[string]any); strings.EqualFold(text(v, "name"), name) {
			return p, nil
		}
	}
	return nil, azText("No deleted Vault or HSM was found with name " + name)
}

func recoverVault(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	gone, err := s.deleted(ctx, args.get("name"))
	if err != nil {
		return nil, err
	}
	id := text(gone, "vaultId")
	body := map[string]any{"location": gone["location"], "properties": map[string]any{
		"tenantId": s.client.principal.Tenant, "sku": map[string]any{"family": "A", "name": "standard"}, "createMode": "recover",
	}}
	if _, err := s.write(ctx, http.MethodPut, versioned(id, vaultsAPI), body); err != nil {
		return nil, err
	}
	return showVault(ctx, s, id)
}

func purgeVault(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	gone, err := s.deleted(ctx, args.get("name"))
	if err != nil {
		return nil, err
	}
	id := "/subscriptions/" + s.subscription() + "/providers/Microsoft.KeyVault/locations/" + text(gone, "location") + "/deletedVaults/" + args.get("name")
	_, err = s.write(ctx, http.MethodPost, versioned(id+"/purge", vaultsAPI), nil)
	return nil, err
}

// vaultDoor asks at a vault's own address, which has to be below the server's: a token never leaves for another host.
func (s *session) vaultDoor(ctx context.Context, method, address string, body any) (map[string]any, error) {
	u, err := url.Parse(address)
	base, baseErr := url.Parse(s.client.principal.ResourceManager)
	if err != nil || baseErr != nil || u.Scheme != "https" || !strings.HasSuffix(strings.ToLower(u.Host), ".vault."+strings.ToLower(base.Host)) {
		return nil, errors.New("the vault's address is not below the server's; refusing to follow it")
	}
	a, err := s.client.exchange(ctx, "https://vault."+base.Host+"/.default", method, address, body)
	if err != nil || a.body == nil {
		return nil, err
	}
	return object(a.body)
}
