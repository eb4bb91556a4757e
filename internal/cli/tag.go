package cli

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

const tagsAPI = "2021-04-01"

func tagCommands(env Env) *cobra.Command {
	id := &option{long: "resource-id", required: true, help: "The resource identifier for the tagged entity: a resource, or a resource group"}
	tags := tagOption()
	tags.required = true
	return family(env, "tag", "Manage tags on a resource", []command{
		{name: "tag create", short: "Create tags on a specific resource, in the place of those that are there.", run: writeTags(http.MethodPut), options: []*option{id, tags}},
		{name: "tag update", short: "Selectively update the set of tags on a specific resource.", run: writeTags(http.MethodPatch), options: []*option{
			id, tags, {long: "operation", required: true, choices: []string{"Delete", "Merge", "Replace"}, help: "The update operation"},
		}},
		{name: "tag list", short: "List the entire set of tags on a specific resource.", run: listTags, options: []*option{id}},
		{name: "tag delete", short: "Delete all tags of a specific resource.", run: deleteTags, options: []*option{
			id, {long: "yes", short: "y", arity: none, help: "Do not prompt for confirmation"},
		}},
	})
}

func tagsOf(args *arguments) string {
	return versioned("/"+strings.Trim(args.get("resource-id"), "/")+"/providers/Microsoft.Resources/tags/default", tagsAPI)
}

// tags runs one request on the tags, which az shows as they come.
func (s *session) tags(ctx context.Context, method string, body any) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	a, err := s.client.do(ctx, method, tagsOf(s.args), body)
	if err != nil || a.body == nil {
		return nil, err
	}
	wire, err := object(a.body)
	addResourceGroup(wire)
	return wire, err
}

func writeTags(method string) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, args *arguments) (any, error) {
		body := map[string]any{"properties": map[string]any{"tags": parseTags(args.values["tags"])}}
		if args.has("operation") {
			body["operation"] = args.get("operation")
		}
		return s.tags(ctx, method, body)
	}
}

func listTags(ctx context.Context, s *session, _ *arguments) (any, error) {
	return s.tags(ctx, http.MethodGet, nil)
}

func deleteTags(ctx context.Context, s *session, _ *arguments) (any, error) {
	if err := s.confirm(ctx); err != nil {
		return nil, err
	}
	return s.tags(ctx, http.MethodDelete, nil)
}
