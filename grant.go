package tintype

import (
	"time"

	"github.com/google/uuid"
)

// Access is what a grant lets its holder do with a volume's bytes.
type Access string

// The kinds of access.
const (
	AccessRead  Access = "Read"
	AccessWrite Access = "Write" // only the upload into a disk or snapshot made with createOption Upload
)

// Bounds of a grant's duration in seconds. The upper one is Azure's since February 2025: 60 days.
const (
	MinGrantSeconds = 1
	MaxGrantSeconds = 5_184_000
)

// The formats of the file that a blob is.
const (
	FormatVHD  = "VHD"
	FormatVHDX = "VHDX"
)

// Grant is access to one disk's or snapshot's bytes through a signed URL until it expires or is revoked. A resource has
// at most one that is active.
type Grant struct {
	ID        uuid.UUID // the si of the URL
	Resource  ResourceID
	Volume    uuid.UUID // in the store
	Access    Access
	Upload    bool   // the blob's last 512 bytes are a VHD footer that the holder writes
	Account   string // first label of the URL's host: md-… or md-impexp-…
	Container string
	Format    string // of the file that the blob is: VHD or VHDX
	Sector    int64  // logical sector of a VHDX
	Bytes     int64  // size of the volume's data, without the footer
	UniqueID  uuid.UUID
	Created   time.Time // of the resource: a VHD footer made on the fly shows it
	Expires   time.Time

	Private bool      // its URL is that of the private door
	By      string    // object id of who asked for it
	Granted time.Time // when

	// Token asks for a token of the holder beside the URL: dataAccessAuthMode was AzureActiveDirectory.
	Token bool
}

// GrantUse is a grant with what was done under it.
type GrantUse struct {
	Grant
	Read, Written int64     // bytes that went over the wire, to the last few seconds before a crash
	Used          time.Time // when last; zero when never
}

// Active tells whether the grant still holds at the time.
func (g Grant) Active(now time.Time) bool { return now.Before(g.Expires) }

// AccessRequest is what beginGetAccess asks for.
type AccessRequest struct {
	Access     string
	Seconds    int64
	FileFormat string // "", VHD or VHDX
	GuestState bool   // asks for the guest state's blob too
	By         string // object id of the caller
}

// Check bounds the request.
func (r AccessRequest) Check() error {
	switch Access(r.Access) {
	case AccessRead, AccessWrite:
	case "":
		return MissingParameter("grantAccessData.access")
	default:
		return badValue("grantAccessData.access")
	}
	if r.Seconds < MinGrantSeconds || r.Seconds > MaxGrantSeconds {
		return outOfRange("grantAccessData.durationInSeconds", r.Seconds, MinGrantSeconds, MaxGrantSeconds)
	}
	switch r.FileFormat {
	case "", FormatVHD:
	case FormatVHDX:
		if r.Access != string(AccessRead) {
			return InvalidParameter("grantAccessData.fileFormat", "The file format VHDX is only supported with access 'Read'.")
		}
	default:
		return badValue("grantAccessData.fileFormat")
	}
	return nil
}
