package arm

import (
	"context"
	"net/http"

	"tintype"
	"tintype/internal/arm/wire"
)

func (h volumeHandler) sizes(ctx context.Context, c *Call) (Response, error) {
	return sizesOf(ctx, h.ComputeOptions, h.id(c))
}

func sizesOf(ctx context.Context, opt ComputeOptions, id tintype.ResourceID) (Response, error) {
	s, err := opt.Volumes.Sizes(ctx, id)
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, wire.Sizes{
		UsedBytes: s.Used, IncrementalBytes: s.Incremental, ExclusiveBytes: s.Exclusive, ProvisionedBytes: s.Provisioned,
	}), nil
}

// freedBytes answers what a deletion of several resources would give back, for whoever may read each of them.
func (opt ComputeOptions) freedBytes(ctx context.Context, c *Call) (Response, error) {
	var body wire.Resources
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	var ids []tintype.ResourceID
	for _, s := range body.IDs {
		id, ok := tintype.ParseResourceID(s)
		if !ok || id.Subscription != c.subscription() {
			return Response{}, tintype.InvalidParameter("ids", "'%.200s' is not the id of a disk or snapshot of this subscription.", s)
		}
		if permission := id.Kind.Type() + "/read"; !opt.Allowed(c.Principal, permission, id.String()) {
			return Response{}, errForbidden(c.Principal, permission, id.String())
		}
		ids = append(ids, id)
	}
	n, err := opt.Volumes.Freed(ctx, ids)
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, wire.Freed{FreedBytes: n}), nil
}
