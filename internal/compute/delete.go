package compute

import (
	"context"
	"errors"

	"tintype"
	"tintype/internal/catalog"
)

// Delete accepts the deletion. ok is false when the resource does not exist in its group, which is no error (204).
func (s *Service) Delete(ctx context.Context, id tintype.ResourceID) (a tintype.Accepted, ok bool, err error) {
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		v, err := s.existing(tx, id)
		if err != nil {
			return err
		}
		if err := s.deletable(tx, v); err != nil {
			return err
		}
		v.Provisioning = tintype.StateDeleting
		if err := tx.PutVolume(v); err != nil {
			return err
		}
		op, err := s.start(tx, tintype.OpDelete, v, plan{}, nil)
		a = tintype.Accepted{Operation: op, Volume: v}
		return err
	})
	var refusal *tintype.Error
	if errors.As(err, &refusal) && refusal.Code == "ResourceNotFound" {
		return tintype.Accepted{}, false, nil
	}
	if err != nil {
		return tintype.Accepted{}, false, err
	}
	s.kick(a.Operation.ID)
	return a, true, nil
}

// deletable refuses what is in use.
func (s *Service) deletable(tx *catalog.Tx, v tintype.Volume) error {
	if v.Immutable.Holds(s.now()) {
		return tintype.Immutable(v, "deleted")
	}
	if v.Machine != "" {
		return tintype.NotAllowed("%s %s is attached to VM %s.", title(v.ID.Kind), v.ID.Name, v.Machine)
	}
	switch v.State {
	case tintype.Attached:
		return tintype.NotAllowed("%s %s is attached to VM %s.", title(v.ID.Kind), v.ID.Name, v.HeldBy)
	case tintype.ActiveSAS, tintype.ActiveUpload:
		return tintype.NotAllowed("There is an active shared access signature outstanding for %s %s. "+
			"Call EndGetAccess before deleting the %s.", v.ID.Kind.Noun(), v.ID.Name, v.ID.Kind.Noun())
	}
	by, err := comparedBy(tx, v)
	if err == nil && by != "" {
		err = tintype.NotAllowed("%s %s is compared with %s, which was attached with it as 'since'. Detach that first.",
			title(v.ID.Kind), v.ID.Name, by)
	}
	return err
}

// comparedBy gives the id of an attached resource that its host may compare with the volume, or "".
func comparedBy(tx *catalog.Tx, v tintype.Volume) (string, error) {
	key, err := tx.AttachmentSince(v.ID.Key())
	if errors.Is(err, catalog.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	by, err := tx.Volume(key)
	return by.ID.String(), err
}

// finishDelete removes the resource. Its bytes go behind it.
func (s *Service) finishDelete(op catalog.Operation) error {
	return s.end(op, func(tx *catalog.Tx, _ *catalog.Operation) error {
		v, err := tx.Volume(op.Key)
		if err != nil {
			return err
		}
		return dropVolume(tx, v)
	})
}

func title(k tintype.Kind) string {
	switch {
	case k == tintype.KindSnapshot:
		return "Snapshot"
	case k == tintype.KindDiskPoint:
		return "Disk restore point"
	case k == tintype.KindImageDisk:
		return "Image disk"
	case k.Guest():
		return "Guest state"
	}
	return "Disk"
}
