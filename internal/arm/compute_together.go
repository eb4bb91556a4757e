package arm

import (
	"context"
	"net/http"

	"tintype"
	"tintype/internal/arm/wire"
)

// snapshotTogether makes a consistency group. Each snapshot needs the permissions that it would need alone.
func (opt ComputeOptions) snapshotTogether(ctx context.Context, c *Call) (Response, error) {
	var body wire.SnapshotGroup
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	h := volumeHandler{ComputeOptions: opt, kind: tintype.KindSnapshot}
	var members []tintype.Member
	for _, w := range body.Snapshots {
		id := tintype.ResourceID{Subscription: c.subscription(), Group: c.ID.Group, Kind: tintype.KindSnapshot, Name: w.Name}
		if err := c.comes(ctx, id.String()); err != nil {
			return Response{}, err
		}
		if permission := id.Kind.Type() + "/write"; !opt.Allowed(c.Principal, permission, id.String()) {
			return Response{}, errForbidden(c.Principal, permission, id.String())
		}
		if err := h.linked(c, id, w); err != nil {
			return Response{}, err
		}
		members = append(members, tintype.Member{ID: id, Want: decodeVolume(w)})
	}
	if err := c.makes(); err != nil {
		return Response{}, err
	}
	all, err := opt.Volumes.SnapshotTogether(ctx, members)
	if err != nil {
		return Response{}, err
	}
	made := make([]wire.Volume, len(all))
	for i, a := range all {
		made[i] = encodeVolume(a.Volume, c.APIVersion)
	}
	return JSON(http.StatusCreated, ListOf(made)), nil
}
