package arm

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"tintype"
)

type groupBody struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type,omitempty"`
	Location   string            `json:"location"`
	ManagedBy  string            `json:"managedBy,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	Properties groupProperties   `json:"properties"`
}

type groupProperties struct {
	ProvisioningState string `json:"provisioningState"`
}

// groupRequest is the body of PUT and PATCH. What a client read back and sends again (id, name, properties) is ignored.
type groupRequest struct {
	Location  string             `json:"location"`
	ManagedBy *string            `json:"managedBy"`
	Tags      *map[string]string `json:"tags"`
}

func groupToWire(g tintype.Group, version string) groupBody {
	b := groupBody{
		ID: g.ID(), Name: g.Name, Type: "Microsoft.Resources/resourceGroups", Location: g.Location, ManagedBy: g.ManagedBy,
		Tags: g.Tags, Properties: groupProperties{ProvisioningState: string(g.State)},
	}
	if version < groupTypeSince {
		b.Type = ""
	}
	return b
}

// groupTypeSince is the first api-version at which recordings show a group's type.
const groupTypeSince = "2019-10-01"

func (c *Call) subscription() tintype.SubscriptionID {
	// The router has checked that it is a GUID of a subscription that exists.
	id, err := tintype.ParseSubscriptionID(c.ID.Subscription)
	if err != nil {
		return ""
	}
	return id
}

func (rt *Router) putGroup(ctx context.Context, c *Call) (Response, error) {
	var req groupRequest
	if err := c.Decode(&req); err != nil {
		return Response{}, err
	}
	if err := tintype.CheckGroupName(c.ID.Group); err != nil {
		return Response{}, err
	}
	region, err := tintype.CheckGroupLocation(req.Location)
	if err != nil {
		return Response{}, err
	}
	want := tintype.Group{Subscription: c.subscription(), Name: c.ID.Group, Location: region.Name}
	if req.Tags != nil {
		want.Tags = *req.Tags
	}
	if err := tintype.CheckTags(want.Tags); err != nil {
		return Response{}, err
	}
	if want.ManagedBy, err = req.managedBy(); err != nil {
		return Response{}, err
	}
	g, created, err := rt.opt.Groups.PutGroup(ctx, want)
	if err != nil {
		return Response{}, err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return JSON(status, groupToWire(g, c.APIVersion)), nil
}

// managedBy reads who manages a group. Source of the bound: it is a resource's id, or a program's name.
func (r groupRequest) managedBy() (string, error) {
	switch {
	case r.ManagedBy == nil:
		return "", nil
	case len(*r.ManagedBy) > maxPath:
		return "", invalidContent("The request content was invalid: 'managedBy' is too long.")
	}
	return *r.ManagedBy, nil
}

// patchGroup replaces the tags, and who manages the group, where the body has them; nothing else of a group can change.
func (rt *Router) patchGroup(ctx context.Context, c *Call) (Response, error) {
	var req groupRequest
	if err := c.Decode(&req); err != nil {
		return Response{}, err
	}
	if _, err := req.managedBy(); err != nil {
		return Response{}, err
	}
	g, err := rt.opt.Groups.PatchGroup(ctx, c.subscription(), c.ID.Group, tintype.GroupPatch{Tags: req.Tags, ManagedBy: req.ManagedBy})
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, groupToWire(g, c.APIVersion)), nil
}

func (rt *Router) getGroup(ctx context.Context, c *Call) (Response, error) {
	g, err := rt.opt.Groups.GetGroup(ctx, c.subscription(), c.ID.Group)
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, groupToWire(g, c.APIVersion)), nil
}

func (rt *Router) headGroup(ctx context.Context, c *Call) (Response, error) {
	if _, err := rt.opt.Groups.GetGroup(ctx, c.subscription(), c.ID.Group); err != nil {
		return Response{}, err
	}
	return Empty(http.StatusNoContent), nil
}

func (rt *Router) listGroups(ctx context.Context, c *Call) (Response, error) {
	keep, err := parseFilter(c.Query.Get("$filter"))
	if err != nil {
		return Response{}, err
	}
	groups, err := rt.opt.Groups.ListGroups(ctx, c.subscription())
	if err != nil {
		return Response{}, err
	}
	top, err := topOf(c)
	if err != nil {
		return Response{}, err
	}
	after, err := c.skipToken()
	if err != nil {
		return Response{}, err
	}
	slices.SortFunc(groups, func(a, b tintype.Group) int { return strings.Compare(a.Key(), b.Key()) })
	var out []groupBody
	var last, next string
	for _, g := range groups {
		if g.Key() <= after || !keep(facts{name: g.Name, group: g.Name, location: g.Location, tags: g.Tags}) {
			continue
		}
		if len(out) == top {
			next = last
			break
		}
		out, last = append(out, groupToWire(g, c.APIVersion)), g.Key()
	}
	list := ListOf(out)
	list.NextLink = c.nextLink(next)
	return JSON(http.StatusOK, list), nil
}

func (rt *Router) deleteGroup(ctx context.Context, c *Call) (Response, error) {
	a, err := rt.opt.Groups.DeleteGroup(ctx, c.subscription(), c.ID.Group)
	if err != nil {
		return Response{}, err
	}
	return c.pollResult(a.Operation.ID), nil
}

// pollResult is the 202 by which ARM's own operations are followed: a Location and nothing else.
func (c *Call) pollResult(operation uuid.UUID) Response {
	h := http.Header{}
	h.Set("Location", c.BaseURL+"/subscriptions/"+c.ID.Subscription+"/operationresults/"+operation.String()+
		"?api-version="+c.APIVersion)
	h.Set("Retry-After", strconv.Itoa(retryAfter))
	return Response{Status: http.StatusAccepted, Header: h}
}

func (rt *Router) getOperationResult(ctx context.Context, c *Call) (Response, error) {
	id, err := uuid.Parse(c.Param("operation"))
	if err != nil {
		return Response{}, errNoOperation(c.Param("operation"))
	}
	op, err := rt.opt.Groups.Operation(ctx, c.subscription(), id)
	if err != nil {
		return Response{}, err
	}
	switch {
	case op.Kind == tintype.OpMove:
		return Empty(http.StatusNoContent), nil
	case op.Kind != tintype.OpDeleteGroup:
		return Response{}, errNoOperation(c.Param("operation"))
	case op.State == tintype.InProgress:
		return c.pollResult(id), nil
	case op.State == tintype.Failed && op.Failure != nil:
		return Response{}, op.Failure
	default:
		return Empty(http.StatusOK), nil
	}
}

func errNoOperation(id string) *Error {
	return gateway(http.StatusNotFound, "OperationNotFound", "The operation '%s' could not be found.", clip(id))
}
