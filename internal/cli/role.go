package cli

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

const rolesAPI = "2022-04-01"

func roleCommands(env Env) *cobra.Command {
	all := family(env, "role", "Manage roles", nil)
	all.AddCommand(roleAssignmentCommands(env), roleDefinitionCommands(env))
	return all
}

func scopeOptions() []*option {
	return []*option{
		{long: "scope", help: "Scope at which the role assignment or definition applies to, e.g., /subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333/resourceGroups/myGroup"},
		{long: "resource-group", short: "g", help: "Use it only if the role or assignment was added at the level of a resource group"},
	}
}

func roleAssignmentCommands(env Env) *cobra.Command {
	assignee := &option{long: "assignee", help: "Represent a user, group, or service principal: object id, user sign-in name, or service principal name"}
	role := &option{long: "role", help: "Role name or id"}
	needed := *role
	needed.required = true
	inherited := &option{long: "include-inherited", arity: none, help: "Include assignments applied on parent scopes"}
	return family(env, "assignment", "Manage role assignments", []command{
		{name: "role assignment create", short: "Create a new role assignment for a user, group, or service principal.", run: createAssignment, table: roleColumns, options: append(scopeOptions(),
			assignee, &needed,
			&option{long: "assignee-object-id", help: "Use this parameter instead of '--assignee' to bypass Graph API invocation in case of insufficient privileges"},
			&option{long: "assignee-principal-type", choices: []string{"User", "Group", "ServicePrincipal", "ForeignGroup"}, help: "Use with --assignee-object-id to avoid errors caused by propagation latency in Microsoft Graph"},
			&option{long: "description", help: "Description of role assignment"},
			&option{long: "condition", help: "Condition under which the user can be granted permission"},
			&option{long: "condition-version", help: "Version of the condition syntax. If --condition is specified without --condition-version, default to 2.0"},
			&option{long: "name", short: "n", help: "A GUID for the role assignment. It must be unique and different for each role assignment"},
		)},
		{name: "role assignment list", short: "List role assignments.", run: listAssignments, table: roleColumns, options: append(scopeOptions(),
			assignee, role, inherited,
			&option{long: "all", arity: none, help: "Show all assignments under the current subscription"},
			&option{long: "include-groups", arity: none, help: "Include extra assignments to the groups of which the user is a member (transitively)"},
		)},
		{name: "role assignment delete", short: "Delete role assignments.", run: deleteAssignments, options: append(scopeOptions(),
			assignee, role, inherited,
			&option{long: "ids", arity: atLeast1, help: "Space-separated role assignment IDs"},
			&option{long: "yes", short: "y", arity: none, help: "Continue to delete all assignments under the subscription"},
		)},
	})
}

func roleColumns(a map[string]any) row {
	return row{{"Principal", a["principalName"]}, {"Role", a["roleDefinitionName"]}, {"Scope", a["scope"]}}
}

// roleScope is --scope, or the group, or the subscription.
func (s *session) roleScope() (string, error) {
	scope, group := s.args.get("scope"), s.args.get("resource-group")
	switch {
	case scope != "" && group != "":
		return "", azText("Resource group and scope are mutually exclusive: give one of them")
	case scope != "":
		return "/" + strings.Trim(scope, "/"), nil
	case group != "":
		return s.groupID(group), nil
	}
	return "/subscriptions/" + s.subscription(), nil
}

func rolesAt(scope, what string) string { return scope + "/providers/Microsoft.Authorization/" + what }

// roleID finds a role by its id, its GUID or its name.
func (s *session) roleID(ctx context.Context, scope, role string) (string, error) {
	if strings.HasPrefix(role, "/") {
		return role, nil
	}
	if uuid.Validate(role) == nil {
		return rolesAt("/subscriptions/"+s.subscription(), "roleDefinitions/"+role), nil
	}
	found, err := s.list(ctx, versioned(rolesAt(scope, "roleDefinitions"), rolesAPI)+"&$filter="+url.QueryEscape("roleName eq "+quoted(role)))
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", azText("Role '" + role + "' doesn't exist.")
	case len(found) > 1:
		return "", azText("More than one role matches the given name '" + role + "'.")
	}
	return text(found[0], "id"), nil
}

// assign makes an assignment; one that is there already stays, and is told.
func (s *session) assign(ctx context.Context, scope string, properties map[string]any) (map[string]any, error) {
	name := s.args.get("name")
	if uuid.Validate(name) != nil {
		name = uuid.NewString()
	}
	a, err := s.client.do(ctx, http.MethodPut, versioned(rolesAt(scope, "roleAssignments/"+name), rolesAPI), map[string]any{"properties": properties})
	var exists *Problem
	if errors.As(err, &exists) && exists.Code == "RoleAssignmentExists" {
		all, err := s.list(ctx, versioned(rolesAt(scope, "roleAssignments"), rolesAPI)+"&$filter=atScope()")
		for _, have := range all {
			p, _ := have["properties"].(map[string]any)
			if strings.EqualFold(text(p, "principalId"), text(properties, "principalId")) && sameRole(text(p, "roleDefinitionId"), text(properties, "roleDefinitionId")) &&
				strings.EqualFold(text(p, "scope"), scope) {
				return have, nil
			}
		}
		return nil, errors.Join(exists, err)
	}
	if err != nil {
		return nil, err
	}
	return object(a.body)
}

// sameRole compares the GUIDs at the ends of two definitions' ids.
func sameRole(a, b string) bool {
	return strings.EqualFold(a[strings.LastIndexByte(a, '/')+1:], b[strings.LastIndexByte(b, '/')+1:])
}

