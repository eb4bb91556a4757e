package arm

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"tintype"
	"tintype/internal/arm/wire"
	"tintype/internal/compute"
	"tintype/internal/identity"
)

// Companions is what the handlers of disk accesses and disk encryption sets ask of the domain; *compute.Service is the
// real one.
type Companions interface {
	PutCompanion(ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest) (tintype.Operation, error)
	PatchCompanion(ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest) (tintype.Operation, error)
	GetCompanion(ctx context.Context, id tintype.ResourceID) (tintype.Companion, error)
	DeleteCompanion(ctx context.Context, id tintype.ResourceID) (op tintype.Operation, ok bool, err error)
	ListCompanions(ctx context.Context, sub tintype.SubscriptionID, group string, kind tintype.Kind, after string) (compute.CompanionPage, error)
	PutLink(ctx context.Context, id tintype.ResourceID, name string, want tintype.PrivateLinkRequest) (tintype.PrivateLink, tintype.Operation, error)
	DeleteLink(ctx context.Context, id tintype.ResourceID, name string) (op tintype.Operation, ok bool, err error)
	Associated(ctx context.Context, id tintype.ResourceID, after string) (ids []tintype.ResourceID, next string, err error)
}

// companionHandler answers for disk accesses or for disk encryption sets.
type companionHandler struct {
	ComputeOptions
	kind tintype.Kind
}

func companionType(opt ComputeOptions, kind tintype.Kind, since string) Type {
	h := companionHandler{ComputeOptions: opt, kind: kind}
	path := InGroup(kind.Type() + "/{name}")
	versions := computeVersions()
	t := Type{
		Namespace: computeNamespace, Name: kind.Segment(), Versions: versions[slices.Index(versions, since):],
		Operations: []Operation{
			{Method: http.MethodGet, Path: path, Do: h.get},
			{Method: http.MethodPut, Path: path, Do: h.put},
			{Method: http.MethodPatch, Path: path, Do: h.patch},
			{Method: http.MethodDelete, Path: path, Do: h.delete},
			{Method: http.MethodGet, Path: InGroup(kind.Type()), Do: h.list},
			{Method: http.MethodGet, Path: InSubscription(kind.Type()), Do: h.list},
		},
	}
	if kind == tintype.KindEncryptionSet {
		t.Operations = append(t.Operations, Operation{Method: http.MethodGet, Path: path + "/associatedResources", Do: h.associated})
		return t
	}
	return withPrivateLinks(t, h, path)
}

func (h companionHandler) id(c *Call) tintype.ResourceID {
	return tintype.ResourceID{Subscription: c.subscription(), Group: c.ID.Group, Kind: h.kind, Name: c.ID.Name}
}

func (h companionHandler) accepted(c *Call, op tintype.Operation, body any) Response {
	return c.Accepted(diskOperations, op.Location, op.ID.String(), body)
}

func (h companionHandler) get(ctx context.Context, c *Call) (Response, error) {
	found, err := h.GetCompanion(ctx, h.id(c))
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, h.encode(found)), nil
}

// put creates or updates; the answer repeats the request, of an encryption set without its name.
func (h companionHandler) put(ctx context.Context, c *Call) (Response, error) {
	var body wire.Companion
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	if err := h.mayAssign(c, body.Identity); err != nil {
		return Response{}, err
	}
	op, err := h.PutCompanion(ctx, h.id(c), h.decode(body))
	if err != nil {
		return Response{}, err
	}
	body.Name, body.ID, body.Type, body.Properties = c.ID.Name, op.Resource, h.kind.Type(), companionEcho(body.Properties)
	if h.kind == tintype.KindEncryptionSet {
		body.Name, body.ID, body.Type = "", "", ""
		body.Properties.ProvisioningState = string(tintype.StateUpdating)
	} else {
		body.Identity, body.Properties = nil, nil
	}
	return h.accepted(c, op, body), nil
}

