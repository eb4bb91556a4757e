package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func identityPlace() *place {
	return &place{
		words: "identity", noun: "managed identity", plural: "managed identities", path: "Microsoft.ManagedIdentity/userAssignedIdentities", api: "2023-01-31",
		name: &option{long: "name", short: "n", required: true, help: "The name of the identity resource"},
	}
}

func identityCommands(env Env) *cobra.Command {
	p := identityPlace()
	create := func(ctx context.Context, s *session, args *arguments) (any, error) {
		if err := s.connect(); err != nil {
			return nil, err
		}
		return p.create(ctx, s, args.get("name"), map[string]any{})
	}
	return family(env, "identity", "Manage user-assigned identities", append(p.common(), command{
		name: "identity create", short: "Create an identity in the specified resource group.", run: create, options: p.options(locationOption(), tagOption()), table: placeColumns,
	}))
}
