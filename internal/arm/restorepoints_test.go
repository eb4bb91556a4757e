package arm

import (
	"net/http"
	"strings"
	"testing"
)

func at(path string) string { return inGroup(path) + "?api-version=2024-07-01" }

// TestRestorePoints follows a restore point of a group's disks through its life over HTTP.
func TestRestorePoints(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.put("disks/d", disk("", ""))
	r.put("disks/e", disk("", ""))
	group := "/subscriptions/" + testSub + "/resourceGroups/g"
	made := r.do("PUT", at("restorePointCollections/c"), `{"location":"westus","tags":{"a":"b"},"properties":{"source":{"id":"`+group+`"}}}`)
	if made.status != http.StatusCreated || property(made.body, "properties.source.location") != "westus" {
		t.Fatalf("%d %v", made.status, made.body)
	}
	const point = "restorePointCollections/c/restorePoints/p"
	a := r.do("PUT", at(point), `{"properties":{"excludeDisks":[{"id":"`+inGroup("disks/e")+`"}]}}`)
	if a.status != http.StatusCreated || property(a.body, "properties.provisioningState") != "Creating" || a.header.Get("Location") != "" {
		t.Fatalf("%d %v", a.status, a.body)
	}
	if p := r.do("GET", local(a.header.Get("Azure-AsyncOperation")), nil); p.object()["status"] != "Succeeded" {
		t.Errorf("the operation: %v", p.body)
	}
	got := r.do("GET", at(point)+"&$expand=instanceView", nil)
	disks, _ := property(got.body, "properties.sourceMetadata.storageProfile.dataDisks").([]any)
	if len(disks) != 1 || property(got.body, "properties.consistencyMode") != "CrashConsistent" || property(got.body, "properties.instanceView.statuses") == nil {
		t.Fatalf("%v", got.body)
	}
	id, _ := property(disks[0], "diskRestorePoint.id").(string)
	one := r.do("GET", version(id), nil)
	if property(one.body, "properties.sourceResourceId") != inGroup("disks/d") || property(one.body, "name") != id[strings.LastIndex(id, "/")+1:] {
		t.Errorf("%s: %v", id, one.body)
	}
	list := r.do("GET", version(id[:strings.LastIndex(id, "/")]), nil)
	if all, _ := property(list.body, "value").([]any); len(all) != 1 {
		t.Errorf("disks of the point: %v", list.body)
	}
	granted := r.poll(r.do("POST", version(id+"/beginGetAccess"), `{"access":"Read","durationInSeconds":60}`))
	if property(granted.body, "properties.output.accessSAS") == nil {
		t.Errorf("grant: %v", granted.body)
	}
	r.refuses("DELETE", at(point), "", http.StatusConflict, "OperationNotAllowed")
	r.poll(r.do("POST", version(id+"/endGetAccess"), nil))
	r.put("disks/back", `{"location":"westus","properties":{"creationData":{"createOption":"Restore","sourceResourceId":"`+id+`"}}}`)
	all := r.do("GET", at("restorePointCollections/c")+"&$expand=restorePoints", nil)
	if points, _ := property(all.body, "properties.restorePoints").([]any); len(points) != 1 {
		t.Errorf("points of the collection: %v", all.body)
	}
	r.poll(r.do("DELETE", at("restorePointCollections/c"), nil))
	r.refuses("GET", at(point), "", http.StatusNotFound, "ResourceNotFound")
	if a := r.do("DELETE", at("restorePointCollections/c"), nil); a.status != http.StatusNoContent {
		t.Errorf("deleted again: %d", a.status)
	}
}

// TestRestorePointPermissions has callers make restore points of what they may not read.
func TestRestorePointPermissions(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.group("other")
	other := strings.Replace(inGroup("disks/d"), "/g/", "/other/", 1)
	r.poll(r.do("PUT", version(other), disk("", "")))
	body := `{"location":"westus","properties":{"source":{"id":"` + other + `"}}}`
	r.token = "group"
	r.refuses("PUT", at("restorePointCollections/c"), body, http.StatusForbidden, "LinkedAuthorizationFailed")
	r.token = "good"
	if a := r.do("PUT", at("restorePointCollections/c"), body); a.status != http.StatusCreated {
		t.Fatalf("%d %v", a.status, a.body)
	}
	r.token = "group"
	r.refuses("PUT", at("restorePointCollections/c/restorePoints/p"), `{}`, http.StatusForbidden, "LinkedAuthorizationFailed")
	r.token = "reader"
	r.refuses("PUT", at("restorePointCollections/c/restorePoints/p"), `{}`, http.StatusForbidden, "AuthorizationFailed")
}
