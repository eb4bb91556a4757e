package arm

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Handler carries one operation out. It may return a *[Error] or a domain error; anything else is logged and shown to
// the caller as a 500 without its text.
type Handler func(ctx context.Context, c *Call) (Response, error)

// Type is one resource type: a row of the table.
type Type struct {
	// Namespace and Name in the case in which Azure writes them, such as "Microsoft.Compute" and "disks". A Name may
	// have several segments ("locations/DiskOperations").
	Namespace, Name string
	// Versions are the api-versions that are served, oldest first.
	Versions []string
	// Global types have no region: the providers API shows no locations for them.
	Global bool
	// Zoned types can name an availability zone.
	Zoned bool
	// Permission replaces Namespace/Name as the beginning of what a role must allow.
	Permission string
	// Operations of the type; see [Operation].
	Operations []Operation
}

// FullName is "Namespace/Name".
func (t *Type) FullName() string { return t.Namespace + "/" + t.Name }

// Operation is one method on one path.
type Operation struct {
	Method string
	// Path is the template, beginning with a slash. Its literal segments match without regard to case; {subscription},
	// {group}, {name} and {location} fill the Call's ID, any other {word} is read with Call.Param. [InGroup] and
	// [InSubscription] write the usual beginnings.
	Path string
	// Versions, when not nil, replaces the type's.
	Versions []string
	// Permission is what a role must allow. When empty it is derived: Namespace/type/read, write or delete by method,
	// and for POST the last segment of the path, as in Microsoft.Compute/disks/beginGetAccess/action.
	Permission string
	// Unscoped operations (lists of tenants and subscriptions) need a valid token and no role: they answer with what
	// the caller may see.
	Unscoped bool
	// Seen operations are for whoever holds any role in the subscription, on whatever: they tell what everybody there has to
	// know, such as regions and api-versions.
	Seen bool
	// Conditional operations are let in too where a condition of a role leaves open whether it allows them: their handler asks again, with
	// what the request says.
	Conditional bool
	// Loose operations take what Azure's parser takes beyond JSON, which az sends of templates: comments, names without
	// quotes, strings over several lines.
	Loose bool
	Do    Handler
}

// InGroup is the path of rest, such as "Microsoft.Compute/disks/{name}", inside a resource group.
func InGroup(rest string) string {
	return "/subscriptions/{subscription}/resourceGroups/{group}/providers/" + rest
}

// InSubscription is the path of rest, such as "Microsoft.Compute/disks", directly in a subscription.
func InSubscription(rest string) string {
	return "/subscriptions/{subscription}/providers/" + rest
}

// route is an operation made ready for matching.
type route struct {
	typ      *Type
	op       *Operation
	segments []string
	literals int
}

// compile turns the table into routes. A mistake in the table is a mistake of the program: it is an error at start.
func compile(types []Type) ([]route, error) {
	var routes []route
	seen := make(map[string]bool)
	for i := range types {
		t := &types[i]
		for j := range t.Operations {
			op := &t.Operations[j]
			if op.Do == nil || !strings.HasPrefix(op.Path, "/") {
				return nil, fmt.Errorf("arm: %s %s %q has no handler or no path", t.FullName(), op.Method, op.Path)
			}
			key := op.Method + " " + strings.ToLower(op.Path)
			if seen[key] {
				return nil, fmt.Errorf("arm: %s is in the table twice", key)
			}
			seen[key] = true
			rt := route{typ: t, op: op, segments: splitPath(op.Path)}
			for _, s := range rt.segments {
				if !isParam(s) {
					rt.literals++
				}
			}
			routes = append(routes, rt)
		}
	}
	return routes, nil
}

func isParam(s string) bool { return strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") }

// match tells whether the request's segments fit the route, and returns its parameters.
func (rt *route) match(segments []string) (map[string]string, bool) {
	if len(segments) != len(rt.segments) {
		return nil, false
	}
	params := make(map[string]string, len(rt.segments)-rt.literals)
	for i, want := range rt.segments {
		if isParam(want) {
			params[want[1:len(want)-1]] = segments[i]
		} else if !strings.EqualFold(want, segments[i]) {
			return nil, false
		}
	}
	return params, true
}

func (rt *route) versions() []string {
	if rt.op.Versions != nil {
		return rt.op.Versions
	}
	return rt.typ.Versions
}

func (rt *route) serves(version string) bool { return slices.Contains(rt.versions(), version) }

// permission is what a role must allow for the route's operation.
func (rt *route) permission() string {
	if rt.op.Permission != "" {
		return rt.op.Permission
	}
	on := rt.typ.Permission
	if on == "" {
		on = rt.typ.FullName()
	}
	switch rt.op.Method {
	case http.MethodGet, http.MethodHead:
		return on + "/read"
	case http.MethodPut, http.MethodPatch:
		return on + "/write"
	case http.MethodDelete:
		return on + "/delete"
	default:
		return on + "/" + rt.segments[len(rt.segments)-1] + "/action"
	}
}

// Route is what the table says of one operation, for whoever describes or tests the whole API.
type Route struct {
	Method, Path string
	// Permission is what a role must allow; of an unscoped operation, which asks itself, it is what it would be.
	Permission     string
	Unscoped, Seen bool
	Version        string // the newest api-version
}

// Routes lists every operation, in the order of the table.
func (rt *Router) Routes() []Route {
	out := make([]Route, len(rt.routes))
	for i := range rt.routes {
		r := &rt.routes[i]
		versions := r.versions()
		out[i] = Route{r.op.Method, r.op.Path, r.permission(), r.op.Unscoped, r.op.Seen, versions[len(versions)-1]}
	}
	return out
}
