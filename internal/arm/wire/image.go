package wire

// Image is what the disks of new virtual machines are made of.
type Image struct {
	Name             string            `json:"name,omitempty"` // read
	ID               string            `json:"id,omitempty"`   // read
	Type             string            `json:"type,omitempty"` // read
	Location         string            `json:"location,omitempty"`
	ExtendedLocation *ExtendedLocation `json:"extendedLocation,omitempty"`
	Tags             map[string]string `json:"tags,omitzero"`
	Properties       *ImageProperties  `json:"properties,omitempty"`
}

// ImageProperties are all that is not common to Azure's resources.
type ImageProperties struct {
	SourceVirtualMachine *Reference           `json:"sourceVirtualMachine,omitempty"`
	StorageProfile       *ImageStorageProfile `json:"storageProfile,omitempty"`
	ProvisioningState    string               `json:"provisioningState,omitempty"` // read
	HyperVGeneration     string               `json:"hyperVGeneration,omitempty"`
}

// ImageStorageProfile lists the disks of an image.
type ImageStorageProfile struct {
	OSDisk        *ImageDisk  `json:"osDisk,omitempty"`
	DataDisks     []ImageDisk `json:"dataDisks"`
	ZoneResilient *bool       `json:"zoneResilient,omitempty"`
}

// ImageDisk is one disk of an image.
type ImageDisk struct {
	LUN                *int       `json:"lun,omitempty"`
	OSType             string     `json:"osType,omitempty"`
	OSState            string     `json:"osState,omitempty"`
	DiskSizeGB         *int64     `json:"diskSizeGB,omitempty"`
	Snapshot           *Reference `json:"snapshot,omitempty"`
	ManagedDisk        *Reference `json:"managedDisk,omitempty"`
	BlobURI            string     `json:"blobUri,omitempty"`
	Caching            string     `json:"caching,omitempty"`
	StorageAccountType string     `json:"storageAccountType,omitempty"`
	DiskEncryptionSet  *Reference `json:"diskEncryptionSet,omitempty"`
}

// ImageReference names the image that a disk is made of.
type ImageReference struct {
	ID               string `json:"id,omitempty"`
	LUN              *int64 `json:"lun,omitempty"`
	SharedGalleryID  string `json:"sharedGalleryImageId,omitempty"`
	CommunityImageID string `json:"communityGalleryImageId,omitempty"`
}
