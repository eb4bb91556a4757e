package compute

import (
	"context"
	"errors"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
	"tintype/internal/vhd"
)

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
		guest, err := s.revokeGuest(tx, v)
		if err != nil {
			return err
		}
		p := plan{}
		if grant != nil && grant.Upload {
			p = sealing(v)
		}
		op, err := s.startGrant(tx, tintype.OpRevoke, v, p, grant, guest)
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
	if op.Guest != nil {
		s.opt.CutGrant(op.Guest.ID)
	}
	if op.Grant == nil { // none was given, or it had run out and was released when the end of it was accepted
		return s.end(op, func(tx *catalog.Tx, _ *catalog.Operation) error {
			if op.Guest == nil {
				return nil
			}
			v, err := tx.Volume(op.Key)
			return errors.Join(err, settleGuest(tx, v, true))
		})
	}
	s.opt.CutGrant(op.Grant.ID)
	p, err := planOf(op)
	if err != nil {
		return err
	}
	var refused *tintype.Error
	if op.Grant.Upload {
		if refused, err = s.finishUpload(op, p); err != nil {
			return err
		}
	}
	return s.end(op, func(tx *catalog.Tx, o *catalog.Operation) error {
		v, err := tx.Volume(op.Key)
		if err != nil {
			return err
		}
		v.State = tintype.Unattached
		switch {
		case refused != nil:
			o.State, o.Failure, v.State = tintype.Failed, refused, tintype.ReadyToUpload
			err = p.unsealed(tx)
		case op.Grant.Upload:
			err = errors.Join(s.sealed(tx, p, &v), tx.DeleteFooter(op.Key))
		}
		return errors.Join(err, tx.PutVolume(v), settleGuest(tx, v, op.Guest != nil))
	})
}

// finishUpload checks what was uploaded, and makes it unchangeable if it is a snapshot's. An upload that is refused is no error.
func (s *Service) finishUpload(op catalog.Operation, p plan) (refused *tintype.Error, err error) {
	err = s.catalog.View(s.ctx, func(tx *catalog.Tx) error {
		refused, err = s.checkUpload(tx, op)
		return err
	})
	if err != nil || refused != nil {
		return refused, err
	}
	err = s.seal(op, p)
	if err != nil && !errors.Is(err, block.ErrClosed) {
		s.opt.Log.Error("an upload could not be finished", "operation", op.ID, "resource", op.Resource, "error", err)
		return storeError(err), nil
	}
	return nil, err
}

// checkUpload says why the upload is no VHD of the size that was announced, if so.
func (s *Service) checkUpload(tx *catalog.Tx, op catalog.Operation) (*tintype.Error, error) {
	refused, err := s.checkFooter(tx, op.Key, *op.Grant)
	if err != nil || refused != nil {
		return refused, err
	}
	v, err := tx.Volume(op.Key)
	if err != nil {
		return nil, err
	}
	return s.checkGuest(tx, v, *op.Grant)
}

func (s *Service) checkFooter(tx *catalog.Tx, key string, grant tintype.Grant) (*tintype.Error, error) {
	footer, err := tx.Footer(key)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return nil, err
	}
	if len(footer) == 0 {
		footer = make([]byte, tintype.VHDFooterSize)
	}
	var bad *vhd.UploadError
	if errors.As(vhd.CheckUpload(footer, grant.Bytes, s.opt.BlobURL(grant)), &bad) {
		return &tintype.Error{Kind: tintype.KindInvalid, Code: bad.Code, Message: bad.Message}, nil
	}
	return nil, nil
}

// releaseExpired cuts off what still runs under grants that have run out, and releases those that are shown no longer.
func (s *Service) releaseExpired(ctx context.Context) error {
	var expired []tintype.Grant
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		expired, err = tx.ExpiredGrants(s.opt.Now())
		return err
	})
	for _, g := range expired {
		if g.Active(s.opt.Now().Add(-showExpired)) {
			s.opt.CutGrant(g.ID)
			continue
		}
		err = errors.Join(err, s.endOutlived(ctx, g))
	}
	return err
}
