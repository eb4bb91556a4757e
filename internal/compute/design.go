package compute

import (
	"errors"
	"slices"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// design says what a new resource will be, or why it can't be. source is set for a copy.
func (s *Service) design(tx *catalog.Tx, id tintype.ResourceID, want tintype.Desired) (v tintype.Volume, source *tintype.Volume, err error) {
	region, err := tintype.CheckLocation(id.Kind.Type(), want.Location)
	if err != nil {
		return v, nil, err
	}
	if want.Creation == nil {
		return v, nil, tintype.MissingParameter("creationData")
	}
	creation, err := asUpload(want).Check(id.Kind)
	if err != nil {
		return v, nil, err
	}
	// What is wrong with the request itself is said before what is wrong with its source.
	if err := errors.Join(want.CheckEnums(), want.CheckSecure(creation.Option)); err != nil {
		return v, nil, err
	}
	sold := s.Sold(region)
	if want.SKU != "" {
		if _, err := id.Kind.CheckSKU(sold, want.SKU); err != nil {
			return v, nil, err
		}
	}
	v = tintype.Volume{
		ID: id, UniqueID: uuid.New(), Created: s.now(), Location: region.Name, Zones: slices.Clone(want.Zones),
		Creation: creation, SKU: tintype.StandardLRS, State: tintype.Unattached, Provisioning: tintype.StateUpdating,
		Store: uuid.New(),
	}
	if creation.Option.Copies() {
		if creation.Option == tintype.CreateFromImage {
			source, err = imagedSource(tx, v, *want.Creation.Image)
		} else {
			source, err = s.source(tx, v, want.Creation.Remote)
		}
		if err != nil {
			return v, nil, err
		}
		inherit(&v, *source)
	}
	if err := creation.CheckInstant(id.Kind, source); err != nil {
		return v, nil, err
	}
	if err := s.designSnapshot(tx, &v, sold, want, source); err != nil {
		return v, nil, err
	}
	if err := v.Apply(sold, want, true); err != nil {
		return v, nil, err
	}
	if err := v.SettleSector(source); err != nil {
		return v, nil, err
	}
	if err := checkCompanions(tx, v); err != nil {
		return v, nil, err
	}
	if err := region.CheckZones(id, v.Zones); err != nil {
		return v, nil, err
	}
	if len(v.Zones) > 0 && v.SKU.Zoned() {
		return v, nil, tintype.InvalidParameter("zones", "Zone-redundant disks of SKU %s cannot be pinned to a zone: zones must not be set.", v.SKU)
	}
	if err := s.checkQuota(tx, id, v.Location, v.SKU); err != nil {
		return v, nil, err
	}
	if err := firstSize(&v, want, source); err != nil || id.Kind != tintype.KindDisk {
		return v, source, err
	}
	return v, source, v.CheckShares(want.MaxShares)
}

// Sold is a region as far as skus go: zone-redundant ones exist only where the store has zones.
func (s *Service) Sold(r tintype.Region) tintype.Region {
	r.Zones = r.Zones && s.opt.ZoneRedundant
	return r
}

// source finds what a copy is made of: a disk or snapshot in the same region that has all its bytes, or the remote one.
func (s *Service) source(tx *catalog.Tx, v tintype.Volume, remote *tintype.Volume) (*tintype.Volume, error) {
	id, ok := tintype.ParseResourceID(v.Creation.Source)
	point := v.Creation.Option == tintype.CreateRestore
	if !ok || !id.Kind.Volume() || point != (id.Kind == tintype.KindDiskPoint) {
		return nil, tintype.InvalidParameter("creationData.sourceResourceId",
			"The value of parameter creationData.sourceResourceId is invalid.")
	}
	if v.Creation.Option == tintype.CreateCopyStart && remote != nil {
		return remoteSource(v, *remote)
	}
	source, err := s.settled(tx, id)
	var refusal *tintype.Error
	if errors.Is(err, catalog.ErrNotFound) || errors.As(err, &refusal) && refusal.Kind == tintype.KindNotFound ||
		err == nil && source.Location != v.Location && v.Creation.Option != tintype.CreateCopyStart {
		return nil, sourceNotFound(id.Name)
	}
	if err != nil {
		return nil, err
	}
	if v.Creation.Option == tintype.CreateCopyStart {
		if err := startable(v, source); err != nil {
			return nil, err
		}
	}
	if err := source.Whole(); err != nil {
		return nil, err
	}
	if source.Uploading() {
		return nil, tintype.NotAllowed("Cannot copy %s %s because it is in state %s. Finish the upload first.",
			id.Kind.Noun(), source.ID.Name, source.State)
	}
	return &source, nil
}

// startable says whether the source may be copied with CopyStart: an incremental snapshot of the same subscription.
func startable(v, source tintype.Volume) error {
	if source.ID.Kind != tintype.KindSnapshot || !source.Incremental {
		return tintype.NotAllowed("CopyStart creation is only supported from an incremental snapshot, which %s %s is not.",
			source.ID.Kind.Noun(), source.ID.Name)
	}
	if source.ID.Subscription != v.ID.Subscription {
		return tintype.NotAllowed("CopyStart creation is only supported within a subscription.")
	}
	return nil
}

// asUpload gives the creation that is asked for. Before 2019 an upload said its size in diskSizeGB.
func asUpload(want tintype.Desired) tintype.CreationRequest {
	r := *want.Creation
	if r.Option == string(tintype.CreateUpload) && r.UploadBytes == nil && want.SizeGB != nil &&
		*want.SizeGB > 0 && *want.SizeGB <= tintype.MaxSizeGB {
		bytes := *want.SizeGB*tintype.GiB + tintype.VHDFooterSize
		r.UploadBytes = &bytes
	}
	return r
}

// inherit gives a copy what it takes over from its source.
func inherit(v *tintype.Volume, source tintype.Volume) {
	v.Creation.SourceUniqueID = source.UniqueID
	from := source.Settings.Clone()
	v.Settings.OSType, v.Settings.HyperVGeneration = from.OSType, from.HyperVGeneration
	v.Settings.PurchasePlan, v.Settings.Capabilities = from.PurchasePlan, from.Capabilities
	v.Settings.SecurityProfile, v.Settings.SupportsHibernation = from.SecurityProfile, from.SupportsHibernation
	if source.Location != v.Location || source.ID.Subscription != v.ID.Subscription {
		v.Settings.LeaveSet() // it can't be used here
	}
}

// firstSize settles the size of a new resource.
func firstSize(v *tintype.Volume, want tintype.Desired, source *tintype.Volume) error {
	if want.SizeGB != nil {
		if err := v.SKU.CheckSizeGB(*want.SizeGB); err != nil {
			return err
		}
		v.Size = *want.SizeGB * tintype.GiB
	}
	switch v.Creation.Option {
	case tintype.CreateUpload, tintype.CreateUploadSecure:
		data := v.Creation.UploadBytes - tintype.VHDFooterSize
		if want.SizeGB != nil && v.Size != (data+tintype.GiB-1)/tintype.GiB*tintype.GiB {
			return tintype.InvalidParameter("diskSizeGB", "The value '%d' of parameter 'diskSizeGB' does not fit "+
				"'creationData.uploadSizeBytes': the size of an uploaded disk is that of its VHD.", *want.SizeGB)
		}
		v.Size, v.State = data, tintype.ReadyToUpload
	case tintype.CreateCopy, tintype.CreateCopyStart, tintype.CreateRestore, tintype.CreateFromImage:
		return copySize(v, want.SizeGB, *source)
	case tintype.CreateImport, tintype.CreateImportSecure:
		bytes := want.Creation.ImportBytes
		switch {
		case want.SizeGB == nil:
			v.Size = bytes
		case v.Size < bytes:
			return tintype.InvalidParameter("diskSizeGB", "The value '%d' of parameter 'diskSizeGB' is smaller than the imported image, %d bytes.",
				*want.SizeGB, bytes)
		}
	default:
		if want.SizeGB == nil {
			return tintype.MissingParameter("diskSizeGB")
		}
	}
	return nil
}

// copySize settles the size of a copy: the source's, or for a disk a larger one.
func copySize(v *tintype.Volume, gb *int64, source tintype.Volume) error {
	switch {
	case gb == nil || *gb == source.SizeGB():
		v.Size = source.Size
	case *gb < source.SizeGB():
		return tintype.InvalidParameter("diskSizeGB", "Disk size reduction is not supported. "+
			"Current size is %d bytes, requested size is %d bytes.", source.Size, *gb*tintype.GiB)
	case v.ID.Kind == tintype.KindSnapshot:
		return tintype.InvalidParameter("diskSizeGB", "The size of a snapshot created with createOption 'Copy' "+
			"is that of its source, %d bytes; the requested size is %d bytes.", source.Size, *gb*tintype.GiB)
	}
	return nil
}
