package arm

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"unicode/utf16"

	"tintype/internal/identity"
)

// Call is one request, ready for its handler: authenticated, authorized, its path parsed, its body bounded.
type Call struct {
	Method     string
	APIVersion string
	ID         ID
	Principal  identity.Principal
	// Query and Header are the request's.
	Query  url.Values
	Header http.Header
	// BaseURL is "https://host:port" under which this caller reaches us: every URL handed out begins with it.
	BaseURL string
	// Path as it was sent, with a leading slash and without a query.
	Path string
	// Body is valid JSON of bounded size and depth, or empty.
	Body []byte
	// RequestID is what x-ms-request-id answers; operations record it.
	RequestID string

	params map[string]string
	// registered refuses, where the subscription may not use the provider that was called.
	registered func() error
	// forgetGone is the router's, where there are roles.
	forgetGone func(ctx context.Context, id string) error
}

// makes is asked by a POST that makes resources, once its caller is known to be allowed to: it is refused like a PUT.
func (c *Call) makes() error {
	if c.registered == nil {
		return nil
	}
	return c.registered()
}

// comes tells of a resource that the call makes beside that of its path. Before a permission on it is asked, it has to be told: if there is
// no such resource now, what is assigned at its id was about another one, and ends.
func (c *Call) comes(ctx context.Context, id string) error {
	if c.forgetGone == nil {
		return nil
	}
	return c.forgetGone(ctx, id)
}

// Param is the path's {name}.
func (c *Call) Param(name string) string { return c.params[name] }

// scope is what a role must cover: the resource, or the list's or group's own path.
func (c *Call) scope() string {
	if c.ID.Name != "" && c.ID.Group != "" {
		return c.ID.String()
	}
	return c.Path
}

// Decode reads the body into v. An empty body is an error as Azure's: a handler to which a body is optional looks at
// len(c.Body) first.
func (c *Call) Decode(v any) error {
	if len(c.Body) == 0 {
		return invalidContent("The request content was invalid or empty: a JSON object is expected.")
	}
	if err := decodeJSON(c.Body, v); err != nil {
		return invalidContent(describeJSON(err))
	}
	return nil
}

// describeJSON names the field and not Go's types.
func describeJSON(err error) string {
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) {
		return fmt.Sprintf("The request content was invalid and could not be deserialized: "+
			"'Error converting value of kind %s for path '%s', position %d.'.", typed.Value, typed.Field, typed.Offset)
	}
	return fmt.Sprintf("The request content was invalid and could not be deserialized: '%s.'.", err)
}

const (
	// maxBody is ARM's own limit of a request, 4 MiB.
	maxBody = 4 << 20
	// maxDepth bounds the nesting of a body; real ones stay below 20.
	maxDepth = 64
)

// readBody reads a bounded body and checks that it is one JSON value of bounded depth. A body of nothing but white
// space counts as none. A loose one may be what Azure's parser takes beyond JSON.
func readBody(r *http.Request, loose bool) ([]byte, error) {
	b, err := readAll(r)
	if err != nil {
		return nil, err
	}
	b = bytes.TrimSpace(withoutMark(b))
	if len(b) == 0 {
		return nil, nil
	}
	if err := checkMediaType(r.Header); err != nil {
		return nil, err
	}
	if loose && !json.Valid(b) {
		b = strictJSON(b)
	}
	if err := checkDepth(b); err != nil {
		return nil, err
	}
	if !json.Valid(b) {
		var v any
		return nil, invalidContent(describeJSON(json.Unmarshal(b, &v)))
	}
	return b, nil
}

// withoutMark takes off the byte order mark with which .NET's and PowerShell's files begin. UTF-16, which such a mark may tell, becomes
// UTF-8.
func withoutMark(b []byte) []byte {
	if rest, ok := bytes.CutPrefix(b, []byte("\xef\xbb\xbf")); ok {
		return rest
	}
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return b
	}
	var units []uint16
	for b = b[2:]; len(b) >= 2; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	return []byte(string(utf16.Decode(units)))
}

// checkDepth counts brackets outside of strings, so that nothing deep is ever handed to a recursive parser.
func checkDepth(b []byte) error {
	depth, inString, escaped := 0, false, false
	for _, c := range b {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped = c == '\\'
			inString = c != '"'
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return invalidContent(fmt.Sprintf("The request content is nested deeper than %d levels.", maxDepth))
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}
