package tintype

import "fmt"

// ErrorKind says what sort of refusal an Error is; the API edge maps it to an HTTP status.
type ErrorKind uint8

// The kinds of refusal.
const (
	KindInternal  ErrorKind = iota // our fault; the cause is for the operator only
	KindInvalid                    // the request itself is wrong
	KindNotFound                   // what the request names does not exist
	KindConflict                   // the request does not fit the present state
	KindForbidden                  // the caller may not do this
	KindUnauthenticated
	KindTooManyRequests
	KindPrecondition // a condition of the request does not hold
)

// Error is a refusal with Azure's code and text. All of it but Cause may be shown to a caller.
type Error struct {
	Kind    ErrorKind
	Code    string
	Message string
	Target  string // the parameter at fault, as the caller wrote it; may be empty
	Cause   error  // for the operator's log, never for the caller; may be nil
}

// Error gives code and message, and the cause when there is one.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Code + ": " + e.Message + ": " + e.Cause.Error()
	}
	return e.Code + ": " + e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Internal wraps a failure of our own. The caller is told nothing of the cause.
func Internal(cause error) *Error {
	return &Error{
		Kind: KindInternal, Code: "InternalServerError", Cause: cause,
		Message: "Encountered internal server error. For details, please see the server's log.",
	}
}

// InvalidParameter refuses the parameter that target names.
func InvalidParameter(target, format string, args ...any) *Error {
	return &Error{Kind: KindInvalid, Code: "InvalidParameter", Message: fmt.Sprintf(format, args...), Target: target}
}

// MissingParameter refuses a request that leaves out a parameter it needs.
func MissingParameter(target string) *Error {
	return InvalidParameter(target, "Required parameter '%s' is missing (null).", target)
}

// badValue refuses a value that is none of those known.
func badValue(target string) *Error {
	return InvalidParameter(target, "The value of parameter %s is invalid.", target)
}

// outOfRange refuses a number that is not in [low, high].
func outOfRange(target string, value, low, high int64) *Error {
	return InvalidParameter(target,
		"The value '%d' of parameter '%s' is out of range. The value must be between '%d' and '%d', inclusive.",
		value, target, low, high)
}

// NotAllowed refuses what the present state forbids.
func NotAllowed(format string, args ...any) *Error {
	return &Error{Kind: KindConflict, Code: "OperationNotAllowed", Message: fmt.Sprintf(format, args...)}
}

// NotMoved refuses a move to another group for one of the resources: why says what is wrong with it.
func NotMoved(id ResourceID, why *Error) *Error {
	return &Error{
		Kind: KindConflict, Code: "ResourceMoveProviderValidationFailed", Target: id.String(), Cause: why,
		Message: "Resource move validation failed. Please see details.",
	}
}

// PreconditionFailed refuses a write whose condition does not hold.
func PreconditionFailed(format string, args ...any) *Error {
	return &Error{Kind: KindPrecondition, Code: "PreconditionFailed", Message: fmt.Sprintf(format, args...)}
}

// ChangeNotAllowed refuses a changed property that is fixed at creation. Clients look for the words "existing disk"
// and "existing snapshot".
func ChangeNotAllowed(property string, id ResourceID) *Error {
	return &Error{
		Kind: KindInvalid, Code: "PropertyChangeNotAllowed", Target: property,
		Message: fmt.Sprintf("Changing property '%s' is not allowed for existing %s '%s'.", property, id.Kind.Noun(), id.Name),
	}
}

// TooManySnapshots refuses one more incremental snapshot of a disk, in Azure's words and with the limit behind them.
func TooManySnapshots(format string, args ...any) *Error {
	return &Error{
		Kind: KindConflict, Code: "SnapshotsLimitReached",
		Message: "The snapshot count was exceeded for a disk. Please retry the request after sometime. " + fmt.Sprintf(format, args...),
	}
}

// LocationIsFixed refuses another region than the one in which the resource is.
func LocationIsFixed(id ResourceID, location string, want Region) *Error {
	return &Error{
		Kind: KindConflict, Code: "InvalidResourceLocation", Target: "location",
		Message: fmt.Sprintf("The resource '%s' already exists in location '%s' in resource group '%s'. A resource with the "+
			"same name cannot be created in location '%s'. Please select a new resource name.", id.Name, location, id.Group, want.Name),
	}
}
