package cli

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
)

const togetherHelp = "The snapshots hold all the disks as they were at one moment: what was written to one of them after an answered " +
	"write to another is in none of them without that. Each is named NAME-DISK. Either all are made or none."

func togetherOptions() []*option {
	return append([]*option{
		{long: "resource-group", short: "g", required: true, help: "Name of resource group for the snapshots"},
		{long: "name", short: "n", required: true, help: "First part of the snapshots' names"},
		{long: "source", arity: atLeast1, repeated: true, help: "Names or IDs of the disks (space-delimited); a name is looked for in the same resource group"},
		{long: "host", help: "In place of --source: all disks that are attached to this host"},
		{long: "location", short: "l", help: "Location; default: that of the resource group"},
		{long: "sku", choices: snapshotSKUs, help: "Underlying storage SKU. Default: Standard_LRS"},
		{long: "incremental", arity: boolean, choices: booleans, help: "Whether the snapshots are incremental"},
		tagOption(),
	}, optionsOf(sharedSettings())...)
}

func snapshotTogether(ctx context.Context, s *session, args *arguments) (any, error) {
	if args.has("source") == args.has("host") {
		return nil, usagef("usage error: --source DISK [DISK ...] | --host HOST")
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	group := args.get("resource-group")
	location, err := s.location(ctx, group)
	if err != nil {
		return nil, err
	}
	sources, err := s.disksOf(ctx, group)
	if err != nil {
		return nil, err
	}
	var snapshots []any
	for _, disk := range sources {
		body := map[string]any{
			"name": args.get("name") + "-" + disk.name, "location": location, "tags": parseTags(args.values["tags"]),
			"sku": map[string]any{"name": args.or("sku", "Standard_LRS")},
		}
		store(body, "properties.creationData", map[string]any{"createOption": "Copy", "sourceResourceId": disk.id})
		if args.has("incremental") {
			store(body, "properties.incremental", args.yes("incremental"))
		}
		apply(sharedSettings(), args, body)
		snapshots = append(snapshots, body)
	}
	target := versioned(s.groupID(group)+"/providers/Microsoft.Compute/createSnapshotGroup", computeAPI)
	a, err := s.client.do(ctx, http.MethodPost, target, map[string]any{"snapshots": snapshots})
	if err != nil {
		return nil, err
	}
	return s.finished(ctx, a.body)
}

// disksOf lists what is to be cut: the disks that were named, or those of a host.
func (s *session) disksOf(ctx context.Context, group string) ([]reference, error) {
	var all []reference
	for _, name := range s.args.values["source"] {
		ref := reference{group: group, name: name, id: s.id(diskKind, group, name)}
		if strings.HasPrefix(name, "/") {
			var err error
			if ref, err = parseID(diskKind, name); err != nil {
				return nil, err
			}
		}
		all = append(all, ref)
	}
	if !s.args.has("host") {
		return all, nil
	}
	disks, err := s.list(ctx, versioned("/subscriptions/"+s.subscription()+"/providers/Microsoft.Compute/disks", computeAPI))
	if err != nil {
		return nil, err
	}
	for _, disk := range disks {
		id, _ := disk["id"].(string)
		sharers, _ := disk["managedByExtended"].([]any)
		if !slices.ContainsFunc(append(sharers, disk["managedBy"]), func(holder any) bool {
			name, _ := holder.(string)
			return strings.EqualFold(name[strings.LastIndexByte(name, '/')+1:], s.args.get("host"))
		}) {
			continue
		}
		ref, err := parseID(diskKind, id)
		if err != nil {
			return nil, err
		}
		all = append(all, ref)
	}
	if len(all) == 0 {
		return nil, azText("No disk is attached to " + s.args.get("host") + ".")
	}
	return all, nil
}

// finished reads snapshots that were just accepted until all are ready. Their bytes are there already.
func (s *session) finished(ctx context.Context, answer any) (any, error) {
	list, err := object(answer)
	if err != nil {
		return nil, err
	}
	items, _ := list["value"].([]any)
	made := []map[string]any{}
	for _, item := range items {
		wire, err := object(item)
		if err != nil {
			return nil, err
		}
		id, _ := wire["id"].(string)
		shown, err := s.fetch(ctx, snapshotKind, id)
		for soon := eager; err == nil && shown["provisioningState"] == "Updating"; soon = min(2*soon, time.Second) {
			if err = pause(ctx, soon); err == nil {
				shown, err = s.fetch(ctx, snapshotKind, id)
			}
		}
		if err != nil {
			return nil, err
		}
		made = append(made, shown)
	}
	return made, nil
}
