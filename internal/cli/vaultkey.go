package cli

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

const keysAPI = "7.4"

func vaultKeyCommands(env Env) *cobra.Command {
	vault := &option{long: "vault-name", help: "Name of the Key Vault. Required if --id is not specified"}
	name := &option{long: "name", short: "n", help: "Name of the key. Required if --id is not specified"}
	id := &option{long: "id", help: "Id of the key. If specified all other 'Id' arguments should be omitted"}
	version := &option{long: "version", short: "v", help: "The key version. If omitted, uses the latest version"}
	one := []*option{vault, name, id}
	return family(env, "key", "Manage keys", []command{
		{name: "keyvault key create", short: "Create a new key, or a new version of one.", run: createKey, options: []*option{
			vault, name,
			{long: "kty", choices: []string{"EC", "EC-HSM", "RSA", "RSA-HSM", "oct", "oct-HSM"}, help: "The type of key to create; default: RSA"},
			{long: "size", integer: true, help: "The key size in bits. For example: 2048, 3072, or 4096 for RSA"},
			{long: "protection", short: "p", choices: []string{"hsm", "software"}, help: "Specifies the type of key protection"},
			{long: "ops", arity: atLeast1, choices: []string{"decrypt", "encrypt", "export", "import", "sign", "unwrapKey", "verify", "wrapKey"}, help: "Space-separated list of permitted JSON web key operations"},
			{long: "disabled", arity: boolean, choices: booleans, help: "Create key in disabled state"},
			tagOption(),
		}},
		{name: "keyvault key list", short: "List keys in the specified vault.", run: listKeys("/keys"), options: []*option{vault}, table: keyColumns},
		{name: "keyvault key list-versions", short: "List a key's versions.", run: listVersions, options: one, table: keyColumns},
		{name: "keyvault key show", short: "Get a key's attributes and public part.", run: onKey(http.MethodGet, ""), options: append(one, version)},
		{name: "keyvault key rotate", short: "Rotate the key: make a new version of it.", run: onKey(http.MethodPost, "/rotate"), options: one},
		{name: "keyvault key set-attributes", short: "Change a key's attributes.", run: setKey, options: append(
			one, version, tagOption(), &option{long: "enabled", arity: boolean, choices: booleans, help: "Enable the key"},
		)},
		{name: "keyvault key delete", short: "Delete a key of any type, all its versions. It can be recovered until it is purged.", run: onKey(http.MethodDelete, ""), options: one},
		{name: "keyvault key list-deleted", short: "List the deleted keys in the specified vault.", run: listKeys("/deletedkeys"), options: []*option{vault}, table: keyColumns},
		{name: "keyvault key recover", short: "Recover the deleted key to its latest version.", run: onDeletedKey(http.MethodPost, "/recover"), options: one},
		{name: "keyvault key purge", short: "Permanently delete the specified key.", run: onDeletedKey(http.MethodDelete, ""), options: one},
	})
}

func keyColumns(k map[string]any) row {
	attributes, _ := k["attributes"].(map[string]any)
	return row{{"Name", k["name"]}, {"Kid", k["kid"]}, {"Enabled", attributes["enabled"]}}
}

// vaultURL is where the vault answers.
func (s *session) vaultURL(ctx context.Context) (string, error) {
	name := s.args.get("vault-name")
	if name == "" {
		return "", usagef("the following arguments are required: --vault-name")
	}
	id, err := s.vaultID(ctx, name)
	if err != nil {
		return "", err
	}
	wire, err := s.get(ctx, id, vaultsAPI)
	if err != nil {
		return "", err
	}
	uri, _ := lookup(wire, "properties.vaultUri")
	address, _ := uri.(string)
	return strings.TrimRight(address, "/"), nil
}

