package catalog

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tintype"
)

// volumeDoc is a volume as the catalog keeps it. Fields are only ever added; a reader that does not know one ignores it.
type volumeDoc struct {
	ID           string            `json:"id"`
	UniqueID     uuid.UUID         `json:"uniqueId"`
	Created      int64             `json:"created"`
	Location     string            `json:"location"`
	Zones        []string          `json:"zones,omitempty"`
	Option       string            `json:"createOption"`
	Source       string            `json:"source,omitempty"`
	SourceLUN    *int64            `json:"sourceLun,omitempty"`
	SourceUnique string            `json:"sourceUniqueId,omitempty"`
	UploadBytes  int64             `json:"uploadBytes,omitempty"`
	SectorSize   int64             `json:"sectorSize,omitempty"`
	Performance  bool              `json:"performancePlus,omitempty"`
	CopySpeed    string            `json:"copySpeed,omitempty"`
	SourceURI    string            `json:"sourceUri,omitempty"`
	Account      string            `json:"storageAccountId,omitempty"`
	Instant      int64             `json:"instantAccessMinutes,omitempty"`
	Size         int64             `json:"size"`
	SKU          string            `json:"sku"`
	Tags         map[string]string `json:"tags"`
	Settings     settingsDoc       `json:"settings"`
	Provisioning string            `json:"provisioning"`
	State        string            `json:"state"`
	HeldBy       string            `json:"heldBy,omitempty"`
	Machine      string            `json:"machine,omitempty"`
	Sharers      []sharerDoc       `json:"sharers,omitempty"`
	Guest        bool              `json:"guestState,omitempty"`
	SecurityURI  string            `json:"securityDataUri,omitempty"`
	Incremental  bool              `json:"incremental,omitempty"`
	Family       string            `json:"family,omitempty"`
	Immutable    *immutableDoc     `json:"immutable,omitempty"`
	Store        uuid.UUID         `json:"store"`
	Copy         *copyDoc          `json:"copy,omitempty"`
}

type sharerDoc struct {
	Machine string `json:"machine,omitempty"`
	HeldBy  string `json:"heldBy,omitempty"`
}

func encodeSharers(all []tintype.Sharer) (docs []sharerDoc) {
	for _, s := range all {
		docs = append(docs, sharerDoc(s))
	}
	return docs
}

func decodeSharers(docs []sharerDoc) (all []tintype.Sharer) {
	for _, d := range docs {
		all = append(all, tintype.Sharer(d))
	}
	return all
}