// mayAssign requires what it takes to make use of the user-assigned identities that a body names: whoever lets a set use an identity
// could do with the set all that the identity may.
func (h companionHandler) mayAssign(c *Call, i *wire.Identity) error {
	if i == nil || h.Identities == nil {
		return nil
	}
	for id, user := range i.Users {
		if user != nil && !h.Allowed(c.Principal, identity.AssignAction, id) {
			return errLinked(c.Principal, h.kind.Type()+"/write", c.Path, identity.AssignAction, id)
		}
	}
	return nil
}

func companionEcho(p *wire.CompanionProperties) *wire.CompanionProperties {
	if p == nil {
		return &wire.CompanionProperties{}
	}
	e := *p
	e.PreviousKeys, e.LastRotation, e.TimeCreated, e.RotationError = nil, "", "", nil
	return &e
}

func (h companionHandler) patch(ctx context.Context, c *Call) (Response, error) {
	var body wire.Companion
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	if err := h.mayAssign(c, body.Identity); err != nil {
		return Response{}, err
	}
	op, err := h.PatchCompanion(ctx, h.id(c), h.decode(body))
	if err != nil {
		return Response{}, err
	}
	answer := h.encode(*op.Companion)
	answer.Properties.ProvisioningState = string(tintype.StateUpdating)
	return h.accepted(c, op, answer), nil
}

func (h companionHandler) delete(ctx context.Context, c *Call) (Response, error) {
	op, ok, err := h.DeleteCompanion(ctx, h.id(c))
	if err != nil {
		return Response{}, err
	}
	if !ok {
		return Empty(http.StatusNoContent), nil
	}
	return h.accepted(c, op, nil), nil
}

func (h companionHandler) list(ctx context.Context, c *Call) (Response, error) {
	after, err := c.skipToken()
	if err != nil {
		return Response{}, err
	}
	page, err := h.ListCompanions(ctx, c.subscription(), c.ID.Group, h.kind, after)
	if err != nil {
		return Response{}, err
	}
	var bodies []wire.Companion
	for _, found := range page.Companions {
		bodies = append(bodies, h.encode(found))
	}
	list := ListOf(bodies)
	list.NextLink = c.nextLink(page.Next)
	return JSON(http.StatusOK, list), nil
}

// associated lists what uses an encryption set. Azure writes these ids in capitals from the type's name on.
func (h companionHandler) associated(ctx context.Context, c *Call) (Response, error) {
	after, err := c.skipToken()
	if err != nil {
		return Response{}, err
	}
	ids, next, err := h.Associated(ctx, h.id(c), after)
	if err != nil {
		return Response{}, err
	}
	var found []string
	for _, id := range ids {
		found = append(found, id.String())
	}
	list := ListOf(found)
	list.NextLink = c.nextLink(next)
	return JSON(http.StatusOK, list), nil
}

// decode reads what a PUT or PATCH asks for. Nothing is judged here, and what only the server sets is ignored.
func (h companionHandler) decode(w wire.Companion) tintype.CompanionRequest {
	want := tintype.CompanionRequest{
		Location: w.Location, Tags: w.Tags, ExtendedLocation: w.ExtendedLocation != nil && w.ExtendedLocation.Name != "",
	}
	if h.kind != tintype.KindEncryptionSet || w.Properties == nil && w.Identity == nil {
		return want
	}
	want.Set = &tintype.EncryptionSetRequest{}
	if p := w.Properties; p != nil {
		want.Set.Type, want.Set.Rotate, want.Set.FederatedClientID = p.EncryptionType, p.Rotate, p.FederatedClientID
		if k := p.ActiveKey; k != nil {
			want.Set.ActiveKey = &tintype.KeyReference{URL: k.KeyURL}
			if k.SourceVault != nil {
				want.Set.ActiveKey.VaultID = k.SourceVault.ID
			}
		}
	}
	if i := w.Identity; i != nil {
		want.Set.Identity = &tintype.Identity{Type: i.Type}
		for _, id := range slices.Sorted(maps.Keys(i.Users)) {
			if i.Users[id] != nil { // null takes one away
				want.Set.Identity.Users = append(want.Set.Identity.Users, id)
			}
		}
	}
	return want
}

