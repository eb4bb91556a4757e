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

// TestStoreHealth tells readers of scrub and damage, and lets only those who may act begin a pass.
func TestStoreHealth(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.put("disks/d", disk("", ""))
	path := "/subscriptions/" + testSub + "/providers/Tintype.Store/"
	r.token = "reader"
	a := r.do("GET", version(path+"scrub"), nil)
	last, _ := a.object()["last"].(map[string]any)
	if a.status != 200 || a.object()["bytesPerSecond"] != 5.0 || last["ended"] != "2026-11-22T13:00:00.0000000+00:00" {
		t.Errorf("scrub: %d %v", a.status, a.body)
	}
	a = r.do("GET", version(path+"damage"), nil)
	list, _ := a.object()["value"].([]any)
	if one, _ := list[0].(map[string]any); len(list) != 1 || one["offset"] != 4096.0 || one["length"] != 8192.0 || one["id"] != nil {
		t.Errorf("damage: %d %v", a.status, a.body)
	}
	r.refuses("POST", version(path+"scrub"), "", http.StatusForbidden, "AuthorizationFailed")
	r.token = "group"
	r.refuses("GET", version(path+"damage"), "", http.StatusForbidden, "AuthorizationFailed")
	if a := r.do("GET", version(inGroup("disks/d/damage")), nil); a.status != 200 || len(a.object()["value"].([]any)) != 0 {
		t.Errorf("damage of a disk: %d %v", a.status, a.body)
	}
	r.token = "good"
	if a := r.do("POST", version(path+"scrub"), nil); a.status != 200 {
		t.Errorf("a scrub: %d %v", a.status, a.body)
	}
}
