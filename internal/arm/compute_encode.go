package arm

import (
	"strings"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/arm/wire"
)

// encodeVolume writes a volume as clients of the api-version know it.
func encodeVolume(v tintype.Volume, version string) wire.Volume {
	w := wire.Volume{
		Name: v.ID.Name, ID: v.ID.String(), Type: v.ID.Kind.Type(), Location: v.Location, Tags: v.Tags, Zones: v.Zones,
		SKU: &wire.SKU{Name: string(v.SKU), Tier: v.SKU.Tier()}, Properties: encodeProperties(v),
	}
	if v.ID.Kind == tintype.KindDisk {
		state, by := v.Shown()
		w.ManagedBy, w.Properties.DiskState = by, string(state)
		if v.Shared() {
			w.ManagedByExtended = v.SharedBy()
			for _, id := range w.ManagedByExtended {
				w.Properties.ShareInfo = append(w.Properties.ShareInfo, wire.ShareInfo{VMURI: id})
			}
		}
		encodeDisk(w.Properties, v)
	} else {
		incremental := v.Incremental
		w.Properties.Incremental = &incremental
		w.Properties.FamilyID = guid(v.Family)
		if v.Provisioning == tintype.StateSucceeded {
			w.Properties.SnapshotAccessState = v.Access()
			w.Properties.ImmutabilityPolicy = encodeImmutability(v)
			if v.Incremental {
				all := 100.0 // nothing is copied behind a snapshot, but from other servers: the regions of one share its store
				if v.Copy != nil {
					all = v.Copy.Percent
				}
				w.Properties.CompletionPercent = &all
			}
			if v.Copy != nil && v.Copy.Code != "" {
				w.Properties.CopyCompletionError = &wire.CopyCompletionError{Code: v.Copy.Code, Message: v.Copy.Message}
			}
		}
	}
	w.Trim(version)
	return w
}

func encodeImmutability(v tintype.Volume) *wire.ImmutabilityPolicy {
	i := v.Immutable
	if i == nil {
		return nil
	}
	kind := "Unlocked"
	if i.Locked {
		kind = "Locked"
	}
	return &wire.ImmutabilityPolicy{
		Days: i.Days, Type: kind, Start: formatTime(i.Start), Expires: formatTime(i.Expires()), Expired: !i.Holds(v.At),
	}
}

func encodeProperties(v tintype.Volume) *wire.Properties {
	s := v.Settings
	p := &wire.Properties{
		OSType: s.OSType, HyperVGeneration: s.HyperVGeneration,
		CreationData:        encodeCreation(v.Creation),
		Encryption:          &wire.Encryption{Type: s.Encryption.Type, DiskEncryptionSetID: s.Encryption.SetID},
		NetworkAccessPolicy: s.NetworkAccess, PublicNetworkAccess: s.PublicNetworkAccess, DataAccessAuthMode: s.DataAccessAuthMode,
		SupportsHibernation: s.SupportsHibernation,
		DiskAccessID:        nonempty(s.DiskAccessID),
		TimeCreated:         formatTime(v.Created), ProvisioningState: string(v.Provisioning), DiskState: string(v.State),
		UniqueID: guid(v.UniqueID),
	}
	if s.GuestEncryption != nil {
		p.GuestEncryption = &wire.GuestEncryption{Enabled: s.GuestEncryption}
	}
	if plan := s.PurchasePlan; plan != nil {
		p.PurchasePlan = &wire.PurchasePlan{Name: plan.Name, Publisher: plan.Publisher, Product: plan.Product, PromotionCode: plan.PromotionCode}
	}
	if c := s.Capabilities; c != nil {
		p.Capabilities = &wire.SupportedCapabilities{
			DiskControllerTypes: c.DiskControllerTypes, AcceleratedNetwork: c.AcceleratedNetwork,
			Architecture: c.Architecture, SupportedSecurityOption: c.SupportedSecurityOption,
		}
	}
	if sp := s.SecurityProfile; sp != nil {
		p.SecurityProfile = &wire.SecurityProfile{SecurityType: sp.Type, SecureVMDiskEncryptionSetID: sp.EncryptionSetID}
	}
	if !v.Uploading() {
		gb, size := v.SizeGB(), v.Size
		p.DiskSizeGB, p.DiskSizeBytes = &gb, &size
	}
	return p
}