func (h companionHandler) encode(c tintype.Companion) wire.Companion {
	w := wire.Companion{
		Name: c.ID.Name, ID: c.ID.String(), Type: c.ID.Kind.Type(), Location: c.Location, Tags: c.Tags,
		Properties: &wire.CompanionProperties{ProvisioningState: string(tintype.StateSucceeded)},
	}
	s := c.Set
	if s == nil {
		w.Properties.TimeCreated = formatTime(c.Created)
		for _, l := range c.Links {
			w.Properties.Connections = append(w.Properties.Connections, encodeLink(c.ID, l))
		}
		return w
	}
	w.Properties.EncryptionType, w.Properties.Rotate, w.Properties.FederatedClientID = s.Type, s.Rotate, s.FederatedClientID
	active := encodeKey(s.ActiveKey)
	w.Properties.ActiveKey = &active
	for _, k := range s.PreviousKeys {
		w.Properties.PreviousKeys = append(w.Properties.PreviousKeys, encodeKey(k))
	}
	if !s.Rotated.IsZero() {
		w.Properties.LastRotation = formatTime(s.Rotated)
	}
	if s.Fault != nil {
		w.Properties.RotationError = &wire.APIError{Code: s.Fault.Code, Message: s.Fault.Message}
	}
	w.Identity = h.encodeIdentity(s.Identity)
	return w
}

func (h companionHandler) encodeIdentity(i tintype.Identity) *wire.Identity {
	if i.Type == "" {
		return nil
	}
	w := &wire.Identity{Type: i.Type, PrincipalID: guid(i.Principal)}
	if i.System() {
		w.TenantID = h.Tenant
	}
	for _, id := range i.Users {
		if w.Users == nil {
			w.Users = map[string]*wire.UserIdentity{}
		}
		w.Users[id] = &wire.UserIdentity{}
		if h.Identities != nil {
			if found, ok := h.Identities.FindAssigned(id); ok {
				*w.Users[id] = wire.UserIdentity{PrincipalID: found.ObjectID, ClientID: found.ClientID}
			}
		}
	}
	return w
}

func encodeKey(k tintype.KeyReference) wire.KeyReference {
	w := wire.KeyReference{KeyURL: k.URL}
	if k.VaultID != "" {
		w.SourceVault = &wire.Reference{ID: k.VaultID}
	}
	return w
}

// withPrivateLinks adds the private endpoint side of a disk access.
func withPrivateLinks(t Type, h companionHandler, path string) Type {
	const connections, one = "/privateEndpointConnections", "/privateEndpointConnections/{connection}"
	on := h.kind.Type() + connections
	t.Operations = append(t.Operations,
		Operation{Method: http.MethodGet, Path: path + one, Permission: on + "/read", Do: h.connection},
		Operation{Method: http.MethodPut, Path: path + one, Permission: on + "/write", Do: h.putConnection},
		Operation{Method: http.MethodDelete, Path: path + one, Permission: on + "/delete", Do: h.deleteConnection},
		Operation{Method: http.MethodGet, Path: path + connections, Permission: on + "/read", Do: h.connections},
		Operation{Method: http.MethodGet, Path: path + "/privateLinkResources", Do: h.privateLinks})
	return t
}

func (h companionHandler) privateLinks(ctx context.Context, c *Call) (Response, error) {
	found, err := h.GetCompanion(ctx, h.id(c))
	if err != nil {
		return Response{}, err
	}
	const group = "disks"
	return JSON(http.StatusOK, ListOf([]wire.PrivateLink{{
		ID: found.ID.String() + "/privateLinkResources/" + group, Name: group, Type: h.kind.Type() + "/privateLinkResources",
		Properties: wire.PrivateLinkProperties{
			GroupID: group, Members: []string{"diskAccess_1"},
			ZoneNames: []string{"privatelink.blob.core.windows.net"},
		},
	}})), nil
}
