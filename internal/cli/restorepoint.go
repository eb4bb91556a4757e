package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"
)

const pointsAPI = "2024-11-01"

const collectionHelp = "What its restore points are of: a virtual machine, or beyond Azure a resource group (all of its disks) or a disk."

func collectionPlace() *place {
	return &place{
		words: "restore-point collection", noun: "restore point collection", plural: "restore point collections",
		path: "Microsoft.Compute/restorePointCollections", api: pointsAPI, asks: true,
		name: &option{long: "collection-name", alias: "restore-point-collection-name", required: true, help: "The name of the restore point collection"},
	}
}

func restorePointCommands(env Env) *cobra.Command {
	p := collectionPlace()
	point := func(more ...*option) []*option {
		return p.options(append(more, &option{long: "name", alias: "restore-point-name", short: "n", required: true, help: "The name of the restore point"})...)
	}
	all := family(env, "restore-point", "Manage restore points", []command{
		{name: "restore-point create", short: "Create a restore point: all disks of the collection's source, at one moment.", run: createPoint, table: placeColumns, options: point(
			&option{long: "exclude-disks", arity: atLeast1, help: "List of disk resource ids that the customer wishes to exclude from the restore point"},
			&option{long: "source-restore-point", help: "Resource Id of the source restore point from which a copy needs to be created"},
			&option{long: "consistency-mode", choices: []string{"ApplicationConsistent", "CrashConsistent", "FileSystemConsistent"}, help: "Consistency mode of the restore point"},
			noWaitOption(),
		)},
		{name: "restore-point show", short: "Get the restore point.", run: showPoint, table: placeColumns, options: point(
			&option{long: "instance-view", arity: none, help: "Show the instance view of a restore point"},
		)},
		{name: "restore-point delete", short: "Delete the restore point.", run: deletePoint, options: point(
			&option{long: "yes", short: "y", arity: none, help: "Do not prompt for confirmation"}, noWaitOption(),
		)},
	})
	create := func(ctx context.Context, s *session, args *arguments) (any, error) {
		if err := s.connect(); err != nil {
			return nil, err
		}
		return p.create(ctx, s, args.get("collection-name"), map[string]any{"properties": map[string]any{"source": map[string]any{"id": args.get("source-id")}}})
	}
	update := func(ctx context.Context, s *session, _ *arguments) (any, error) {
		if err := s.connect(); err != nil {
			return nil, err
		}
		return p.retag(ctx, s, map[string]any{})
	}
	common := p.common()
	common[0] = command{name: p.words + " show", short: "Get the restore point collection.", run: showCollection, table: placeColumns, options: p.options(
		&option{long: "restore-points", arity: none, help: "Show all contained restore points in the restore point collection"},
	)}
	all.AddCommand(family(env, "collection", "Manage restore point collections", append(common,
		command{name: p.words + " list-all", short: "List the restore point collections of the subscription.", run: p.list, table: placeColumns},
		command{name: p.words + " create", short: "Create a restore point collection.", long: collectionHelp, run: create, table: placeColumns, options: p.options(
			&option{long: "source-id", required: true, help: "Resource Id of the source resource used to create this restore point collection"}, locationOption(), tagOption(),
		)},
		command{name: p.words + " update", short: "Update the restore point collection.", run: update, options: p.options(tagOption()), table: placeColumns})))
	return all
}

func (s *session) pointID() string {
	return collectionPlace().id(s, s.args.get("collection-name")) + "/restorePoints/" + s.args.get("name")
}

func createPoint(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	properties := map[string]any{}
	if args.has("exclude-disks") {
		var all []any
		for _, id := range args.values["exclude-disks"] {
			all = append(all, map[string]any{"id": id})
		}
		properties["excludeDisks"] = all
	}
	if args.has("source-restore-point") {
		properties["sourceRestorePoint"] = map[string]any{"id": args.get("source-restore-point")}
	}
	if args.has("consistency-mode") {
		properties["consistencyMode"] = args.get("consistency-mode")
	}
	return collectionPlace().finish(ctx, s, http.MethodPut, s.pointID(), map[string]any{"properties": properties})
}

func showPoint(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	query := ""
	if args.has("instance-view") {
		query = "&$expand=instanceView"
	}
	return collectionPlace().fetch(ctx, s, s.pointID(), query)
}

func showCollection(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	query := ""
	if args.has("restore-points") {
		query = "&$expand=restorePoints"
	}
	p := collectionPlace()
	return p.fetch(ctx, s, p.id(s, args.get("collection-name")), query)
}

func deletePoint(ctx context.Context, s *session, _ *arguments) (any, error) {
	if err := s.confirm(ctx); err != nil {
		return nil, err
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	_, err := s.write(ctx, http.MethodDelete, versioned(s.pointID(), pointsAPI), nil)
	return nil, err
}
