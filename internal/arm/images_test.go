package arm

import (
	"net/http"
	"strings"
	"testing"
)

// TestImages follows an image through its life over HTTP: what it was made of goes, and az changes its tags by a GET and a PUT.
func TestImages(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.put("disks/d", disk("", ""))
	r.put("snapshots/s", `{"location":"westus","properties":{"creationData":{"createOption":"Copy","sourceResourceId":"`+inGroup("disks/d")+`"}}}`)
	body := `{"location":"westus","properties":{"hyperVGeneration":"V2","storageProfile":{` +
		`"osDisk":{"osType":"Linux","osState":"Generalized","snapshot":{"id":"` + inGroup("snapshots/s") + `"}},` +
		`"dataDisks":[{"lun":2,"caching":"ReadOnly","managedDisk":{"id":"` + inGroup("disks/d") + `"}}]}}}`
	a := r.do("PUT", at("images/i"), body)
	if a.status != http.StatusCreated || property(a.body, "properties.provisioningState") != "Creating" || a.header.Get("Location") != "" {
		t.Fatalf("%d %v", a.status, a.body)
	}
	if p := r.do("GET", local(a.header.Get("Azure-AsyncOperation")), nil); p.object()["status"] != "Succeeded" || p.object()["properties"] != nil {
		t.Errorf("the operation: %v", p.body)
	}
	r.poll(r.do("DELETE", version(inGroup("snapshots/s")), nil))
	r.poll(r.do("DELETE", version(inGroup("disks/d")), nil))
	got := r.do("GET", at("images/i"), nil).object()
	if property(got, "properties.storageProfile.osDisk.storageAccountType") != "Standard_LRS" || property(got, "properties.hyperVGeneration") != "V2" {
		t.Fatalf("%v", got)
	}
	r.put("disks/of", `{"location":"westus","properties":{"creationData":{"createOption":"FromImage","imageReference":{"id":"`+inGroup("images/i")+`","lun":2}}}}`)
	of := r.do("GET", version(inGroup("disks/of")), nil)
	if property(of.body, "properties.creationData.imageReference.id") != inGroup("images/i") || property(of.body, "properties.creationData.imageReference.lun") != 2.0 ||
		property(of.body, "properties.creationData.sourceResourceId") != nil {
		t.Errorf("%v", of.body)
	}
	got["tags"] = map[string]any{"a": "b"}
	if a := r.do("PUT", at("images/i"), got); a.status != http.StatusOK || property(a.body, "tags.a") != "b" {
		t.Fatalf("%d %v", a.status, a.body)
	}
	r.refuses("PATCH", at("images/i"), `{"properties":{"hyperVGeneration":"V1"}}`, http.StatusBadRequest, "PropertyChangeNotAllowed")
	if a := r.do("PATCH", at("images/i"), `{"tags":{"c":"d"}}`); a.status != http.StatusOK || property(a.body, "tags.c") != "d" {
		t.Errorf("%d %v", a.status, a.body)
	}
	if list := r.do("GET", at("images"), nil); len(property(list.body, "value").([]any)) != 1 {
		t.Errorf("%v", list.body)
	}
	old := r.do("GET", strings.Replace(at("images/i"), "2024-07-01", "2018-06-01", 1), nil)
	if property(old.body, "properties.hyperVGeneration") != nil {
		t.Errorf("at an old api-version: %v", old.body)
	}
	r.poll(r.do("DELETE", at("images/i"), nil))
	r.refuses("GET", at("images/i"), "", http.StatusNotFound, "ResourceNotFound")
	if a := r.do("DELETE", at("images/i"), nil); a.status != http.StatusNoContent {
		t.Errorf("deleted again: %d", a.status)
	}
}

// TestImagePermissions has a caller make images of what they may not read.
func TestImagePermissions(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.group("other")
	other := strings.Replace(inGroup("disks/d"), "/g/", "/other/", 1)
	machine := strings.Replace(inGroup("virtualMachines/vm"), "/g/", "/other/", 1)
	r.poll(r.do("PUT", version(other), disk("", "")))
	vm := `{"location":"westus","properties":{"storageProfile":{"osDisk":{"createOption":"Attach","managedDisk":{"id":"` + other + `"}}}}}`
	if a := r.do("PUT", machine+"?api-version=2024-07-01", vm); a.status != http.StatusCreated {
		t.Fatalf("%d %v", a.status, a.body)
	}
	ofDisk := `{"location":"westus","properties":{"storageProfile":{"osDisk":{"osType":"Linux","osState":"Generalized","managedDisk":{"id":"` + other + `"}}}}}`
	ofMachine := `{"location":"westus","properties":{"sourceVirtualMachine":{"id":"` + machine + `"}}}`
	r.refuses("PUT", at("images/i"), ofMachine, http.StatusConflict, "OperationNotAllowed")
	if a := r.do("POST", machine+"/generalize?api-version=2024-07-01", nil); a.status != http.StatusOK {
		t.Fatalf("%d %v", a.status, a.body)
	}
	r.token = "group"
	r.refuses("PUT", at("images/i"), ofDisk, http.StatusForbidden, "LinkedAuthorizationFailed")
	r.refuses("PUT", at("images/i"), ofMachine, http.StatusForbidden, "LinkedAuthorizationFailed")
	r.token = "good"
	elsewhere := strings.Replace(inGroup("images/i"), "/g/", "/other/", 1)
	if a := r.do("PUT", elsewhere+"?api-version=2024-07-01", ofDisk); a.status != http.StatusCreated {
		t.Fatalf("%d %v", a.status, a.body)
	}
	r.token = "group"
	r.refuses("PUT", version(inGroup("disks/of")), `{"location":"westus","properties":{"creationData":{"createOption":"FromImage","imageReference":{"id":"`+elsewhere+`"}}}}`,
		http.StatusForbidden, "LinkedAuthorizationFailed")
	r.token = "good"
	if a := r.do("PUT", at("images/i"), ofMachine); a.status != http.StatusCreated {
		t.Errorf("%d %v", a.status, a.body)
	}
}

// TestMarketplace looks for an image where there is none.
func TestMarketplace(t *testing.T) {
	r := newComputeRig(t)
	path := "/subscriptions/" + testSub + "/providers/Microsoft.Compute/locations/westus/publishers"
	if a := r.do("GET", path+"?api-version=2022-11-01", nil); a.status != http.StatusOK {
		t.Errorf("%d %v", a.status, a.body)
	}
	r.refuses("GET", path+"/p/artifacttypes/vmimage/offers/o/skus/s/versions/v?api-version=2022-11-01", "", http.StatusNotFound, "NotFound")
}
