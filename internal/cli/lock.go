package cli

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

const locksAPI = "2020-05-01"

// onOptions name what a lock is on: the subscription, a group, or a resource.
func onOptions() []*option {
	return []*option{
		{long: "resource-group", short: "g", help: "Name of resource group"},
		{long: "resource", alias: "resource-name", help: "Name or ID of the resource being locked"},
		{long: "resource-type", help: "The name of the resource type. Can also accept namespace/type format. For example: 'Microsoft.Compute/disks'"},
		{long: "namespace", help: "Name of the resource type's provider. For example: 'Microsoft.Compute'"},
	}
}

func lockCommands(env Env) *cobra.Command {
	name := &option{long: "name", short: "n", help: "Name of the lock"}
	ids := &option{long: "ids", arity: atLeast1, help: "One or more resource IDs (space-delimited)"}
	kind := func(required bool) *option {
		return &option{long: "lock-type", short: "t", required: required, choices: []string{"CanNotDelete", "ReadOnly"}, help: "The type of lock restriction"}
	}
	notes := &option{long: "notes", help: "Notes about this lock"}
	needed := *name
	needed.required = true
	return family(env, "lock", "Manage locks", []command{
		{name: "lock create", short: "Create a lock.", run: createLock, options: append(onOptions(), &needed, kind(true), notes), table: lockColumns},
		{name: "lock list", short: "List lock information.", run: listLocks, options: onOptions(), table: lockColumns},
		{name: "lock show", short: "Show the properties of a lock.", run: eachLock(showLock), options: append(onOptions(), name, ids), table: lockColumns},
		{name: "lock update", short: "Update a lock.", run: eachLock(updateLock), options: append(onOptions(), name, ids, kind(false), notes), table: lockColumns},
		{name: "lock delete", short: "Delete a lock.", run: eachLock(deleteLock), options: append(onOptions(), name, ids)},
	})
}

func lockColumns(l map[string]any) row {
	return row{{"Name", l["name"]}, {"ResourceGroup", l["resourceGroup"]}, {"Level", l["level"]}, {"Notes", l["notes"]}}
}

// on is the id of what the options name.
func (s *session) on() (string, error) {
	resource, kind, group := s.args.get("resource"), s.args.get("resource-type"), s.args.get("resource-group")
	if namespace := s.args.get("namespace"); namespace != "" {
		kind = namespace + "/" + kind
	}
	switch {
	case strings.HasPrefix(resource, "/"):
		return strings.TrimRight(resource, "/"), nil
	case resource != "" && (group == "" || strings.Count(kind, "/") != 1):
		return "", azText("usage error: --resource ID | --resource NAME --resource-type NAMESPACE/TYPE -g NAME")
	case resource != "":
		return s.groupID(group) + "/providers/" + kind + "/" + resource, nil
	case group != "":
		return s.groupID(group), nil
	}
	return "/subscriptions/" + s.subscription(), nil
}

func locksAt(scope, name string) string {
	return strings.TrimRight(scope+"/providers/Microsoft.Authorization/locks/"+name, "/")
}

func showOne(a answer, err error) (any, error) {
	if err != nil || a.body == nil {
		return nil, err
	}
	wire, err := object(a.body)
	if err != nil {
		return nil, err
	}
	return showFlat(wire), nil
}

// showFlat is an object of the API without a level for its properties, as az prints it.
func showFlat(wire map[string]any) map[string]any {
	flat := flattenProperties(wire)
	addResourceGroup(flat)
	return flat
}

func (s *session) putLock(ctx context.Context, id string, level, notes any) (any, error) {
	properties := map[string]any{"level": level}
	if notes != nil && notes != "" {
		properties["notes"] = notes
	}
	return showOne(s.client.do(ctx, http.MethodPut, versioned(id, locksAPI), map[string]any{"properties": properties}))
}

func createLock(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	scope, err := s.on()
	if err != nil {
		return nil, err
	}
	return s.putLock(ctx, locksAt(scope, args.get("name")), args.get("lock-type"), args.get("notes"))
}

func listLocks(ctx context.Context, s *session, _ *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	scope, err := s.on()
	if err != nil {
		return nil, err
	}
	items, err := s.list(ctx, versioned(locksAt(scope, ""), locksAPI))
	for i := range items {
		items[i] = showFlat(items[i])
	}
	return items, err
}

// eachLock runs a command on the lock of that name, or on those with the ids.
func eachLock(run func(context.Context, *session, string) (any, error)) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, args *arguments) (any, error) {
		if !args.has("ids") && args.get("name") == "" {
			return nil, usagef("the following arguments are required: --name/-n")
		}
		for _, place := range []string{"resource", "resource-group"} {
			if args.has(place) && args.get(place) == "" {
				return nil, usagef("argument --%s: empty, and so not the place of the lock", place) // not the lock of that name on all of the subscription
			}
		}
		ids, err := s.extensions("Microsoft.Authorization/locks")
		if err != nil {
			return nil, err
		}
		if err := s.connect(); err != nil {
			return nil, err
		}
		if !args.has("ids") {
			scope, err := s.on()
			if err != nil {
				return nil, err
			}
			return run(ctx, s, locksAt(scope, args.get("name")))
		}
		var all []any
		for _, id := range ids {
			one, err := run(ctx, s, id)
			if err != nil {
				return nil, err
			}
			if one != nil {
				all = append(all, one)
			}
		}
		switch len(all) {
		case 0:
			return nil, nil
		case 1:
			return all[0], nil
		}
		return all, nil
	}
}

func showLock(ctx context.Context, s *session, id string) (any, error) {
	return showOne(s.client.do(ctx, http.MethodGet, versioned(id, locksAPI), nil))
}

func updateLock(ctx context.Context, s *session, id string) (any, error) {
	wire, err := s.get(ctx, id, locksAPI)
	if err != nil {
		return nil, err
	}
	lock := flattenProperties(wire)
	level, notes := lock["level"], lock["notes"]
	if s.args.has("lock-type") {
		level = s.args.get("lock-type")
	}
	if s.args.has("notes") {
		notes = s.args.get("notes")
	}
	return s.putLock(ctx, id, level, notes)
}

func deleteLock(ctx context.Context, s *session, id string) (any, error) {
	_, err := s.client.do(ctx, http.MethodDelete, versioned(id, locksAPI), nil)
	return nil, err
}
