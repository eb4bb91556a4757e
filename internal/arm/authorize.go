package arm

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// authorize refuses a call that no role of the caller allows. filtered tells that the caller may see a part of the list alone.
func (rt *Router) authorize(m *route, c *Call) (filtered bool, err error) {
	permission, scope := m.permission(), c.scope()
	guard := rt.opt.Guard
	switch {
	case m.op.Unscoped, guard.Allowed(c.Principal, permission, scope):
		return false, nil
	case m.op.Conditional && rt.opt.Roles.AllowedPerhaps(c.Principal, permission, scope):
		return false, nil
	case m.op.Seen && guard.Sees(c.Principal, "/subscriptions/"+c.ID.Subscription):
		return false, nil
	case m.lists() && guard.AllowedBelow(c.Principal, permission, c.container()):
		return true, nil
	case m.lists() && m.typ.Namespace == resourcesNamespace && guard.Sees(c.Principal, c.container()):
		return true, nil
	}
	return false, errForbidden(c.Principal, permission, scope)
}

// lists tells whether the route lists the resources of a subscription or a group.
func (rt *route) lists() bool {
	return (!rt.typ.Global || rt.typ.Name == "resources") && rt.op.Method == http.MethodGet && len(rt.segments) > 2 && !isParam(rt.segments[len(rt.segments)-1]) &&
		!slices.ContainsFunc(rt.segments, func(s string) bool {
			return isParam(s) && s != "{subscription}" && s != "{group}"
		})
}

// container is the group or subscription that a list is of.
func (c *Call) container() string {
	at := "/subscriptions/" + c.ID.Subscription
	if c.ID.Group != "" {
		at += "/resourceGroups/" + c.ID.Group
	}
	return at
}

// filterList leaves in a list what the caller may read, as Azure does for those whose roles are on some of it. What has no id
// is left out, and what is no list at all is refused.
func (rt *Router) filterList(m *route, c *Call, rs Response) (Response, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(rs.Body); err != nil {
		return Response{}, err
	}
	var list List[json.RawMessage]
	if err := json.Unmarshal(buf.Bytes(), &list); err != nil || list.Value == nil {
		return Response{}, errForbidden(c.Principal, m.permission(), c.scope())
	}
	list.Value = slices.DeleteFunc(list.Value, func(item json.RawMessage) bool { return !rt.maySee(m, c, item) })
	rs.Body = list
	return rs, nil
}

// maySee tells whether a role of the caller allows to read one item of a list.
func (rt *Router) maySee(m *route, c *Call, item json.RawMessage) bool {
	var it struct{ ID, Type string }
	if json.Unmarshal(item, &it) != nil || !strings.HasPrefix(it.ID, "/") {
		return false
	}
	if rt.opt.Guard.Allowed(c.Principal, m.permission(), it.ID) {
		return true
	}
	return m.typ.Name == "resources" && it.Type != "" && rt.opt.Guard.Allowed(c.Principal, it.Type+"/read", it.ID)
}
