package cli

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// api-versions that the commands ask for.
const (
	computeAPI = "2026-03-02"
	groupAPI   = "2021-04-01"
)

// session is one run of one command.
type session struct {
	env    Env
	notes  Env // env, but silent under --only-show-errors: for warnings and progress
	args   *arguments
	client *client
}

// connect finds the server. Commands call it once their arguments are known to be
// good: a usage error never needs a server.
func (s *session) connect() error {
	if s.client != nil {
		return nil
	}
	c, err := discover(s.env, s.args.get("client"))
	if err != nil {
		return err
	}
	c.now = s.env.Now
	if s.args.has("debug") {
		c.trace = s.env.Stderr
	}
	if id := s.args.get("subscription"); id != "" {
		if _, err := uuid.Parse(id); err != nil {
			return azText("The subscription of '" + id + "' doesn't exist in cloud 'Tintype'.")
		}
		c.principal.SubscriptionID = id
	}
	s.client = c
	return nil
}

func (s *session) subscription() string { return s.client.principal.SubscriptionID }

func (s *session) groupID(name string) string {
	return "/subscriptions/" + s.subscription() + "/resourceGroups/" + name
}

// versioned adds an api-version to a resource id, escaping each segment.
func versioned(id, api string) string {
	parts := strings.Split(id, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/") + "?api-version=" + api
}

// get fetches one object.
func (s *session) get(ctx context.Context, id, api string) (map[string]any, error) {
	a, err := s.client.do(ctx, http.MethodGet, versioned(id, api), nil)
	if err != nil {
		return nil, err
	}
	return object(a.body)
}

// list fetches every page of a collection of objects.
func (s *session) list(ctx context.Context, target string) ([]map[string]any, error) {
	items, err := s.items(ctx, target, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	all := make([]map[string]any, 0, len(items))
	for _, item := range items {
		o, err := object(item)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

// items fetches page after page of a collection, until it has at least so many items or all.
func (s *session) items(ctx context.Context, target string, enough int64) ([]any, error) {
	all := []any{}
	for target != "" && int64(len(all)) < enough {
		a, err := s.client.do(ctx, http.MethodGet, target, nil)
		if err != nil {
			return nil, err
		}
		page, err := object(a.body)
		if err != nil {
			return nil, err
		}
		items, _ := page["value"].([]any)
		all = append(all, items...)
		target, _ = page["nextLink"].(string)
	}
	return all, nil
}

// write sends a write and, unless --no-wait is given, waits for its result.
func (s *session) write(ctx context.Context, method, target string, body any) (any, error) {
	op, err := s.client.begin(ctx, method, target, body)
	if err != nil || s.args.has("no-wait") {
		return nil, err
	}
	return s.client.finish(ctx, op)
}

func object(v any) (map[string]any, error) {
	o, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the server's answer is not an object")
	}
	return o, nil
}

// location is the one that was asked for, or the group's.
func (s *session) location(ctx context.Context, group string) (string, error) {
	if l := s.args.get("location"); l != "" {
		return strings.ToLower(strings.ReplaceAll(l, " ", "")), nil
	}
	g, err := s.get(ctx, s.groupID(group), groupAPI)
	if err != nil {
		return "", err
	}
	l, _ := g["location"].(string)
	return l, nil
}
