package arm

import (
	"context"

	"tintype"
	"tintype/internal/arm/wire"
)

func (h volumeHandler) immutability(ctx context.Context, c *Call) (Response, error) {
	return h.setImmutability(ctx, c, false)
}

func (h volumeHandler) lockImmutability(ctx context.Context, c *Call) (Response, error) {
	return h.setImmutability(ctx, c, true)
}

func (h volumeHandler) setImmutability(ctx context.Context, c *Call, lock bool) (Response, error) {
	var body wire.ImmutabilityRequest
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	a, err := h.Volumes.SetImmutability(ctx, h.id(c), tintype.ImmutabilityRequest{Days: body.Days, Type: body.Type, Lock: lock})
	if err != nil {
		return Response{}, err
	}
	return h.accepted(c, a, nil), nil
}
