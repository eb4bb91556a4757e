package conformance

import (
	"strings"
	"testing"
)

// TestRecordings replays every recording. An answer of ours that differs fails unless known_test.go has a reason.
func TestRecordings(t *testing.T) {
	r := newReport()
	for _, rec := range loadAll(t) {
		t.Run(rec.name, func(t *testing.T) {
			for _, res := range replay(t, rec) {
				if bad := r.add(rec.name, res); len(bad) > 0 {
					t.Errorf("%d: %s %s\n\t%s", res.index, res.Method, strings.TrimPrefix(res.URI, "https://"+armHost+"/subscriptions/"+subscription),
						strings.Join(bad, "\n\t"))
				}
			}
		})
	}
	t.Logf("%d of %d exchanges match: %.1f %%", r.total.matched, r.total.steps(), r.total.percent())
	if !t.Failed() {
		r.check(t)
	}
}
