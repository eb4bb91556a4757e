package arm

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"tintype"
	"tintype/internal/arm/wire"
	"tintype/internal/identity"
	"tintype/internal/rbac"
)

// Roles is what the router and the handlers of role definitions and assignments ask; *rbac.Service is the real one.
type Roles interface {
	Roles(scope string) []rbac.Role
	Role(id string) (rbac.Role, error)
	PutRole(by identity.Principal, r rbac.Role) (out rbac.Role, created bool, err error)
	DeleteRole(id string) (r rbac.Role, ok bool, err error)
	Assignments(q rbac.Query) []rbac.Assignment
	Assignment(scope, name string) (rbac.Assignment, error)
	PutAssignment(by identity.Principal, a rbac.Assignment) (out rbac.Assignment, created bool, err error)
	DeleteAssignment(a rbac.Assignment) (ok bool, err error)
	Held(p identity.Principal, scope string) []rbac.Held
	// AllowedPerhaps tells whether a role, or one with a condition that has to be asked again with the assignment, allows the action.
	AllowedPerhaps(p identity.Principal, action, scope string) bool
	// AllowedAssignment tells whether a role allows to write or delete the assignment.
	AllowedAssignment(p identity.Principal, action string, a rbac.Assignment) bool
	AnyAt(scope string) bool
	Forget(scope string) error
}

const (
	definitionMark = "/providers/" + authorizationNamespace + "/roleDefinitions"
	assignmentMark = "/providers/" + authorizationNamespace + "/roleAssignments"
	permissionMark = "/providers/" + authorizationNamespace + "/permissions"
)

// roleTypes are the rows of roles: at a subscription, a group, a resource, or a resource inside of one.
func (rt *Router) roleTypes() []Type {
	h := roleHandler{rt}
	definitions := Type{
		Namespace: authorizationNamespace, Name: "roleDefinitions", Global: true,
		Versions: []string{"2015-06-01", "2015-07-01", "2018-01-01-preview", "2018-07-01", "2022-04-01", "2022-05-01-preview", "2023-07-01-preview"},
		Operations: []Operation{
			{Method: http.MethodGet, Path: definitionMark, Unscoped: true, Do: h.definitions},
			{Method: http.MethodGet, Path: definitionMark + "/{definition}", Unscoped: true, Do: h.definition},
		},
	}
	assignments := Type{
		Namespace: authorizationNamespace, Name: "roleAssignments", Global: true,
		Versions: []string{
			"2015-06-01", "2015-07-01", "2017-10-01-preview", "2018-01-01-preview", "2018-07-01", "2018-09-01-preview", "2020-03-01-preview",
			"2020-04-01-preview", "2020-08-01-preview", "2020-10-01-preview", "2021-04-01-preview", "2022-04-01",
		},
	}
	permissions := Type{
		Namespace: authorizationNamespace, Name: "permissions", Global: true,
		Versions: []string{"2015-06-01", "2015-07-01", "2018-01-01-preview", "2018-07-01", "2022-04-01"},
	}
	const group = "/subscriptions/{subscription}/resourceGroups/{group}"
	for _, scope := range []string{
		"/subscriptions/{subscription}", group, group + "/providers/{provider}/{type}/{resource}",
		group + "/providers/{provider}/{type}/{resource}/{inner}/{child}",
	} {
		definitions.Operations = append(definitions.Operations,
			Operation{Method: http.MethodGet, Path: scope + definitionMark, Do: h.definitions},
			Operation{Method: http.MethodGet, Path: scope + definitionMark + "/{definition}", Do: h.definition},
			Operation{Method: http.MethodPut, Path: scope + definitionMark + "/{definition}", Do: h.putDefinition},
			Operation{Method: http.MethodDelete, Path: scope + definitionMark + "/{definition}", Do: h.deleteDefinition})
		assignments.Operations = append(assignments.Operations,
			Operation{Method: http.MethodGet, Path: scope + assignmentMark, Do: h.assignments},
			Operation{Method: http.MethodGet, Path: scope + assignmentMark + "/{assignment}", Do: h.assignment},
			Operation{Method: http.MethodPut, Path: scope + assignmentMark + "/{assignment}", Conditional: true, Do: h.putAssignment},
			Operation{Method: http.MethodDelete, Path: scope + assignmentMark + "/{assignment}", Conditional: true, Do: h.deleteAssignment})
		// Everybody may ask what they may do.
		permissions.Operations = append(permissions.Operations,
			Operation{Method: http.MethodGet, Path: scope + permissionMark, Unscoped: true, Do: h.permissions})
	}
	return []Type{definitions, assignments, permissions}
}

