package arm

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

// readAll reads at most maxBody of a request's body, which may be compressed with gzip: the bound holds before and after.
func readAll(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	b, err := readBounded(r.Body)
	if err != nil || len(b) == 0 {
		return nil, err
	}
	switch encoding := strings.ToLower(strings.TrimSpace(strings.Join(r.Header.Values("Content-Encoding"), ", "))); encoding {
	case "", "identity":
		return b, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, errUnreadable()
		}
		return readBounded(z)
	default:
		return nil, gateway(http.StatusUnsupportedMediaType, "UnsupportedMediaType",
			"The content encoding '%s' of the request is not supported. The supported encodings are 'gzip' and 'identity'.", clip(encoding))
	}
}

func readBounded(from io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(from, maxBody+1))
	switch {
	case len(b) > maxBody:
		return nil, errTooLarge()
	case err != nil:
		return nil, errors.Join(errUnreadable(), err)
	}
	return b, nil
}

func errUnreadable() *Error { return invalidContent("The request content could not be read.") }

// mediaType is what a request that has a body must say of it.
const mediaType = "application/json"

func checkMediaType(h http.Header) error {
	sent := h.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(sent)
	// A parameter that cannot be read does not matter: none is asked for.
	if (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter)) && (kind == mediaType || kind == "text/json") {
		return nil
	}
	if kind == "" {
		kind = sent
	}
	if kind == "" {
		kind = "<null>"
	}
	return gateway(http.StatusUnsupportedMediaType, "UnsupportedMediaType",
		"The content media type '%s' is not supported. Only '%s' is supported.", clip(kind), mediaType)
}
