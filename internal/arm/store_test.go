package arm

import (
	"net/http"
	"testing"
)

// TestStoreStats shows the store to whoever may read the subscription, and to nobody who may act in one group only.
func TestStoreStats(t *testing.T) {
	r := newComputeRig(t)
	path := "/subscriptions/" + testSub + "/providers/Tintype.Store/stats"
	for _, who := range []string{"good", "reader"} {
		r.token = who
		if a := r.do("GET", version(path), nil); a.status != 200 || a.object()["liveBytes"] != 1.0 {
			t.Errorf("%s: %d %v", who, a.status, a.body)
		}
	}
	r.token = "group"
	r.refuses("GET", version(path), "", http.StatusForbidden, "AuthorizationFailed")
}
