package arm

import (
	"context"
	"net/http"

	"tintype"
	"tintype/internal/arm/wire"
)

func encodeLink(id tintype.ResourceID, l tintype.PrivateLink) wire.Connection {
	const connections = "privateEndpointConnections"
	w := wire.Connection{
		ID: id.String() + "/" + connections + "/" + l.Name, Name: l.Name, Type: id.Kind.Type() + "/" + connections,
		Properties: &wire.ConnectionProperties{
			ProvisioningState: string(tintype.StateSucceeded),
			State:             &wire.ConnectionState{Status: l.Status, Description: l.Description, ActionsRequired: "None"},
		},
	}
	if l.Endpoint != "" {
		w.Properties.Endpoint = &wire.Reference{ID: l.Endpoint}
	}
	return w
}

func (h companionHandler) connections(ctx context.Context, c *Call) (Response, error) {
	found, err := h.GetCompanion(ctx, h.id(c))
	if err != nil {
		return Response{}, err
	}
	var all []wire.Connection
	for _, l := range found.Links {
		all = append(all, encodeLink(found.ID, l))
	}
	return JSON(http.StatusOK, ListOf(all)), nil
}

func (h companionHandler) connection(ctx context.Context, c *Call) (Response, error) {
	found, err := h.GetCompanion(ctx, h.id(c))
	if err != nil {
		return Response{}, err
	}
	l, ok := found.Link(c.Param("connection"))
	if !ok {
		return Response{}, tintype.LinkNotFound(c.Param("connection"))
	}
	return JSON(http.StatusOK, encodeLink(found.ID, l)), nil
}

// putConnection approves or rejects a connection. In Azure the network makes it; here, where there is none, so does this.
func (h companionHandler) putConnection(ctx context.Context, c *Call) (Response, error) {
	var body wire.Connection
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	var want tintype.PrivateLinkRequest
	if p := body.Properties; p != nil {
		if p.State != nil {
			want.Status, want.Description = p.State.Status, p.State.Description
		}
		if p.Endpoint != nil {
			want.Endpoint = p.Endpoint.ID
		}
	}
	l, op, err := h.PutLink(ctx, h.id(c), c.Param("connection"), want)
	if err != nil {
		return Response{}, err
	}
	return h.accepted(c, op, encodeLink(op.Companion.ID, l)), nil
}

func (h companionHandler) deleteConnection(ctx context.Context, c *Call) (Response, error) {
	op, ok, err := h.DeleteLink(ctx, h.id(c), c.Param("connection"))
	if err != nil {
		return Response{}, err
	}
	if !ok {
		return Empty(http.StatusNoContent), nil
	}
	return h.accepted(c, op, nil), nil
}
