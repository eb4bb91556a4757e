package compute

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// PutImage makes the image that id names, or replaces its tags; created tells which. What it is made of disks and snapshots is cut, all of
// it at one moment, before PutImage returns; blobs are copied behind it, and the operation lasts until they are.
func (s *Service) PutImage(
	ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest, image tintype.ImageRequest,
) (op tintype.Operation, created bool, err error) {
	if err := tintype.CheckName(id.Kind, id.Name); err != nil {
		return op, false, err
	}
	if err := s.inspectBlobs(ctx, id, &image); err != nil {
		return op, false, err
	}
	var d imageDesign
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		c, err := s.image(tx, id)
		if created = errors.Is(err, catalog.ErrNotFound); !created {
			if err == nil {
				op, err = s.changeImage(tx, c, want, image, true)
			}
			return err
		}
		if d, err = s.designImage(tx, id, want, image); err != nil {
			return err
		}
		for _, c := range d.cuts {
			err = errors.Join(err, tx.AddIntent(c.volume.Store))
		}
		return err
	})
	if err != nil || !created {
		return op, false, err
	}
	err = s.cutAndAccept(ctx, d.cuts, func(tx *catalog.Tx) (err error) {
		if _, err := s.image(tx, id); !errors.Is(err, catalog.ErrNotFound) {
			if err == nil {
				err = alreadyExists(id)
			}
			return err
		}
		op, err = s.acceptImage(tx, d)
		return err
	})
	for _, p := range d.imports {
		s.kick(p.operation)
	}
	return op, created, err
}

// PatchImage replaces the image's tags when there are any in want. Nothing else of an image changes.
func (s *Service) PatchImage(
	ctx context.Context, id tintype.ResourceID, want tintype.CompanionRequest, image tintype.ImageRequest,
) (op tintype.Operation, err error) {
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		c, err := s.image(tx, id)
		if err != nil {
			return absent(err, id.NotFound())
		}
		op, err = s.changeImage(tx, c, want, image, false)
		return err
	})
	return op, err
}

func (s *Service) image(tx *catalog.Tx, id tintype.ResourceID) (tintype.Companion, error) {
	if _, err := s.group(tx, id); err != nil {
		return tintype.Companion{}, err
	}
	return tx.Companion(id.Key())
}

func (s *Service) changeImage(
	tx *catalog.Tx, c tintype.Companion, want tintype.CompanionRequest, image tintype.ImageRequest, replace bool,
) (tintype.Operation, error) {
	if what := c.Image.Differs(image); what != "" {
		return tintype.Operation{}, tintype.ChangeNotAllowed(what, c.ID)
	}
	c = c.Clone()
	if err := c.Apply(want, replace, s.now()); err != nil {
		return tintype.Operation{}, err
	}
	op := s.ended(tintype.OpPutImage, c)
	op.Companion = &c
	return op, errors.Join(tagDisks(tx, c), tx.PutCompanion(c), putEnded(tx, op, c))
}

// tagDisks gives the image's tags to what it holds, by which usage is told.
func tagDisks(tx *catalog.Tx, c tintype.Companion) error {
	for _, d := range c.Image.Disks() {
		v, err := tx.Volume(d.Volume.Key())
		if errors.Is(err, catalog.ErrNotFound) {
			continue // the copy of its blob failed, and the image's operation will
		}
		if err != nil {
			return err
		}
		if maps.Equal(v.Tags, c.Tags) {
			continue
		}
		v.Tags = maps.Clone(c.Tags)
		if err := tx.PutVolume(v); err != nil {
			return err
		}
	}
	return nil
}

// imageDesign is a new image, with what has to be cut or copied for it.
type imageDesign struct {
	image   tintype.Companion
	cuts    []cut
	imports []blobImport
}

// blobImport is a disk of an image that is copied from a blob, and the operation that does it.
type blobImport struct {
	volume    tintype.Volume
	plan      plan
	operation uuid.UUID
}

// designImage says what a new image will be, or why it can't be.
func (s *Service) designImage(
	tx *catalog.Tx, id tintype.ResourceID, want tintype.CompanionRequest, image tintype.ImageRequest,
) (d imageDesign, err error) {
	if d.image, err = tintype.NewCompanion(id, want, s.now(), uuid.Nil); err != nil {
		return d, err
	}
	if err := image.Check(); err != nil {
		return d, err
	}
	zoned := image.Zoned != nil && *image.Zoned
	if region, ok := tintype.FindRegion(d.image.Location); zoned && (!ok || !s.Sold(region).Zones) {
		return d, tintype.InvalidParameter("storageProfile.zoneResilient", "Zone resilient images are not supported in region %s, which has no "+
			"zone-redundant storage.", d.image.Location)
	}
	d.image.Image = &tintype.Image{Generation: image.Generation, Machine: image.Machine, Zoned: image.Zoned}
	if image.Machine != "" {
		if image, err = s.imageOfMachine(tx, d.image, image); err != nil {
			return d, err
		}
	}
	if d.image.Image.OS, err = s.imageDisk(tx, &d, *image.OS, "os"); err != nil {
		return d, err
	}
	for _, one := range image.Data {
		disk, err := s.imageDisk(tx, &d, one, strconv.Itoa(*one.LUN))
		if err != nil {
			return d, err
		}
		d.image.Image.Data = append(d.image.Image.Data, disk)
	}
	if d.image.Image.Generation == "" {
		d.image.Image.Generation = "V1"
	}
	d.image.Image.Creating = len(d.imports) > 0
	return d, nil
}

