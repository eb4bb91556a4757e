package wire

// Vault is a key vault.
type Vault struct {
	ID         string            `json:"id,omitempty"`
	Name       string            `json:"name,omitempty"`
	Type       string            `json:"type,omitempty"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags"`
	SystemData *SystemData       `json:"systemData,omitempty"`
	Properties VaultProperties   `json:"properties"`
}

// SystemData says who made and changed a resource, and when.
type SystemData struct {
	CreatedBy          string `json:"createdBy"`
	CreatedByType      string `json:"createdByType"`
	CreatedAt          string `json:"createdAt"`
	LastModifiedBy     string `json:"lastModifiedBy"`
	LastModifiedByType string `json:"lastModifiedByType"`
	LastModifiedAt     string `json:"lastModifiedAt"`
}

// VaultProperties are a vault's.
type VaultProperties struct {
	SKU                     *VaultSKU       `json:"sku,omitempty"`
	TenantID                string          `json:"tenantId,omitempty"`
	NetworkACLs             *VaultNetwork   `json:"networkAcls,omitempty"`
	AccessPolicies          *[]AccessPolicy `json:"accessPolicies,omitempty"`
	EnabledForDeployment    *bool           `json:"enabledForDeployment,omitempty"`
	EnabledForEncryption    *bool           `json:"enabledForDiskEncryption,omitempty"`
	EnabledForTemplates     *bool           `json:"enabledForTemplateDeployment,omitempty"`
	EnableSoftDelete        *bool           `json:"enableSoftDelete,omitempty"`
	SoftDeleteRetentionDays *int            `json:"softDeleteRetentionInDays,omitempty"`
	EnableRBAC              *bool           `json:"enableRbacAuthorization,omitempty"`
	EnablePurgeProtection   *bool           `json:"enablePurgeProtection,omitempty"`
	VaultURI                string          `json:"vaultUri,omitempty"`
	ProvisioningState       string          `json:"provisioningState,omitempty"`
	PublicNetworkAccess     string          `json:"publicNetworkAccess,omitempty"`
	CreateMode              string          `json:"createMode,omitempty"`
}

// VaultSKU is a vault's kind.
type VaultSKU struct {
	Family string `json:"family"`
	Name   string `json:"name"`
}

// VaultNetwork says who reaches a vault.
type VaultNetwork struct {
	Bypass        string `json:"bypass"`
	DefaultAction string `json:"defaultAction"`
	IPRules       []any  `json:"ipRules"`
	NetworkRules  []any  `json:"virtualNetworkRules"`
}

// AccessPolicy says what a principal may do with what is in a vault.
type AccessPolicy struct {
	TenantID      string            `json:"tenantId"`
	ObjectID      string            `json:"objectId"`
	ApplicationID string            `json:"applicationId,omitempty"`
	Permissions   PolicyPermissions `json:"permissions"`
}

// PolicyPermissions are those of an access policy.
type PolicyPermissions struct {
	Keys         []string `json:"keys,omitempty"`
	Secrets      []string `json:"secrets,omitempty"`
	Certificates []string `json:"certificates,omitempty"`
	Storage      []string `json:"storage,omitempty"`
}

// DeletedVault is one that can be recovered.
type DeletedVault struct {
	ID         string                 `json:"id"`
	Name       string                 `json:"name"`
	Type       string                 `json:"type"`
	Properties DeletedVaultProperties `json:"properties"`
}

// DeletedVaultProperties are those of a deleted vault.
type DeletedVaultProperties struct {
	VaultID         string            `json:"vaultId"`
	Location        string            `json:"location"`
	Tags            map[string]string `json:"tags"`
	Deleted         string            `json:"deletionDate"`
	Purges          string            `json:"scheduledPurgeDate"`
	PurgeProtection *bool             `json:"purgeProtectionEnabled,omitempty"`
}

// AccessPolicies is the body of a change of access policies.
type AccessPolicies struct {
	ID         string `json:"id,omitempty"`
	Type       string `json:"type,omitempty"`
	Location   string `json:"location,omitempty"`
	Properties struct {
		AccessPolicies []AccessPolicy `json:"accessPolicies"`
	} `json:"properties"`
}

// NameAvailability answers whether a vault may get a name.
type NameAvailability struct {
	Available bool   `json:"nameAvailable"`
	Reason    string `json:"reason,omitempty"`
	Message   string `json:"message,omitempty"`
}
