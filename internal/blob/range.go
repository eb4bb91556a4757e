package blob

import (
	"net/http"
	"strconv"
	"strings"

	"tintype/internal/vhd"
)

// span is a range of bytes, [start, end). An end of openEnd stands for the blob's.
type span struct{ start, end int64 }

const openEnd = int64(1<<63 - 1)

// parseRange reads a Range header's value. Azure knows bytes=A- and bytes=A-B, inclusive, and neither suffixes nor
// lists; a first byte behind the last is no range.
func parseRange(value string) (span, bool) {
	rest, ok := strings.CutPrefix(value, "bytes=")
	if !ok {
		return span{}, false
	}
	first, last, ok := strings.Cut(rest, "-")
	if !ok {
		return span{}, false
	}
	start, ok := parseOffset(first)
	if !ok {
		return span{}, false
	}
	if last == "" {
		return span{start, openEnd}, true
	}
	end, ok := parseOffset(last)
	if !ok || end < start {
		return span{}, false
	}
	return span{start, end + 1}, true
}

// parseOffset takes decimal digits and nothing else, up to the largest offset a blob can have and then some.
func parseOffset(s string) (int64, bool) {
	if s == "" || len(s) > 18 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// requestRange gives the range that the request asks for. x-ms-range goes before Range. Without either, given is false.
func requestRange(h http.Header) (s span, given bool, err error) {
	for _, name := range []string{"x-ms-range", "Range"} {
		value := h.Get(name)
		if value == "" {
			continue
		}
		s, ok := parseRange(value)
		if !ok {
			return span{}, false, errHeaderValue(name, value)
		}
		return s, true, nil
	}
	return span{}, false, nil
}

// readRange is requestRange within a blob of size bytes: cut to the blob's end, and refused behind it.
func readRange(h http.Header, size int64) (s span, given bool, err error) {
	s, given, err = requestRange(h)
	if err != nil || !given {
		return span{0, size}, false, err
	}
	if s.start >= size {
		return span{}, false, errRange(size)
	}
	return span{s.start, min(s.end, size)}, true, nil
}

// pageRange is the range of a write: whole pages inside a blob of size bytes.
func pageRange(h http.Header, size int64) (span, error) {
	s, given, err := requestRange(h)
	if err != nil {
		return span{}, err
	}
	if !given {
		return span{}, errMissingHeader("x-ms-range")
	}
	if s.end > size || s.start%vhd.SectorSize != 0 || s.end%vhd.SectorSize != 0 {
		return span{}, errPageRange
	}
	return s, nil
}
