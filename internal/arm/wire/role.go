package wire

// RoleAssignment is Microsoft.Authorization/roleAssignments. What is null in Azure's answers is null here.
type RoleAssignment struct {
	Properties RoleAssignmentProperties `json:"properties"`
	ID         string                   `json:"id,omitempty"`
	Type       string                   `json:"type,omitempty"`
	Name       string                   `json:"name,omitempty"`
}

// RoleAssignmentProperties are an assignment's own.
type RoleAssignmentProperties struct {
	RoleDefinitionID string  `json:"roleDefinitionId"`
	PrincipalID      string  `json:"principalId"`
	PrincipalType    string  `json:"principalType,omitempty"`
	Scope            string  `json:"scope,omitempty"`
	Condition        *string `json:"condition"`
	ConditionVersion *string `json:"conditionVersion"`
	CreatedOn        string  `json:"createdOn,omitempty"`
	UpdatedOn        string  `json:"updatedOn,omitempty"`
	CreatedBy        *string `json:"createdBy"`
	UpdatedBy        *string `json:"updatedBy"`
	Delegated        *string `json:"delegatedManagedIdentityResourceId"`
	Description      *string `json:"description"`
}

// RoleDefinition is Microsoft.Authorization/roleDefinitions.
type RoleDefinition struct {
	Properties RoleDefinitionProperties `json:"properties"`
	ID         string                   `json:"id,omitempty"`
	Type       string                   `json:"type,omitempty"`
	Name       string                   `json:"name,omitempty"`
}

// RoleDefinitionProperties are a definition's own.
type RoleDefinitionProperties struct {
	RoleName         string        `json:"roleName"`
	Type             string        `json:"type"`
	Description      string        `json:"description"`
	AssignableScopes []string      `json:"assignableScopes"`
	Permissions      []Permissions `json:"permissions"`
	CreatedOn        string        `json:"createdOn,omitempty"`
	UpdatedOn        string        `json:"updatedOn,omitempty"`
	CreatedBy        *string       `json:"createdBy"`
	UpdatedBy        *string       `json:"updatedBy"`
}

// Permissions is one set of what a role allows.
type Permissions struct {
	Actions        []string `json:"actions"`
	NotActions     []string `json:"notActions"`
	DataActions    []string `json:"dataActions"`
	NotDataActions []string `json:"notDataActions"`

	Condition        string `json:"condition,omitempty"`
	ConditionVersion string `json:"conditionVersion,omitempty"`
}