// key is where the key is that the options name: its vault, its name and its version.
func (s *session) key(ctx context.Context) (vault, name, version string, err error) {
	if id := s.args.get("id"); id != "" {
		u, err := url.Parse(id)
		parts := []string{}
		if err == nil {
			parts = strings.Split(strings.Trim(u.Path, "/"), "/")
		}
		if len(parts) < 2 || len(parts) > 3 || u.Host == "" {
			return "", "", "", usagef("argument --id: invalid key ID: '%s'", id)
		}
		return "https://" + u.Host, parts[1], strings.Join(parts[2:], ""), nil
	}
	if s.args.get("name") == "" {
		return "", "", "", usagef("the following arguments are required: --name/-n")
	}
	vault, err = s.vaultURL(ctx)
	return vault, s.args.get("name"), s.args.get("version"), err
}

func keyURL(vault, what string) string { return vault + what + "?api-version=" + keysAPI }

func createKey(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	vault, name, _, err := s.key(ctx)
	if err != nil {
		return nil, err
	}
	kty := args.or("kty", "RSA")
	if args.get("protection") == "hsm" && !strings.HasSuffix(kty, "-HSM") {
		kty += "-HSM"
	}
	body := map[string]any{"kty": kty, "attributes": map[string]any{"enabled": !args.yes("disabled")}}
	if args.has("size") {
		body["key_size"] = args.int("size")
	}
	if args.has("ops") {
		body["key_ops"] = args.values["ops"]
	}
	if args.has("tags") {
		body["tags"] = parseTags(args.values["tags"])
	}
	return result(s.vaultDoor(ctx, http.MethodPost, keyURL(vault, "/keys/"+url.PathEscape(name)+"/create"), body))
}

// pages follows a list of a vault to its end, and names each item by its id.
func (s *session) pages(ctx context.Context, address string) (any, error) {
	all := []map[string]any{}
	for address != "" {
		page, err := s.vaultDoor(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		some, err := objects(page["value"])
		if err != nil {
			return nil, err
		}
		for _, k := range some {
			if u, err := url.Parse(text(k, "kid")); err == nil {
				if parts := strings.Split(u.Path, "/"); len(parts) > 2 {
					k["name"] = parts[2]
				}
			}
			all = append(all, k)
		}
		address = text(page, "nextLink")
	}
	return all, nil
}

func listKeys(what string) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, _ *arguments) (any, error) {
		if err := s.connect(); err != nil {
			return nil, err
		}
		vault, err := s.vaultURL(ctx)
		if err != nil {
			return nil, err
		}
		return s.pages(ctx, keyURL(vault, what))
	}
}

func listVersions(ctx context.Context, s *session, _ *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	vault, name, _, err := s.key(ctx)
	if err != nil {
		return nil, err
	}
	return s.pages(ctx, keyURL(vault, "/keys/"+url.PathEscape(name)+"/versions"))
}

// onKey runs one request on the key, and shows what is answered.
func onKey(method, action string) func(context.Context, *session, *arguments) (any, error) {
	return onKeyIn("/keys/", method, action)
}

func onDeletedKey(method, action string) func(context.Context, *session, *arguments) (any, error) {
	return onKeyIn("/deletedkeys/", method, action)
}

func onKeyIn(collection, method, action string) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, _ *arguments) (any, error) {
		if err := s.connect(); err != nil {
			return nil, err
		}
		vault, name, version, err := s.key(ctx)
		if err != nil {
			return nil, err
		}
		path := collection + url.PathEscape(name)
		if method == http.MethodGet {
			path += "/" + url.PathEscape(version)
		}
		return result(s.vaultDoor(ctx, method, keyURL(vault, strings.TrimRight(path, "/")+action), nil))
	}
}

func setKey(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	vault, name, version, err := s.key(ctx)
	if err != nil {
		return nil, err
	}
	body := map[string]any{}
	if args.has("enabled") {
		body["attributes"] = map[string]any{"enabled": args.yes("enabled")}
	}
	if args.has("tags") {
		body["tags"] = parseTags(args.values["tags"])
	}
	path := strings.TrimRight("/keys/"+url.PathEscape(name)+"/"+url.PathEscape(version), "/")
	return result(s.vaultDoor(ctx, http.MethodPatch, keyURL(vault, path), body))
}
