package wire

// Companion is a disk access or a disk encryption set.
type Companion struct {
	Name             string               `json:"name,omitempty"` // read
	ID               string               `json:"id,omitempty"`   // read
	Type             string               `json:"type,omitempty"` // read
	Location         string               `json:"location,omitempty"`
	ExtendedLocation *ExtendedLocation    `json:"extendedLocation,omitempty"`
	Tags             map[string]string    `json:"tags,omitzero"`
	Identity         *Identity            `json:"identity,omitempty"`
	Properties       *CompanionProperties `json:"properties,omitempty"`
}

// CompanionProperties are all that is not common to Azure's resources.
type CompanionProperties struct {
	ActiveKey         *KeyReference  `json:"activeKey,omitempty"`
	PreviousKeys      []KeyReference `json:"previousKeys,omitempty"` // read
	EncryptionType    string         `json:"encryptionType,omitempty"`
	Rotate            *bool          `json:"rotationToLatestKeyVersionEnabled,omitempty"`
	LastRotation      string         `json:"lastKeyRotationTimestamp,omitempty"` // read
	FederatedClientID string         `json:"federatedClientId,omitempty"`
	ProvisioningState string         `json:"provisioningState,omitempty"` // read
	TimeCreated       string         `json:"timeCreated,omitempty"`       // read

	RotationError *APIError    `json:"autoKeyRotationError,omitempty"`       // read
	Connections   []Connection `json:"privateEndpointConnections,omitempty"` // read
}

// APIError says what is wrong.
type APIError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Connection is that of a private endpoint to a disk access.
type Connection struct {
	ID         string                `json:"id,omitempty"`   // read
	Name       string                `json:"name,omitempty"` // read
	Type       string                `json:"type,omitempty"` // read
	Properties *ConnectionProperties `json:"properties,omitempty"`
}

// ConnectionProperties are those of a Connection.
type ConnectionProperties struct {
	ProvisioningState string           `json:"provisioningState,omitempty"` // read
	Endpoint          *Reference       `json:"privateEndpoint,omitempty"`
	State             *ConnectionState `json:"privateLinkServiceConnectionState,omitempty"`
}

// ConnectionState tells whether a connection is approved.
type ConnectionState struct {
	Status          string `json:"status,omitempty"`
	Description     string `json:"description,omitempty"`
	ActionsRequired string `json:"actionsRequired,omitempty"` // read
}

// Identity is a managed identity.
type Identity struct {
	Type        string                   `json:"type,omitempty"`
	PrincipalID string                   `json:"principalId,omitempty"` // read
	TenantID    string                   `json:"tenantId,omitempty"`    // read
	Users       map[string]*UserIdentity `json:"userAssignedIdentities,omitempty"`
}

// UserIdentity says who a user-assigned identity is; nothing of it can be set.
type UserIdentity struct {
	PrincipalID string `json:"principalId,omitempty"` // read
	ClientID    string `json:"clientId,omitempty"`    // read
}

// KeyReference names a key in a vault.
type KeyReference struct {
	SourceVault *Reference `json:"sourceVault,omitempty"`
	KeyURL      string     `json:"keyUrl,omitempty"`
}

// Reference is a resource by its id.
type Reference struct {
	ID string `json:"id,omitempty"`
}

// PrivateLink is a resource that a private endpoint can be made for.
type PrivateLink struct {
	ID         string                `json:"id"`
	Name       string                `json:"name"`
	Type       string                `json:"type"`
	Properties PrivateLinkProperties `json:"properties"`
}

// PrivateLinkProperties are those of a PrivateLink.
type PrivateLinkProperties struct {
	GroupID   string   `json:"groupId"`
	Members   []string `json:"requiredMembers"`
	ZoneNames []string `json:"requiredZoneNames"`
}