// roleHandler answers for role definitions and assignments.
type roleHandler struct{ *Router }

// before is the scope that stands before a mark in the call's path.
func (c *Call) before(mark string) string {
	return c.Path[:strings.LastIndex(strings.ToLower(c.Path), strings.ToLower(mark))]
}

// definitionID writes a definition's id: a built-in one belongs to whatever subscription asks.
func definitionID(subscription, id string) string {
	if subscription == "" {
		return definitionMark + "/" + id
	}
	return "/subscriptions/" + subscription + definitionMark + "/" + id
}

func encodeRole(r rbac.Role, subscription string) wire.RoleDefinition {
	w := wire.RoleDefinition{
		ID: definitionID(subscription, r.ID), Type: authorizationNamespace + "/roleDefinitions", Name: r.ID,
		Properties: wire.RoleDefinitionProperties{
			RoleName: r.Name, Type: "BuiltInRole", Description: r.Description, AssignableScopes: r.Scopes,
			CreatedOn: roleTime(r.Created), UpdatedOn: roleTime(r.Updated), CreatedBy: orNull(r.CreatedBy), UpdatedBy: orNull(r.UpdatedBy),
		},
	}
	if r.Custom {
		w.Properties.Type = "CustomRole"
	}
	for _, p := range r.Permissions {
		w.Properties.Permissions = append(w.Properties.Permissions, encodePermissions(p))
	}
	return w
}

func encodePermissions(p rbac.Permissions) wire.Permissions {
	list := func(all []string) []string { return append([]string{}, all...) }
	return wire.Permissions{
		Actions: list(p.Actions), NotActions: list(p.NotActions), DataActions: list(p.DataActions), NotDataActions: list(p.NotDataActions),
	}
}

func encodeAssignment(a rbac.Assignment) wire.RoleAssignment {
	subscription := ""
	if part := splitPath(a.Scope); len(part) > 1 {
		subscription = part[1]
	}
	return wire.RoleAssignment{
		ID: a.Scope + assignmentMark + "/" + a.Name, Type: authorizationNamespace + "/roleAssignments", Name: a.Name,
		Properties: wire.RoleAssignmentProperties{
			RoleDefinitionID: definitionID(subscription, a.Role), PrincipalID: a.Principal, PrincipalType: a.PrincipalType, Scope: a.Scope,
			CreatedOn: roleTime(a.Created), UpdatedOn: roleTime(a.Updated), CreatedBy: orNull(a.CreatedBy), UpdatedBy: orNull(a.UpdatedBy),
			Description: orNull(a.Description), Condition: orNull(a.Condition), ConditionVersion: orNull(a.ConditionVersion),
		},
	}
}

// roleTime writes a time as the recordings have it here: 100 ns and a Z.
func roleTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// roleFilterRE are the terms that role filters are made of.
var roleFilterRE = regexp.MustCompile(`(?i)^\s*(?:(atScope|atScopeAndBelow)\(\)|(assignedTo)\('([^']*)'\)|(principalId|roleName|type)\s+eq\s+'((?:[^']|'')*)')\s*(and\s+(.*))?$`)

