// Package wire holds the JSON bodies of Microsoft.Compute's disks and snapshots, as clients write and read them, and
// nothing else.
//
// One type serves both resource types and all api-versions: the newest schema is the superset. A nil field was not sent
// or is not shown. Fields marked as read are set by the server; what a client sends in them is ignored, because clients
// send back what they have read.
package wire

// Volume is a disk or a snapshot.
type Volume struct {
	Name              string            `json:"name,omitempty"` // read
	ID                string            `json:"id,omitempty"`   // read
	Type              string            `json:"type,omitempty"` // read
	Location          string            `json:"location,omitempty"`
	ExtendedLocation  *ExtendedLocation `json:"extendedLocation,omitempty"`
	Tags              map[string]string `json:"tags,omitzero"`
	Zones             []string          `json:"zones,omitempty"`
	SKU               *SKU              `json:"sku,omitempty"`
	ManagedBy         string            `json:"managedBy,omitempty"`         // read
	ManagedByExtended []string          `json:"managedByExtended,omitempty"` // read
	Properties        *Properties       `json:"properties,omitempty"`
}

// ExtendedLocation names an edge zone.
type ExtendedLocation struct {
	Name string `json:"name,omitempty"`
	Type string `json:"type,omitempty"`
}

// SKU is the kind of storage.
type SKU struct {
	Name string `json:"name,omitempty"`
	Tier string `json:"tier,omitempty"` // read
}

// Properties are all that is not common to Azure's resources.
type Properties struct {
	OSType              string                 `json:"osType,omitempty"`
	HyperVGeneration    string                 `json:"hyperVGeneration,omitempty"`
	PurchasePlan        *PurchasePlan          `json:"purchasePlan,omitempty"`
	Capabilities        *SupportedCapabilities `json:"supportedCapabilities,omitempty"`
	CreationData        *CreationData          `json:"creationData,omitempty"`
	DiskSizeGB          *int64                 `json:"diskSizeGB,omitempty"`
	DiskIOPSReadWrite   *int64                 `json:"diskIOPSReadWrite,omitempty"`
	DiskMBpsReadWrite   *int64                 `json:"diskMBpsReadWrite,omitempty"`
	DiskIOPSReadOnly    *int64                 `json:"diskIOPSReadOnly,omitempty"`
	DiskMBpsReadOnly    *int64                 `json:"diskMBpsReadOnly,omitempty"`
	MaxShares           *int64                 `json:"maxShares,omitempty"`
	ShareInfo           []ShareInfo            `json:"shareInfo,omitempty"` // read
	Encryption          *Encryption            `json:"encryption,omitempty"`
	GuestEncryption     *GuestEncryption       `json:"encryptionSettingsCollection,omitempty"`
	OldGuestEncryption  *GuestEncryption       `json:"encryptionSettings,omitempty"` // before 2018-09-30
	Incremental         *bool                  `json:"incremental,omitempty"`
	NetworkAccessPolicy string                 `json:"networkAccessPolicy,omitempty"`
	PublicNetworkAccess string                 `json:"publicNetworkAccess,omitempty"`
	DataAccessAuthMode  string                 `json:"dataAccessAuthMode,omitempty"`
	DiskAccessID        *string                `json:"diskAccessId,omitempty"`
	SecurityProfile     *SecurityProfile       `json:"securityProfile,omitempty"`
	SupportsHibernation *bool                  `json:"supportsHibernation,omitempty"`
	BurstingEnabled     *bool                  `json:"burstingEnabled,omitempty"`
	OptimizedForAttach  *bool                  `json:"optimizedForFrequentAttach,omitempty"`
	TimeCreated         string                 `json:"timeCreated,omitempty"`         // read
	ProvisioningState   string                 `json:"provisioningState,omitempty"`   // read
	IsARMResource       bool                   `json:"isArmResource,omitempty"`       // read; only in the answer to a write
	DiskState           string                 `json:"diskState,omitempty"`           // read
	DiskSizeBytes       *int64                 `json:"diskSizeBytes,omitempty"`       // read
	UniqueID            string                 `json:"uniqueId,omitempty"`            // read
	SnapshotAccessState string                 `json:"snapshotAccessState,omitempty"` // read
	ImmutabilityPolicy  *ImmutabilityPolicy    `json:"immutabilityPolicy,omitempty"`  // read
	FamilyID            string                 `json:"incrementalSnapshotFamilyId,omitempty"`
	CompletionPercent   *float64               `json:"completionPercent,omitempty"` // read
	CopyCompletionError *CopyCompletionError   `json:"copyCompletionError,omitempty"`
	ReadOnly            *bool                  `json:"readOnly,omitempty"` // read
	Tier                string                 `json:"tier,omitempty"`

	// AccountType and OwnerID are what the first api-version has in place of a SKU and of managedBy; see [Volume.Modernize].
	AccountType string `json:"accountType,omitempty"`
	OwnerID     string `json:"ownerId,omitempty"` // read
}

