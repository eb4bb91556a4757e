package wire

import "encoding/json"

// Machine is a virtual machine.
type Machine struct {
	Name       string             `json:"name,omitempty"` // read
	ID         string             `json:"id,omitempty"`   // read
	Type       string             `json:"type,omitempty"` // read
	Location   string             `json:"location,omitempty"`
	Tags       map[string]string  `json:"tags,omitzero"`
	Zones      []string           `json:"zones,omitempty"`
	ETag       string             `json:"etag,omitempty"` // read
	Properties *MachineProperties `json:"properties,omitempty"`
}

// MachineProperties are all that is not common to Azure's resources. What this server only keeps and shows is not looked into.
type MachineProperties struct {
	HardwareProfile    *HardwareProfile `json:"hardwareProfile,omitempty"`
	ProvisioningState  string           `json:"provisioningState,omitempty"` // read
	VMID               string           `json:"vmId,omitempty"`              // read
	StorageProfile     *StorageProfile  `json:"storageProfile,omitempty"`
	OSProfile          json.RawMessage  `json:"osProfile,omitempty"`
	NetworkProfile     json.RawMessage  `json:"networkProfile,omitempty"`
	DiagnosticsProfile json.RawMessage  `json:"diagnosticsProfile,omitempty"`
	SecurityProfile    json.RawMessage  `json:"securityProfile,omitempty"`
	Additional         json.RawMessage  `json:"additionalCapabilities,omitempty"`
	LicenseType        json.RawMessage  `json:"licenseType,omitempty"`
	TimeCreated        string           `json:"timeCreated,omitempty"`  // read
	InstanceView       *MachineView     `json:"instanceView,omitempty"` // read
}

// StorageProfile lists the disks of a machine.
type StorageProfile struct {
	ImageReference *MachineImage `json:"imageReference,omitempty"`
	OSDisk         *MachineDisk  `json:"osDisk,omitempty"`
	DataDisks      []MachineDisk `json:"dataDisks"`
}

// MachineImage names the image that a machine is made of.
type MachineImage struct {
	ID               string `json:"id,omitempty"`
	Publisher        string `json:"publisher,omitempty"`
	Offer            string `json:"offer,omitempty"`
	SKU              string `json:"sku,omitempty"`
	Version          string `json:"version,omitempty"`
	SharedGalleryID  string `json:"sharedGalleryImageId,omitempty"`
	CommunityImageID string `json:"communityGalleryImageId,omitempty"`
}

// OSProfile is what is looked at of the profile that tells a machine's system who it is.
type OSProfile struct {
	ComputerName  string `json:"computerName"`
	AdminUsername string `json:"adminUsername"`
	AdminPassword string `json:"adminPassword"`
	Linux         *struct {
		DisablePassword *bool `json:"disablePasswordAuthentication"`
		SSH             *struct {
			Keys []any `json:"publicKeys"`
		} `json:"ssh"`
	} `json:"linuxConfiguration"`
}

// MachineSecurity is what is looked at of a machine's securityProfile.
type MachineSecurity struct {
	SecurityType string `json:"securityType"`
}

// MachineDisk is a disk's place in a machine.
type MachineDisk struct {
	LUN          *int         `json:"lun,omitempty"`
	OSType       string       `json:"osType,omitempty"`
	Name         string       `json:"name,omitempty"`
	CreateOption string       `json:"createOption,omitempty"`
	Caching      string       `json:"caching,omitempty"`
	ManagedDisk  *ManagedDisk `json:"managedDisk,omitempty"`
	DeleteOption string       `json:"deleteOption,omitempty"`
	DiskSizeGB   int64        `json:"diskSizeGB,omitempty"`
	ToBeDetached *bool        `json:"toBeDetached,omitempty"`
}

// MachineView tells what a machine does.
type MachineView struct {
	Disks    []DiskView `json:"disks,omitempty"`
	Statuses []Status   `json:"statuses"`
}

// DiskView tells what a machine's disk does.
type DiskView struct {
	Name     string   `json:"name"`
	Statuses []Status `json:"statuses"`
}