// roleFilter reads a $filter into its terms, in lower case, with their values.
func roleFilter(c *Call, known ...string) (map[string]string, error) {
	filter := c.Query.Get("$filter")
	terms := map[string]string{}
	for rest := filter; strings.TrimSpace(rest) != ""; {
		m := roleFilterRE.FindStringSubmatch(rest)
		if m == nil || len(filter) > maxFilter {
			return nil, badFilter(filter)
		}
		name := strings.ToLower(m[1] + m[2] + m[4])
		if !slices.Contains(known, name) {
			return nil, badFilter(filter)
		}
		terms[name] = strings.ReplaceAll(m[3]+m[5], "''", "'")
		rest = m[7]
	}
	return terms, nil
}

func badFilter(filter string) *Error {
	return gateway(http.StatusBadRequest, "InvalidFilterInQueryString", "Invalid $filter '%s' specified in the query string.", clip(filter))
}

func (h roleHandler) definitions(_ context.Context, c *Call) (Response, error) {
	terms, err := roleFilter(c, "rolename", "type", "atscopeandbelow", "atscope")
	if err != nil {
		return Response{}, err
	}
	out := []wire.RoleDefinition{}
	for _, r := range h.opt.Roles.Roles(c.before(definitionMark)) {
		w := encodeRole(r, c.ID.Subscription)
		if name, ok := terms["rolename"]; ok && !strings.EqualFold(name, r.Name) {
			continue
		}
		if kind, ok := terms["type"]; ok && !strings.EqualFold(kind, w.Properties.Type) {
			continue
		}
		out = append(out, w)
	}
	return JSON(http.StatusOK, ListOf(out)), nil
}

func (h roleHandler) definition(_ context.Context, c *Call) (Response, error) {
	r, err := h.opt.Roles.Role(c.Param("definition"))
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, encodeRole(r, c.ID.Subscription)), nil
}

// putDefinition makes or changes a custom role. It can be assigned at all of its scopes, so all of them take the permission.
func (h roleHandler) putDefinition(_ context.Context, c *Call) (Response, error) {
	var body wire.RoleDefinition
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	p := body.Properties
	r := rbac.Role{ID: c.Param("definition"), Name: p.RoleName, Description: p.Description, Scopes: p.AssignableScopes}
	for _, set := range p.Permissions {
		if set.Condition != "" {
			// One that were not obeyed would give more than the caller means to give.
			return Response{}, tintype.InvalidParameter("properties.permissions.condition", "Conditions belong to role assignments.")
		}
		r.Permissions = append(r.Permissions, rbac.Permissions{
			Actions: set.Actions, NotActions: set.NotActions, DataActions: set.DataActions, NotDataActions: set.NotDataActions,
		})
	}
	if kind := p.Type; kind != "" && !strings.EqualFold(kind, "CustomRole") {
		return Response{}, tintype.InvalidParameter("properties.type", "Only a role of type CustomRole can be made.")
	}
	if err := h.mayDefine(c, r.Scopes, "write"); err != nil {
		return Response{}, err
	}
	if old, err := h.opt.Roles.Role(r.ID); err == nil && old.Custom {
		if err := h.mayDefine(c, old.Scopes, "write"); err != nil {
			return Response{}, err
		}
	}
	out, _, err := h.opt.Roles.PutRole(c.Principal, r)
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusCreated, encodeRole(out, c.ID.Subscription)), nil
}

// mayDefine refuses when the caller may not change roles at each of the scopes.
func (h roleHandler) mayDefine(c *Call, scopes []string, verb string) error {
	action := authorizationNamespace + "/roleDefinitions/" + verb
	for _, scope := range scopes {
		if !h.opt.Guard.Allowed(c.Principal, action, scope) {
			return errLinked(c.Principal, action, c.Path, action, scope)
		}
	}
	return nil
}

