package arm

import (
	"context"
	"net/http"
	"strings"

	"tintype"
	"tintype/internal/arm/wire"
)

func (h volumeHandler) grant(ctx context.Context, c *Call) (Response, error) {
	return grantAccess(ctx, c, h.ComputeOptions, h.id(c))
}

// grantAccess answers beginGetAccess on a disk, a snapshot or what a restore point holds of a disk.
func grantAccess(ctx context.Context, c *Call, opt ComputeOptions, id tintype.ResourceID) (Response, error) {
	var body wire.GrantAccessData
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	if body.DurationInSeconds == nil {
		return Response{}, tintype.MissingParameter("grantAccessData.durationInSeconds")
	}
	a, err := opt.Volumes.Grant(ctx, id, tintype.AccessRequest{
		Access: body.Access, Seconds: *body.DurationInSeconds, FileFormat: body.FileFormat, GuestState: body.GetSecureVMGuestStateSAS,
		By: c.Principal.ObjectID,
	})
	if err != nil {
		return Response{}, err
	}
	return c.Accepted(diskOperations, a.Operation.Location, a.Operation.ID.String(), nil), nil
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
	since, err := h.since(c, body.Since)
	if err != nil {
		return Response{}, err
	}
	a, err := h.Volumes.Attach(ctx, h.id(c), body.Host, body.ReadOnly, since...)
	if err != nil {
		return Response{}, err
	}
	w := wire.Attachment{URI: a.URI, Host: a.Host, ReadOnly: a.ReadOnly, VhostUser: a.VhostUser}
	for _, d := range a.Changes {
		w.Changes = append(w.Changes, wire.Changes{Since: d.Since, URI: d.URI})
	}
	return JSON(http.StatusOK, w), nil
}

// since finds the snapshots that an attachment is to be compared with. What a difference tells of them needs the permission
// to read them.
func (h volumeHandler) since(c *Call, names []string) ([]tintype.ResourceID, error) {
	var all []tintype.ResourceID
	for _, name := range names {
		id := h.id(c)
		id.Kind, id.Name = tintype.KindSnapshot, name
		if strings.HasPrefix(name, "/") {
			var ok bool
			if id, ok = tintype.ParseResourceID(name); !ok {
				return nil, tintype.InvalidParameter("since", "The id '%.200s' is not that of a snapshot.", name)
			}
		} else if err := tintype.CheckName(id.Kind, name); err != nil {
			return nil, err
		}
		permission := id.Kind.Type() + "/beginGetAccess/action"
		if !h.Allowed(c.Principal, permission, id.String()) {
			return nil, errForbidden(c.Principal, permission, id.String())
		}
		all = append(all, id)
	}
	return all, nil
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

// grants lists who has access to what through a signed URL. The URLs themselves are not shown.
func (opt ComputeOptions) grants(ctx context.Context, c *Call) (Response, error) {
	after, err := c.skipToken()
	if err != nil {
		return Response{}, err
	}
	found, next, err := opt.Volumes.Grants(ctx, c.subscription(), after)
	if err != nil {
		return Response{}, err
	}
	var all []wire.GrantUse
	for _, g := range found {
		w := wire.GrantUse{
			ID: g.Resource.String(), Access: string(g.Access), Principal: g.By, Granted: formatTime(g.Granted), Expires: formatTime(g.Expires),
			ReadBytes: g.Read, WrittenBytes: g.Written,
		}
		if !g.Used.IsZero() {
			w.LastUsed = formatTime(g.Used)
		}
		all = append(all, w)
	}
	list := ListOf(all)
	list.NextLink = c.nextLink(next)
	return JSON(http.StatusOK, list), nil
}
