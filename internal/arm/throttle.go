package arm

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"tintype/internal/identity"
)

// Limits are how many requests a principal may send in an hour; zero is any number. Deletions are counted apart from other
// writes, against the same number.
type Limits struct{ Reads, Writes int }

// throttle holds each principal to the limits, with a bucket for reads, one for writes and one for deletions: a bucket holds
// what an hour allows, and fills evenly.
type throttle struct {
	limits Limits
	now    func() time.Time

	mu      sync.Mutex
	buckets map[string]bucket // guarded by mu; by kind and principal
}

type bucket struct {
	left float64
	at   time.Time
}

func newThrottle(limits Limits, now func() time.Time) *throttle {
	return &throttle{limits: limits, now: now, buckets: map[string]bucket{}}
}

// kindOf names a request's bucket, as the headers do, and says how much it holds.
func (t *throttle) kindOf(method string) (kind string, most int) {
	switch method {
	case http.MethodGet, http.MethodHead:
		return "reads", t.limits.Reads
	case http.MethodDelete:
		return "deletes", t.limits.Writes
	}
	return "writes", t.limits.Writes
}

// take counts one request and writes how many are left into the answer's header, or refuses it.
func (t *throttle) take(p identity.Principal, method string, h http.Header) error {
	kind, most := t.kindOf(method)
	if most == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now, full := t.now(), float64(most)
	key := kind + " " + p.ObjectID
	b, ok := t.buckets[key]
	if !ok {
		b = bucket{left: full, at: now}
	}
	perSecond := full / time.Hour.Seconds()
	b.left = min(full, b.left+max(0, now.Sub(b.at).Seconds())*perSecond)
	b.at = now
	if b.left < 1 {
		t.buckets[key] = b
		wait := int(math.Ceil((1 - b.left) / perSecond))
		e := gateway(http.StatusTooManyRequests, "SubscriptionRequestsThrottled",
			"Number of '%s' requests for principal '%s' exceeded the limit of '%d' for time interval '01:00:00'. Please try again after '%d' seconds.",
			kind, p.Display(), most, wait)
		e.Header = http.Header{"Retry-After": {strconv.Itoa(wait)}}
		h.Set(fmt.Sprintf("x-ms-ratelimit-remaining-subscription-%s", kind), "0")
		return e
	}
	b.left--
	t.buckets[key] = b
	h.Set(fmt.Sprintf("x-ms-ratelimit-remaining-subscription-%s", kind), strconv.Itoa(int(b.left)))
	return nil
}
