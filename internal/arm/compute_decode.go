package arm

import (
	"cmp"

	"tintype"
	"tintype/internal/arm/wire"
)

// decodeVolume reads what a PUT or PATCH asks for. Nothing is judged here, and what only the server sets is ignored.
func decodeVolume(w wire.Volume) tintype.Desired {
	d := tintype.Desired{
		Location: w.Location, Zones: w.Zones, Tags: w.Tags,
		ExtendedLocation: w.ExtendedLocation != nil && w.ExtendedLocation.Name != "",
	}
	if w.SKU != nil {
		d.SKU = w.SKU.Name
	}
	p := w.Properties
	if p == nil {
		return d
	}
	d.Creation, d.SizeGB = decodeCreation(p.CreationData), p.DiskSizeGB
	d.OSType, d.HyperVGeneration = p.OSType, p.HyperVGeneration
	d.NetworkAccess, d.PublicNetworkAccess, d.DataAccessAuthMode = p.NetworkAccessPolicy, p.PublicNetworkAccess, p.DataAccessAuthMode
	d.DiskAccessID, d.SupportsHibernation, d.Incremental = p.DiskAccessID, p.SupportsHibernation, p.Incremental
	d.Tier, d.IOPS, d.MBps, d.IOPSRead, d.MBpsRead = p.Tier, p.DiskIOPSReadWrite, p.DiskMBpsReadWrite, p.DiskIOPSReadOnly, p.DiskMBpsReadOnly
	d.MaxShares, d.Bursting, d.OptimizedForReattach = p.MaxShares, p.BurstingEnabled, p.OptimizedForAttach
	for _, g := range []*wire.GuestEncryption{p.GuestEncryption, p.OldGuestEncryption} {
		if g != nil {
			d.GuestEncryption = g.Enabled
		}
	}
	if e := p.Encryption; e != nil {
		d.Encryption = &tintype.Encryption{Type: e.Type, SetID: e.DiskEncryptionSetID}
	}
	if plan := p.PurchasePlan; plan != nil {
		d.PurchasePlan = &tintype.PurchasePlan{Name: plan.Name, Publisher: plan.Publisher, Product: plan.Product, PromotionCode: plan.PromotionCode}
	}
	if c := p.Capabilities; c != nil {
		d.Capabilities = &tintype.Capabilities{
			DiskControllerTypes: c.DiskControllerTypes, AcceleratedNetwork: c.AcceleratedNetwork,
			Architecture: c.Architecture, SupportedSecurityOption: c.SupportedSecurityOption,
		}
	}
	if s := p.SecurityProfile; s != nil {
		d.SecurityProfile = &tintype.SecurityProfile{Type: s.SecurityType, EncryptionSetID: s.SecureVMDiskEncryptionSetID}
	}
	return d
}

func decodeCreation(w *wire.CreationData) *tintype.CreationRequest {
	if w == nil {
		return nil
	}
	r := &tintype.CreationRequest{
		Option: w.CreateOption, SourceResourceID: w.SourceResourceID, SourceURI: w.SourceURI, StorageAccountID: w.StorageAccountID,
		UploadBytes: w.UploadSizeBytes, SectorSize: w.LogicalSectorSize, PerformancePlus: w.PerformancePlus,
		InstantAccess: w.InstantAccessMinutes, CopySpeed: w.CopySpeed, SecurityDataURI: w.SecurityDataURI,
	}
	for _, from := range []*wire.ImageReference{w.ImageReference, w.GalleryImageReference} {
		if from == nil {
			continue
		}
		r.Image = &tintype.ImageReference{ID: from.ID, LUN: from.LUN, Gallery: cmp.Or(from.SharedGalleryID, from.CommunityImageID)}
		if from == w.GalleryImageReference {
			r.Image.Gallery = cmp.Or(r.Image.Gallery, from.ID, "of creationData.galleryImageReference")
		}
	}
	return r
}
