package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

func roleDefinitionCommands(env Env) *cobra.Command {
	body := []*option{{long: "role-definition", required: true, help: "Description of a role as JSON, or a path to a file containing a JSON description"}}
	return family(env, "definition", "Manage role definitions", []command{
		{name: "role definition list", short: "List role definitions.", run: listDefinitions, table: definitionColumns, options: append(scopeOptions(),
			&option{long: "name", short: "n", help: "The role's name or its GUID"},
			&option{long: "custom-role-only", arity: boolean, choices: booleans, help: "Custom roles only(vs. build-in ones)"},
		)},
		{name: "role definition create", short: "Create a custom role definition.", run: writeDefinition(true), options: body, table: definitionColumns},
		{name: "role definition update", short: "Update a role definition.", run: writeDefinition(false), options: body, table: definitionColumns},
		{name: "role definition delete", short: "Delete a role definition.", run: deleteDefinition, options: append(scopeOptions(),
			&option{long: "name", short: "n", required: true, help: "The role's name or its GUID"},
		)},
	})
}

func definitionColumns(r map[string]any) row {
	return row{{"Name", r["roleName"]}, {"Type", r["roleType"]}, {"Description", r["description"]}}
}

// showDefinition renames what the SDK of az renames.
func showDefinition(wire map[string]any) map[string]any {
	p, _ := wire["properties"].(map[string]any)
	kind := p["type"]
	flat := flattenProperties(wire)
	flat["type"], flat["roleType"] = wire["type"], kind
	return flat
}

// definitions lists roles at the scope, all or those with the name or GUID.
func (s *session) definitions(ctx context.Context, scope, name string) ([]map[string]any, error) {
	all, err := s.list(ctx, versioned(rolesAt(scope, "roleDefinitions"), rolesAPI))
	var out []map[string]any
	for _, r := range all {
		d := showDefinition(r)
		if name == "" || strings.EqualFold(text(d, "roleName"), name) || strings.EqualFold(text(d, "name"), name) {
			out = append(out, d)
		}
	}
	return out, err
}

func listDefinitions(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	scope, err := s.roleScope()
	if err != nil {
		return nil, err
	}
	found, err := s.definitions(ctx, scope, args.get("name"))
	out := []map[string]any{}
	for _, d := range found {
		if !args.yes("custom-role-only") || text(d, "roleType") == "CustomRole" {
			out = append(out, d)
		}
	}
	return out, err
}

// readJSON reads an option that is JSON, or the path of a file with it.
func readJSON(value string) (map[string]any, error) {
	data := []byte(value)
	if b, err := os.ReadFile(value); err == nil {
		data = b
	} else if !json.Valid(data) {
		return nil, azText("Failed to parse string as JSON, and there is no such file:\n" + value)
	}
	v, err := decodeJSON(data)
	if err != nil {
		return nil, azText("Failed to parse file '" + value + "' with exception:\n" + err.Error())
	}
	return object(v)
}

// writeDefinition makes or changes a custom role from az's form of it, whose names begin with capitals, or from what list shows.
func writeDefinition(create bool) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, args *arguments) (any, error) {
		raw, err := readJSON(args.get("role-definition"))
		if err != nil {
			return nil, err
		}
		in := map[string]any{}
		for k, v := range raw {
			in[lowerFirst(k)] = v
		}
		name := text(in, "roleName")
		if name == "" {
			name = text(in, "name")
		}
		scopes, _ := in["assignableScopes"].([]any)
		if len(scopes) == 0 {
			return nil, azText("please provide 'assignableScopes'")
		}
		if err := s.connect(); err != nil {
			return nil, err
		}
		scope, _ := scopes[0].(string)
		id := uuid.NewString()
		if !create {
			found, err := s.definitions(ctx, scope, name)
			if err != nil {
				return nil, err
			}
			if len(found) != 1 {
				return nil, azText("Role '" + name + "' was not found, or not alone. Please provide the role's full name")
			}
			id, name = text(found[0], "name"), text(found[0], "roleName")
		}
		permissions := in["permissions"]
		if permissions == nil {
			set := map[string]any{}
			for _, k := range []string{"actions", "notActions", "dataActions", "notDataActions"} {
				set[k] = in[k]
				if set[k] == nil {
					set[k] = []any{}
				}
			}
			permissions = []any{set}
		}
		a, err := s.client.do(ctx, http.MethodPut, versioned(rolesAt(scope, "roleDefinitions/"+id), rolesAPI), map[string]any{"properties": map[string]any{
			"roleName": name, "description": text(in, "description"), "type": "CustomRole", "assignableScopes": scopes, "permissions": permissions,
		}})
		if err != nil {
			return nil, err
		}
		wire, err := object(a.body)
		if err != nil {
			return nil, err
		}
		return showDefinition(wire), nil
	}
}

func deleteDefinition(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	scope, err := s.roleScope()
	if err != nil {
		return nil, err
	}
	found, err := s.definitions(ctx, scope, args.get("name"))
	switch {
	case err != nil:
		return nil, err
	case len(found) != 1:
		return nil, azText("The role '" + args.get("name") + "' was not found, or not alone")
	}
	_, err = s.client.do(ctx, http.MethodDelete, versioned(rolesAt(scope, "roleDefinitions/"+text(found[0], "name")), rolesAPI), nil)
	return nil, err
}
