package arm

import (
	"net/http"
	"testing"
	"time"

	"tintype/internal/identity"
)

func TestThrottle(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	limits := newThrottle(Limits{Reads: 3600, Writes: 2}, func() time.Time { return now })
	ann, bob := identity.Principal{ObjectID: "a"}, identity.Principal{ObjectID: "b"}
	take := func(p identity.Principal, method, header, want string) *Error {
		t.Helper()
		h := http.Header{}
		err := limits.take(p, method, h)
		if got := h.Get("x-ms-ratelimit-remaining-subscription-" + header); got != want {
			t.Errorf("%s: %q left, want %q", method, got, want)
		}
		e, _ := err.(*Error)
		return e
	}
	take(ann, "PUT", "writes", "1")
	take(ann, "POST", "writes", "0")
	e := take(ann, "PATCH", "writes", "0")
	if e == nil || e.Status != 429 || e.Header.Get("Retry-After") != "1800" {
		t.Fatalf("%+v", e)
	}
	take(ann, "DELETE", "deletes", "1")
	take(ann, "GET", "reads", "3599")
	take(bob, "PUT", "writes", "1")
	now = now.Add(30 * time.Minute)
	if e := take(ann, "PUT", "writes", "0"); e != nil {
		t.Error(e)
	}
	now = now.Add(100 * time.Hour) // never more than a full bucket
	take(ann, "PUT", "writes", "1")
	now = now.Add(-time.Hour) // a clock set back takes nothing away
	if e := take(ann, "PUT", "writes", "0"); e != nil {
		t.Error(e)
	}
	off := newThrottle(Limits{}, func() time.Time { return now })
	h := http.Header{}
	if err := off.take(ann, "GET", h); err != nil || len(h) != 0 {
		t.Error(err, h)
	}
}
