package vhd

import (
	"errors"
	"fmt"
)

// UploadError refuses an uploaded VHD with Azure's code and text.
type UploadError struct {
	Code    string
	Message string
	Cause   error // what ParseFooter said; nil when the footer is sound and does not fit
}

// Error gives code and message.
func (e *UploadError) Error() string { return e.Code + ": " + e.Message }

// Unwrap gives the cause.
func (e *UploadError) Unwrap() error { return e.Cause }

// CheckUpload says whether footer, the last 512 bytes of an upload, makes a fixed VHD of the size bytes of data before
// it. The error is an *UploadError. blobURL is named in the message, as Azure does; it must not hold the signature.
func CheckUpload(footer []byte, size int64, blobURL string) error {
	refuse := func(cause error, format string, args ...any) error {
		return &UploadError{Code: "InvalidVhd", Message: fmt.Sprintf(format, args...), Cause: cause}
	}
	f, err := ParseFooter(footer)
	switch {
	case err == nil:
	case errors.Is(err, ErrCookie):
		return refuse(err, "The specified cookie value in VHD footer indicates that disk 'abcd' with blob %s is not a "+
			"supported VHD. Disk is expected to have cookie value '%s'.", blobURL, Cookie)
	default:
		return refuse(err, "The VHD footer of disk 'abcd' with blob %s is not valid: %v.", blobURL, err)
	}
	if f.Type != TypeFixed {
		return refuse(nil, "Disk 'abcd' with blob %s is a VHD of type %s. Disk is expected to be of type Fixed.", blobURL, f.Type)
	}
	if f.Size != size {
		return refuse(nil, "The VHD footer of disk 'abcd' with blob %s gives the size %d bytes. Disk is expected to have "+
			"%d bytes, its uploadSizeBytes without the footer's %d.", blobURL, f.Size, size, FooterSize)
	}
	return nil
}
