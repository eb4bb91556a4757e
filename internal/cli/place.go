package cli

import (
	"context"
	"net/http"
	"strings"
)

// place is a type of resource that commands show, list and delete as it comes.
type place struct {
	words  string // disk-access: as in commands
	noun   string
	plural string
	path   string // Microsoft.Compute/diskAccesses
	api    string
	name   *option // that names one
	asks   bool    // before it deletes
}

func (p *place) id(s *session, name string) string {
	return s.groupID(s.args.get("resource-group")) + "/providers/" + p.path + "/" + name
}

// options are those that name one, and what else there is.
func (p *place) options(more ...*option) []*option {
	return append([]*option{p.name, {long: "resource-group", short: "g", required: true, help: "Name of resource group"}}, more...)
}

func noWaitOption() *option {
	return &option{long: "no-wait", arity: none, help: "Do not wait for the long-running operation to finish"}
}

func locationOption() *option {
	return &option{long: "location", short: "l", help: "Location; default: the resource group's"}
}

func (p *place) common() []command {
	gone := []*option{noWaitOption()}
	if p.asks {
		gone = append(gone, &option{long: "yes", short: "y", arity: none, help: "Do not prompt for confirmation"})
	}
	return []command{
		{name: p.words + " show", short: "Show a " + p.noun + ".", run: p.show, options: p.options(), table: placeColumns},
		{name: p.words + " list", short: "List " + p.plural + ".", run: p.list, table: placeColumns, options: []*option{
			{long: "resource-group", short: "g", help: "Name of resource group"},
		}},
		{name: p.words + " delete", short: "Delete a " + p.noun + ".", run: p.delete, options: p.options(gone...)},
	}
}

func placeColumns(r map[string]any) row {
	return row{{"Name", r["name"]}, {"ResourceGroup", r["resourceGroup"]}, {"Location", r["location"]}, {"ProvisioningState", r["provisioningState"]}}
}

func (p *place) fetch(ctx context.Context, s *session, id, query string) (any, error) {
	return showOne(s.client.do(ctx, http.MethodGet, versioned(id, p.api)+query, nil))
}

func (p *place) show(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	return p.fetch(ctx, s, p.id(s, args.get(p.name.long)), "")
}

func (p *place) list(ctx context.Context, s *session, args *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	scope := "/subscriptions/" + s.subscription()
	if args.has("resource-group") {
		scope = s.groupID(args.get("resource-group"))
	}
	items, err := s.list(ctx, versioned(scope+"/providers/"+p.path, p.api))
	for i := range items {
		items[i] = showFlat(items[i])
	}
	return items, err
}

func (p *place) delete(ctx context.Context, s *session, args *arguments) (any, error) {
	if p.asks {
		if err := s.confirm(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	_, err := s.write(ctx, http.MethodDelete, versioned(p.id(s, args.get(p.name.long)), p.api), nil)
	return nil, err
}

// create puts one in its location, with its tags, and shows it as it is then.
func (p *place) create(ctx context.Context, s *session, name string, body map[string]any) (any, error) {
	location, err := s.location(ctx, s.args.get("resource-group"))
	if err != nil {
		return nil, err
	}
	body["location"] = location
	if s.args.has("tags") {
		body["tags"] = parseTags(s.args.values["tags"])
	}
	return p.finish(ctx, s, http.MethodPut, p.id(s, name), body)
}

// finish writes, and shows what it has become; nothing with --no-wait.
func (p *place) finish(ctx context.Context, s *session, method, id string, body any) (any, error) {
	if _, err := s.write(ctx, method, versioned(id, p.api), body); err != nil || s.args.has("no-wait") {
		return nil, err
	}
	return p.fetch(ctx, s, id, "")
}

// retag is an update that knows tags alone: --tags, or the generic --set, --add and --remove on them.
func (p *place) retag(ctx context.Context, s *session, body map[string]any) (any, error) {
	id := p.id(s, s.args.get(p.name.long))
	wire, err := s.get(ctx, id, p.api)
	if err != nil {
		return nil, err
	}
	have, _ := wire["tags"].(map[string]any)
	if have == nil {
		have = map[string]any{}
	}
	edited := map[string]any{"tags": have}
	if s.args.has("tags") {
		edited["tags"] = parseTags(s.args.values["tags"])
	}
	if err := applyEdits(edited, s.args.edits, s.args.has("force-string")); err != nil {
		return nil, err
	}
	tags, ok := edited["tags"].(map[string]any)
	if !ok || len(edited) != 1 {
		return nil, usagef("only tags can be changed by --set, --add and --remove here")
	}
	if s.args.has("tags") || len(s.args.edits) > 0 {
		body["tags"] = textValues(tags)
	}
	return p.finish(ctx, s, http.MethodPatch, id, body)
}

// inGroup completes the name of a resource to its id.
func (s *session) inGroup(path, name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return s.groupID(s.args.get("resource-group")) + "/providers/" + path + "/" + name
}