func (h roleHandler) deleteDefinition(_ context.Context, c *Call) (Response, error) {
	if old, err := h.opt.Roles.Role(c.Param("definition")); err == nil && old.Custom {
		if err := h.mayDefine(c, old.Scopes, "delete"); err != nil {
			return Response{}, err
		}
	}
	r, ok, err := h.opt.Roles.DeleteRole(c.Param("definition"))
	switch {
	case err != nil:
		return Response{}, err
	case !ok:
		return Empty(http.StatusNoContent), nil
	}
	return JSON(http.StatusOK, encodeRole(r, c.ID.Subscription)), nil
}

func (h roleHandler) assignments(_ context.Context, c *Call) (Response, error) {
	terms, err := roleFilter(c, "atscope", "assignedto", "principalid")
	if err != nil {
		return Response{}, err
	}
	q := rbac.Query{Scope: c.before(assignmentMark), Principal: terms["principalid"]}
	q.AssignedTo = terms["assignedto"]
	_, q.AtScope = terms["atscope"]
	out := []wire.RoleAssignment{}
	for _, a := range h.opt.Roles.Assignments(q) {
		out = append(out, encodeAssignment(a))
	}
	return JSON(http.StatusOK, ListOf(out)), nil
}

func (h roleHandler) assignment(_ context.Context, c *Call) (Response, error) {
	a, err := h.opt.Roles.Assignment(c.before(assignmentMark), c.Param("assignment"))
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, encodeAssignment(a)), nil
}

