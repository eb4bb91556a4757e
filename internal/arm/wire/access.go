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
	AccessSAS             string `json:"accessSAS"`
	SecurityDataAccessSAS string `json:"securityDataAccessSAS,omitempty"`
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
	// VhostUser is a socket's path, when the server has that door.
	VhostUser string `json:"vhostUser,omitempty"`
	// Changes say where what changed since each older snapshot is to be had.
	Changes []Changes `json:"changes,omitempty"`
}

// Changes is an export that serves what changed since a snapshot.
type Changes struct {
	Since string `json:"since"`
	URI   string `json:"uri"`
}

// Sizes is what our own sizes answers.
type Sizes struct {
	UsedBytes        int64 `json:"usedBytes"`
	IncrementalBytes int64 `json:"incrementalBytes"`
	ExclusiveBytes   int64 `json:"exclusiveBytes"`
	ProvisionedBytes int64 `json:"provisionedBytes"`
}

// Resources names disks and snapshots by their ids: the body of our own freedBytes.
type Resources struct {
	IDs []string `json:"ids"`
}

// Freed is what freedBytes answers.
type Freed struct {
	FreedBytes int64 `json:"freedBytes"`
}

// SnapshotGroup is the body of our own createSnapshotGroup: snapshots as a PUT of each would have them, with names.
type SnapshotGroup struct {
	Snapshots []Volume `json:"snapshots"`
}

// GrantUse is one line of our own list of grants.
type GrantUse struct {
	ID           string `json:"id"` // of the disk, snapshot or disk's restore point
	Access       string `json:"access"`
	Principal    string `json:"principalId"`
	Granted      string `json:"grantedTime"`
	Expires      string `json:"expiryTime"`
	ReadBytes    int64  `json:"readBytes"`
	WrittenBytes int64  `json:"writtenBytes"`
	LastUsed     string `json:"lastUsedTime,omitempty"`
}
