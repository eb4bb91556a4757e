package cli

import "slices"

// model says how az shows one type of object: which fields, under which names.
// The names and the read-only marks are those of the Python SDK that az 2.45 uses
// (azure-mgmt-compute 29.0.0, disks 2022-07-02 and snapshots 2022-03-02); what a
// newer api-version adds is shown as well, under its own name.
type model struct {
	fields []field
}

// field is one line of a model.
type field struct {
	shown    string // az's name, for example diskSizeGb
	wire     string // the API's, for example properties.diskSizeGB
	of       *model // nil for a plain value
	list     bool   // a list of of
	readOnly bool   // not sent back by an update
	when     bool   // a time
	float    bool   // printed with a decimal point
}

func plain(names ...string) []field {
	fields := make([]field, len(names))
	for i, n := range names {
		fields[i] = field{shown: n, wire: n}
	}
	return fields
}

var (
	skuModel             = &model{[]field{{shown: "name", wire: "name"}, {shown: "tier", wire: "tier", readOnly: true}}}
	extendedModel        = &model{plain("name", "type")}
	planModel            = &model{plain("name", "publisher", "product", "promotionCode")}
	snapshotAbilityModel = &model{plain("acceleratedNetwork", "architecture")}
	abilityModel         = &model{plain("diskControllerTypes", "acceleratedNetwork", "architecture")}
	imageModel           = &model{plain("id", "sharedGalleryImageId", "communityGalleryImageId", "lun")}
	vaultModel           = &model{plain("id")}
	cryptModel           = &model{plain("diskEncryptionSetId", "type")}
	updatesModel         = &model{plain("targetTier")}
	copyModel            = &model{plain("errorCode", "errorMessage")}
	shareModel           = &model{[]field{{shown: "vmUri", wire: "vmUri", readOnly: true}}}
	securityModel        = &model{[]field{
		{shown: "securityType", wire: "securityType"},
		{shown: "secureVmDiskEncryptionSetId", wire: "secureVMDiskEncryptionSetId"},
	}}
	secretModel   = &model{[]field{{shown: "sourceVault", wire: "sourceVault", of: vaultModel}, {shown: "secretUrl", wire: "secretUrl"}}}
	keyModel      = &model{[]field{{shown: "sourceVault", wire: "sourceVault", of: vaultModel}, {shown: "keyUrl", wire: "keyUrl"}}}
	settingModel  = &model{[]field{{shown: "diskEncryptionKey", wire: "diskEncryptionKey", of: secretModel}, {shown: "keyEncryptionKey", wire: "keyEncryptionKey", of: keyModel}}}
	settingsModel = &model{[]field{
		{shown: "enabled", wire: "enabled"},
		{shown: "encryptionSettings", wire: "encryptionSettings", of: settingModel, list: true},
		{shown: "encryptionSettingsVersion", wire: "encryptionSettingsVersion"},
	}}
	creationModel         = &model{append(slices.Clone(snapshotCreationModel.fields), plain("performancePlus")...)}
	snapshotCreationModel = &model{[]field{
		{shown: "createOption", wire: "createOption"},
		{shown: "storageAccountId", wire: "storageAccountId"},
		{shown: "imageReference", wire: "imageReference", of: imageModel},
		{shown: "galleryImageReference", wire: "galleryImageReference", of: imageModel},
		{shown: "sourceUri", wire: "sourceUri"},
		{shown: "sourceResourceId", wire: "sourceResourceId"},
		{shown: "sourceUniqueId", wire: "sourceUniqueId", readOnly: true},
		{shown: "uploadSizeBytes", wire: "uploadSizeBytes"},
		{shown: "logicalSectorSize", wire: "logicalSectorSize"},
		{shown: "securityDataUri", wire: "securityDataUri"},
	}}
)

var diskModel = &model{[]field{
	{shown: "id", wire: "id", readOnly: true},
	{shown: "name", wire: "name", readOnly: true},
	{shown: "type", wire: "type", readOnly: true},
	{shown: "location", wire: "location"},
	{shown: "tags", wire: "tags"},
	{shown: "managedBy", wire: "managedBy", readOnly: true},
	{shown: "managedByExtended", wire: "managedByExtended", readOnly: true},
	{shown: "sku", wire: "sku", of: skuModel},
	{shown: "zones", wire: "zones"},
	{shown: "extendedLocation", wire: "extendedLocation", of: extendedModel},
	{shown: "timeCreated", wire: "properties.timeCreated", readOnly: true, when: true},
	{shown: "osType", wire: "properties.osType"},
	{shown: "hyperVGeneration", wire: "properties.hyperVGeneration"},
	{shown: "purchasePlan", wire: "properties.purchasePlan", of: planModel},
	{shown: "supportedCapabilities", wire: "properties.supportedCapabilities", of: abilityModel},
	{shown: "creationData", wire: "properties.creationData", of: creationModel},
	{shown: "diskSizeGb", wire: "properties.diskSizeGB"},
	{shown: "diskSizeBytes", wire: "properties.diskSizeBytes", readOnly: true},
	{shown: "uniqueId", wire: "properties.uniqueId", readOnly: true},
	{shown: "encryptionSettingsCollection", wire: "properties.encryptionSettingsCollection", of: settingsModel},
	{shown: "provisioningState", wire: "properties.provisioningState", readOnly: true},
	{shown: "diskIopsReadWrite", wire: "properties.diskIOPSReadWrite"},
	{shown: "diskMBpsReadWrite", wire: "properties.diskMBpsReadWrite"},
	{shown: "diskIopsReadOnly", wire: "properties.diskIOPSReadOnly"},
	{shown: "diskMBpsReadOnly", wire: "properties.diskMBpsReadOnly"},
	{shown: "diskState", wire: "properties.diskState", readOnly: true},
	{shown: "encryption", wire: "properties.encryption", of: cryptModel},
	{shown: "maxShares", wire: "properties.maxShares"},
	{shown: "shareInfo", wire: "properties.shareInfo", of: shareModel, list: true, readOnly: true},
	{shown: "networkAccessPolicy", wire: "properties.networkAccessPolicy"},
	{shown: "diskAccessId", wire: "properties.diskAccessId"},
	{shown: "burstingEnabledTime", wire: "properties.burstingEnabledTime", readOnly: true, when: true},
	{shown: "tier", wire: "properties.tier"},
	{shown: "burstingEnabled", wire: "properties.burstingEnabled"},
	{shown: "propertyUpdatesInProgress", wire: "properties.propertyUpdatesInProgress", of: updatesModel, readOnly: true},
	{shown: "supportsHibernation", wire: "properties.supportsHibernation"},
	{shown: "securityProfile", wire: "properties.securityProfile", of: securityModel},
	{shown: "completionPercent", wire: "properties.completionPercent", float: true},
	{shown: "publicNetworkAccess", wire: "properties.publicNetworkAccess"},
	{shown: "dataAccessAuthMode", wire: "properties.dataAccessAuthMode"},
	{shown: "optimizedForFrequentAttach", wire: "properties.optimizedForFrequentAttach"},
}}