// imageOfMachine asks for an image of all disks of a machine.
func (s *Service) imageOfMachine(tx *catalog.Tx, c tintype.Companion, image tintype.ImageRequest) (tintype.ImageRequest, error) {
	from, _ := tintype.ParseResourceID(image.Machine)
	of, err := tx.Companion(from.Key())
	switch {
	case errors.Is(err, catalog.ErrNotFound) || err == nil && (of.Location != c.Location || from.Subscription != c.ID.Subscription):
		return image, sourceNotFound(from.Name)
	case err != nil:
		return image, err
	case of.Machine.Security() != "":
		return image, tintype.NoSecureImage(of.Machine.Security())
	case !of.Machine.Generalized:
		return image, tintype.NeedsGeneralized(of.ID.Name)
	case of.Machine.OS == nil:
		return image, tintype.NotAllowed("Virtual machine %s has no disk of a system, which an image needs.", of.ID.Name)
	}
	system := "Linux"
	if strings.Contains(string(of.Machine.Kept["osProfile"]), `"windowsConfiguration"`) {
		system = "Windows"
	}
	for _, at := range of.Machine.Disks() {
		if err := image.Checked.Check(at.ID); err != nil {
			return image, err
		}
		v, err := tx.Volume(at.ID.Key())
		if err != nil {
			return image, absent(err, sourceNotFound(at.ID.Name))
		}
		d := tintype.ImageDiskRequest{Source: tintype.ImageSource{Disk: v.ID.String()}, Caching: at.Caching}
		if at.ID != of.Machine.OS.ID {
			lun := at.LUN
			d.LUN = &lun
			image.Data = append(image.Data, d)
			continue
		}
		d.OSState, d.OSType = "Generalized", v.Settings.OSType
		if d.OSType == "" {
			d.OSType = system
		}
		image.OS = &d
	}
	return image, nil
}

// imageDisk says what a disk of the new image will be, and adds to d what has to be done for it.
func (s *Service) imageDisk(tx *catalog.Tx, d *imageDesign, want tintype.ImageDiskRequest, name string) (tintype.ImageDisk, error) {
	image := d.image.Image
	zoned := image.Zoned != nil && *image.Zoned
	v := tintype.Volume{
		ID: d.image.ID.ImageDiskID(name), UniqueID: uuid.New(), Created: d.image.Created, Location: d.image.Location, SKU: tintype.StandardLRS,
		Tags: d.image.Tags, State: tintype.Unattached, Provisioning: tintype.StateSucceeded, Store: uuid.New(),
	}
	switch {
	case zoned:
		v.SKU = tintype.StandardZRS
	case want.Storage == string(tintype.PremiumLRS):
		v.SKU = tintype.PremiumLRS
	}
	ask := tintype.Desired{}
	if want.Source.BlobURI != "" {
		v.Size, v.Provisioning = want.Bytes, tintype.StateUpdating
		v.Creation = tintype.Creation{Option: tintype.CreateImport, SourceURI: plainURI(want.Source.BlobURI)}
		d.imports = append(d.imports, blobImport{plan: plan{
			Step: stepImport, Temp: uuid.New(), Store: v.Store, Size: v.Size, URI: want.Source.BlobURI, Bytes: want.Bytes,
		}})
	} else {
		source, err := s.imageSource(tx, d.image, want.Source)
		if err != nil {
			return tintype.ImageDisk{}, err
		}
		v.Size, v.Creation = source.Size, tintype.Creation{Option: tintype.CreateCopy, Source: source.ID.String(), SectorSize: source.Creation.SectorSize}
		inherit(&v, source)
		ask.Encryption = &source.Settings.Encryption
		d.cuts = append(d.cuts, cut{source: source.Store, name: source.ID.Name})
	}
	if want.LUN == nil {
		if image.Generation == "" {
			image.Generation = v.Settings.HyperVGeneration
		}
		v.Settings.OSType, v.Settings.HyperVGeneration = want.OSType, image.Generation
	}
	if want.SetID != "" {
		e := tintype.Encryption{SetID: want.SetID}
		e.Type = s.typeOfSet(tx, e)
		ask.Encryption = &e
	}
	if err := v.Apply(tintype.Region{Name: v.Location}, ask, true); err != nil {
		return tintype.ImageDisk{}, err
	}
	if err := checkCompanions(tx, v); err != nil {
		return tintype.ImageDisk{}, err
	}
	want.SetID = v.Settings.Encryption.SetID
	if want.Source.BlobURI != "" {
		d.imports[len(d.imports)-1].volume = v
	} else {
		d.cuts[len(d.cuts)-1].volume = v
	}
	return want.New(v.ID, v.Size, zoned)
}

