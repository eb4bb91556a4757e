package compute

import (
	"context"
	"errors"
	"fmt"

	"tintype"
	"tintype/internal/catalog"
)

// inspectBlobs finds out how many bytes the blobs of a new image have, before anything is accepted.
func (s *Service) inspectBlobs(ctx context.Context, id tintype.ResourceID, want *tintype.ImageRequest) error {
	var refusal *tintype.Error
	if _, err := s.GetCompanion(ctx, id); !errors.As(err, &refusal) || refusal.Code != "ResourceNotFound" {
		return nil // what exists already is not looked at again
	}
	if want.OS == nil || want.Check() != nil {
		return nil // refused later
	}
	ctx, cancel := context.WithTimeout(ctx, inspectFor)
	defer cancel()
	disks := []*tintype.ImageDiskRequest{want.OS}
	for i := range want.Data {
		disks = append(disks, &want.Data[i])
	}
	for _, d := range disks {
		if d.Source.BlobURI == "" {
			continue
		}
		var err error
		if d.Bytes, err = s.imageSize(ctx, d.Source.BlobURI); err != nil {
			return importError(err, d.Source.BlobURI)
		}
	}
	return nil
}

// finishImage ends the operation of an image when the last of its blobs has been copied. It fails when one could not be: then nothing of the
// image stays.
func (s *Service) finishImage(op catalog.Operation) error {
	var lost string
	var open []catalog.Operation
	err := s.catalog.View(s.ctx, func(tx *catalog.Tx) error {
		c, err := tx.Companion(op.Key)
		if err != nil {
			return err
		}
		for _, d := range c.Image.Disks() {
			v, err := tx.Volume(d.Volume.Key())
			if errors.Is(err, catalog.ErrNotFound) {
				lost = d.Source.BlobURI
				continue
			}
			if err != nil {
				return err
			}
			under, err := tx.OpenOperations(v.ID.Key())
			if err != nil {
				return err
			}
			open = append(open, under...)
		}
		return nil
	})
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return s.failImage(op, tintype.NotAllowed("The image was deleted before it was complete."))
	case err != nil:
		return err
	case len(open) > 0: // the end of the last one comes back
		for _, o := range open {
			err = errors.Join(err, s.run(o.ID))
		}
		return err
	case lost != "":
		return s.failImage(op, &tintype.Error{
			Kind: tintype.KindConflict, Code: "DiskBlobNotFound", Target: "blobUri",
			Message: fmt.Sprintf("Unable to copy the disk blob with URI %.500s.", lost),
		})
	}
	return s.end(op, func(tx *catalog.Tx, _ *catalog.Operation) error {
		c, err := tx.Companion(op.Key)
		if err != nil {
			return err
		}
		c.Image.Creating = false
		return tx.PutCompanion(c)
	})
}

func (s *Service) failImage(op catalog.Operation, why *tintype.Error) error {
	return s.end(op, func(tx *catalog.Tx, o *catalog.Operation) error {
		o.State, o.Failure = tintype.Failed, why
		c, err := tx.Companion(op.Key)
		if errors.Is(err, catalog.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return errors.Join(s.dropBelow(tx, op.Key), tx.DeleteCompanion(c.ID.Key()))
	})
}

// imageOperations gives the operations in progress on the image that holds what a PUT of a volume has made.
func (s *Service) imageOperations(resource string) (open []catalog.Operation, err error) {
	id, ok := tintype.ParseResourceID(resource)
	if !ok || id.Kind != tintype.KindImageDisk {
		return nil, nil
	}
	image, _ := id.Image()
	err = s.catalog.View(s.ctx, func(tx *catalog.Tx) error {
		open, err = tx.OpenOperations(image.Key())
		return err
	})
	return open, err
}
