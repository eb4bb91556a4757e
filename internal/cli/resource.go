package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"
)

func diskCommands(env Env) *cobra.Command {
	k := diskKind
	return family(env, "disk", "Manage managed disks", append([]command{
		{name: "disk create", short: "Create a managed disk.", long: createFileHelp, options: createDiskOptions(), run: createDisk, table: k.columns},
		{name: "disk update", short: "Update a managed disk.", options: updateDiskOptions(), run: updateDisk},
	}, commonCommands(k)...))
}

func snapshotCommands(env Env) *cobra.Command {
	return family(env, "snapshot", "Manage point-in-time copies of managed disks", append([]command{
		{name: "snapshot create", short: "Create a snapshot.", options: createSnapshotOptions(), run: createSnapshot, table: snapshotColumns},
		{name: "snapshot update", short: "Update a snapshot.", options: updateSnapshotOptions(), run: updateSnapshot, table: snapshotColumns},
		{name: "snapshot create-group", short: "Create snapshots of several disks at one moment.", long: togetherHelp, options: togetherOptions(), run: snapshotTogether, table: snapshotColumns},
		{name: "snapshot diff", short: "List what changed between two snapshots of a disk.", long: diffHelp, options: diffOptions(), run: diffSnapshots, table: diffColumns},
	}, commonCommands(snapshotKind)...))
}

// commonCommands are those that disks and snapshots have alike.
func commonCommands(k *kind) []command {
	with := func(run func(*kind) func(context.Context, *session, *arguments) (any, error)) func(context.Context, *session, *arguments) (any, error) {
		return run(k)
	}
	noWait := &option{long: "no-wait", arity: none, help: "Do not wait for the long-running operation to finish"}
	deleteOptions := append(severalOptions(k), noWait, &option{long: "yes", short: "y", arity: none, help: "Do not prompt for confirmation"},
		&option{long: "dry-run", arity: none, help: "Delete nothing, and say how many bytes the deletion of all that is named would free"})
	list := []*option{{long: "resource-group", short: "g", help: "Name of resource group"}}
	return []command{
		{name: k.word + " show", short: "Gets information about a " + k.noun + ".", options: targetOptions(k), run: with(showResource), table: k.columns},
		{name: k.word + " list", short: "List " + k.plural + ".", options: list, run: with(listResources), table: k.columns},
		{name: k.word + " delete", short: "Delete a " + k.noun + ".", options: deleteOptions, run: with(deleteResource)},
		{name: k.word + " grant-access", short: "Grant access to a " + k.noun + " by a URL that expires.", options: grantOptions(k), run: with(grantAccess)},
		{name: k.word + " revoke-access", short: "Revoke access to a " + k.noun + ".", options: targetOptions(k), run: with(revokeAccess)},
		{name: k.word + " attach", short: attachShort(k), long: attachHelp, options: attachOptions(k), run: with(attach)},
		{name: k.word + " detach", short: "Stop serving a " + k.noun + " to a host.", options: detachOptions(k), run: with(detach)},
		{name: k.word + " sizes", short: "Show how many bytes a " + k.noun + " uses.", options: targetOptions(k), run: with(sizes), table: sizesColumns},
		{name: k.word + " damage", short: "List what of a " + k.noun + " cannot be read as it was written.", long: damageHelp, options: targetOptions(k), run: with(damageOf), table: damageColumns},
		{name: k.word + " export", short: "Write a " + k.noun + " to an image file.", long: exportHelp, options: exportOptions(k), run: with(export)},
	}
}

func showResource(k *kind) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, _ *arguments) (any, error) {
		return s.each(ctx, k, func(ctx context.Context, ref reference) (any, error) {
			return s.fetch(ctx, k, ref.id)
		})
	}
}

func listResources(k *kind) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, args *arguments) (any, error) {
		if err := s.connect(); err != nil {
			return nil, err
		}
		scope := "/subscriptions/" + s.subscription()
		if group := args.get("resource-group"); group != "" {
			scope = s.groupID(group)
		}
		items, err := s.list(ctx, versioned(scope+"/providers/Microsoft.Compute/"+k.collection, computeAPI))
		if err != nil {
			return nil, err
		}
		for i := range items {
			items[i] = k.model.show(items[i])
		}
		return items, nil
	}
}

// deleteResource asks before it deletes a disk, and deletes a snapshot at once,
// as az does.
func deleteResource(k *kind) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, args *arguments) (any, error) {
		if args.has("dry-run") {
			return s.wouldFree(ctx, k)
		}
		if k == diskKind {
			if err := s.confirm(ctx); err != nil {
				return nil, err
			}
		}
		return s.each(ctx, k, func(ctx context.Context, ref reference) (any, error) {
			_, err := s.write(ctx, http.MethodDelete, versioned(ref.id, computeAPI), nil)
			return nil, err
		})
	}
}

// update is az's: read, change what is asked for, write the whole.
func (s *session) update(ctx context.Context, k *kind, settings []setting) (any, error) {
	return s.each(ctx, k, func(ctx context.Context, ref reference) (any, error) {
		wire, err := s.get(ctx, ref.id, computeAPI)
		if err != nil {
			return nil, err
		}
		shown := k.model.flatten(wire)
		if s.args.has("sku") {
			shown["sku"] = map[string]any{"name": s.args.get("sku")}
		}
		applyShown(settings, s.args, shown)
		if s.args.has("disk-access") {
			shown["diskAccessId"] = s.siblingID(ref.group, "diskAccesses", s.args.get("disk-access"))
		}
		if err := s.updateEncryption(ref.group, shown); err != nil {
			return nil, err
		}
		if err := s.updateAbilities(shown); err != nil {
			return nil, err
		}
		if err := applyEdits(shown, s.args.edits, s.args.has("force-string")); err != nil {
			return nil, err
		}
		return s.put(ctx, k, ref.id, k.model.send(shown, wire))
	})
}
