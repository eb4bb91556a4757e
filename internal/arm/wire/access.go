package wire

// GrantAccessData is the body of beginGetAccess.
type GrantAccessData struct {
	Access                   string `json:"access"`
	DurationInSeconds        *int64 `json:"durationInSeconds"`
	FileFormat               string `json:"fileFormat"`
	GetSecureVMGuestStateSAS bool   `json:"getSecureVMGuestStateSAS"`
}

// AccessURI is what beginGetAccess results in.
type AccessURI struct {
	AccessSAS string `json:"accessSAS"`
}

// AttachRequest is the body of our own attach and detach.
type AttachRequest struct {
	Host     string `json:"host"`
	ReadOnly bool   `json:"readOnly"`
	// Since are the snapshots that the host may compare with, each by its name in the same group, or its id.
	Since []string `json:"since,omitempty"`
}

// Attachment is what attach answers.
type Attachment struct {
	URI      string `json:"uri"`
	Host     string `json:"host"`
	ReadOnly bool   `json:"readOnly"`
}

// Sizes is what our own sizes answers.
type Sizes struct {
	UsedBytes        int64 `json:"usedBytes"`
	ProvisionedBytes int64 `json:"provisionedBytes"`
}
