package arm

import (
	"context"
	"net/http"

	"tintype"
	"tintype/internal/arm/wire"
)

func (h volumeHandler) get(ctx context.Context, c *Call) (Response, error) {
	v, err := h.Volumes.Get(ctx, h.id(c))
	if err != nil {
		return Response{}, err
	}
	return JSON(http.StatusOK, encodeVolume(v, c.APIVersion)), nil
}

// put creates or updates; the answer repeats the request.
func (h volumeHandler) put(ctx context.Context, c *Call) (Response, error) {
	var body wire.Volume
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	body.Modernize(c.APIVersion)
	if err := h.linked(c, h.id(c), body); err != nil {
		return Response{}, err
	}
	a, err := h.Volumes.Put(ctx, h.id(c), decodeVolume(body))
	if err != nil {
		return Response{}, err
	}
	rs := h.accepted(c, a, echo(body, a.Volume, c.APIVersion))
	if !a.New {
		rs.Header.Set(existedHeader, formatTime(a.Volume.Created))
	}
	return rs, nil
}

// existedHeader tells, in the answer to a PUT, that the resource was there before, and since when: that nothing was made, and
// a snapshot of that name holds what it held.
const existedHeader = "x-tintype-existed-since"

// linked requires permissions on the other resources that a body names, as Azure does: who copies a volume may also read its
// bytes; who uses an encryption set or a disk access may at least see it.
func (h volumeHandler) linked(c *Call, id tintype.ResourceID, body wire.Volume) error {
	if body.Properties == nil {
		return nil
	}
	ask := func(linked, verb string) error {
		other, ok := tintype.ParseResourceID(linked)
		if !ok {
			return nil // refused by the domain, where it needs one
		}
		permission := other.Kind.Type() + verb
		if h.Allowed(c.Principal, permission, other.String()) {
			return nil
		}
		return errLinked(c.Principal, h.kind.Type()+"/write", id.String(), permission, other.String())
	}
	p := body.Properties
	if p.CreationData != nil {
		source := decodeCreation(p.CreationData).Source()
		other, ok := tintype.ParseResourceID(source)
		switch {
		case ok && h.Peer != nil && other.Subscription != id.Subscription && h.Peer(other.Subscription):
			if err := h.mayUsePeer(c, id, source); err != nil {
				return err
			}
		case ok && other.Kind.Volume():
			if err := ask(source, "/beginGetAccess/action"); err != nil {
				return err
			}
		}
	}
	var uses []string
	if p.CreationData != nil && p.CreationData.ImageReference != nil {
		uses = append(uses, p.CreationData.ImageReference.ID)
	}
	if p.DiskAccessID != nil {
		uses = append(uses, *p.DiskAccessID)
	}
	if p.Encryption != nil {
		uses = append(uses, p.Encryption.DiskEncryptionSetID)
	}
	if p.SecurityProfile != nil {
		uses = append(uses, p.SecurityProfile.SecureVMDiskEncryptionSetID)
	}
	for _, used := range uses {
		if err := ask(used, "/read"); err != nil {
			return err
		}
	}
	return nil
}

// peerPermission lets its holder have copied whatever this server's principal at another server may read there. It is asked for on
// the whole subscription: who owns a resource group only must not reach beyond this server.
const peerPermission = storeNamespace + "/peers/copy/action"

func (h volumeHandler) mayUsePeer(c *Call, id tintype.ResourceID, source string) error {
	if h.Allowed(c.Principal, peerPermission, "/subscriptions/"+string(id.Subscription)) {
		return nil
	}
	return errLinked(c.Principal, h.kind.Type()+"/write", id.String(), peerPermission, source)
}

func (h volumeHandler) patch(ctx context.Context, c *Call) (Response, error) {
	var body wire.Volume
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	body.Modernize(c.APIVersion)
	if err := h.linked(c, h.id(c), body); err != nil {
		return Response{}, err
	}
	a, err := h.Volumes.Patch(ctx, h.id(c), decodeVolume(body))
	if err != nil {
		return Response{}, err
	}
	answer := encodeVolume(a.Volume, c.APIVersion)
	answer.Properties.GuestEncryption, answer.Properties.OldGuestEncryption = nil, nil
	return h.accepted(c, a, echo(answer, a.Volume, c.APIVersion)), nil
}

func (h volumeHandler) delete(ctx context.Context, c *Call) (Response, error) {
	a, ok, err := h.Volumes.Delete(ctx, h.id(c))
	if err != nil {
		return Response{}, err
	}
	if !ok {
		return Empty(http.StatusNoContent), nil
	}
	return h.accepted(c, a, nil), nil
}

// list answers for a group or a subscription, a page at a time.
func (h volumeHandler) list(ctx context.Context, c *Call) (Response, error) {
	after, err := c.skipToken()
	if err != nil {
		return Response{}, err
	}
	page, err := h.Volumes.List(ctx, c.subscription(), c.ID.Group, h.kind, after)
	if err != nil {
		return Response{}, err
	}
	bodies := make([]wire.Volume, len(page.Volumes))
	for i, v := range page.Volumes {
		bodies[i] = encodeVolume(v, c.APIVersion)
	}
	list := ListOf(bodies)
	list.NextLink = c.nextLink(page.Next)
	return JSON(http.StatusOK, list), nil
}
