package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// kind is one of the two resources that commands handle alike.
type kind struct {
	word string // disk, snapshot: as in commands
	noun string // "managed disk": as in help texts
	plural,
	collection string // disks, snapshots: as in ids
	model   *model
	columns func(map[string]any) row
}

var (
	diskKind     = &kind{word: "disk", noun: "managed disk", plural: "managed disks", collection: "disks", model: diskModel, columns: diskColumns}
	snapshotKind = &kind{word: "snapshot", noun: "snapshot", plural: "snapshots", collection: "snapshots", model: snapshotModel, columns: snapshotColumns}
)

// id makes the resource id of a disk or snapshot.
func (s *session) id(k *kind, group, name string) string {
	return s.groupID(group) + "/providers/Microsoft.Compute/" + k.collection + "/" + name
}

// reference is where one resource is.
type reference struct{ group, name, id string }

// parseID splits a resource id of kind k; ids are compared without case.
func parseID(k *kind, id string) (reference, error) {
	parts := strings.Split(strings.Trim(id, "/"), "/")
	if len(parts) != 8 || !strings.EqualFold(parts[0], "subscriptions") || !strings.EqualFold(parts[2], "resourceGroups") {
		return reference{}, fmt.Errorf("invalid resource ID: %s", id)
	}
	if k != nil && (!strings.EqualFold(parts[5], "Microsoft.Compute") || !strings.EqualFold(parts[6], k.collection)) {
		return reference{}, fmt.Errorf("invalid resource ID: %s", id)
	}
	return reference{group: parts[3], name: parts[7], id: "/" + strings.Join(parts, "/")}, nil
}

// extensions reads --ids of what is on other resources: each id ends with a name below that type, such as
// "Microsoft.Authorization/locks". An id of anything else is refused before any request: what the command deletes is never more than it says.
func (s *session) extensions(kind string) ([]string, error) {
	ids := strings.Fields(strings.Join(s.args.values["ids"], " "))
	for i, id := range ids {
		parts := strings.Split(strings.Trim(id, "/"), "/")
		ids[i] = "/" + strings.Join(parts, "/")
		n := len(parts)
		if n < 4 || !strings.EqualFold(strings.Join(parts[n-4:n-1], "/"), "providers/"+kind) || slices.ContainsFunc(parts, func(p string) bool { return strings.Trim(p, ".") == "" }) {
			return nil, fmt.Errorf("invalid resource ID: %s is not the ID of a resource of the type %s", id, kind)
		}
	}
	return ids, nil
}

// targetOptions name existing resources: by group and name, or by ids.
func targetOptions(k *kind) []*option {
	return []*option{
		{long: "ids", arity: atLeast1, help: "One or more resource IDs (space-delimited), instead of group and name"},
		{long: "name", short: "n", help: "The name of the " + k.noun},
		{long: "resource-group", short: "g", help: "Name of resource group"},
	}
}

// severalOptions are targetOptions with a name that may be given again.
func severalOptions(k *kind) []*option {
	options := targetOptions(k)
	options[1].repeated = true
	options[1].help += ", given again for each of several"
	return options
}

// targets connects and returns the resources that the command is about.
func (s *session) targets(k *kind) ([]reference, error) {
	if !s.args.has("ids") {
		var missing []string
		for _, name := range []string{"resource-group", "name"} {
			if !s.args.has(name) {
				missing = append(missing, "--"+name)
			}
		}
		if len(missing) > 0 {
			return nil, fmt.Errorf("(%s | --ids) are required", strings.Join(missing, " "))
		}
		if err := s.connect(); err != nil {
			return nil, err
		}
		var all []reference
		group := s.args.get("resource-group")
		for _, name := range s.args.values["name"] {
			all = append(all, reference{group: group, name: name, id: s.id(k, group, name)})
		}
		return all, nil
	}
	var all []reference
	for _, id := range strings.Fields(strings.Join(s.args.values["ids"], " ")) {
		ref, err := parseID(k, id)
		if err != nil {
			return nil, err
		}
		all = append(all, ref)
	}
	return all, s.connect()
}

// each runs f for every target and returns one result, or a list when there are
// several, as az does. It stops at the first error.
func (s *session) each(ctx context.Context, k *kind, f func(context.Context, reference) (any, error)) (any, error) {
	refs, err := s.targets(k)
	if err != nil {
		return nil, err
	}
	var results []any
	for _, ref := range refs {
		result, err := f(ctx, ref)
		if err != nil {
			return nil, err
		}
		if result != nil {
			results = append(results, result)
		}
	}
	switch {
	case len(results) == 0:
		return nil, nil
	case len(refs) == 1:
		return results[0], nil
	default:
		return results, nil
	}
}

// fetch reads one resource the way az shows it.
func (s *session) fetch(ctx context.Context, k *kind, id string) (map[string]any, error) {
	wire, err := s.get(ctx, id, computeAPI)
	if err != nil {
		return nil, err
	}
	return k.model.show(wire), nil
}

// create is put for what is meant to be new. It says so when it was not.
func (s *session) create(ctx context.Context, k *kind, id string, body any) (any, error) {
	op, err := s.client.begin(ctx, "PUT", versioned(id, computeAPI), body)
	if err != nil {
		return nil, err
	}
	if op.existed != "" {
		fmt.Fprintf(s.notes.Stderr, "WARNING: a %s of this name has existed since %s. Nothing was made: it was updated, and holds what it held.\n",
			k.noun, op.existed)
	}
	return s.result(ctx, k, id, op)
}

// put writes a resource and returns it as it is in the end.
func (s *session) put(ctx context.Context, k *kind, id string, body any) (any, error) {
	op, err := s.client.begin(ctx, "PUT", versioned(id, computeAPI), body)
	if err != nil {
		return nil, err
	}
	return s.result(ctx, k, id, op)
}

// result is what the write makes of the resource; nothing with --no-wait.
func (s *session) result(ctx context.Context, k *kind, id string, op *operation) (any, error) {
	if s.args.has("no-wait") {
		return nil, nil
	}
	result, err := s.client.finish(ctx, op)
	if err != nil {
		return nil, err
	}
	if wire, ok := result.(map[string]any); ok && wire["id"] != nil {
		return k.model.show(wire), nil
	}
	return s.fetch(ctx, k, id)
}

// tagOption is --tags; empty words clear, as in az.
func tagOption() *option {
	return &option{long: "tags", arity: anyNo, help: "Space-separated tags: key[=value] [key[=value] ...]. Use '' to clear existing tags"}
}

func parseTags(words []string) map[string]any {
	tags := map[string]any{}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		if word != "" {
			tags[key] = value
		}
	}
	return tags
}
