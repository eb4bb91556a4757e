package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func groupNameOption() *option {
	return &option{long: "name", alias: "resource-group", short: "gn", required: true, help: "Name of the resource group"}
}

func groupOptions(more ...*option) []*option {
	return append([]*option{groupNameOption()}, more...)
}

func groupCommands(env Env) *cobra.Command {
	location := &option{long: "location", short: "l", required: true, help: "Location"}
	manager := &option{long: "managed-by", help: "The ID of the resource that manages this resource group"}
	noWait := &option{long: "no-wait", arity: none, help: "Do not wait for the long-running operation to finish"}
	yes := &option{long: "yes", short: "y", arity: none, help: "Do not prompt for confirmation"}
	force := &option{long: "force-deletion-types", short: "f", arity: atLeast1, help: "The resource types you want to force delete"}
	tag := &option{long: "tag", help: "A single tag in 'key[=value]' format"}
	return family(env, "group", "Manage resource groups", []command{
		{name: "group create", short: "Create a new resource group.", options: groupOptions(location, manager, tagOption()), run: createGroup},
		{name: "group delete", short: "Delete a resource group.", options: groupOptions(force, noWait, yes), run: deleteGroup},
		{name: "group exists", short: "Check if a resource group exists.", options: groupOptions(), run: groupExists},
		{name: "group list", short: "List resource groups.", options: []*option{tag}, run: listGroups, table: groupColumns},
		{name: "group show", short: "Gets a resource group.", options: groupOptions(), run: showGroup},
		{name: "group update", short: "Update a resource group.", options: groupOptions(append(updateOptions(), tagOption())...), run: updateGroup},
	})
}

func createGroup(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	location, err := s.location(ctx, "")
	if err != nil {
		return nil, err
	}
	body := map[string]any{"location": location}
	if args.has("tags") {
		body["tags"] = parseTags(args.values["tags"])
	}
	if args.has("managed-by") {
		body["managedBy"] = args.get("managed-by")
	}
	return s.putGroup(ctx, args.get("name"), body)
}

func (s *session) putGroup(ctx context.Context, name string, body any) (any, error) {
	a, err := s.client.do(ctx, http.MethodPut, versioned(s.groupID(name), groupAPI), body)
	if err != nil {
		return nil, err
	}
	wire, err := object(a.body)
	if err != nil {
		return nil, err
	}
	return groupModel.show(wire), nil
}

func deleteGroup(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.confirm(ctx); err != nil {
		return nil, err
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	target := versioned(s.groupID(args.get("name")), groupAPI)
	if types := args.values["force-deletion-types"]; len(types) > 0 {
		target += "&forceDeletionTypes=" + url.QueryEscape(strings.Join(types, ","))
	}
	_, err := s.write(ctx, http.MethodDelete, target, nil)
	return nil, err
}

func groupExists(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	_, err := s.client.do(ctx, http.MethodHead, versioned(s.groupID(args.get("name")), groupAPI), nil)
	if notFound(err) {
		return false, nil
	}
	return true, err
}

func listGroups(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	target := "/subscriptions/" + s.subscription() + "/resourcegroups?api-version=" + groupAPI
	if args.has("tag") {
		target += "&$filter=" + url.QueryEscape(tagFilter(args.get("tag")))
	}
	items, err := s.list(ctx, target)
	if err != nil {
		return nil, err
	}
	for i := range items {
		items[i] = groupModel.show(items[i])
	}
	return items, nil
}

// tagFilter is ARM's filter for one tag.
func tagFilter(tag string) string {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	key, value, _ := strings.Cut(tag, "=")
	filter := "tagname eq " + quote(key)
	if value != "" {
		filter += " and tagvalue eq " + quote(value)
	}
	return filter
}

func showGroup(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	wire, err := s.get(ctx, s.groupID(args.get("name")), groupAPI)
	if err != nil {
		return nil, err
	}
	return groupModel.show(wire), nil
}

func updateGroup(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	wire, err := s.get(ctx, s.groupID(args.get("name")), groupAPI)
	if err != nil {
		return nil, err
	}
	shown := groupModel.flatten(wire)
	if args.has("tags") {
		shown["tags"] = parseTags(args.values["tags"])
	}
	if err := applyEdits(shown, args.edits, args.has("force-string")); err != nil {
		return nil, err
	}
	return s.putGroup(ctx, args.get("name"), groupModel.send(shown, wire))
}

// confirm asks the user, unless --yes is given.
func (s *session) confirm(ctx context.Context) error {
	if s.args.has("yes") {
		return nil
	}
	if !s.env.StdinTTY {
		warnf(s.notes, "Unable to prompt for confirmation as no tty available. Use --yes.")
		return errCancelled
	}
	fmt.Fprint(s.env.Stderr, "Are you sure you want to perform this operation? (y/n): ")
	replies := make(chan string, 1)
	go func() {
		var reply string
		if _, err := fmt.Fscanln(s.env.Stdin, &reply); err != nil {
			reply = "" // the end of the input, or an empty line: no consent
		}
		replies <- reply
	}()
	select {
	case <-ctx.Done(): // the goroutine ends with the process: a read of a terminal cannot be called off
		return ctx.Err()
	case reply := <-replies:
		if strings.EqualFold(reply, "y") || strings.EqualFold(reply, "yes") {
			return nil
		}
		return errCancelled
	}
}
