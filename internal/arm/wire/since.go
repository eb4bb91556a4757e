package wire

// Trim leaves out what clients of the api-version don't know. Versions compare as text. Source: the versions at which
// recordings of the real service begin to show a property.
func (v *Volume) Trim(version string) {
	p := v.Properties
	if p == nil {
		return
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
