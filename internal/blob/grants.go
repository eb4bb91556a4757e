package blob

import (
	"context"
	"errors"
	"net/http"
	"time"

	"tintype/internal/block"
	"tintype/internal/vhd"
)

// Name is what every blob is called.
const Name = "abcd"

// ErrNoGrant says that a URL opens nothing: never granted, expired, or revoked. The client is not told which.
var ErrNoGrant = errors.New("no active grant")

// ErrNoEarlier says that a blob has no earlier snapshot of a time.
var ErrNoEarlier = errors.New("no such earlier snapshot")

// Resource names what a signed URL opens. Account begins with md- and is a host's label; ID is the si of the URL.
type Resource struct {
	Account   string
	Container string
	ID        string
}

// Grants finds what a signed URL opens.
type Grants interface {
	// Open finds the grant and opens its volume for one request. The signature was checked before; r is exactly what was
	// signed. ErrNoGrant when there is none that is active now: every other error is the server's own failure.
	Open(ctx context.Context, r Resource) (Grant, error)

	// OpenEarlier opens, under r's grant, the snapshot of the same disk that was made at the time, to be compared with and
	// not to be read. ErrNoGrant and ErrNoEarlier when there is none.
	OpenEarlier(ctx context.Context, r Resource, made time.Time) (Grant, error)
}

// Grant is what one request may touch, and how.
type Grant struct {
	Device  block.Device // closed by this package when the request is over
	Bytes   int64        // size of the data, at most the device's; the blob has vhd.FooterSize more, unless it is whole
	Whole   bool         // the device's bytes are all of the blob: a footer is neither made nor kept
	Expires time.Time    // a long answer is cut off then

	// Version changes whenever the content may have changed in another way than through this grant, and is the same as
	// long as it has not: a snapshot's volume id; for a disk, the grant's id.
	Version string

	// Identity makes the footer of a blob that is read. It must be the same on every request.
	Identity vhd.Identity

	// Authorize, when set, is asked on every request beside the signature, whether the caller's token allows to read the blob, or
	// to write it. Challenge is the WWW-Authenticate of its refusals.
	Authorize func(r *http.Request, write bool) error
	Challenge string

	// Footer keeps the last bytes of a blob that is uploaded. Nil makes the blob read-only.
	Footer Footer

	// Moved is told of every piece of data that went over the wire, by its length: read by the caller, or written. Nil when
	// nobody wants to know.
	Moved func(read, written int64)
}

// Footer keeps the footer of a disk while it is being uploaded.
type Footer interface {
	// Load gives vhd.FooterSize bytes, all zero as long as none were stored.
	Load(ctx context.Context) ([]byte, error)

	// Store keeps vhd.FooterSize bytes. They are durable when it returns nil.
	Store(ctx context.Context, footer []byte) error
}
