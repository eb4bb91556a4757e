package wire

// UserAssignedIdentity is a principal that is a resource.
type UserAssignedIdentity struct {
	ID         string                  `json:"id,omitempty"`   // read
	Name       string                  `json:"name,omitempty"` // read
	Type       string                  `json:"type,omitempty"` // read
	Location   string                  `json:"location,omitempty"`
	Tags       map[string]string       `json:"tags,omitzero"`
	Properties *UserAssignedProperties `json:"properties,omitempty"` // read
}

// UserAssignedProperties say who it is.
type UserAssignedProperties struct {
	TenantID    string `json:"tenantId"`
	PrincipalID string `json:"principalId"`
	ClientID    string `json:"clientId"`
}
