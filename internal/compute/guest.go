package compute

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// The guest state of a disk or snapshot is a volume of its own in the store, and a row of its own in the catalog, below its owner's: it is
// encrypted, cut, copied, granted and deleted with it.

func guestOf(tx *catalog.Tx, v tintype.Volume) (tintype.Volume, error) {
	return tx.Volume(v.ID.GuestState().Key())
}

// cutOf is the copy of a source that v is to be, and of the source's guest state; the intents of both are recorded.
func (s *Service) cutOf(tx *catalog.Tx, v, source tintype.Volume) (cut, error) {
	v.Guest = source.Guest
	c := cut{volume: v, source: source.Store, name: source.ID.Name}
	if !v.Guest {
		return c, tx.AddIntent(v.Store)
	}
	from, err := guestOf(tx, source)
	if err != nil {
		return c, err
	}
	g := v.NewGuest(from.Size)
	c.guest = &cut{volume: g, source: from.Store, name: source.ID.Name}
	return c, errors.Join(tx.AddIntent(v.Store), tx.AddIntent(g.Store))
}

// withGuests lists the cuts, and those of guest states.
func withGuests(cuts []cut) []cut {
	var all []cut
	for _, c := range cuts {
		all = append(all, c)
		if c.guest != nil {
			g := *c.guest
			g.whole = c.whole
			all = append(all, g)
		}
	}
	return all
}

// newGuest records the guest state of a new disk, which is uploaded or imported with it, and plans to make it.
func (s *Service) newGuest(tx *catalog.Tx, v tintype.Volume, want tintype.CreationRequest, p *plan) error {
	size := tintype.GuestStateBytes
	if v.Creation.Option == tintype.CreateImportSecure {
		size, p.GuestURI = want.SecurityBytes, want.SecurityDataURI
	}
	g := v.NewGuest(size)
	p.Guest, p.GuestSize = g.Store, size
	return tx.PutVolume(g)
}

// buildGuest makes the guest state that the plan names. It may have been made before.
func (s *Service) buildGuest(op catalog.Operation, p plan) error {
	if p.GuestSize == 0 {
		return nil
	}
	if err := made(s.volumes.Create(p.Guest, p.GuestSize)); err != nil || p.GuestURI == "" {
		return err
	}
	return s.fill(op.ID, p.Guest, plan{URI: p.GuestURI, Bytes: p.GuestSize})
}

// settleGuestBytes keeps the guest state as redundantly as its owner, and puts it under its owner's key.
func (s *Service) settleGuestBytes(v tintype.Volume) error {
	if !v.Guest {
		return nil
	}
	var g tintype.Volume
	err := s.catalog.View(s.ctx, func(tx *catalog.Tx) (err error) {
		g, err = guestOf(tx, v)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.volumes.SetRedundancy(g.Store, redundancyOf(g.SKU)); err != nil {
		return err
	}
	return s.applyKey(g, g.Store)
}

// followOwner has the guest state name the encryption set and sku that its owner does.
func followOwner(tx *catalog.Tx, v tintype.Volume) error {
	if !v.Guest {
		return nil
	}
	g, err := guestOf(tx, v)
	if err != nil {
		return err
	}
	g.FollowKey(v)
	g.SKU, g.Tags = v.SKU, v.Tags
	return tx.PutVolume(g)
}

// dropVolume forgets the volume and its guest state; their bytes go behind that.
func dropVolume(tx *catalog.Tx, v tintype.Volume) error {
	return errors.Join(dropGuest(tx, v), tx.AddDrop(v.Store), tx.DeleteVolume(v.ID.Key()))
}

func dropGuest(tx *catalog.Tx, v tintype.Volume) error {
	if !v.Guest {
		return nil
	}
	g, err := guestOf(tx, v)
	if err != nil {
		return err
	}
	return errors.Join(tx.AddDrop(g.Store), tx.DeleteVolume(g.ID.Key()))
}

// grantGuest gives the access that g gives to a volume to its guest state too.
func (s *Service) grantGuest(tx *catalog.Tx, v tintype.Volume, g tintype.Grant) (tintype.Grant, error) {
	if !v.Guest {
		return g, tintype.NoGuestState()
	}
	state, err := s.writable(tx, v.ID.GuestState())
	if err != nil {
		return g, err
	}
	g.ID, g.Resource, g.Volume, g.Container = uuid.New(), state.ID, state.Store, label()
	g.Bytes, g.UniqueID, g.Created, g.Format, g.Sector = state.Size, state.UniqueID, state.Created, tintype.FormatVHD, 512
	state.State = tintype.ActiveSAS
	if g.Upload {
		state.State = tintype.ActiveUpload
	}
	return g, errors.Join(tx.AddGrant(g), tx.PutVolume(state))
}

// revokeGuest ends the access to a volume's guest state, when there is any.
func (s *Service) revokeGuest(tx *catalog.Tx, v tintype.Volume) (*tintype.Grant, error) {
	if !v.Guest {
		return nil, nil
	}
	g, err := tx.GrantOf(v.ID.GuestState().Key())
	if errors.Is(err, catalog.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &g, tx.DeleteGrant(g.ID)
}

// settleGuest is what the end of the access to a volume leaves of its guest state.
func settleGuest(tx *catalog.Tx, v tintype.Volume, granted bool) error {
	if !v.Guest {
		return nil
	}
	g, err := guestOf(tx, v)
	if err != nil {
		return err
	}
	switch {
	case !v.Uploading():
		g.State = tintype.Unattached
		err = tx.DeleteFooter(g.ID.Key())
	case granted:
		g.State = tintype.ReadyToUpload
	}
	return errors.Join(err, tx.PutVolume(g))
}

// checkGuest says why the guest state that came with an upload is none, if so.
func (s *Service) checkGuest(tx *catalog.Tx, v tintype.Volume, grant tintype.Grant) (*tintype.Error, error) {
	if !v.Guest {
		return nil, nil
	}
	g, err := guestOf(tx, v)
	if err != nil {
		return nil, err
	}
	grant.Container, grant.Bytes, grant.Resource = "the guest state of "+v.ID.Name, g.Size, g.ID
	return s.checkFooter(tx, g.ID.Key(), grant)
}

// inspectGuest finds out how many bytes the blob of a guest state has.
func (s *Service) inspectGuest(ctx context.Context, uri string) (int64, error) {
	size, err := s.imageSize(ctx, uri)
	if err != nil {
		return 0, importError(err, uri)
	}
	if size > tintype.MaxGuestStateBytes {
		return 0, tintype.GuestTooLarge(size)
	}
	return size, nil
}
