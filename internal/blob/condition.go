package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// state is what conditional headers speak of.
type state struct {
	etag     string
	modified time.Time // to the second
}

// state gives the blob's present one. The ETag is made of everything that decides the content.
func (c *call) state() state {
	revision, written := c.revision()
	sum := sha256.Sum256([]byte(strings.Join([]string{
		c.grant.Version, strconv.FormatInt(c.grant.Bytes, 10), c.grant.Identity.Unique.String(),
		c.grant.Identity.Created.UTC().Format(time.RFC3339), revision,
	}, "\n")))
	modified := c.grant.Identity.Created
	if written.After(modified) {
		modified = written
	}
	return state{etag: `"0x8D` + strings.ToUpper(hex.EncodeToString(sum[:8])) + `"`, modified: modified.Truncate(time.Second)}
}

// check compares the state with the request's conditions, in the order of RFC 9110. When a read's If-None-Match or
// If-Modified-Since fails, the answer is 304.
func (s state) check(h http.Header, read bool) error {
	unchanged := errCondition
	if read {
		unchanged = errNotModified
	}
	if v := h.Get("If-Match"); v != "" {
		if !s.matches(v) {
			return errCondition
		}
	} else if since, given, err := since(h, "If-Unmodified-Since"); err != nil || given && s.modified.After(since) {
		return orElse(err, errCondition)
	}
	if v := h.Get("If-None-Match"); v != "" {
		if s.matches(v) {
			return unchanged
		}
	} else if since, given, err := since(h, "If-Modified-Since"); err != nil || given && !s.modified.After(since) {
		return orElse(err, unchanged)
	}
	return nil
}

func orElse(err error, refusal *failure) error {
	if err != nil {
		return err
	}
	return refusal
}

func (s state) matches(list string) bool {
	for v := range strings.SplitSeq(list, ",") {
		if v = strings.TrimSpace(v); v == "*" || v == s.etag || `"`+v+`"` == s.etag {
			return true
		}
	}
	return false
}

func since(h http.Header, name string) (t time.Time, given bool, err error) {
	v := h.Get(name)
	if v == "" {
		return time.Time{}, false, nil
	}
	t, err = http.ParseTime(v)
	if err != nil {
		return time.Time{}, false, errHeaderValue(name, v)
	}
	return t, true, nil
}

// conditional tells whether the request has any condition.
func conditional(h http.Header) bool {
	for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if h.Get(name) != "" {
			return true
		}
	}
	return false
}

// checkSequence compares the sequence number, which stays 0, with the request's conditions.
func checkSequence(h http.Header) error {
	for name, holds := range map[string]func(int64) bool{
		"x-ms-if-sequence-number-le": func(n int64) bool { return n >= 0 },
		"x-ms-if-sequence-number-lt": func(n int64) bool { return n > 0 },
		"x-ms-if-sequence-number-eq": func(n int64) bool { return n == 0 },
	} {
		v := h.Get(name)
		if v == "" {
			continue
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return errHeaderValue(name, v)
		}
		if !holds(n) {
			return errSequence
		}
	}
	return nil
}
