package arm

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"tintype"
)

// Moves takes resources from one group into another; *compute.Service is the real one.
type Moves interface {
	Move(ctx context.Context, from, to tintype.Group, ids []tintype.ResourceID) (tintype.Operation, error)
	CheckMove(ctx context.Context, from, to tintype.Group, ids []tintype.ResourceID) error
}

// moveRequest is the body of both requests.
type moveRequest struct {
	Resources []string `json:"resources"`
	Target    string   `json:"targetResourceGroup"`
}

// maxMoved is ARM's own bound of one move.
const maxMoved = 800

// moveOperations are the rows of moves, which belong to resource groups. Azure asks for moveResources on the one group and
// for write on the other.
func (rt *Router) moveOperations(group string) []Operation {
	if rt.opt.Moves == nil {
		return nil
	}
	const on = "Microsoft.Resources/subscriptions/resourceGroups/"
	return []Operation{
		{Method: http.MethodPost, Path: group + "/moveResources", Permission: on + "moveResources/action", Do: rt.move},
		{Method: http.MethodPost, Path: group + "/validateMoveResources", Permission: on + "validateMoveResources/action", Do: rt.validateMove},
	}
}

// planned is a move that the caller may ask for.
type planned struct {
	from, to tintype.Group
	ids      []tintype.ResourceID
}

func (rt *Router) planMove(ctx context.Context, c *Call) (p planned, err error) {
	var body moveRequest
	if err := c.Decode(&body); err != nil {
		return p, err
	}
	var ok bool
	p.from = tintype.Group{Subscription: c.subscription(), Name: c.ID.Group}
	if p.to, ok = tintype.ParseGroupID(body.Target); !ok {
		return p, invalidContent("The request content was invalid: 'targetResourceGroup' is not the id of a resource group.")
	}
	switch {
	case p.to.Subscription != p.from.Subscription:
		return p, gateway(http.StatusBadRequest, "ResourceMoveNotSupported", "Resources cannot be moved to another subscription here.")
	case p.to.Key() == p.from.Key():
		return p, gateway(http.StatusBadRequest, "ResourceMoveNotSupported", "The source and the target resource group are the same.")
	case len(body.Resources) == 0 || len(body.Resources) > maxMoved:
		return p, invalidContent("The request content was invalid: 'resources' has 1 to 800 ids.")
	}
	const write = "Microsoft.Resources/subscriptions/resourceGroups/write"
	if !rt.opt.Guard.Allowed(c.Principal, write, p.to.ID()) {
		return p, errLinked(c.Principal, "Microsoft.Resources/subscriptions/resourceGroups/moveResources/action", c.Path, write, p.to.ID())
	}
	seen := map[string]bool{}
	for _, text := range body.Resources {
		id, err := movedID(p.from, text)
		if err != nil {
			return p, err
		}
		if !seen[id.Key()] {
			seen[id.Key()] = true
			p.ids = append(p.ids, id)
		}
	}
	return p, rt.moveLocks(ctx, c, p)
}

// movedID reads the id of a disk or snapshot of the group: nothing else can be moved.
func movedID(from tintype.Group, text string) (tintype.ResourceID, error) {
	id, ok := tintype.ParseResourceID(text)
	kind := ""
	if part := splitPath(text); !ok && len(part) >= 8 && strings.EqualFold(part[4], "providers") {
		kind = part[5] + "/" + part[6]
	}
	switch {
	case !ok && kind != "" || ok && id.Kind != tintype.KindDisk && id.Kind != tintype.KindSnapshot:
		if ok {
			kind = id.Kind.Type()
		}
		return id, gateway(http.StatusConflict, "ResourceMoveNotSupported", "Resource move is not supported for resource types '%s'.", clip(kind))
	case !ok:
		return id, invalidContent("The request content was invalid: 'resources' has what is not the id of a resource.")
	case id.GroupKey() != from.Key():
		return id, gateway(http.StatusBadRequest, "ResourceMoveNotSupported",
			"The resource '%s' is not in the source resource group '%s': all resources of a move are in the same.", clip(text), from.Name)
	}
	return id, nil
}

// moveLocks refuses what a lock forbids: what is moved leaves the one group and changes the other.
func (rt *Router) moveLocks(ctx context.Context, c *Call, p planned) error {
	if rt.opt.Locks == nil {
		return nil
	}
	for _, id := range p.ids {
		if err := rt.opt.Locks.CheckLocks(ctx, c.subscription(), id.String(), true); err != nil {
			return err
		}
	}
	return rt.opt.Locks.CheckLocks(ctx, c.subscription(), p.to.ID(), false)
}

// notMoved writes what is wrong with one of the resources as Azure does: behind an error about the whole.
func notMoved(err error) error {
	var whole, one *tintype.Error
	if !errors.As(err, &whole) || !errors.As(whole.Cause, &one) {
		return err
	}
	return &Error{Status: http.StatusConflict, Code: whole.Code, Message: whole.Message, Gateway: true, Details: []Detail{
		{Code: one.Code, Message: one.Message, Target: whole.Target},
	}}
}

// move answers 202; whoever polls then gets 204. What was given on the resources under their old ids ends.
func (rt *Router) move(ctx context.Context, c *Call) (Response, error) {
	p, err := rt.planMove(ctx, c)
	if err != nil {
		return Response{}, err
	}
	if err := p.comes(ctx, c); err != nil {
		return Response{}, err
	}
	op, err := rt.opt.Moves.Move(ctx, p.from, p.to, p.ids)
	if err != nil {
		return Response{}, notMoved(err)
	}
	// Again, for what was given on the new ids in between; and on the old ones, where nothing is now.
	if err := errors.Join(rt.forget(p.ids, p.to.Name), rt.forget(p.ids, p.from.Name)); err != nil {
		return Response{}, err
	}
	return c.pollResult(op.ID), nil
}

// comes ends what was given on things that are gone and had the new ids once. It is done before the move, so that after a crash behind that
// nobody has anything on what was moved.
func (p planned) comes(ctx context.Context, c *Call) error {
	for _, id := range p.ids {
		id.Group = p.to.Name
		if err := c.comes(ctx, id.String()); err != nil {
			return err
		}
	}
	return nil
}

// forget drops what is assigned at the ids as they are in the group.
func (rt *Router) forget(ids []tintype.ResourceID, group string) error {
	if rt.opt.Roles == nil {
		return nil
	}
	for _, id := range ids {
		id.Group = group
		if err := rt.opt.Roles.Forget(id.String()); err != nil {
			return err
		}
	}
	return nil
}

func (rt *Router) validateMove(ctx context.Context, c *Call) (Response, error) {
	p, err := rt.planMove(ctx, c)
	if err != nil {
		return Response{}, err
	}
	if err := rt.opt.Moves.CheckMove(ctx, p.from, p.to, p.ids); err != nil {
		return Response{}, notMoved(err)
	}
	return Empty(http.StatusNoContent), nil
}
