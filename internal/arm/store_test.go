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

// TestRotateKey lets those change the key who may change things in the subscription.
func TestRotateKey(t *testing.T) {
	r := newComputeRig(t)
	path := version("/subscriptions/" + testSub + "/providers/Tintype.Store/rotateKey")
	if a := r.do("POST", path, nil); a.status != 200 || a.object()["key"] != "new" || a.object()["previousKey"] != "old" {
		t.Errorf("%d %v", a.status, a.body)
	}
	for _, who := range []string{"reader", "group"} {
		r.token = who
		r.refuses("POST", path, "", http.StatusForbidden, "AuthorizationFailed")
	}
}
