package arm

import (
	"context"
	"net/http"
	"strings"

	"tintype"
)

// Locks is what the router and the handlers of locks ask of the domain; *compute.Service is the real one.
type Locks interface {
	PutLock(ctx context.Context, l tintype.Lock) (created bool, err error)
	GetLock(ctx context.Context, scope, name string) (tintype.Lock, error)
	Locks(ctx context.Context, sub tintype.SubscriptionID, scope string, below bool) ([]tintype.Lock, error)
	DeleteLock(ctx context.Context, scope, name string) (ok bool, err error)
	// CheckLocks refuses what a lock forbids.
	CheckLocks(ctx context.Context, sub tintype.SubscriptionID, scope string, deletion bool) error
}

const authorizationNamespace = "Microsoft.Authorization"

type lockBody struct {
	ID         string         `json:"id,omitempty"`
	Name       string         `json:"name,omitempty"`
	Type       string         `json:"type,omitempty"`
	Properties lockProperties `json:"properties"`
}

type lockProperties struct {
	Level  string      `json:"level"`
	Notes  string      `json:"notes,omitempty"`
	Owners []lockOwner `json:"owners,omitempty"`
}

type lockOwner struct {
	ApplicationID string `json:"applicationId"`
}

// LockType is the row of management locks: at a subscription, a group, or a resource.
func LockType(locks Locks) Type {
	h := lockHandler{locks}
	t := Type{
		Namespace: authorizationNamespace, Name: "locks", Global: true,
		Versions: []string{"2015-01-01", "2015-06-01", "2016-09-01", "2017-04-01", "2020-05-01"},
	}
	const sub = "/subscriptions/{subscription}"
	const group = sub + "/resourceGroups/{group}"
	for _, scope := range []string{sub, group, group + "/providers/{provider}/{type}/{resource}"} {
		list := scope + lockMark
		one := list + "/{lock}"
		t.Operations = append(t.Operations,
			Operation{Method: http.MethodGet, Path: list, Do: h.list},
			Operation{Method: http.MethodGet, Path: one, Do: h.get},
			Operation{Method: http.MethodPut, Path: one, Do: h.put},
			Operation{Method: http.MethodDelete, Path: one, Do: h.delete})
	}
	return t
}

// lockMark follows the scope in the path of a lock.
const lockMark = "/providers/" + authorizationNamespace + "/locks"

// lockScope is the scope of the lock that the call names.
func (c *Call) lockScope() string {
	return c.Path[:strings.LastIndex(strings.ToLower(c.Path), strings.ToLower(lockMark))]
}

type lockHandler struct{ locks Locks }

func lockToWire(l tintype.Lock) lockBody {
	b := lockBody{
		ID: l.ID(), Name: l.Name, Type: authorizationNamespace + "/locks",
		Properties: lockProperties{Level: string(l.Level), Notes: l.Notes},
	}
	for _, id := range l.Owners {
		b.Properties.Owners = append(b.Properties.Owners, lockOwner{id})
	}
	return b
}

func (h lockHandler) put(ctx context.Context, c *Call) (Response, error) {
	var body lockBody
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	l := tintype.Lock{
		Subscription: c.subscription(), Scope: c.lockScope(), Name: c.Param("lock"),
		Level: tintype.LockLevel(body.Properties.Level), Notes: body.Properties.Notes,
	}
	for _, o := range body.Properties.Owners {
		l.Owners = append(l.Owners, o.ApplicationID)
	}
	created, err := h.locks.PutLock(ctx, l)
	if err != nil {
		return Response{}, err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return JSON(status, lockToWire(l)), nil
}

func (h lockHandler) get(ctx context.Context, c *Call) (Response, error) {
	l, err := h.locks.GetLock(ctx, c.lockScope(), c.Param("lock"))
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, lockToWire(l)), nil
}

// list answers with the locks at the scope and below it, or with $filter=atScope() at the scope alone.
func (h lockHandler) list(ctx context.Context, c *Call) (Response, error) {
	filter := strings.TrimSpace(c.Query.Get("$filter"))
	if filter != "" && !strings.EqualFold(filter, "atScope()") {
		return Response{}, gateway(http.StatusBadRequest, "InvalidFilterInQueryString",
			"Invalid $filter '%s' specified in the query string.", clip(filter))
	}
	found, err := h.locks.Locks(ctx, c.subscription(), c.lockScope(), filter == "")
	if err != nil {
		return Response{}, err
	}
	var bodies []lockBody
	for _, l := range found {
		bodies = append(bodies, lockToWire(l))
	}
	return JSON(http.StatusOK, ListOf(bodies)), nil
}

func (h lockHandler) delete(ctx context.Context, c *Call) (Response, error) {
	return deleted(h.locks.DeleteLock(ctx, c.lockScope(), c.Param("lock")))
}

// checkLocks has the domain refuse what a lock forbids. Locks themselves are never locked.
func (rt *Router) checkLocks(ctx context.Context, m *route, c *Call) error {
	reads := c.Method == http.MethodGet || c.Method == http.MethodHead
	if rt.opt.Locks == nil || reads || m.typ.Namespace == authorizationNamespace || c.ID.Subscription == "" {
		return nil
	}
	return rt.opt.Locks.CheckLocks(ctx, c.subscription(), c.scope(), c.Method == http.MethodDelete)
}
