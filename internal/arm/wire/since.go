package wire

// skuSince is the first api-version in which a volume has a SKU, and tells its virtual machine beside its properties and not among them.
// Source: Azure's description of 2016-04-30-preview.
const skuSince = "2017-03-30"

// Modernize puts what a client of the api-version wrote where later versions have it.
func (v *Volume) Modernize(version string) {
	if version < skuSince && v.SKU == nil && v.Properties != nil && v.Properties.AccountType != "" {
		v.SKU = &SKU{Name: v.Properties.AccountType}
	}
}

// Trim leaves out what clients of the api-version don't know. Versions compare as text. Source: the versions at which
// recordings of the real service begin to show a property.
func (v *Volume) Trim(version string) {
	p := v.Properties
	if p == nil {
		return
	}
	p.AccountType, p.OwnerID = "", ""
	if version < skuSince {
		if v.SKU != nil {
			p.AccountType, v.SKU = v.SKU.Name, nil
		}
		p.OwnerID, v.ManagedBy, p.DiskState = v.ManagedBy, "", ""
	}
	if version < "2018-09-30" {
		if p.OldGuestEncryption == nil {
			p.OldGuestEncryption = p.GuestEncryption
		}
		p.GuestEncryption = nil
	}
	if version < "2018-06-01" {
		p.HyperVGeneration, p.DiskIOPSReadWrite, p.DiskMBpsReadWrite = "", nil, nil
	}
	if version < "2019-03-01" {
		p.UniqueID, p.DiskSizeBytes, p.Incremental, p.Encryption = "", nil, nil, nil
	}
	if version < "2019-07-01" {
		p.MaxShares, p.DiskIOPSReadOnly, p.DiskMBpsReadOnly, p.ShareInfo, v.ManagedByExtended = nil, nil, nil, nil, nil
		if p.CreationData != nil {
			p.CreationData.SourceUniqueID = ""
		}
	}
	if version < "2020-05-01" {
		p.NetworkAccessPolicy, p.DiskAccessID, p.Tier = "", nil, ""
	}
	if version < "2020-09-30" {
		p.BurstingEnabled, p.PurchasePlan = nil, nil
	}
	if version < "2020-12-01" {
		p.SecurityProfile, p.SupportsHibernation = nil, nil
	}
	if version < "2021-04-01" {
		p.PublicNetworkAccess = ""
	}
	if version < "2021-12-01" {
		p.FamilyID, p.Capabilities = "", nil
	}
	if version < "2022-03-02" {
		p.DataAccessAuthMode = ""
	}
	if version < "2022-07-02" {
		p.CopyCompletionError = nil
	}
	if version < "2023-04-02" {
		p.OptimizedForAttach = nil
	}
	copied := p.CreationData != nil && p.CreationData.CreateOption == "CopyStart"
	if version < "2024-03-02" && !copied {
		p.CompletionPercent = nil // recordings up to 2023-10-02 show it of a copy to another region only
	}
	if version < "2025-01-02" {
		p.SnapshotAccessState = ""
	}
	if version < "2026-03-02" {
		p.ImmutabilityPolicy = nil
		if p.CreationData != nil {
			p.CreationData.InstantAccessMinutes = nil
		}
	}
}