func (h roleHandler) putAssignment(ctx context.Context, c *Call) (Response, error) {
	var body wire.RoleAssignment
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	p := body.Properties
	a := rbac.Assignment{Name: c.Param("assignment"), Principal: p.PrincipalID, PrincipalType: p.PrincipalType, Scope: c.before(assignmentMark)}
	a.Description, a.Condition, a.ConditionVersion = orEmpty(p.Description), orEmpty(p.Condition), orEmpty(p.ConditionVersion)
	a.Role = p.RoleDefinitionID[strings.LastIndexByte(p.RoleDefinitionID, '/')+1:]
	asked := a
	asked.PrincipalType = h.foundType(a)
	// First of all: who may not learns nothing of what there is.
	if err := h.mayAssign(c, "write", asked); err != nil {
		return Response{}, err
	}
	if err := h.scopeExists(ctx, c, a.Scope); err != nil {
		return Response{}, err
	}
	var err error
	if a.PrincipalType, err = h.principalType(a); err != nil {
		return Response{}, err
	}
	out, created, err := h.opt.Roles.PutAssignment(c.Principal, a)
	if err != nil {
		return Response{}, err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return JSON(status, encodeAssignment(out)), nil
}

// foundType is what the principal is, "" when it is nothing.
func (h roleHandler) foundType(a rbac.Assignment) string {
	if len(a.Principal) != 36 {
		return ""
	}
	return h.opt.PrincipalType(a.Principal)
}

// principalType finds what the principal is, and refuses one that is nothing or something else than was said.
func (h roleHandler) principalType(a rbac.Assignment) (string, error) {
	is := h.foundType(a)
	switch {
	case is == "":
		return "", gateway(http.StatusBadRequest, "PrincipalNotFound",
			"Principal %s does not exist in the directory %s. Check that you have the correct principal ID. If you are creating this principal and then "+
				"immediately assigning a role, this error might be related to a replication delay. In this case, set the role assignment principalType "+
				"property to a value, such as ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype",
			clip(strings.ReplaceAll(a.Principal, "-", "")), h.opt.Guard.Tenant().ID)
	case a.PrincipalType != "" && !strings.EqualFold(a.PrincipalType, is):
		return "", gateway(http.StatusBadRequest, "UnmatchedPrincipalType",
			"The PrincipalId '%s' has type '%s' , which is different from specified PrinciaplType '%s'.",
			strings.ReplaceAll(a.Principal, "-", ""), is, clip(a.PrincipalType))
	}
	return is, nil
}

// mayAssign refuses what no role of the caller allows on exactly this assignment.
func (h roleHandler) mayAssign(c *Call, verb string, a rbac.Assignment) error {
	action := authorizationNamespace + "/roleAssignments/" + verb
	if h.opt.Guard.Allowed(c.Principal, action, c.scope()) || h.opt.Roles.AllowedAssignment(c.Principal, action, a) {
		return nil
	}
	return errForbidden(c.Principal, action, c.scope())
}

// deleteAssignment deletes the assignment that it asked about: when another one has its name by then, it asks again.
func (h roleHandler) deleteAssignment(_ context.Context, c *Call) (Response, error) {
	for {
		a, err := h.opt.Roles.Assignment(c.before(assignmentMark), c.Param("assignment"))
		if isGone(err) {
			return Empty(http.StatusNoContent), nil
		}
		if err := errors.Join(err, h.mayAssign(c, "delete", a)); err != nil {
			return Response{}, err
		}
		switch ok, err := h.opt.Roles.DeleteAssignment(a); {
		case err != nil:
			return Response{}, err
		case ok:
			return JSON(http.StatusOK, encodeAssignment(a)), nil
		}
	}
}

// permissions tells the caller what its roles allow at the scope.
func (h roleHandler) permissions(_ context.Context, c *Call) (Response, error) {
	out := []wire.Permissions{}
	for _, p := range h.opt.Roles.Held(c.Principal, c.before(permissionMark)) {
		w := encodePermissions(p.Permissions)
		if p.Condition != "" {
			w.Condition, w.ConditionVersion = p.Condition, rbac.ConditionVersion
		}
		out = append(out, w)
	}
	return JSON(http.StatusOK, ListOf(out)), nil
}

// scopeExists refuses a scope that is nothing, by asking the type's own GET.
func (rt *Router) scopeExists(ctx context.Context, c *Call, scope string) error {
	segments := splitPath(scope)
	m, params, err := rt.find(http.MethodGet, segments, c.APIVersion)
	if err != nil {
		return err
	}
	versions := m.versions()
	asked := &Call{
		Method: http.MethodGet, APIVersion: versions[len(versions)-1], ID: m.id(params), Principal: c.Principal, Query: map[string][]string{},
		Header: http.Header{}, BaseURL: c.BaseURL, Path: scope, RequestID: c.RequestID, params: params,
	}
	_, err = m.op.Do(ctx, asked)
	return err
}

// forgetStale drops what is assigned at a resource or group that is about to be made and isn't there: that was about
// another one of the same name.
func forgetStale(ctx context.Context, m *route, c *Call) error {
	if c.Method != http.MethodPut || c.ID.Group == "" || m.typ.Namespace == authorizationNamespace {
		return nil
	}
	return c.comes(ctx, c.Path)
}

// forgetGone drops what is assigned at the id, when nothing has it.
func (rt *Router) forgetGone(ctx context.Context, c *Call, id string) error {
	if rt.opt.Roles.AnyAt(id) && isGone(rt.scopeExists(ctx, c, id)) {
		return rt.opt.Roles.Forget(id)
	}
	return nil
}

// isGone tells whether the error says that there is no such thing, be it the domain's or a handler's own.
func isGone(err error) bool {
	var refused *tintype.Error
	var own *Error
	return errors.As(err, &refused) && refused.Kind == tintype.KindNotFound || errors.As(err, &own) && own.Status == http.StatusNotFound
}

// errLinked refuses a call that touches another resource on which the caller lacks a permission.
func errLinked(p identity.Principal, action, scope, linkedAction, linked string) *Error {
	return gateway(http.StatusForbidden, "LinkedAuthorizationFailed",
		"The client '%s' with object id '%s' has permission to perform action '%s' on scope '%s'; however, it does not have "+
			"permission to perform action '%s' on the linked scope(s) '%s' or the linked scope(s) are invalid.",
		p.Display(), p.ObjectID, action, clip(scope), linkedAction, clip(linked))
}
