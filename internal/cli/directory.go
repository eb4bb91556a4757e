package cli

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

// This file is how commands speak with Microsoft Graph, in which principals are.

// graph sends one request to the server's Microsoft Graph; path begins behind its version.
func (s *session) graph(ctx context.Context, method, path string, body any) (map[string]any, error) {
	door := s.client.principal.ResourceManager + "/graph"
	a, err := s.client.exchange(ctx, door+"/.default", method, door+"/v1.0"+path, body)
	if err != nil || a.body == nil {
		return nil, err
	}
	wire, err := object(a.body)
	for name := range wire {
		if strings.HasPrefix(name, "@odata.context") {
			delete(wire, name)
		}
	}
	return wire, err
}

// principals lists what is in a collection of Graph, with a $filter where one is given.
func (s *session) principals(ctx context.Context, path, filter string) ([]map[string]any, error) {
	if filter != "" {
		path += "?$filter=" + url.QueryEscape(filter)
	}
	page, err := s.graph(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return objects(page["value"])
}

// objects are the items of a list, all of them objects.
func objects(list any) ([]map[string]any, error) {
	items, _ := list.([]any)
	all := make([]map[string]any, len(items))
	for i, item := range items {
		var err error
		if all[i], err = object(item); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// quoted is a text in a filter.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// filterOf joins --filter with the prefix of a name, as az does.
func filterOf(args *arguments) string {
	var terms []string
	if args.has("filter") {
		terms = append(terms, args.get("filter"))
	}
	if args.has("display-name") {
		terms = append(terms, "startswith(displayName,"+quoted(args.get("display-name"))+")")
	}
	return strings.Join(terms, " and ")
}

func text(o map[string]any, name string) string {
	t, _ := o[name].(string)
	return t
}

// servicePrincipal finds one by its object id or its client id.
func (s *session) servicePrincipal(ctx context.Context, id string) (map[string]any, error) {
	found, err := s.principals(ctx, "/servicePrincipals", "servicePrincipalNames/any(c:c eq "+quoted(id)+") or id eq "+quoted(id))
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, &Problem{
			Status: http.StatusNotFound, Code: "Request_ResourceNotFound",
			Message: "Service principal '" + id + "' doesn't exist",
		}
	}
	return found[0], nil
}

// assignee finds whom a role is for: a user by name, a service principal by client id, or anybody by object id.
func (s *session) assignee(ctx context.Context, who string) (id, kind string, err error) {
	if strings.Contains(who, "@") {
		user, err := s.graph(ctx, http.MethodGet, "/users/"+url.PathEscape(who), nil)
		return text(user, "id"), "User", err
	}
	if sp, err := s.servicePrincipal(ctx, who); err == nil {
		return text(sp, "id"), "ServicePrincipal", nil
	} else if !notFound(err) {
		return "", "", err
	}
	if uuid.Validate(who) == nil {
		found, err := s.byIDs(ctx, []string{who})
		if err != nil {
			return "", "", err
		}
		if p, ok := found[strings.ToLower(who)]; ok {
			return who, kindOf(p), nil
		}
	}
	return "", "", azText("Cannot find user or service principal in graph database for '" + who + "'. If the assignee is an appId, make sure " +
		"the corresponding service principal is created with 'az ad sp create --id " + who + "'.")
}

// byIDs finds principals of any kind by object id, in lower case.
func (s *session) byIDs(ctx context.Context, ids []string) (map[string]map[string]any, error) {
	all := map[string]map[string]any{}
	for len(ids) > 0 {
		some := ids[:min(len(ids), 1000)] // as many as Graph takes
		ids = ids[len(some):]
		page, err := s.graph(ctx, http.MethodPost, "/directoryObjects/getByIds", map[string]any{"ids": some})
		if err != nil {
			return nil, err
		}
		found, err := objects(page["value"])
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			all[strings.ToLower(text(p, "id"))] = p
		}
	}
	return all, nil
}

// kindOf is a principal's type as roles name it.
func kindOf(p map[string]any) string {
	switch text(p, "@odata.type") {
	case "#microsoft.graph.user":
		return "User"
	case "#microsoft.graph.group":
		return "Group"
	}
	return "ServicePrincipal"
}

// nameOf is how a list of roles calls a principal: a user by name, a service principal by client id.
func nameOf(p map[string]any) string {
	for _, name := range []string{"userPrincipalName", "appId", "displayName"} {
		if t := text(p, name); t != "" {
			return t
		}
	}
	return ""
}

func adCommands(env Env) *cobra.Command {
	all := family(env, "ad", "Manage users, groups and service principals", nil)
	all.AddCommand(adUserCommands(env), adGroupCommands(env), adPrincipalCommands(env))
	return all
}
