package blob

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// failure is a refusal in Azure Storage's terms.
type failure struct {
	status  int
	code    string
	message string
	detail  []field // further elements of the XML body
	header  []field
}

type field struct{ name, value string }

func (f *failure) Error() string { return f.code + ": " + f.message }

// tokenRequired refuses a caller without a token that allows the access. AzCopy takes the challenge for the offer to use one.
func tokenRequired(challenge string) *failure {
	return &failure{
		status: http.StatusUnauthorized, code: "AuthenticationFailed",
		message: "Server failed to authenticate the request. A token that allows this operation on the disk or snapshot is required beside the signature.",
		header:  []field{{"WWW-Authenticate", challenge}},
	}
}

// The refusals that take no arguments.
var (
	errAuthentication = &failure{
		status: http.StatusForbidden, code: "AuthenticationFailed",
		message: "Server failed to authenticate the request. Make sure the value of Authorization header is formed " +
			"correctly including the signature.",
		detail: []field{{"AuthenticationErrorDetail", "Signature did not match, or the access was revoked or has expired."}},
	}
	errPermission = &failure{
		status: http.StatusForbidden, code: "AuthorizationPermissionMismatch",
		message: "This request is not authorized to perform this operation using this permission.",
	}
	errVerb = &failure{
		status: http.StatusMethodNotAllowed, code: "UnsupportedHttpVerb",
		message: "The resource doesn't support specified Http Verb.", header: []field{{"Allow", "HEAD,GET,PUT"}},
	}
	errPreflight = &failure{
		status: http.StatusForbidden, code: "CorsPreflightFailure",
		message: "CORS not enabled or no matching rule found for this request.",
		detail:  []field{{"MessageDetails", "No CORS rules matches this request"}},
	}
	errPageRange = &failure{
		status: http.StatusRequestedRangeNotSatisfiable, code: "InvalidPageRange",
		message: "The page range specified is invalid.",
	}
	errCondition = &failure{
		status: http.StatusPreconditionFailed, code: "ConditionNotMet",
		message: "The condition specified using HTTP conditional header(s) is not met.",
	}
	errNotModified = &failure{status: http.StatusNotModified, code: "ConditionNotMet", message: errCondition.message}
	errSequence    = &failure{
		status: http.StatusPreconditionFailed, code: "SequenceNumberConditionNotMet",
		message: "The sequence number condition specified was not met.",
	}
	errNoLease = &failure{
		status: http.StatusPreconditionFailed, code: "LeaseNotPresentWithBlobOperation",
		message: "There is currently no lease on the blob.",
	}
	errLength = &failure{
		status: http.StatusLengthRequired, code: "MissingContentLengthHeader",
		message: "Content-Length HTTP header was not specified.",
	}
	errTooLarge = &failure{
		status: http.StatusRequestEntityTooLarge, code: "RequestBodyTooLarge",
		message: "The request body is too large and exceeds the maximum permissible limit.",
		detail:  []field{{"MaxLimit", strconv.Itoa(maxUpdate)}},
	}
	errIncomplete = &failure{
		status: http.StatusBadRequest, code: "IncompleteBody",
		message: "The request body is shorter than its Content-Length.",
	}
	errPreviousAuthentication = &failure{
		status: http.StatusForbidden, code: errAuthentication.code, message: errAuthentication.message,
		detail: []field{{"AuthenticationErrorDetail", "Of " + previousHeader + ": " + errAuthentication.detail[0].value}},
	}
	errNoPrevious = &failure{
		status: http.StatusConflict, code: "PreviousSnapshotNotFound", message: "The previous snapshot is not found.",
	}
	errPreviousNewer = &failure{
		status: http.StatusBadRequest, code: "PreviousSnapshotCannotBeNewer",
		message: "The previous snapshot cannot be newer than the blob.",
	}
	errPreviousUnsupported = &failure{
		status: http.StatusConflict, code: "PreviousSnapshotOperationNotSupported",
		message: "Differential Get Page Ranges is not supported on the previous snapshot.",
	}
	errOverwritten = &failure{
		status: http.StatusConflict, code: "BlobOverwritten",
		message: "The blob has been recreated since the previous snapshot was taken.",
	}
	errInternal = &failure{
		status: http.StatusInternalServerError, code: "InternalError",
		message: "Server encountered an internal error. Please try again after some time.",
	}
	errBusy = &failure{
		status: http.StatusServiceUnavailable, code: "ServerBusy",
		message: "The server is currently unable to receive requests. Please retry your request.",
	}
	errNoSpace = &failure{
		status: http.StatusInsufficientStorage, code: "InsufficientStorage",
		message: "The store has no space left.",
	}
)