func encodeDisk(p *wire.Properties, v tintype.Volume) {
	perf, s := v.Performance(), v.Settings
	p.DiskIOPSReadWrite, p.DiskMBpsReadWrite, p.Tier = &perf.IOPS, &perf.MBps, perf.Tier
	p.DiskIOPSReadOnly, p.DiskMBpsReadOnly, p.MaxShares = nonzero(perf.IOPSRead), nonzero(perf.MBpsRead), nonzero(s.MaxShares)
	if v.SKU == tintype.UltraSSDLRS {
		p.ReadOnly = new(bool)
	}
	p.BurstingEnabled, p.OptimizedForAttach = s.Bursting, s.OptimizedForReattach
}

func encodeCreation(c tintype.Creation) *wire.CreationData {
	w := &wire.CreationData{
		CreateOption: string(c.Option), SourceResourceID: c.Source, SourceUniqueID: guid(c.SourceUniqueID),
		UploadSizeBytes: nonzero(c.UploadBytes), LogicalSectorSize: nonzero(c.SectorSize), CopySpeed: c.CopySpeed,
		InstantAccessMinutes: nonzero(c.InstantMinutes), SourceURI: c.SourceURI, SecurityDataURI: c.SecurityURI, StorageAccountID: c.StorageAccount,
	}
	switch c.Option {
	case tintype.CreateRestore:
		w.SourceUniqueID = "" // as recorded
	case tintype.CreateFromImage:
		w.SourceUniqueID, w.SourceResourceID, w.ImageReference = "", "", &wire.ImageReference{ID: c.Source, LUN: c.LUN}
	}
	if c.Performance {
		w.PerformancePlus = &c.Performance
	}
	return w
}

// zonesEchoedUntil is the first api-version at which recordings do not repeat a disk's zone in the answer to a write.
const zonesEchoedUntil = "2022-07-02"

// echo is the answer to an accepted PUT: the request, and what the resource is called.
func echo(body wire.Volume, v tintype.Volume, version string) wire.Volume {
	body.Name, body.ID, body.Type, body.ManagedBy, body.ManagedByExtended = v.ID.Name, v.ID.String(), v.ID.Kind.Type(), "", nil
	if body.SKU != nil {
		body.SKU = &wire.SKU{Name: string(v.SKU)}
	}
	var p wire.Properties
	if body.Properties != nil {
		p = *body.Properties
	}
	if p.CreationData != nil {
		from := *p.CreationData
		from.SourceURI, _, _ = strings.Cut(from.SourceURI, "?") // without its signature
		from.SecurityDataURI, _, _ = strings.Cut(from.SecurityDataURI, "?")
		from.CopySpeed = ""
		p.CreationData = &from
	}
	properCase(&p, encodeProperties(v))
	p.CompletionPercent, p.ReadOnly, p.ImmutabilityPolicy, p.CopyCompletionError, p.ShareInfo = nil, nil, nil, nil, nil
	if version >= zonesEchoedUntil {
		body.Zones = nil
	}
	p.ProvisioningState, p.IsARMResource = string(v.Provisioning), true
	p.TimeCreated, p.DiskState, p.DiskSizeBytes, p.UniqueID, p.SnapshotAccessState, p.FamilyID = "", "", nil, "", "", ""
	if !v.SKU.Adjustable() {
		p.DiskIOPSReadWrite, p.DiskMBpsReadWrite = nil, nil
	}
	body.Properties = &p
	body.Trim(version)
	return body
}

// properCase writes the words that a client may send in any case as Azure writes them, without changing what p shares with
// the request.
func properCase(p, known *wire.Properties) {
	word := func(sent *string, known string) {
		if strings.EqualFold(*sent, known) {
			*sent = known
		}
	}
	word(&p.OSType, known.OSType)
	word(&p.HyperVGeneration, known.HyperVGeneration)
	word(&p.NetworkAccessPolicy, known.NetworkAccessPolicy)
	word(&p.PublicNetworkAccess, known.PublicNetworkAccess)
	word(&p.DataAccessAuthMode, known.DataAccessAuthMode)
	if p.CreationData != nil {
		word(&p.CreationData.CreateOption, known.CreationData.CreateOption)
	}
	if p.Encryption != nil {
		e := *p.Encryption
		word(&e.Type, known.Encryption.Type)
		p.Encryption = &e
	}
	if p.SecurityProfile != nil && known.SecurityProfile != nil {
		s := *p.SecurityProfile
		word(&s.SecurityType, known.SecurityProfile.SecurityType)
		p.SecurityProfile = &s
	}
	if p.Capabilities != nil && known.Capabilities != nil {
		c := *p.Capabilities
		word(&c.Architecture, known.Capabilities.Architecture)
		word(&c.SupportedSecurityOption, known.Capabilities.SupportedSecurityOption)
		p.Capabilities = &c
	}
}

func guid(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

func nonzero(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

func nonempty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
