package cli

import (
	"context"
	"math"

	"github.com/spf13/cobra"
)

func accessPlace() *place {
	return &place{
		words: "disk-access", noun: "disk access", plural: "disk accesses", path: "Microsoft.Compute/diskAccesses", api: computeAPI,
		name: &option{long: "name", alias: "disk-access-name", short: "n", required: true, help: "Name of the disk access resource"},
	}
}

func setPlace() *place {
	return &place{
		words: "disk-encryption-set", noun: "disk encryption set", plural: "disk encryption sets", path: "Microsoft.Compute/diskEncryptionSets", api: computeAPI,
		name: &option{long: "name", short: "n", required: true, help: "Name of disk encryption set"},
	}
}

func accessCommands(env Env) *cobra.Command {
	p := accessPlace()
	create := func(ctx context.Context, s *session, args *arguments) (any, error) {
		if err := s.connect(); err != nil {
			return nil, err
		}
		return p.create(ctx, s, args.get("name"), map[string]any{})
	}
	update := func(ctx context.Context, s *session, _ *arguments) (any, error) {
		if err := s.connect(); err != nil {
			return nil, err
		}
		return p.retag(ctx, s, map[string]any{})
	}
	return family(env, "disk-access", "Manage disk accesses, by which disks are reached at the private door", append(p.common(),
		command{name: "disk-access create", short: "Create a disk access resource.", run: create, options: p.options(locationOption(), tagOption(), noWaitOption()), table: placeColumns},
		command{name: "disk-access update", short: "Update a disk access resource.", run: update, options: p.options(append(updateOptions(), tagOption(), noWaitOption())...), table: placeColumns}))
}

func setCommands(env Env) *cobra.Command {
	p := setPlace()
	vault := &option{long: "source-vault", help: "Name or ID of the KeyVault containing the key or secret"}
	rotate := &option{long: "enable-auto-key-rotation", alias: "auto-rotation", arity: boolean, choices: booleans, help: "Enable automatic rotation of keys"}
	key := &option{long: "key-url", help: "URL pointing to a key or secret in KeyVault"}
	needed := *key
	needed.required = true
	return family(env, "disk-encryption-set", "Manage disk encryption sets", append(p.common(),
		command{name: "disk-encryption-set create", short: "Create a disk encryption set.", run: createSet, table: placeColumns, options: p.options(
			&needed, vault, rotate, locationOption(), tagOption(), noWaitOption(),
			&option{long: "encryption-type", choices: setEncryptions, help: "The type of key used to encrypt the data of the disk"},
			&option{long: "mi-system-assigned", arity: boolean, choices: booleans, help: "Provide this flag to use system assigned identity"},
			&option{long: "mi-user-assigned", arity: atLeast1, help: "User Assigned Identity ids to be used for disk encryption set"},
			&option{long: "federated-client-id", help: "The federated client id used in cross tenant scenario"},
		)},
		command{name: "disk-encryption-set update", short: "Update a disk encryption set.", run: updateSet, table: placeColumns, options: p.options(
			append(updateOptions(), key, vault, rotate, tagOption(), noWaitOption())...)},
		command{
			name: "disk-encryption-set list-associated-resources", short: "List all resources that are encrypted with this disk encryption set.",
			run: associated, options: p.options(),
		}))
}

var setEncryptions = []string{
	"EncryptionAtRestWithPlatformKey", "EncryptionAtRestWithCustomerKey", "EncryptionAtRestWithPlatformAndCustomerKeys", "ConfidentialVmEncryptedWithCustomerKey",
}

// setProperties are what the options of create and update say.
func (s *session) setProperties() map[string]any {
	properties := map[string]any{}
	if s.args.has("key-url") || s.args.has("source-vault") {
		key := map[string]any{}
		if s.args.has("key-url") {
			key["keyUrl"] = s.args.get("key-url")
		}
		if s.args.has("source-vault") {
			key["sourceVault"] = map[string]any{"id": s.inGroup("Microsoft.KeyVault/vaults", s.args.get("source-vault"))}
		}
		properties["activeKey"] = key
	}
	if s.args.has("enable-auto-key-rotation") {
		properties["rotationToLatestKeyVersionEnabled"] = s.args.yes("enable-auto-key-rotation")
	}
	for option, name := range map[string]string{"encryption-type": "encryptionType", "federated-client-id": "federatedClientId"} {
		if s.args.has(option) {
			properties[name] = s.args.get(option)
		}
	}
	return properties
}

func createSet(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	identity := map[string]any{"type": "SystemAssigned"}
	if users := args.values["mi-user-assigned"]; len(users) > 0 {
		assigned := map[string]any{}
		for _, id := range users {
			assigned[id] = map[string]any{}
		}
		identity["type"], identity["userAssignedIdentities"] = "UserAssigned", assigned
		if args.yes("mi-system-assigned") {
			identity["type"] = "SystemAssigned, UserAssigned"
		}
	}
	return setPlace().create(ctx, s, args.get("name"), map[string]any{"identity": identity, "properties": s.setProperties()})
}

func updateSet(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	body := map[string]any{}
	if p := s.setProperties(); len(p) > 0 {
		body["properties"] = p
		// A key is replaced as a whole: what is not said of it stays as it is.
		if key, ok := p["activeKey"].(map[string]any); ok && len(key) == 1 {
			wire, err := s.get(ctx, setPlace().id(s, args.get("name")), computeAPI)
			if err != nil {
				return nil, err
			}
			have, _ := lookup(wire, "properties.activeKey")
			old, _ := have.(map[string]any)
			for name, v := range old {
				if _, said := key[name]; !said {
					key[name] = v
				}
			}
		}
	}
	return setPlace().retag(ctx, s, body)
}

func associated(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	ids, err := s.items(ctx, versioned(setPlace().id(s, args.get("name"))+"/associatedResources", computeAPI), math.MaxInt64)
	if err != nil {
		return nil, err
	}
	return ids, nil
}
