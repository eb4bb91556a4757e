package compute

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
	"tintype/internal/vhd"
)

// Grant accepts beginGetAccess; the operation's Grant is set.
func (s *Service) Grant(ctx context.Context, id tintype.ResourceID, r tintype.AccessRequest) (tintype.Accepted, error) {
	if err := r.Check(); err != nil {
		return tintype.Accepted{}, err
	}
	var a tintype.Accepted
	err := s.accept(ctx, func(tx *catalog.Tx) error {
		v, err := s.existing(tx, id)
		if err != nil {
			return err
		}
		if err := grantable(v, tintype.Access(r.Access)); err != nil {
			return err
		}
		g := tintype.Grant{
			ID: uuid.New(), Resource: v.ID, Volume: v.Store, Access: tintype.Access(r.Access), Upload: v.Uploading(),
			Account: account(v.Uploading()), Container: label(), Bytes: v.Size, UniqueID: v.UniqueID, Created: v.Created,
			Expires: s.now().Add(time.Duration(r.Seconds) * time.Second),
		}
		v.State = tintype.ActiveSAS
		if g.Upload {
			v.State = tintype.ActiveUpload
		}
		if err := errors.Join(tx.AddGrant(g), tx.PutVolume(v)); err != nil {
			return err
		}
		op, err := s.start(tx, tintype.OpGrant, v, plan{}, &g)
		a = tintype.Accepted{Operation: op, Volume: v}
		return err
	})
	if err != nil {
		return tintype.Accepted{}, err
	}
	s.kick(a.Operation.ID)
	return a, nil
}

// grantable refuses access that the volume's state or settings forbid. Settings that this server cannot honour for a
// reader (a token beside the signature) refuse all access.
func grantable(v tintype.Volume, want tintype.Access) error {
	noun, name := v.ID.Kind.Noun(), v.ID.Name
	switch {
	case v.State == tintype.Attached:
		return tintype.NotAllowed("Access not permitted because %s %s is currently attached to running VM %s.", noun, name, v.HeldBy)
	case v.State == tintype.ActiveSAS || v.State == tintype.ActiveUpload:
		return tintype.NotAllowed("There is an active shared access signature outstanding for %s %s. "+
			"Call EndGetAccess before requesting access again.", noun, name)
	case v.Uploading() && want != tintype.AccessWrite:
		return tintype.NotAllowed("Access '%s' is not permitted because %s %s is in state ReadyToUpload. "+
			"Upload the disk with access 'Write' first.", want, noun, name)
	case !v.Uploading() && want == tintype.AccessWrite:
		return tintype.NotAllowed("Access 'Write' is not permitted because %s %s is in state %s. "+
			"Only a disk created with createOption 'Upload' can be written.", noun, name, v.State)
	case v.Settings.NetworkAccess == "DenyAll":
		return tintype.NotAllowed("Access not permitted because the networkAccessPolicy of %s %s is DenyAll.", noun, name)
	case v.Settings.PublicNetworkAccess == "Disabled":
		return tintype.NotAllowed("Access not permitted because the publicNetworkAccess of %s %s is Disabled.", noun, name)
	case v.Settings.DataAccessAuthMode == "AzureActiveDirectory":
		return tintype.NotAllowed("Access not permitted because the dataAccessAuthMode of %s %s is AzureActiveDirectory, "+
			"which this server does not offer.", noun, name)
	}
	return nil
}

// Revoke accepts endGetAccess. From then on the URL opens nothing; the operation ends when no request under it touches
// the volume, and for an upload when its footer was found good.
func (s *Service) Revoke(ctx context.Context, id tintype.ResourceID) (tintype.Accepted, error) {
	var a tintype.Accepted
	err := s.accept(ctx, func(tx *catalog.Tx) error {
		v, err := s.existing(tx, id)
		if err != nil {
			return err
		}
		var grant *tintype.Grant
		g, err := tx.GrantOf(id.Key())
		switch {
		case err == nil:
			grant, err = &g, tx.DeleteGrant(g.ID)
		case errors.Is(err, catalog.ErrNotFound):
			err = nil
		}
		if err != nil {
			return err
		}
		op, err := s.start(tx, tintype.OpRevoke, v, plan{}, grant)
		a = tintype.Accepted{Operation: op, Volume: v}
		return err
	})
	if err != nil {
		return tintype.Accepted{}, err
	}
	s.kick(a.Operation.ID)
	return a, nil
}

// finishRevoke waits for the grant's last request and settles the volume's state.
func (s *Service) finishRevoke(op catalog.Operation) error {
	if op.Grant == nil {
		return s.end(op, nil)
	}
	s.opt.CutGrant(op.Grant.ID)
	return s.end(op, func(tx *catalog.Tx, o *catalog.Operation) error {
		v, err := tx.Volume(op.Key)
		if err != nil {
			return err
		}
		v.State = tintype.Unattached
		if op.Grant.Upload {
			refused, err := s.checkUpload(tx, op)
			if err != nil {
				return err
			}
			if refused != nil {
				o.State, o.Failure, v.State = tintype.Failed, refused, tintype.ReadyToUpload
			} else if err := tx.DeleteFooter(op.Key); err != nil {
				return err
			}
		}
		return tx.PutVolume(v)
	})
}

// checkUpload says why the upload is no VHD of the size that was announced, if so.
func (s *Service) checkUpload(tx *catalog.Tx, op catalog.Operation) (*tintype.Error, error) {
	footer, err := tx.Footer(op.Key)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return nil, err
	}
	if len(footer) == 0 {
		footer = make([]byte, tintype.VHDFooterSize)
	}
	var bad *vhd.UploadError
	if errors.As(vhd.CheckUpload(footer, op.Grant.Bytes, s.opt.BlobURL(*op.Grant)), &bad) {
		return &tintype.Error{Kind: tintype.KindInvalid, Code: bad.Code, Message: bad.Message}, nil
	}
	return nil, nil
}

// releaseExpired ends the grants that have run out.
func (s *Service) releaseExpired(ctx context.Context) error {
	var expired []tintype.Grant
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		expired, err = tx.ExpiredGrants(s.opt.Now())
		return err
	})
	for _, g := range expired {
		err = errors.Join(err, s.accept(ctx, func(tx *catalog.Tx) error {
			_, err := s.writable(tx, g.Resource) // releases what has run out
			var refusal *tintype.Error
			if errors.Is(err, catalog.ErrNotFound) || errors.As(err, &refusal) {
				return nil // gone meanwhile, or its group is going
			}
			return err
		}))
		s.opt.CutGrant(g.ID)
	}
	return err
}

// OpenGrant gives the grant of that id while it is active, and a handle on the volume's bytes, which the caller closes.
// An unknown, expired or revoked grant is a *tintype.Error of KindForbidden.
func (s *Service) OpenGrant(ctx context.Context, id uuid.UUID) (tintype.Grant, block.Device, error) {
	g, err := s.grant(ctx, id)
	if err != nil {
		return tintype.Grant{}, nil, err
	}
	dev, err := s.volumes.OpenVolume(g.Volume)
	if err != nil {
		return tintype.Grant{}, nil, edge(err)
	}
	return g, dev, nil
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

// account names the grant's storage account. Clients take a host that begins with md- for a managed disk.
func account(upload bool) string {
	if upload {
		return "md-impexp-" + label()
	}
	return "md-" + label()
}

// label makes twelve letters and digits at random.
func label() string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567" // 32: every five bits are one
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand says so
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b[:])
}
