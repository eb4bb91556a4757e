package arm

import (
	"strings"

	"tintype"
	"tintype/internal/arm/wire"
)

func encodeCollection(c tintype.Companion) wire.Collection {
	return wire.Collection{
		Name: c.ID.Name, ID: c.ID.String(), Type: c.ID.Kind.Type(), Location: c.Location, Tags: c.Tags,
		Properties: &wire.CollectionProperties{
			Source:       &wire.CollectionSource{ID: c.Collection.Source, Location: c.Collection.Location},
			CollectionID: guid(c.Collection.UniqueID), ProvisioningState: string(tintype.StateSucceeded),
		},
	}
}

// decodePoint reads what a PUT asks for. Nothing is judged here, and what only the server sets is ignored.
func decodePoint(p *wire.RestorePointProperties) tintype.RestorePointRequest {
	want := tintype.RestorePointRequest{}
	if p == nil {
		return want
	}
	want.Mode = p.ConsistencyMode
	for _, d := range p.ExcludeDisks {
		want.Excluded = append(want.Excluded, d.ID)
	}
	if p.SourceRestorePoint != nil {
		want.Source = p.SourceRestorePoint.ID
	}
	if p.SourceMetadata == nil || p.SourceMetadata.StorageProfile == nil {
		return want
	}
	disks := p.SourceMetadata.StorageProfile.DataDisks
	if os := p.SourceMetadata.StorageProfile.OSDisk; os != nil {
		disks = append([]wire.PointDisk{*os}, disks...)
	}
	want.Encryption = map[string]tintype.Encryption{}
	for _, d := range disks {
		if d.DiskRestorePoint == nil || d.DiskRestorePoint.Encryption == nil {
			continue
		}
		e := tintype.Encryption{Type: d.DiskRestorePoint.Encryption.Type}
		if set := d.DiskRestorePoint.Encryption.Set; set != nil {
			e.SetID = set.ID
		}
		if d.ManagedDisk != nil {
			want.Encryption[strings.ToLower(d.ManagedDisk.ID)] = e
		}
		if from := d.DiskRestorePoint.Source; from != nil {
			want.Encryption[strings.ToLower(from.ID)] = e
		}
	}
	return want
}

// encodePoint writes a restore point as clients of the api-version know it.
func encodePoint(p tintype.RestorePoint, version string) wire.RestorePoint {
	w := &wire.RestorePointProperties{
		SourceMetadata: sourceMetadata(p, version), ProvisioningState: string(tintype.StateSucceeded), ConsistencyMode: p.Mode,
		TimeCreated: formatTime(p.Created),
	}
	for _, id := range p.Excluded {
		w.ExcludeDisks = append(w.ExcludeDisks, wire.Reference{ID: id})
	}
	if p.Source != "" {
		w.SourceRestorePoint = &wire.Reference{ID: p.Source}
	}
	return wire.RestorePoint{Name: p.ID.Name, ID: p.ID.String(), Properties: w}
}

func sourceMetadata(p tintype.RestorePoint, version string) *wire.SourceMetadata {
	m := &wire.SourceMetadata{Location: p.Location, StorageProfile: &wire.PointStorageProfile{}}
	if p.Machine != nil {
		m.VMID = guid(p.Machine.VMID)
		m.HardwareProfile = &wire.HardwareProfile{VMSize: p.Machine.Size}
		m.OSProfile, m.DiagnosticsProfile = p.Machine.Kept["osProfile"], p.Machine.Kept["diagnosticsProfile"]
		m.SecurityProfile, m.LicenseType = p.Machine.Kept["securityProfile"], p.Machine.Kept["licenseType"]
		m.HyperVGeneration = "V1"
	}
	for _, d := range p.Disks {
		w := encodePointDisk(d)
		if version < "2023-07-01" { // recordings up to 2022-11-01 do not show it
			w.DiskRestorePoint.Encryption = nil
		}
		if d.OS {
			m.StorageProfile.OSDisk = &w
			if d.Generation != "" {
				m.HyperVGeneration = d.Generation
			}
			continue
		}
		lun := d.LUN
		w.LUN, w.OSType = &lun, ""
		m.StorageProfile.DataDisks = append(m.StorageProfile.DataDisks, w)
	}
	return m
}

func encodePointDisk(d tintype.PointDisk) wire.PointDisk {
	w := wire.PointDisk{
		OSType: d.OSType, Name: d.Name, DiskSizeGB: d.SizeGB, Caching: d.Caching,
		ManagedDisk:      &wire.ManagedDisk{StorageAccountType: string(d.SKU), ID: d.Disk},
		DiskRestorePoint: &wire.DiskPointAttributes{ID: d.Point.String(), Encryption: &wire.PointEncryption{Type: d.Encryption.Type}},
	}
	if d.Source != "" {
		w.DiskRestorePoint.Source = &wire.Reference{ID: d.Source}
	}
	if d.Encryption.SetID != "" {
		w.DiskRestorePoint.Encryption.Set = &wire.Reference{ID: d.Encryption.SetID}
	}
	return w
}

// viewOf tells how far the copies are: the regions of one server share its store, so they are whole at once.
func viewOf(p tintype.RestorePoint) *wire.PointView {
	whole := wire.Status{Code: "ReplicationState/succeeded", Level: "Info", DisplayStatus: "Succeeded"}
	view := &wire.PointView{Statuses: []wire.Status{whole}}
	for _, d := range p.Disks {
		view.DiskRestorePoints = append(view.DiskRestorePoints, wire.DiskPointView{
			ID: d.Point.String(), ReplicationStatus: wire.ReplicationStatus{Status: whole, CompletionPercent: 100},
		})
	}
	return view
}

func encodeDiskPoint(p tintype.RestorePoint, v tintype.Volume) wire.DiskRestorePoint {
	all := encodeProperties(v)
	w := &wire.DiskPointProperties{
		TimeCreated: formatTime(v.Created), SourceResourceID: v.Creation.Source, SourceUniqueID: guid(v.Creation.SourceUniqueID),
		FamilyID: guid(v.Family), OSType: all.OSType, HyperVGeneration: all.HyperVGeneration, PurchasePlan: all.PurchasePlan,
		Capabilities: all.Capabilities, SecurityProfile: all.SecurityProfile, SupportsHibernation: all.SupportsHibernation,
		Encryption: all.Encryption, NetworkAccessPolicy: all.NetworkAccessPolicy, PublicNetworkAccess: all.PublicNetworkAccess,
		LogicalSectorSize: nonzero(v.Creation.SectorSize),
	}
	if p.Source != "" {
		whole := 100.0
		w.SourceResourceLocation, w.ReplicationState, w.CompletionPercent = p.Location, "Succeeded", &whole
	}
	return wire.DiskRestorePoint{ID: v.ID.String(), Name: v.ID.Short(), Type: v.ID.Kind.Type(), Properties: w}
}
