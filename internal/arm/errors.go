package arm

import (
	"fmt"
	"net/http"
	"strings"

	"tintype"
	"tintype/internal/identity"
)

// Error is an answer that refuses: Azure's status, code and text.
type Error struct {
	Status  int
	Code    string
	Message string
	Target  string
	// Header is sent along, such as WWW-Authenticate.
	Header http.Header
	// Gateway marks errors that ARM itself and not the resource provider answers (x-ms-failure-cause: gateway).
	Gateway bool
	// Inner, when set, is innererror.internalErrorCode.
	Inner string
	// Details are what is behind it.
	Details []Detail
	// Info is more of what is known, such as the place in a template.
	Info []Info
}

// Detail is an error behind an error.
type Detail struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Target  string   `json:"target,omitempty"`
	Details []Detail `json:"details,omitempty"`
	Info    []Info   `json:"additionalInfo,omitempty"`
}

// Info is additional information on an error.
type Info struct {
	Type string `json:"type"`
	Info any    `json:"info"`
}

// Detail is the error as one behind another.
func (e *Error) Detail() Detail {
	return Detail{Code: e.Code, Message: e.Message, Target: e.Target, Details: e.Details, Info: e.Info}
}

// Error is for logs; callers of the API get the parts.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// errorBody is the wire form of every refusal.
type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code       string      `json:"code"`
	Message    string      `json:"message"`
	Target     string      `json:"target,omitempty"`
	InnerError *innerError `json:"innererror,omitempty"`
	Details    []Detail    `json:"details,omitempty"`
	Info       []Info      `json:"additionalInfo,omitempty"`
}

type innerError struct {
	InternalErrorCode string `json:"internalErrorCode"`
}

// response is the error as an answer.
func (e *Error) response() Response {
	d := errorDetail{Code: e.Code, Message: e.Message, Target: e.Target, Details: e.Details, Info: e.Info}
	if e.Inner != "" {
		d.InnerError = &innerError{InternalErrorCode: e.Inner}
	}
	h := e.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if e.Gateway {
		h.Set("x-ms-failure-cause", "gateway")
	}
	return Response{Status: e.Status, Header: h, Body: errorBody{Error: d}}
}

func gateway(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...), Gateway: true}
}

func invalidContent(message string) *Error {
	return gateway(http.StatusBadRequest, "InvalidRequestContent", "%s", message)
}

func errTooLarge() *Error {
	return gateway(http.StatusRequestEntityTooLarge, "RequestContentTooLarge",
		"The request content size exceeds the maximum size of %d MB.", maxBody>>20)
}

func errInternal() *Error {
	return &Error{
		Status: http.StatusInternalServerError, Code: "InternalServerError",
		Message: "Encountered internal server error. Diagnostic information is in the server's log under x-ms-request-id.",
	}
}

func errMissingVersion() *Error {
	return gateway(http.StatusBadRequest, "MissingApiVersionParameter",
		"The api-version query parameter (?api-version=) is required for all requests.")
}

// errVersion refuses an api-version as Azure does, in one of three ways: Microsoft.Resources is ARM itself; what is about a resource
// that has a location, or is to have one, names it; the rest says that the type is unknown at that version.
func errVersion(m *route, version, location string) *Error {
	version = clip(version)
	all := strings.Join(m.versions(), ", ")
	switch {
	case m.typ.Namespace == resourcesNamespace:
		return gateway(http.StatusBadRequest, "InvalidApiVersionParameter",
			"The api-version '%s' is invalid. The supported versions are '%s'.", version,
			strings.Join(m.versions(), ","))
	case location != "":
		return gateway(http.StatusBadRequest, "NoRegisteredProviderFound",
			"No registered resource provider found for location '%s' and API version '%s' for type '%s'. "+
				"The supported api-versions are '%s'. The supported locations are '%s'.",
			clip(location), version, m.typ.Name, all, strings.ReplaceAll(tintype.RegionNames(), ",", ", "))
	default:
		return errTypeVersion(m.typ.Name, m.typ.Namespace, version, all)
	}
}

func errTypeVersion(name, namespace, version, supported string) *Error {
	return gateway(http.StatusNotFound, "InvalidResourceType",
		"The resource type '%s' could not be found in the namespace '%s' for api version '%s'. "+
			"The supported api-versions are '%s'.", clip(name), namespace, clip(version), supported)
}

func errNamespace(namespace string) *Error {
	return gateway(http.StatusNotFound, "InvalidResourceNamespace",
		"The resource namespace '%s' is invalid.", clip(namespace))
}

func errNoPath(path string) *Error {
	return gateway(http.StatusNotFound, "NotFound", "The requested path '%s' was not found.", clip(path))
}

func errMethod(method string, allowed []string) *Error {
	e := gateway(http.StatusMethodNotAllowed, "MethodNotAllowed",
		"The http method '%s' is not supported for this resource. The supported methods are '%s'.",
		clip(method), strings.Join(allowed, ", "))
	e.Header = http.Header{"Allow": {strings.Join(allowed, ", ")}}
	return e
}

func errSubscriptionNotFound(sub string) *Error {
	return gateway(http.StatusNotFound, "SubscriptionNotFound", "The subscription '%s' could not be found.", clip(sub))
}

func errForbidden(p identity.Principal, permission, scope string) *Error {
	return gateway(http.StatusForbidden, "AuthorizationFailed",
		"The client '%s' with object id '%s' does not have authorization to perform action '%s' over scope '%s' "+
			"or the scope is invalid. If access was recently granted, please refresh your credentials.",
		p.Display(), p.ObjectID, permission, clip(scope))
}

// clip keeps what a caller sent from filling an error text.
func clip(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
