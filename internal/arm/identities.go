package arm

import (
	"context"
	"net/http"

	"tintype"
	"tintype/internal/arm/wire"
	"tintype/internal/identity"
)

// Identities is what the handlers of user-assigned identities ask; *identity.Service is the real one.
type Identities interface {
	PutAssigned(want identity.Assigned) (out identity.Assigned, made bool, err error)
	FindAssigned(id string) (identity.Assigned, bool)
	ListAssigned(sub tintype.SubscriptionID, group string) []identity.Assigned
	DeleteAssigned(id string) (ok bool, err error)
	Tenant() identity.Tenant
}

const identityNamespace = "Microsoft.ManagedIdentity"

// IdentityTypes are the rows of user-assigned identities.
func IdentityTypes(identities Identities, groups Groups) []Type {
	h := identityHandler{identities, groups}
	one := InGroup(identity.AssignedType + "/{name}")
	return []Type{{
		Namespace: identityNamespace, Name: "userAssignedIdentities",
		Versions: []string{
			"2015-08-31-preview", "2018-11-30", "2021-09-30-preview", "2022-01-31-preview", "2023-01-31", "2023-07-31-preview", "2024-11-30", "2025-01-31-preview",
		},
		Operations: []Operation{
			{Method: http.MethodGet, Path: one, Do: h.get},
			{Method: http.MethodPut, Path: one, Do: h.put},
			{Method: http.MethodPatch, Path: one, Do: h.patch},
			{Method: http.MethodDelete, Path: one, Do: h.delete},
			{Method: http.MethodGet, Path: InGroup(identity.AssignedType), Do: h.list},
			{Method: http.MethodGet, Path: InSubscription(identity.AssignedType), Do: h.list},
		},
	}}
}

type identityHandler struct {
	identities Identities
	groups     Groups
}

// named is what the call is about, in the group as it is written there.
func (h identityHandler) named(ctx context.Context, c *Call) (identity.Assigned, error) {
	g, err := h.groups.GetGroup(ctx, c.subscription(), c.ID.Group)
	return identity.Assigned{Subscription: c.subscription(), Group: g.Name, Name: c.ID.Name}, err
}

func (h identityHandler) encode(a identity.Assigned) wire.UserAssignedIdentity {
	w := wire.UserAssignedIdentity{
		ID: a.ID(), Name: a.Name, Type: identity.AssignedType, Location: a.Location, Tags: a.Tags,
		Properties: &wire.UserAssignedProperties{TenantID: h.identities.Tenant().ID, PrincipalID: a.ObjectID, ClientID: a.ClientID},
	}
	if w.Tags == nil {
		w.Tags = map[string]string{}
	}
	return w
}

func (h identityHandler) find(ctx context.Context, c *Call) (identity.Assigned, error) {
	want, err := h.named(ctx, c)
	if err != nil {
		return want, err
	}
	found, ok := h.identities.FindAssigned(want.ID())
	if !ok {
		return want, gateway(http.StatusNotFound, "ResourceNotFound",
			"The Resource '%s/%s' under resource group '%s' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
			identity.AssignedType, clip(c.ID.Name), c.ID.Group)
	}
	return found, nil
}

func (h identityHandler) get(ctx context.Context, c *Call) (Response, error) {
	found, err := h.find(ctx, c)
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, h.encode(found)), nil
}

func (h identityHandler) put(ctx context.Context, c *Call) (Response, error) {
	var body wire.UserAssignedIdentity
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	g, err := openGroup(ctx, h.groups, c)
	if err != nil {
		return Response{}, err
	}
	want := identity.Assigned{Subscription: c.subscription(), Group: g.Name, Name: c.ID.Name}
	region, err := tintype.CheckLocation(identity.AssignedType, body.Location)
	if err != nil {
		return Response{}, err
	}
	want.Location, want.Tags = region.Name, body.Tags
	if err := tintype.CheckTags(want.Tags); err != nil {
		return Response{}, err
	}
	out, made, err := h.identities.PutAssigned(want)
	if err != nil {
		return Response{}, err
	}
	if !made {
		return JSON(http.StatusOK, h.encode(out)), nil
	}
	if err := h.keepIfOpen(ctx, c, out); err != nil {
		return Response{}, err
	}
	return JSON(http.StatusCreated, h.encode(out)), nil
}

// keepIfOpen deletes an identity whose group was closed while it was made.
func (h identityHandler) keepIfOpen(ctx context.Context, c *Call, made identity.Assigned) error {
	return keepIfOpen(ctx, h.groups, c, func() error {
		_, err := h.identities.DeleteAssigned(made.ID())
		return err
	})
}

func (h identityHandler) patch(ctx context.Context, c *Call) (Response, error) {
	var body wire.UserAssignedIdentity
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	found, err := h.find(ctx, c)
	if err != nil {
		return Response{}, err
	}
	if body.Tags != nil {
		found.Tags = body.Tags
	}
	if err := tintype.CheckTags(found.Tags); err != nil {
		return Response{}, err
	}
	out, made, err := h.identities.PutAssigned(found)
	if err == nil && made { // it was deleted since
		err = h.keepIfOpen(ctx, c, out)
	}
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, h.encode(out)), nil
}

func (h identityHandler) delete(ctx context.Context, c *Call) (Response, error) {
	want, err := h.named(ctx, c)
	if err != nil {
		return Response{}, err
	}
	return deleted(h.identities.DeleteAssigned(want.ID()))
}

func (h identityHandler) list(ctx context.Context, c *Call) (Response, error) {
	if c.ID.Group != "" {
		if _, err := h.groups.GetGroup(ctx, c.subscription(), c.ID.Group); err != nil {
			return Response{}, err
		}
	}
	var all []wire.UserAssignedIdentity
	for _, a := range h.identities.ListAssigned(c.subscription(), c.ID.Group) {
		all = append(all, h.encode(a))
	}
	return JSON(http.StatusOK, ListOf(all)), nil
}
