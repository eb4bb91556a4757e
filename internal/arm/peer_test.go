package arm

import (
	"net/http"
	"strings"
	"testing"
)

const peerSub = "0a1b2c3d-0000-4000-8000-0000000000ff"

// TestPeerPermission: who may do everything in a group must not have this server fetch what its principal sees at another one.
func TestPeerPermission(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	body := strings.ReplaceAll(`{"location":"westus","properties":{"incremental":true,"creationData":{"createOption":"CopyStart",
		"sourceResourceId":"/subscriptions/SUB/resourceGroups/g/providers/Microsoft.Compute/snapshots/s"}}}`, "SUB", peerSub)
	path := version(inGroup("snapshots/x"))
	for _, who := range []string{"group", "reader"} {
		r.token = who
		want := "LinkedAuthorizationFailed"
		if who == "reader" {
			want = "AuthorizationFailed"
		}
		r.refuses("PUT", path, body, http.StatusForbidden, want)
	}
	r.token = "good"
	r.refuses("PUT", path, body, http.StatusNotFound, "NotFound") // allowed, and nothing is there
	r.refuses("PUT", path, strings.ReplaceAll(body, peerSub, otherSub), http.StatusForbidden, "LinkedAuthorizationFailed")
}
