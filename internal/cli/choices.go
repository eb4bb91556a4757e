package cli

// Values that az 2.45 allows, in its order.
var (
	diskSKUs       = []string{"Standard_LRS", "Premium_LRS", "StandardSSD_LRS", "UltraSSD_LRS", "Premium_ZRS", "StandardSSD_ZRS", "PremiumV2_LRS"}
	snapshotSKUs   = []string{"Standard_LRS", "Premium_LRS", "Standard_ZRS"}
	osTypes        = []string{"Windows", "Linux"}
	generations    = []string{"V1", "V2"}
	accessPolicies = []string{"AllowAll", "AllowPrivate", "DenyAll"}
	publicAccess   = []string{"Disabled", "Enabled"}
	encryptions    = []string{"EncryptionAtRestWithPlatformKey", "EncryptionAtRestWithCustomerKey", "EncryptionAtRestWithPlatformAndCustomerKeys"}
	architectures  = []string{"x64", "Arm64"}
	authModes      = []string{"AzureActiveDirectory", "None"}
	zones          = []string{"1", "2", "3"}
	accessLevels   = []string{"Read", "Write"}
	uploadTypes    = []string{"Upload"}
	securityTypes  = []string{"TrustedLaunch", "ConfidentialVM_VMGuestStateOnlyEncryptedWithPlatformKey", "ConfidentialVM_DiskEncryptedWithPlatformKey", "ConfidentialVM_DiskEncryptedWithCustomerKey"}
)

// setting is an option whose value goes into the resource as it is.
type setting struct {
	option option
	wire   string // path in the API's body
	shown  string // path in the shown object, for an update
}

// sharedSettings are those of disks and snapshots, on create and on update.
func sharedSettings() []setting {
	return []setting{
		{option{long: "network-access-policy", choices: accessPolicies, help: "Policy for accessing the disk via network"}, "properties.networkAccessPolicy", "networkAccessPolicy"},
		{option{long: "public-network-access", choices: publicAccess, help: "Customers can set on Managed Disks or Snapshots to control the export policy on the disk"}, "properties.publicNetworkAccess", "publicNetworkAccess"},
	}
}

// diskSettings are those of disks alone, on create and on update.
func diskSettings() []setting {
	return []setting{
		{option{long: "disk-iops-read-write", integer: true, help: "The number of IOPS allowed for this disk"}, "properties.diskIOPSReadWrite", "diskIopsReadWrite"},
		{option{long: "disk-mbps-read-write", integer: true, help: "The bandwidth allowed for this disk, in millions of bytes per second"}, "properties.diskMBpsReadWrite", "diskMBpsReadWrite"},
		{option{long: "disk-iops-read-only", integer: true, help: "The total number of IOPS that will be allowed across all VMs mounting the shared disk as ReadOnly"}, "properties.diskIOPSReadOnly", "diskIopsReadOnly"},
		{option{long: "disk-mbps-read-only", integer: true, help: "The total throughput (MBps) that will be allowed across all VMs mounting the shared disk as ReadOnly"}, "properties.diskMBpsReadOnly", "diskMBpsReadOnly"},
		{option{long: "max-shares", integer: true, help: "The maximum number of VMs that can attach to the disk at the same time"}, "properties.maxShares", "maxShares"},
		{option{long: "enable-bursting", arity: boolean, choices: booleans, help: "Enable on-demand bursting beyond the provisioned performance target of the disk"}, "properties.burstingEnabled", "burstingEnabled"},
		{option{long: "data-access-auth-mode", choices: authModes, help: "Specify the auth mode when exporting or uploading to a disk or snapshot"}, "properties.dataAccessAuthMode", "dataAccessAuthMode"},
	}
}

var booleans = []string{"false", "true"}

func optionsOf(settings []setting) []*option {
	options := make([]*option, len(settings))
	for i := range settings {
		options[i] = &settings[i].option
	}
	return options
}

// value is what a given option means in JSON.
func (o *option) value(args *arguments) any {
	switch {
	case o.arity == boolean:
		return args.yes(o.long)
	case o.integer:
		return args.int(o.long)
	default:
		return args.get(o.long)
	}
}

// apply stores the settings that were given into an API body.
func apply(settings []setting, args *arguments, body map[string]any) {
	for _, st := range settings {
		if args.has(st.option.long) {
			store(body, st.wire, st.option.value(args))
		}
	}
}

// applyShown does the same to an object as it is shown.
func applyShown(settings []setting, args *arguments, shown map[string]any) {
	for _, st := range settings {
		if args.has(st.option.long) {
			shown[st.shown] = st.option.value(args)
		}
	}
}
