package cli

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

const forRBACHelp = "Makes an application, its service principal and a password, which is shown once, and with --role gives it that role."

func adPrincipalCommands(env Env) *cobra.Command {
	id := &option{long: "id", required: true, help: "Service principal name, or object id"}
	all := family(env, "sp", "Manage service principals", []command{
		{name: "ad sp create-for-rbac", short: "Create a service principal and configure its access.", long: forRBACHelp, run: createForRBAC, options: []*option{
			{long: "display-name", alias: "name", short: "n", help: "Display name of the service principal. If not present, default to tintype-cli-%Y-%m-%d-%H-%M-%S"},
			{long: "role", help: "Role of the service principal"},
			{long: "scopes", arity: atLeast1, help: "Space-separated list of scopes the service principal's role assignment applies to"},
			{long: "years", integer: true, help: "Number of years for which the credentials will be valid. Default: 1 year"},
		}},
		{name: "ad sp list", short: "List service principals.", run: listPrincipals("/servicePrincipals"), table: adColumns, options: []*option{
			{long: "all", arity: none, help: "List all entities, expect long delay if under a big organization"},
			{long: "display-name", help: "Object's display name or its prefix"},
			{long: "filter", help: `OData filter, e.g. --filter "displayname eq 'test'"`},
		}},
		{name: "ad sp show", short: "Get the details of a service principal.", run: withPrincipal(showADPrincipal), options: []*option{id}, table: adColumns},
		{name: "ad sp delete", short: "Delete a service principal and its role assignments.", run: withPrincipal(deleteADPrincipal), options: []*option{id}},
	})
	all.AddCommand(family(env, "credential", "Manage a service principal's passwords", []command{
		{name: "ad sp credential reset", short: "Reset a service principal's password.", run: withPrincipal(resetCredential), options: []*option{
			id,
			{long: "append", arity: none, help: "Append the new credential instead of overwriting"},
			{long: "years", integer: true, help: "Number of years for which the credentials will be valid. Default: 1 year"},
			{long: "display-name", help: "Friendly name for the credential"},
		}},
	}))
	return all
}

// withPrincipal connects, and finds the service principal by its client or object id.
func withPrincipal(run func(context.Context, *session, map[string]any) (any, error)) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, args *arguments) (any, error) {
		if err := s.connect(); err != nil {
			return nil, err
		}
		sp, err := s.servicePrincipal(ctx, args.get("id"))
		if err != nil {
			return nil, err
		}
		return run(ctx, s, sp)
	}
}

func showADPrincipal(_ context.Context, _ *session, sp map[string]any) (any, error) { return sp, nil }

// deleteADPrincipal deletes the application too, as az does for one that create-for-rbac made.
func deleteADPrincipal(ctx context.Context, s *session, sp map[string]any) (any, error) {
	apps, err := s.principals(ctx, "/applications", "appId eq "+quoted(text(sp, "appId")))
	if err != nil {
		return nil, err
	}
	if len(apps) > 0 {
		return result(s.graph(ctx, http.MethodDelete, "/applications/"+text(apps[0], "id"), nil))
	}
	return result(s.graph(ctx, http.MethodDelete, "/servicePrincipals/"+text(sp, "id"), nil))
}

func createForRBAC(ctx context.Context, s *session, args *arguments) (any, error) {
	if args.has("role") != args.has("scopes") {
		return nil, usagef("Usage error: To create role assignments, specify both --role and --scopes.")
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	role := ""
	if args.has("role") {
		var err error
		if role, err = s.roleID(ctx, args.values["scopes"][0], args.get("role")); err != nil {
			return nil, err // before anything is made
		}
	}
	name := args.or("display-name", "tintype-cli-"+s.env.Now().UTC().Format("2006-01-02-15-04-05"))
	app, err := s.graph(ctx, http.MethodPost, "/applications", map[string]any{"displayName": name})
	if err != nil {
		return nil, err
	}
	sp, err := s.graph(ctx, http.MethodPost, "/servicePrincipals", map[string]any{"appId": app["appId"]})
	if err != nil {
		return nil, err
	}
	secret, err := s.addPassword(ctx, text(sp, "id"), "rbac")
	if err != nil {
		return nil, err
	}
	for _, scope := range args.values["scopes"] {
		if _, err := s.assign(ctx, scope, map[string]any{"roleDefinitionId": role, "principalId": sp["id"], "principalType": "ServicePrincipal"}); err != nil {
			return nil, err
		}
	}
	return s.credential(app["appId"], name, secret), nil
}

// credential is how az shows what a program logs in with.
func (s *session) credential(app any, name, secret string) map[string]any {
	out := map[string]any{"appId": app, "password": secret, "tenant": s.client.principal.Tenant}
	if name != "" {
		out["displayName"] = name
	}
	warnf(s.notes, "The output includes credentials that you must protect. Be sure that you do not include these credentials in your code or check the credentials into your source control.")
	return out
}

func (s *session) addPassword(ctx context.Context, id, name string) (string, error) {
	years, err := strconv.Atoi(s.args.or("years", "1"))
	if err != nil || years < 1 || years > 100 {
		return "", usagef("argument --years: 1 to 100")
	}
	made, err := s.graph(ctx, http.MethodPost, "/servicePrincipals/"+id+"/addPassword", map[string]any{
		"passwordCredential": map[string]any{"displayName": name, "endDateTime": s.env.Now().UTC().AddDate(years, 0, 0).Format(time.RFC3339)},
	})
	return text(made, "secretText"), err
}

// resetCredential makes a new password, and takes the others away afterwards.
func resetCredential(ctx context.Context, s *session, sp map[string]any) (any, error) {
	secret, err := s.addPassword(ctx, text(sp, "id"), s.args.get("display-name"))
	if err != nil {
		return nil, err
	}
	if !s.args.has("append") {
		old, err := objects(sp["passwordCredentials"])
		if err != nil {
			return nil, err
		}
		for _, p := range old {
			if _, err := s.graph(ctx, http.MethodPost, "/servicePrincipals/"+text(sp, "id")+"/removePassword", map[string]any{"keyId": p["keyId"]}); err != nil {
				return nil, err
			}
		}
	}
	return s.credential(sp["appId"], "", secret), nil
}
