package compute

import (
	"context"
	"errors"

	"tintype"
	"tintype/internal/catalog"
)

// PutLink makes a connection of the disk access, or approves or rejects the one that there is. The operation has ended.
func (s *Service) PutLink(
	ctx context.Context, id tintype.ResourceID, name string, want tintype.PrivateLinkRequest,
) (l tintype.PrivateLink, op tintype.Operation, err error) {
	op, err = s.changeCompanion(ctx, id, func(c tintype.Companion, exists bool) (tintype.Companion, error) {
		if !exists {
			return c, id.NotFound()
		}
		l, err = c.SetLink(name, want)
		return c, err
	})
	return l, op, err
}

// DeleteLink removes a connection of the disk access. ok is false when it does not exist, which is no error (204).
func (s *Service) DeleteLink(ctx context.Context, id tintype.ResourceID, name string) (op tintype.Operation, ok bool, err error) {
	op, err = s.changeCompanion(ctx, id, func(c tintype.Companion, exists bool) (tintype.Companion, error) {
		if !exists {
			return c, id.NotFound()
		}
		ok = c.DropLink(name)
		return c, nil
	})
	return op, ok, err
}

// Door is where a request for a volume's bytes came in.
type Door bool

// The doors.
const (
	PublicDoor  Door = false
	PrivateDoor Door = true
)

// admit refuses a request under a grant that the volume's settings, as they are now, do not let in at the door.
func admit(tx *catalog.Tx, g tintype.Grant, door Door) error {
	v, err := tx.Volume(g.Resource.Key())
	if err != nil {
		return err
	}
	set := v.Settings
	private := set.NetworkAccess == "AllowPrivate"
	switch {
	case set.NetworkAccess == "DenyAll", !private && set.PublicNetworkAccess == "Disabled", private && door != PrivateDoor:
		return notAdmitted()
	case private:
		if err := approved(tx, v); err != nil {
			return notAdmitted()
		}
	}
	return nil
}

func notAdmitted() error {
	return &tintype.Error{
		Kind: tintype.KindForbidden, Code: "AuthorizationFailure", Message: "This request is not authorized to perform this operation.",
	}
}

// approved refuses a volume whose disk access has no connection that is approved.
func approved(tx *catalog.Tx, v tintype.Volume) error {
	id, ok := tintype.ParseResourceID(v.Settings.DiskAccessID)
	var c tintype.Companion
	err := error(catalog.ErrNotFound)
	if ok {
		c, err = tx.Companion(id.Key())
	}
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	if err != nil || !c.Approved() {
		return tintype.NotAllowed("Access not permitted because the networkAccessPolicy of %s %s is AllowPrivate, and its disk access "+
			"has no private endpoint connection that is approved.", v.ID.Kind.Noun(), v.ID.Name)
	}
	return nil
}