// imageSource finds the disk or snapshot that a disk of an image is made of.
func (s *Service) imageSource(tx *catalog.Tx, image tintype.Companion, from tintype.ImageSource) (tintype.Volume, error) {
	id, _ := tintype.ParseResourceID(from.Snapshot + from.Disk) // one of them
	v, err := s.settled(tx, id)
	var refusal *tintype.Error
	switch {
	case errors.Is(err, catalog.ErrNotFound) || errors.As(err, &refusal) && refusal.Kind == tintype.KindNotFound ||
		err == nil && (v.Location != image.Location || id.Subscription != image.ID.Subscription):
		return v, sourceNotFound(id.Name)
	case err != nil:
		return v, err
	case v.Uploading():
		return v, tintype.NotAllowed("Cannot make an image of %s %s because it is in state %s. Finish the upload first.", id.Kind.Noun(), v.ID.Name, v.State)
	}
	return v, v.Whole()
}

// imagedSource finds what a disk is made of by FromImage: what an image in its region holds, as large as the image says.
func imagedSource(tx *catalog.Tx, v tintype.Volume, from tintype.ImageReference) (*tintype.Volume, error) {
	c, err := findImage(tx, from, "creationData.imageReference", v.ID, v.Location)
	if err != nil {
		return nil, err
	}
	disk, ok := c.Image.Disk(from.LUN)
	if !ok {
		return nil, tintype.InvalidParameter("creationData.imageReference.lun", "Image %s has no data disk at LUN %d.", c.ID.Name, *from.LUN)
	}
	source, err := tx.Volume(disk.Volume.Key())
	source.Size = max(source.Size, disk.SizeGB*tintype.GiB)
	return &source, err
}

// findImage finds the image that a reference, target in the request, names for what is to be in its region.
func findImage(tx *catalog.Tx, from tintype.ImageReference, target string, by tintype.ResourceID, location string) (tintype.Companion, error) {
	id, err := from.Find(target, location)
	if err != nil {
		return tintype.Companion{}, err
	}
	c, err := tx.Companion(id.Key())
	switch {
	case errors.Is(err, catalog.ErrNotFound) || err == nil && (c.Location != location || id.Subscription != by.Subscription):
		err = sourceNotFound(id.Name)
	case err == nil && c.Image.Creating:
		err = tintype.NotAllowed("Image %s cannot be used until its blobs have been copied.", c.ID.Name)
	}
	return c, err
}

// acceptImage records a new image whose cuts are made.
func (s *Service) acceptImage(tx *catalog.Tx, d imageDesign) (tintype.Operation, error) {
	err := s.acceptCuts(tx, d.cuts)
	for i, b := range d.imports {
		one, failed := s.start(tx, tintype.OpPut, b.volume, b.plan, nil)
		d.imports[i].operation = one.ID
		err = errors.Join(err, failed, tx.PutVolume(b.volume))
	}
	op := s.ended(tintype.OpPutImage, d.image)
	op.Companion = &d.image
	if d.image.Image.Creating {
		op.State, op.Ended = tintype.InProgress, time.Time{}
	}
	return op, errors.Join(err, tx.PutCompanion(d.image), putEnded(tx, op, d.image))
}

// DeleteImage deletes the image with all that it holds. ok is false when it does not exist in its group, which is no error (204).
func (s *Service) DeleteImage(ctx context.Context, id tintype.ResourceID) (op tintype.Operation, ok bool, err error) {
	err = s.accept(ctx, func(tx *catalog.Tx) error {
		c, err := s.image(tx, id)
		if ok = err == nil; errors.Is(err, catalog.ErrNotFound) {
			return nil
		}
		if err == nil {
			err = s.dropBelow(tx, id.Key())
		}
		if err != nil {
			return err
		}
		op = s.ended(tintype.OpDeleteCompanion, c)
		return errors.Join(tx.DeleteCompanion(id.Key()), putEnded(tx, op, c))
	})
	if err == nil && ok {
		s.forgetDeleted()
	}
	return op, ok, err
}
