package arm

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

const (
	// maxPath bounds a request's path; ARM's ids end well before.
	maxPath = 4096
	// maxSegments bounds its depth: an extension of a nested resource has some 14.
	maxSegments = 24
)

// requestPath splits a request's path. A segment is decoded after the split, so that an encoded slash cannot move a
// border; a segment that still holds a slash or a control character is refused.
func requestPath(r *http.Request) ([]string, error) {
	escaped := r.URL.EscapedPath()
	if len(escaped) > maxPath {
		return nil, errBadPath()
	}
	segments := splitPath(escaped)
	if len(segments) > maxSegments {
		return nil, errBadPath()
	}
	for i, s := range segments {
		p, err := url.PathUnescape(s)
		if err != nil || !utf8.ValidString(p) || strings.ContainsFunc(p, badInPath) || p == "." || p == ".." {
			return nil, errBadPath()
		}
		segments[i] = p
	}
	return segments, nil
}

// splitPath cuts at slashes and drops empty segments: clients whose endpoint ends in a slash send two in a row.
func splitPath(p string) []string {
	return strings.FieldsFunc(p, func(c rune) bool { return c == '/' })
}

func badInPath(c rune) bool { return c < 0x20 || c == 0x7f || c == '/' || c == '\\' }

func errBadPath() *Error {
	return gateway(http.StatusBadRequest, "InvalidRequestUri", "The request path is malformed or too long.")
}
