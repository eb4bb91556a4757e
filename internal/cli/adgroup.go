package cli

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

func adGroupCommands(env Env) *cobra.Command {
	group := &option{long: "group", short: "g", required: true, help: "Group's object id or display name"}
	member := &option{long: "member-id", required: true, help: "The object ID of the contact, group, user, or service principal"}
	filter := []*option{
		{long: "display-name", help: "Object's display name or its prefix"},
		{long: "filter", help: `OData filter, e.g. --filter "displayname eq 'test'"`},
	}
	all := family(env, "group", "Manage groups of principals", []command{
		{name: "ad group create", short: "Create a group.", run: createADGroup, table: adColumns, options: []*option{
			{long: "display-name", required: true, help: "Display name"},
			{long: "mail-nickname", required: true, help: "Mail nickname"},
			{long: "description", help: "Group description"},
			{long: "force", arity: boolean, choices: booleans, help: "Always create a new group instead of updating the one with same display and mail nickname"},
		}},
		{name: "ad group list", short: "List groups.", run: listPrincipals("/groups"), options: filter, table: adColumns},
		{name: "ad group show", short: "Get the details of a group.", run: withGroup(showADGroup), options: []*option{group}, table: adColumns},
		{name: "ad group delete", short: "Delete a group.", run: withGroup(deleteADGroup), options: []*option{group}},
		{
			name: "ad group get-member-groups", short: "Get a collection of object IDs of groups of which the specified group is a member.",
			run: withGroup(groupsOfADGroup), options: []*option{group},
		},
	})
	all.AddCommand(family(env, "member", "Manage members of groups", []command{
		{name: "ad group member add", short: "Add a member to a group.", run: withGroup(addADMember), options: []*option{group, member}},
		{name: "ad group member list", short: "Get the members of a group.", run: withGroup(listADMembers), options: []*option{group}, table: adColumns},
		{name: "ad group member check", short: "Check if a member is in a group.", run: withGroup(checkADMember), options: []*option{group, member}},
		{name: "ad group member remove", short: "Remove a member from a group.", run: withGroup(removeADMember), options: []*option{group, member}},
	}))
	return all
}

func adColumns(p map[string]any) row {
	return row{{"DisplayName", p["displayName"]}, {"Id", p["id"]}, {"UserPrincipalName", p["userPrincipalName"]}, {"AppId", p["appId"]}}
}

// withGroup connects, and finds the group by its id or its whole name.
func withGroup(run func(context.Context, *session, string) (any, error)) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, args *arguments) (any, error) {
		if err := s.connect(); err != nil {
			return nil, err
		}
		name := args.get("group")
		if uuid.Validate(name) == nil {
			return run(ctx, s, name)
		}
		found, err := s.principals(ctx, "/groups", "displayName eq "+quoted(name))
		switch {
		case err != nil:
			return nil, err
		case len(found) == 0:
			return nil, &Problem{Status: http.StatusNotFound, Code: "Request_ResourceNotFound", Message: "No group matches the name of '" + name + "'"}
		case len(found) > 1:
			return nil, azText("More than one group match the name of '" + name + "'")
		}
		return run(ctx, s, text(found[0], "id"))
	}
}

// listPrincipals lists a collection of Graph.
func listPrincipals(path string) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, args *arguments) (any, error) {
		if err := s.connect(); err != nil {
			return nil, err
		}
		return s.principals(ctx, path, filterOf(args))
	}
}

func createADGroup(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	name, nick := args.get("display-name"), args.get("mail-nickname")
	if !args.yes("force") {
		found, err := s.principals(ctx, "/groups", "displayName eq "+quoted(name)+" and mailNickname eq "+quoted(nick))
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			warnf(s.notes, "A group with the same display name and mail nickname already exists, returning.")
			return found[0], nil
		}
	}
	body := map[string]any{"displayName": name, "mailNickname": nick, "mailEnabled": false, "securityEnabled": true}
	if args.has("description") {
		body["description"] = args.get("description")
	}
	return result(s.graph(ctx, http.MethodPost, "/groups", body))
}

// result is an object, or nothing where there is none.
func result(o map[string]any, err error) (any, error) {
	if err != nil || o == nil {
		return nil, err
	}
	return o, nil
}

func showADGroup(ctx context.Context, s *session, id string) (any, error) {
	return result(s.graph(ctx, http.MethodGet, "/groups/"+id, nil))
}

func deleteADGroup(ctx context.Context, s *session, id string) (any, error) {
	return result(s.graph(ctx, http.MethodDelete, "/groups/"+id, nil))
}

func groupsOfADGroup(ctx context.Context, s *session, id string) (any, error) {
	page, err := s.graph(ctx, http.MethodPost, "/groups/"+id+"/getMemberGroups", map[string]any{"securityEnabledOnly": false})
	return page["value"], err
}

func addADMember(ctx context.Context, s *session, id string) (any, error) {
	link := s.client.principal.ResourceManager + "/graph/v1.0/directoryObjects/" + s.args.get("member-id")
	return result(s.graph(ctx, http.MethodPost, "/groups/"+id+"/members/$ref", map[string]any{"@odata.id": link}))
}

func listADMembers(ctx context.Context, s *session, id string) (any, error) {
	return s.principals(ctx, "/groups/"+id+"/members", "")
}

func checkADMember(ctx context.Context, s *session, id string) (any, error) {
	member, err := memberID(s)
	if err != nil {
		return nil, err
	}
	page, err := s.graph(ctx, http.MethodPost, "/directoryObjects/"+member+"/checkMemberGroups", map[string]any{"groupIds": []string{id}})
	if err != nil {
		return nil, err
	}
	in, _ := page["value"].([]any)
	return map[string]any{"value": len(in) > 0}, nil
}

func removeADMember(ctx context.Context, s *session, id string) (any, error) {
	member, err := memberID(s)
	if err != nil {
		return nil, err
	}
	return result(s.graph(ctx, http.MethodDelete, "/groups/"+id+"/members/"+member+"/$ref", nil))
}

// memberID is --member-id, which becomes part of a path.
func memberID(s *session) (string, error) {
	id := s.args.get("member-id")
	if uuid.Validate(id) != nil {
		return "", usagef("argument --member-id: '%s' is not an object ID", id)
	}
	return strings.ToLower(id), nil
}