func createAssignment(ctx context.Context, s *session, args *arguments) (any, error) {
	if args.has("assignee") == args.has("assignee-object-id") {
		return nil, azText("usage error: --assignee STRING | --assignee-object-id GUID")
	}
	if args.has("assignee-principal-type") && !args.has("assignee-object-id") {
		return nil, azText("usage error: --assignee-object-id GUID --assignee-principal-type TYPE")
	}
	if args.has("condition-version") && !args.has("condition") {
		return nil, azText("usage error: When --condition-version is set, --condition must be set as well.")
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	scope, err := s.roleScope()
	if err != nil {
		return nil, err
	}
	id, kind := args.get("assignee-object-id"), args.get("assignee-principal-type")
	if args.has("assignee") {
		if id, kind, err = s.assignee(ctx, args.get("assignee")); err != nil {
			return nil, err
		}
	}
	role, err := s.roleID(ctx, scope, args.get("role"))
	if err != nil {
		return nil, err
	}
	properties := map[string]any{"roleDefinitionId": role, "principalId": id}
	if kind != "" {
		properties["principalType"] = kind
	}
	for option, property := range map[string]string{"description": "description", "condition": "condition", "condition-version": "conditionVersion"} {
		if args.has(option) {
			properties[property] = args.get(option)
		}
	}
	made, err := s.assign(ctx, scope, properties)
	if err != nil {
		return nil, err
	}
	named, err := s.nameAssignments(ctx, []map[string]any{made})
	if err != nil {
		return nil, err
	}
	return named[0], nil
}

// findAssignments lists those that --assignee, --role and the scope ask for.
func (s *session) findAssignments(ctx context.Context, scope string) ([]map[string]any, error) {
	at, filter, who := scope, "atScope()", ""
	var err error
	if s.args.has("assignee") {
		if who, _, err = s.assignee(ctx, s.args.get("assignee")); err != nil {
			return nil, err
		}
	}
	groups := s.args.has("include-groups")
	if scope == "" {
		at, filter = "/subscriptions/"+s.subscription(), ""
	}
	if who != "" && groups {
		filter = strings.TrimPrefix(filter+" and assignedTo("+quoted(who)+")", " and ")
	}
	all, err := s.list(ctx, versioned(rolesAt(at, "roleAssignments"), rolesAPI)+"&$filter="+url.QueryEscape(filter))
	if err != nil {
		return nil, err
	}
	role := ""
	if s.args.has("role") {
		if role, err = s.roleID(ctx, at, s.args.get("role")); err != nil {
			return nil, err
		}
	}
	var out []map[string]any
	for _, a := range all {
		p, _ := a["properties"].(map[string]any)
		if (scope == "" || s.args.has("include-inherited") || strings.EqualFold(text(p, "scope"), scope)) &&
			(role == "" || sameRole(text(p, "roleDefinitionId"), role)) &&
			(who == "" || groups || strings.EqualFold(text(p, "principalId"), who)) {
			out = append(out, a)
		}
	}
	return out, nil
}

func listAssignments(ctx context.Context, s *session, args *arguments) (any, error) {
	if args.has("all") && (args.has("scope") || args.has("resource-group")) {
		return nil, azText("group or scope are not required when --all is used")
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	scope, err := s.roleScope()
	if err != nil {
		return nil, err
	}
	if args.has("all") {
		scope = ""
	}
	found, err := s.findAssignments(ctx, scope)
	if err != nil {
		return nil, err
	}
	return s.nameAssignments(ctx, found)
}

// nameAssignments flattens assignments and adds the names of principals and roles, where those still are.
func (s *session) nameAssignments(ctx context.Context, all []map[string]any) ([]map[string]any, error) {
	out := make([]map[string]any, len(all))
	ids := []string{}
	for i, a := range all {
		out[i] = flattenProperties(a)
		addResourceGroup(out[i])
		ids = append(ids, text(out[i], "principalId"))
	}
	who, err := s.byIDs(ctx, ids)
	if err != nil {
		return nil, err
	}
	roles, err := s.list(ctx, versioned(rolesAt("/subscriptions/"+s.subscription(), "roleDefinitions"), rolesAPI))
	if err != nil {
		return nil, err
	}
	names := map[string]any{}
	for _, r := range roles {
		p, _ := r["properties"].(map[string]any)
		names[strings.ToLower(text(r, "name"))] = p["roleName"]
	}
	for _, a := range out {
		a["principalName"] = nameOf(who[strings.ToLower(text(a, "principalId"))])
		id := text(a, "roleDefinitionId")
		a["roleDefinitionName"] = names[strings.ToLower(id[strings.LastIndexByte(id, '/')+1:])]
	}
	return out, nil
}

func deleteAssignments(ctx context.Context, s *session, args *arguments) (any, error) {
	ids, err := s.extensions("Microsoft.Authorization/roleAssignments")
	if err != nil {
		return nil, err
	}
	// An option that a script left empty narrows nothing down.
	narrowed := args.get("assignee") + args.get("role") + args.get("scope") + args.get("resource-group")
	if !args.has("ids") && narrowed == "" {
		if err := s.confirm(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	if !args.has("ids") {
		scope, err := s.roleScope()
		if err != nil {
			return nil, err
		}
		found, err := s.findAssignments(ctx, scope)
		if err != nil {
			return nil, err
		}
		for _, a := range found {
			ids = append(ids, text(a, "id"))
		}
	}
	if len(ids) == 0 {
		return nil, azText("No matched assignments were found to delete")
	}
	for _, id := range ids {
		if _, err := s.client.do(ctx, http.MethodDelete, versioned(id, rolesAPI), nil); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
