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

// checkRead compares the state with a read's conditions as Azure documents it, which is not RFC 9110's order: If-Match &&
// If-Unmodified-Since && (If-None-Match || If-Modified-Since). Where the last two fail, the answer is 304.
func (s state) checkRead(h http.Header) error {
	if v := h.Get("If-Match"); v != "" && !s.matches(v) {
		return errCondition
	}
	at, given, err := since(h, "If-Unmodified-Since")
	if err != nil || given && s.modified.After(at) {
		return orElse(err, errCondition)
	}
	at, given, err = since(h, "If-Modified-Since")
	if err != nil {
		return err
	}
	none := h.Get("If-None-Match")
	other, later := none != "" && !s.matches(none), given && s.modified.After(at)
	if (none != "" || given) && !other && !later {
		return errNotModified
	}
	return nil
}

// checkWrite compares the state with a write's conditions, in the order of RFC 9110.
func (s state) checkWrite(h http.Header) error {
	if v := h.Get("If-Match"); v != "" {
		if !s.matches(v) {
			return errCondition
		}
	} else if since, given, err := since(h, "If-Unmodified-Since"); err != nil || given && s.modified.After(since) {
		return orElse(err, errCondition)
	}
	if v := h.Get("If-None-Match"); v != "" {
		if s.matches(v) {
			return errCondition
		}
	} else if since, given, err := since(h, "If-Modified-Since"); err != nil || given && !s.modified.After(since) {
		return orElse(err, errCondition)
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
