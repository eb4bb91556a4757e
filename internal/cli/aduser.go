package cli

import (
	"context"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func adUserCommands(env Env) *cobra.Command {
	id := &option{long: "id", alias: "upn-or-object-id", required: true, help: "The object ID or principal name of the user for which to get information"}
	return family(env, "user", "Manage users", []command{
		{name: "ad user create", short: "Create a user.", run: createADUser, table: adColumns, options: []*option{
			{long: "display-name", required: true, help: "Object's display name"},
			{long: "password", required: true, help: "The password that should be assigned to the user for authentication"},
			{long: "user-principal-name", required: true, help: "The user principal name (someuser@contoso.com)"},
		}},
		{name: "ad user list", short: "List users.", run: listADUsers, table: adColumns, options: []*option{
			{long: "upn", help: "User principal name, e.g. john.doe@contoso.com"},
			{long: "display-name", help: "Object's display name or its prefix"},
			{long: "filter", help: `OData filter, e.g. --filter "displayname eq 'test'"`},
		}},
		{name: "ad user show", short: "Get the details of a user.", run: showADUser, options: []*option{id}, table: adColumns},
		{name: "ad user update", short: "Update a user.", run: updateADUser, options: []*option{
			id,
			{long: "display-name", help: "Object's display name"},
			{long: "password", help: "User password"},
			{long: "account-enabled", arity: boolean, choices: booleans, help: "Enable the user account"},
		}},
		{name: "ad user delete", short: "Delete a user.", run: deleteADUser, options: []*option{id}},
		{name: "ad user get-member-groups", short: "Get groups of which the user is a member.", run: groupsOfADUser, options: []*option{id}},
	})
}

func createADUser(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	return result(s.graph(ctx, http.MethodPost, "/users", map[string]any{
		"accountEnabled": true, "displayName": args.get("display-name"), "userPrincipalName": args.get("user-principal-name"),
		"passwordProfile": map[string]any{"password": args.get("password"), "forceChangePasswordNextSignIn": false},
	}))
}

func listADUsers(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	filter := filterOf(args)
	if args.has("upn") {
		if filter != "" {
			filter += " and "
		}
		filter += "userPrincipalName eq " + quoted(args.get("upn"))
	}
	return s.principals(ctx, "/users", filter)
}

func userPath(args *arguments) string { return "/users/" + url.PathEscape(args.get("id")) }

func showADUser(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	return result(s.graph(ctx, http.MethodGet, userPath(args), nil))
}

func updateADUser(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	body := map[string]any{}
	if args.has("display-name") {
		body["displayName"] = args.get("display-name")
	}
	if args.has("account-enabled") {
		body["accountEnabled"] = args.yes("account-enabled")
	}
	if args.has("password") {
		body["passwordProfile"] = map[string]any{"password": args.get("password"), "forceChangePasswordNextSignIn": false}
	}
	return result(s.graph(ctx, http.MethodPatch, userPath(args), body))
}

func deleteADUser(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	return result(s.graph(ctx, http.MethodDelete, userPath(args), nil))
}

func groupsOfADUser(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	page, err := s.graph(ctx, http.MethodPost, userPath(args)+"/getMemberGroups", map[string]any{"securityEnabledOnly": false})
	return page["value"], err
}