// copyDoc is a background copy that has not ended well.
type copyDoc struct {
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

type immutableDoc struct {
	Days   int64 `json:"days"`
	Locked bool  `json:"locked,omitempty"`
	Start  int64 `json:"start"`
}

func encodeImmutable(i *tintype.Immutability) *immutableDoc {
	if i == nil {
		return nil
	}
	return &immutableDoc{Days: i.Days, Locked: i.Locked, Start: i.Start.UnixNano()}
}

func decodeImmutable(d *immutableDoc) *tintype.Immutability {
	if d == nil {
		return nil
	}
	return &tintype.Immutability{Days: d.Days, Locked: d.Locked, Start: time.Unix(0, d.Start).UTC()}
}

func encodeCopy(c *tintype.BackgroundCopy) *copyDoc {
	if c == nil {
		return nil
	}
	return &copyDoc{Code: c.Code, Message: c.Message}
}

func decodeCopy(d *copyDoc) *tintype.BackgroundCopy {
	if d == nil {
		return nil
	}
	return &tintype.BackgroundCopy{Code: d.Code, Message: d.Message}
}

// settingsDoc is a volume's settings as the catalog keeps them.
type settingsDoc struct {
	OSType               string           `json:"osType,omitempty"`
	HyperVGeneration     string           `json:"hyperVGeneration,omitempty"`
	NetworkAccess        string           `json:"networkAccess,omitempty"`
	PublicNetworkAccess  string           `json:"publicNetworkAccess,omitempty"`
	DataAccessAuthMode   string           `json:"dataAccessAuthMode,omitempty"`
	DiskAccessID         string           `json:"diskAccessId,omitempty"`
	Encryption           encryptionDoc    `json:"encryption"`
	PurchasePlan         *planDoc         `json:"purchasePlan,omitempty"`
	Capabilities         *capabilitiesDoc `json:"capabilities,omitempty"`
	SecurityProfile      *securityDoc     `json:"securityProfile,omitempty"`
	SupportsHibernation  *bool            `json:"supportsHibernation,omitempty"`
	GuestEncryption      *bool            `json:"guestEncryption,omitempty"`
	Tier                 string           `json:"tier,omitempty"`
	IOPS                 int64            `json:"iops,omitempty"`
	MBps                 int64            `json:"mbps,omitempty"`
	IOPSRead             int64            `json:"iopsRead,omitempty"`
	MBpsRead             int64            `json:"mbpsRead,omitempty"`
	MaxShares            int64            `json:"maxShares,omitempty"`
	Bursting             *bool            `json:"bursting,omitempty"`
	OptimizedForReattach *bool            `json:"optimizedForReattach,omitempty"`
}

type encryptionDoc struct {
	Type  string `json:"type,omitempty"`
	SetID string `json:"setId,omitempty"`
}

type planDoc struct {
	Name          string `json:"name"`
	Publisher     string `json:"publisher"`
	Product       string `json:"product"`
	PromotionCode string `json:"promotionCode,omitempty"`
}

type capabilitiesDoc struct {
	DiskControllerTypes     string `json:"diskControllerTypes,omitempty"`
	AcceleratedNetwork      *bool  `json:"acceleratedNetwork,omitempty"`
	Architecture            string `json:"architecture,omitempty"`
	SupportedSecurityOption string `json:"supportedSecurityOption,omitempty"`
}

type securityDoc struct {
	Type            string `json:"type,omitempty"`
	EncryptionSetID string `json:"encryptionSetId,omitempty"`
}

// EncodeVolume writes a volume as the catalog keeps it.
func EncodeVolume(v tintype.Volume) ([]byte, error) {
	return json.Marshal(volumeDoc{
		ID: v.ID.String(), UniqueID: v.UniqueID, Created: v.Created.UnixNano(), Location: v.Location, Zones: v.Zones,
		Option: string(v.Creation.Option), Source: v.Creation.Source, SourceLUN: v.Creation.LUN, SourceUnique: text(v.Creation.SourceUniqueID),
		UploadBytes: v.Creation.UploadBytes, SectorSize: v.Creation.SectorSize, Performance: v.Creation.Performance, CopySpeed: v.Creation.CopySpeed,
		Size: v.Size, SKU: string(v.SKU), Tags: v.Tags, Settings: encodeSettings(v.Settings),
		Provisioning: string(v.Provisioning), State: string(v.State), HeldBy: v.HeldBy, Machine: v.Machine, Sharers: encodeSharers(v.Sharers),
		Guest: v.Guest, SecurityURI: v.Creation.SecurityURI,
		Incremental: v.Incremental, Family: text(v.Family), Store: v.Store,
		SourceURI: v.Creation.SourceURI, Account: v.Creation.StorageAccount,
		Instant: v.Creation.InstantMinutes, Immutable: encodeImmutable(v.Immutable), Copy: encodeCopy(v.Copy),
	})
}

// DecodeVolume reads what EncodeVolume wrote.
func DecodeVolume(data []byte) (tintype.Volume, error) {
	var d volumeDoc
	if err := json.Unmarshal(data, &d); err != nil {
		return tintype.Volume{}, fmt.Errorf("catalog holds a bad volume: %w", err)
	}
	id, ok := tintype.ParseResourceID(d.ID)
	if !ok {
		return tintype.Volume{}, fmt.Errorf("catalog holds a bad resource id %q", d.ID)
	}
	source, err := parse(d.SourceUnique)
	if err != nil {
		return tintype.Volume{}, err
	}
	family, err := parse(d.Family)
	if err != nil {
		return tintype.Volume{}, err
	}
	return tintype.Volume{
		ID: id, UniqueID: d.UniqueID, Created: time.Unix(0, d.Created).UTC(), Location: d.Location, Zones: d.Zones,
		Creation: tintype.Creation{
			Option: tintype.CreateOption(d.Option), Source: d.Source, LUN: d.SourceLUN, SourceUniqueID: source,
			UploadBytes: d.UploadBytes, SectorSize: d.SectorSize, Performance: d.Performance, CopySpeed: d.CopySpeed,
			InstantMinutes: d.Instant, SourceURI: d.SourceURI, SecurityURI: d.SecurityURI, StorageAccount: d.Account,
		},
		Size: d.Size, SKU: tintype.SKU(d.SKU), Tags: d.Tags, Settings: decodeSettings(d.Settings),
		Provisioning: tintype.ProvisioningState(d.Provisioning), State: tintype.DiskState(d.State), HeldBy: d.HeldBy, Machine: d.Machine, Sharers: decodeSharers(d.Sharers), Guest: d.Guest,
		Incremental: d.Incremental, Family: family, Store: d.Store, Immutable: decodeImmutable(d.Immutable), Copy: decodeCopy(d.Copy),
	}, nil
}

func encodeSettings(s tintype.Settings) settingsDoc {
	return settingsDoc{
		OSType: s.OSType, HyperVGeneration: s.HyperVGeneration, NetworkAccess: s.NetworkAccess,
		PublicNetworkAccess: s.PublicNetworkAccess, DataAccessAuthMode: s.DataAccessAuthMode, DiskAccessID: s.DiskAccessID,
		Encryption:   encryptionDoc(s.Encryption),
		PurchasePlan: (*planDoc)(s.PurchasePlan), Capabilities: (*capabilitiesDoc)(s.Capabilities),
		SecurityProfile: (*securityDoc)(s.SecurityProfile), SupportsHibernation: s.SupportsHibernation, GuestEncryption: s.GuestEncryption,
		Tier: s.Tier, IOPS: s.IOPS, MBps: s.MBps, IOPSRead: s.IOPSRead, MBpsRead: s.MBpsRead, MaxShares: s.MaxShares,
		Bursting: s.Bursting, OptimizedForReattach: s.OptimizedForReattach,
	}
}

func decodeSettings(d settingsDoc) tintype.Settings {
	return tintype.Settings{
		OSType: d.OSType, HyperVGeneration: d.HyperVGeneration, NetworkAccess: d.NetworkAccess,
		PublicNetworkAccess: d.PublicNetworkAccess, DataAccessAuthMode: d.DataAccessAuthMode, DiskAccessID: d.DiskAccessID,
		Encryption:   tintype.Encryption(d.Encryption),
		PurchasePlan: (*tintype.PurchasePlan)(d.PurchasePlan), Capabilities: (*tintype.Capabilities)(d.Capabilities),
		SecurityProfile: (*tintype.SecurityProfile)(d.SecurityProfile), SupportsHibernation: d.SupportsHibernation, GuestEncryption: d.GuestEncryption,
		Tier: d.Tier, IOPS: d.IOPS, MBps: d.MBps, IOPSRead: d.IOPSRead, MBpsRead: d.MBpsRead, MaxShares: d.MaxShares,
		Bursting: d.Bursting, OptimizedForReattach: d.OptimizedForReattach,
	}
}