// errRange refuses a range that begins behind the end of a blob of size bytes.
func errRange(size int64) *failure {
	return &failure{
		status: http.StatusRequestedRangeNotSatisfiable, code: "InvalidRange",
		message: "The range specified is invalid for the current size of the resource.",
		header:  []field{{"Content-Range", "bytes */" + strconv.FormatInt(size, 10)}},
	}
}

func errHeaderValue(name, value string) *failure {
	return &failure{
		status: http.StatusBadRequest, code: "InvalidHeaderValue",
		message: "The value for one of the HTTP headers is not in the correct format.",
		detail:  []field{{"HeaderName", name}, {"HeaderValue", clip(value)}},
	}
}

// errNoOrigin refuses a preflight that leaves out a header.
func errNoOrigin(name string) *failure {
	return &failure{
		status: http.StatusBadRequest, code: "InvalidHeaderValue", message: "A required CORS header is not present.",
		detail: []field{{"MessageDetails", "Missing required CORS header " + name}},
	}
}

func errMissingHeader(name string) *failure {
	return &failure{
		status: http.StatusBadRequest, code: "MissingRequiredHeader",
		message: "An HTTP header that's mandatory for this request is not specified.",
		detail:  []field{{"HeaderName", name}},
	}
}

func errUnsupportedHeader(name, value string) *failure {
	return &failure{
		status: http.StatusBadRequest, code: "UnsupportedHeader",
		message: "One of the HTTP headers specified in the request is not supported.",
		detail:  []field{{"HeaderName", name}, {"HeaderValue", clip(value)}},
	}
}

func errQuery(code, message, name, value string) *failure {
	return &failure{
		status: http.StatusBadRequest, code: code, message: message,
		detail: []field{{"QueryParameterName", name}, {"QueryParameterValue", clip(value)}},
	}
}

func errQueryValue(name, value string) *failure {
	return errQuery("InvalidQueryParameterValue",
		"Value for one of the query parameters specified in the request URI is invalid.", name, value)
}

func errQueryRange(name, value string) *failure {
	return errQuery("OutOfRangeQueryParameterValue",
		"One of the query parameters specified in the request URI is outside the permissible range.", name, value)
}

func errUnsupportedQuery(name, value string) *failure {
	return errQuery("UnsupportedQueryParameter",
		"One of the query parameters specified in the request URI is not supported.", name, value)
}

func errMismatch(code, message string) *failure {
	return &failure{status: http.StatusBadRequest, code: code, message: message}
}

// clip bounds what of a request is said back to its sender.
func clip(s string) string {
	if len(s) > 128 {
		return s[:128]
	}
	return s
}

// escape fits text into XML. Line ends stay what they are, as in Azure's answers.
func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a builder takes everything
	return strings.ReplaceAll(b.String(), "&#xA;", "\n")
}

// send answers with the refusal. The request's id is already among w's headers.
func (f *failure) send(w http.ResponseWriter, head bool, now time.Time) {
	h := w.Header()
	h.Set("x-ms-error-code", f.code)
	for _, x := range f.header {
		h.Set(x.name, x.value)
	}
	if head || f.status == http.StatusNotModified {
		w.WriteHeader(f.status)
		return
	}
	message := f.message + "\nRequestId:" + h.Get("x-ms-request-id") + "\nTime:" + now.UTC().Format("2006-01-02T15:04:05.0000000Z")
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="utf-8"?><Error>`)
	for _, x := range append([]field{{"Code", f.code}, {"Message", message}}, f.detail...) {
		b.WriteString("<" + x.name + ">")
		b.WriteString(escape(x.value))
		b.WriteString("</" + x.name + ">")
	}
	b.WriteString("</Error>")
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(f.status)
	_, _ = w.Write(b.Bytes()) // the client is gone if this fails; there is nobody left to tell
}