// ShareInfo is one of those who have a shared disk.
type ShareInfo struct {
	VMURI string `json:"vmUri"`
}

// CopyCompletionError says why a background copy failed.
type CopyCompletionError struct {
	Code    string `json:"errorCode"`
	Message string `json:"errorMessage"`
}

// ImmutabilityPolicy keeps a snapshot from being deleted.
type ImmutabilityPolicy struct {
	Days    int64  `json:"immutabilityDurationDays"`
	Type    string `json:"type"`
	Start   string `json:"policyStartTime"`
	Expires string `json:"policyExpirationTime"`
	Expired bool   `json:"isPolicyExpired"`
}

// ImmutabilityRequest is the body of updateImmutabilityPolicy and of updateImmutabilityPolicyLock.
type ImmutabilityRequest struct {
	Days *int64 `json:"immutabilityDurationDays"`
	Type string `json:"type"`
}

// CreationData says where a volume's bytes come from.
type CreationData struct {
	CreateOption          string          `json:"createOption,omitempty"`
	StorageAccountID      string          `json:"storageAccountId,omitempty"`
	SourceURI             string          `json:"sourceUri,omitempty"`
	SecurityDataURI       string          `json:"securityDataUri,omitempty"`
	SourceResourceID      string          `json:"sourceResourceId,omitempty"`
	SourceUniqueID        string          `json:"sourceUniqueId,omitempty"` // read
	UploadSizeBytes       *int64          `json:"uploadSizeBytes,omitempty"`
	LogicalSectorSize     *int64          `json:"logicalSectorSize,omitempty"`
	PerformancePlus       *bool           `json:"performancePlus,omitempty"`
	CopySpeed             string          `json:"provisionedBandwidthCopySpeed,omitempty"`
	InstantAccessMinutes  *int64          `json:"instantAccessDurationMinutes,omitempty"`
	ImageReference        *ImageReference `json:"imageReference,omitempty"`
	GalleryImageReference *ImageReference `json:"galleryImageReference,omitempty"`
}

// Encryption is the key at rest.
type Encryption struct {
	Type                string `json:"type,omitempty"`
	DiskEncryptionSetID string `json:"diskEncryptionSetId,omitempty"`
}

// GuestEncryption is the encryption inside the guest, by keys in a vault.
type GuestEncryption struct {
	Enabled *bool `json:"enabled,omitempty"`
}

// PurchasePlan is the plan of an image.
type PurchasePlan struct {
	Name          string `json:"name,omitempty"`
	Publisher     string `json:"publisher,omitempty"`
	Product       string `json:"product,omitempty"`
	PromotionCode string `json:"promotionCode,omitempty"`
}

// SupportedCapabilities are those of an image.
type SupportedCapabilities struct {
	DiskControllerTypes     string `json:"diskControllerTypes,omitempty"`
	AcceleratedNetwork      *bool  `json:"acceleratedNetwork,omitempty"`
	Architecture            string `json:"architecture,omitempty"`
	SupportedSecurityOption string `json:"supportedSecurityOption,omitempty"`
}

// SecurityProfile is the security type of an OS disk.
type SecurityProfile struct {
	SecurityType                string `json:"securityType,omitempty"`
	SecureVMDiskEncryptionSetID string `json:"secureVMDiskEncryptionSetId,omitempty"`
}
