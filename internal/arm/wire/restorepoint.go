package wire

import "encoding/json"

// Collection is a collection of restore points.
type Collection struct {
	Name       string                `json:"name,omitempty"` // read
	ID         string                `json:"id,omitempty"`   // read
	Type       string                `json:"type,omitempty"` // read
	Location   string                `json:"location,omitempty"`
	Tags       map[string]string     `json:"tags,omitzero"`
	Properties *CollectionProperties `json:"properties,omitempty"`
}

// CollectionProperties are all that is not common to Azure's resources.
type CollectionProperties struct {
	Source            *CollectionSource `json:"source,omitempty"`
	CollectionID      string            `json:"restorePointCollectionId,omitempty"` // read
	ProvisioningState string            `json:"provisioningState,omitempty"`        // read
	RestorePoints     []RestorePoint    `json:"restorePoints,omitempty"`            // read
}

// CollectionSource is what the restore points are of.
type CollectionSource struct {
	Location string `json:"location,omitempty"` // read
	ID       string `json:"id,omitempty"`
}

// RestorePoint is what several disks were at one moment.
type RestorePoint struct {
	Name       string                  `json:"name,omitempty"` // read
	ID         string                  `json:"id,omitempty"`   // read
	Properties *RestorePointProperties `json:"properties,omitempty"`
}

// RestorePointProperties are all that is not common to Azure's resources.
type RestorePointProperties struct {
	ExcludeDisks       []Reference     `json:"excludeDisks,omitempty"`
	SourceMetadata     *SourceMetadata `json:"sourceMetadata,omitempty"`
	ProvisioningState  string          `json:"provisioningState,omitempty"` // read
	ConsistencyMode    string          `json:"consistencyMode,omitempty"`
	SourceRestorePoint *Reference      `json:"sourceRestorePoint,omitempty"`
	TimeCreated        string          `json:"timeCreated,omitempty"`
	InstanceView       *PointView      `json:"instanceView,omitempty"` // read
}

// SourceMetadata is the virtual machine as it was.
type SourceMetadata struct {
	VMID               string               `json:"vmId,omitempty"`
	Location           string               `json:"location,omitempty"`
	HardwareProfile    *HardwareProfile     `json:"hardwareProfile,omitempty"`
	StorageProfile     *PointStorageProfile `json:"storageProfile,omitempty"`
	OSProfile          json.RawMessage      `json:"osProfile,omitempty"`
	DiagnosticsProfile json.RawMessage      `json:"diagnosticsProfile,omitempty"`
	SecurityProfile    json.RawMessage      `json:"securityProfile,omitempty"`
	LicenseType        json.RawMessage      `json:"licenseType,omitempty"`
	HyperVGeneration   string               `json:"hyperVGeneration,omitempty"`
}

// HardwareProfile is the size of a virtual machine.
type HardwareProfile struct {
	VMSize string `json:"vmSize,omitempty"`
}

// PointStorageProfile lists the disks of a restore point.
type PointStorageProfile struct {
	OSDisk    *PointDisk  `json:"osDisk,omitempty"`
	DataDisks []PointDisk `json:"dataDisks,omitempty"`
}

// PointDisk is one disk of a restore point.
type PointDisk struct {
	LUN              *int                 `json:"lun,omitempty"`
	OSType           string               `json:"osType,omitempty"`
	Name             string               `json:"name,omitempty"`
	DiskSizeGB       int64                `json:"diskSizeGB,omitempty"`
	Caching          string               `json:"caching,omitempty"`
	ManagedDisk      *ManagedDisk         `json:"managedDisk,omitempty"`
	DiskRestorePoint *DiskPointAttributes `json:"diskRestorePoint,omitempty"`
}

// ManagedDisk names the disk that a machine or an image has.
type ManagedDisk struct {
	StorageAccountType string `json:"storageAccountType,omitempty"`
	ID                 string `json:"id,omitempty"`

	// Of the disks of machines.
	DiskEncryptionSet *Reference    `json:"diskEncryptionSet,omitempty"`
	SecurityProfile   *DiskSecurity `json:"securityProfile,omitempty"`
}

// DiskSecurity is how the disk of a confidential machine is encrypted.
type DiskSecurity struct {
	EncryptionType    string     `json:"securityEncryptionType,omitempty"`
	DiskEncryptionSet *Reference `json:"diskEncryptionSet,omitempty"`
}

// DiskPointAttributes say what a restore point holds of one disk.
type DiskPointAttributes struct {
	ID         string           `json:"id,omitempty"`
	Source     *Reference       `json:"sourceDiskRestorePoint,omitempty"`
	Encryption *PointEncryption `json:"encryption,omitempty"`
}

// PointEncryption is the key at rest.
type PointEncryption struct {
	Type string     `json:"type,omitempty"`
	Set  *Reference `json:"diskEncryptionSet,omitempty"`
}

// PointView tells how far copies are.
type PointView struct {
	DiskRestorePoints []DiskPointView `json:"diskRestorePoints"`
	Statuses          []Status        `json:"statuses"`
}

// DiskPointView tells how far the copy of one disk is.
type DiskPointView struct {
	ID                string            `json:"id"`
	ReplicationStatus ReplicationStatus `json:"replicationStatus"`
}

// ReplicationStatus is that of a copy.
type ReplicationStatus struct {
	Status            Status `json:"status"`
	CompletionPercent int    `json:"completionPercent"`
}

// Status is one line of an instance view.
type Status struct {
	Code          string `json:"code"`
	Level         string `json:"level"`
	DisplayStatus string `json:"displayStatus"`
	Time          string `json:"time,omitempty"`
}

// DiskRestorePoint is what a restore point holds of one disk, as a resource.
type DiskRestorePoint struct {
	ID         string               `json:"id"`
	Name       string               `json:"name"`
	Type       string               `json:"type"`
	Properties *DiskPointProperties `json:"properties"`
}

// DiskPointProperties are all that is not common to Azure's resources.
type DiskPointProperties struct {
	TimeCreated            string                 `json:"timeCreated"`
	SourceResourceID       string                 `json:"sourceResourceId"`
	SourceResourceLocation string                 `json:"sourceResourceLocation,omitempty"`
	SourceUniqueID         string                 `json:"sourceUniqueId"`
	FamilyID               string                 `json:"familyId"`
	OSType                 string                 `json:"osType,omitempty"`
	HyperVGeneration       string                 `json:"hyperVGeneration,omitempty"`
	PurchasePlan           *PurchasePlan          `json:"purchasePlan,omitempty"`
	Capabilities           *SupportedCapabilities `json:"supportedCapabilities,omitempty"`
	SecurityProfile        *SecurityProfile       `json:"securityProfile,omitempty"`
	SupportsHibernation    *bool                  `json:"supportsHibernation,omitempty"`
	Encryption             *Encryption            `json:"encryption,omitempty"`
	NetworkAccessPolicy    string                 `json:"networkAccessPolicy,omitempty"`
	PublicNetworkAccess    string                 `json:"publicNetworkAccess,omitempty"`
	ReplicationState       string                 `json:"replicationState,omitempty"`
	CompletionPercent      *float64               `json:"completionPercent,omitempty"`
	LogicalSectorSize      *int64                 `json:"logicalSectorSize,omitempty"`
}