var snapshotModel = &model{[]field{
	{shown: "id", wire: "id", readOnly: true},
	{shown: "name", wire: "name", readOnly: true},
	{shown: "type", wire: "type", readOnly: true},
	{shown: "location", wire: "location"},
	{shown: "tags", wire: "tags"},
	{shown: "managedBy", wire: "managedBy", readOnly: true},
	{shown: "sku", wire: "sku", of: skuModel},
	{shown: "extendedLocation", wire: "extendedLocation", of: extendedModel},
	{shown: "timeCreated", wire: "properties.timeCreated", readOnly: true, when: true},
	{shown: "osType", wire: "properties.osType"},
	{shown: "hyperVGeneration", wire: "properties.hyperVGeneration"},
	{shown: "purchasePlan", wire: "properties.purchasePlan", of: planModel},
	{shown: "supportedCapabilities", wire: "properties.supportedCapabilities", of: snapshotAbilityModel},
	{shown: "creationData", wire: "properties.creationData", of: snapshotCreationModel},
	{shown: "diskSizeGb", wire: "properties.diskSizeGB"},
	{shown: "diskSizeBytes", wire: "properties.diskSizeBytes", readOnly: true},
	{shown: "diskState", wire: "properties.diskState", readOnly: true},
	{shown: "uniqueId", wire: "properties.uniqueId", readOnly: true},
	{shown: "encryptionSettingsCollection", wire: "properties.encryptionSettingsCollection", of: settingsModel},
	{shown: "provisioningState", wire: "properties.provisioningState", readOnly: true},
	{shown: "incremental", wire: "properties.incremental"},
	{shown: "encryption", wire: "properties.encryption", of: cryptModel},
	{shown: "networkAccessPolicy", wire: "properties.networkAccessPolicy"},
	{shown: "diskAccessId", wire: "properties.diskAccessId"},
	{shown: "securityProfile", wire: "properties.securityProfile", of: securityModel},
	{shown: "supportsHibernation", wire: "properties.supportsHibernation"},
	{shown: "publicNetworkAccess", wire: "properties.publicNetworkAccess"},
	{shown: "completionPercent", wire: "properties.completionPercent", float: true},
	{shown: "copyCompletionError", wire: "properties.copyCompletionError", of: copyModel},
	{shown: "dataAccessAuthMode", wire: "properties.dataAccessAuthMode"},
}}

var accessModel = &model{[]field{
	{shown: "accessSas", wire: "accessSAS", readOnly: true},
	{shown: "securityDataAccessSas", wire: "securityDataAccessSAS", readOnly: true},
}}

var groupModel = &model{[]field{
	{shown: "id", wire: "id", readOnly: true},
	{shown: "name", wire: "name", readOnly: true},
	{shown: "type", wire: "type", readOnly: true},
	{shown: "location", wire: "location"},
	{shown: "managedBy", wire: "managedBy"},
	{shown: "tags", wire: "tags"},
	{shown: "properties", wire: "properties", of: &model{[]field{
		{shown: "provisioningState", wire: "provisioningState", readOnly: true},
	}}},
}}

// shownWhole are the models whose objects a query may pass through whole.
var shownWhole = []*model{diskModel, snapshotModel, groupModel, creationModel, snapshotCreationModel, imageModel, planModel, abilityModel, snapshotAbilityModel, settingsModel, accessModel}

// order lists the keys of o as az's tables do: the model's fields first, in their
// order. It is nil when o is not an object of the model.
func (m *model) order(o map[string]any) []string {
	keys := make([]string, 0, len(o))
	known := map[string]bool{}
	for _, f := range m.fields {
		if _, ok := o[f.shown]; !ok {
			return nil
		}
		keys = append(keys, f.shown)
		known[f.shown] = true
	}
	var rest []string
	for k := range o {
		if !known[k] {
			rest = append(rest, k)
		}
	}
	slices.Sort(rest)
	return append(keys, rest...)
}
