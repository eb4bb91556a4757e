package compute

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
)

// OpenGrant gives the grant of that id while it is active, and a handle on the volume's bytes, which the caller closes.
// An unknown, expired or revoked grant, and a door at which the volume can't be had, are a *tintype.Error of KindForbidden.
func (s *Service) OpenGrant(ctx context.Context, id uuid.UUID, door Door) (tintype.Grant, block.Device, error) {
	g, err := s.grant(ctx, id)
	if err == nil {
		err = edge(s.catalog.View(ctx, func(tx *catalog.Tx) error { return admit(tx, g, door) }))
	}
	if err != nil {
		return tintype.Grant{}, nil, err
	}
	dev, err := s.volumes.OpenVolume(g.Volume)
	if err != nil {
		return tintype.Grant{}, nil, edge(err)
	}
	return g, dev, nil
}

// OpenEarlier gives, to the holder of a grant, the incremental snapshot of the same disk that was made at the time, and a
// handle on its bytes for comparing, which the caller closes. KindForbidden is an unknown grant, KindNotFound no such snapshot.
func (s *Service) OpenEarlier(ctx context.Context, grant uuid.UUID, made time.Time) (tintype.Volume, block.Device, error) {
	g, err := s.grant(ctx, grant)
	if err != nil {
		return tintype.Volume{}, nil, err
	}
	var older tintype.Volume
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		v, err := tx.Volume(g.Resource.Key())
		if err != nil {
			return err
		}
		family := v.Family
		if v.ID.Kind == tintype.KindDisk {
			family, err = tx.FamilyOf(v.UniqueID)
		}
		if err == nil && family == uuid.Nil {
			err = catalog.ErrNotFound
		}
		if err == nil {
			older, err = tx.OfFamily(family, made)
		}
		if err == nil && (older.Copy != nil || older.Uploading()) {
			err = catalog.ErrNotFound // its bytes are not there, or not all
		}
		return err
	})
	var dev block.Device
	if err == nil {
		dev, err = s.volumes.OpenVolume(older.Store)
	}
	if errors.Is(err, catalog.ErrNotFound) || errors.Is(err, block.ErrNotFound) {
		return tintype.Volume{}, nil, &tintype.Error{
			Kind: tintype.KindNotFound, Code: "PreviousSnapshotNotFound", Message: "The previous snapshot is not found.",
		}
	}
	return older, dev, edge(err)
}

func (s *Service) grant(ctx context.Context, id uuid.UUID) (tintype.Grant, error) {
	var g tintype.Grant
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		g, err = tx.Grant(id)
		return err
	})
	if errors.Is(err, catalog.ErrNotFound) || err == nil && !g.Active(s.opt.Now()) {
		return tintype.Grant{}, &tintype.Error{
			Kind: tintype.KindForbidden, Code: "AuthenticationFailed",
			Message: "Server failed to authenticate the request. The shared access signature is expired, revoked or unknown.",
		}
	}
	return g, edge(err)
}

// SaveFooter keeps the 512 bytes that the holder of an upload grant wrote behind the data. They are durable when it
// returns nil.
func (s *Service) SaveFooter(ctx context.Context, grant uuid.UUID, footer []byte) error {
	if int64(len(footer)) != tintype.VHDFooterSize {
		return tintype.InvalidParameter("footer", "A VHD footer has %d bytes, not %d.", tintype.VHDFooterSize, len(footer))
	}
	g, err := s.grant(ctx, grant)
	if err != nil {
		return err
	}
	return edge(s.update(ctx, func(tx *catalog.Tx) error {
		if _, err := tx.Grant(g.ID); err != nil {
			return err // revoked meanwhile
		}
		return tx.PutFooter(g.Resource.Key(), footer)
	}))
}

// Footer gives the footer last saved under the upload grant, zeroes when there is none.
func (s *Service) Footer(ctx context.Context, grant uuid.UUID) ([]byte, error) {
	g, err := s.grant(ctx, grant)
	if err != nil {
		return nil, err
	}
	footer := make([]byte, tintype.VHDFooterSize)
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		saved, err := tx.Footer(g.Resource.Key())
		if errors.Is(err, catalog.ErrNotFound) {
			return nil
		}
		copy(footer, saved)
		return err
	})
	return footer, edge(err)
}
