package arm

import (
	"net/http"
	"testing"
)

func (r *computeRig) put(path, body string) {
	r.t.Helper()
	if a := r.poll(r.do("PUT", version(inGroup(path)), body)); a.object()["status"] != "Succeeded" {
		r.t.Fatalf("put %s: %v", path, a.body)
	}
}

const (
	freedRoute = "/subscriptions/" + testSub + "/providers/Microsoft.Compute/freedBytes?api-version=" + ownVersion
	groupRoute = "/subscriptions/" + testSub + "/resourceGroups/g/providers/Microsoft.Compute/createSnapshotGroup?api-version=" + ownVersion
)

func copyBody(name, source string) string {
	return `{"name":"` + name + `","location":"westus","properties":{"incremental":true,"creationData":{"createOption":"Copy",` +
		`"sourceResourceId":"` + inGroup(source) + `"}}}`
}

// TestFreedBytes asks what a deletion would free, as someone who may read all of it and as someone who may not.
func TestFreedBytes(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.group("other")
	r.put("disks/d", disk("", ""))
	r.put("disks/e", disk("", ""))
	ask := `{"ids":["` + inGroup("disks/d") + `","` + inGroup("disks/E") + `"]}`
	for _, who := range []string{"good", "group", "reader"} {
		r.token = who
		if a := r.do("POST", freedRoute, ask); a.status != 200 || a.object()["freedBytes"] != 8192.0 {
			t.Errorf("%s: %d %v", who, a.status, a.body)
		}
	}
	far := "/subscriptions/" + testSub + "/resourceGroups/other/providers/Microsoft.Compute/disks/d"
	r.token = "group"
	r.refuses("POST", freedRoute, `{"ids":["`+far+`"]}`, http.StatusForbidden, "AuthorizationFailed")
	r.token = "good"
	r.refuses("POST", freedRoute, `{"ids":["`+far+`"]}`, http.StatusNotFound, "ResourceNotFound")
	r.refuses("POST", freedRoute, `{"ids":["d"]}`, http.StatusBadRequest, "InvalidParameter")
	r.refuses("POST", freedRoute, `{"ids":[]}`, http.StatusBadRequest, "InvalidParameter")
	r.refuses("POST", freedRoute, ``, http.StatusBadRequest, "InvalidRequestContent")
}

// TestSnapshotGroup makes a consistency group, and refuses it as a whole to whoever may not have all of it.
func TestSnapshotGroup(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.put("disks/d", disk("", ""))
	r.put("disks/e", disk("", ""))
	both := `{"snapshots":[` + copyBody("s-d", "disks/d") + `,` + copyBody("s-e", "disks/e") + `]}`
	r.token = "reader"
	r.refuses("POST", groupRoute, both, http.StatusForbidden, "AuthorizationFailed")
	r.token = "group"
	far := `{"snapshots":[` + copyBody("s-d", "disks/d") + `,` + copyBody("s-e", "../../../other/providers/Microsoft.Compute/disks/e") + `]}`
	r.refuses("POST", groupRoute, far, http.StatusBadRequest, "InvalidParameter")
	a := r.do("POST", groupRoute, both)
	made, _ := a.object()["value"].([]any)
	if a.status != http.StatusCreated || len(made) != 2 {
		t.Fatalf("%d %v", a.status, a.body)
	}
	for _, name := range []string{"s-d", "s-e"} {
		got := r.do("GET", version(inGroup("snapshots/"+name)), nil).object()
		p, _ := got["properties"].(map[string]any)
		if got["name"] != name || p["incremental"] != true || p["completionPercent"] != 100.0 && p["provisioningState"] == "Succeeded" {
			t.Errorf("%s: %v", name, got)
		}
	}
	r.refuses("POST", groupRoute, both, http.StatusConflict, "Conflict")
	r.refuses("POST", groupRoute, `{"snapshots":[]}`, http.StatusBadRequest, "InvalidParameter")
	r.refuses("POST", groupRoute, `{"snapshots":[{"name":"x"}]}`, http.StatusBadRequest, "InvalidParameter")
}

// refuses requires a refusal.
func (r *computeRig) refuses(method, path, body string, status int, code string) {
	r.t.Helper()
	a := r.do(method, path, body)
	e, _ := a.object()["error"].(map[string]any)
	if a.status != status || e["code"] != code {
		r.t.Errorf("%s %s %s: %d %v, want %d %s", method, path, body, a.status, a.body, status, code)
	}
}
