package arm

import (
	"context"
	"net/http"

	"tintype"
	"tintype/internal/arm/wire"
)

func (h volumeHandler) grant(ctx context.Context, c *Call) (Response, error) {
	var body wire.GrantAccessData
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	if body.DurationInSeconds == nil {
		return Response{}, tintype.MissingParameter("grantAccessData.durationInSeconds")
	}
	a, err := h.Volumes.Grant(ctx, h.id(c), tintype.AccessRequest{
		Access: body.Access, Seconds: *body.DurationInSeconds, FileFormat: body.FileFormat, GuestState: body.GetSecureVMGuestStateSAS,
	})
	if err != nil {
		return Response{}, err
	}
	return h.accepted(c, a, nil), nil
}

func (h volumeHandler) revoke(ctx context.Context, c *Call) (Response, error) {
	a, err := h.Volumes.Revoke(ctx, h.id(c))
	if err != nil {
		return Response{}, err
	}
	return h.accepted(c, a, nil), nil
}

func (h volumeHandler) attach(ctx context.Context, c *Call) (Response, error) {
	var body wire.AttachRequest
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	a, err := h.Volumes.Attach(ctx, h.id(c), body.Host, body.ReadOnly)
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, wire.Attachment{URI: a.URI, Host: a.Host, ReadOnly: a.ReadOnly}), nil
}

func (h volumeHandler) detach(ctx context.Context, c *Call) (Response, error) {
	var body wire.AttachRequest
	if len(c.Body) > 0 {
		if err := c.Decode(&body); err != nil {
			return Response{}, err
		}
	}
	if err := h.Volumes.Detach(ctx, h.id(c), body.Host); err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, struct{}{}), nil
}

func (h volumeHandler) sizes(ctx context.Context, c *Call) (Response, error) {
	s, err := h.Volumes.Sizes(ctx, h.id(c))
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, wire.Sizes{UsedBytes: s.Used, ProvisionedBytes: s.Provisioned}), nil
}
