package arm

import (
	"net/http"
	"strings"
	"testing"
)

// TestMachines reads back what a machine's record was made of, without secrets, and adds a disk as az does: by a GET and a PUT.
func TestMachines(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.put("disks/os", disk(`,"osType":"Linux"`, ""))
	r.put("disks/d", disk("", ""))
	disks := `"osDisk":{"createOption":"Attach","managedDisk":{"id":"` + inGroup("disks/os") + `"},"osType":"Linux"},"dataDisks":[]`
	body := `{"location":"westus","properties":{"hardwareProfile":{"vmSize":"Standard_B1s"},"storageProfile":{` + disks + `},` +
		`"networkProfile":{"networkInterfaces":[]}}}`
	a := r.do("PUT", at("virtualMachines/vm"), body)
	if a.status != http.StatusCreated || a.header.Get("Azure-AsyncOperation") == "" || a.header.Get("Location") != "" {
		t.Fatalf("%d %v", a.status, a.body)
	}
	got := r.do("GET", at("virtualMachines/vm")+"&$expand=instanceView", nil).object()
	if property(got, "properties.storageProfile.osDisk.osType") != "Linux" || property(got, "properties.instanceView.statuses") == nil {
		t.Fatalf("%v", got)
	}
	storage := property(got, "properties.storageProfile").(map[string]any)
	storage["dataDisks"] = []any{map[string]any{"lun": 3, "createOption": "Attach", "managedDisk": map[string]any{"id": inGroup("disks/d")}}}
	if a := r.do("PUT", at("virtualMachines/vm"), got); a.status != http.StatusOK {
		t.Fatalf("%d %v", a.status, a.body)
	}
	if d := r.do("GET", version(inGroup("disks/d")), nil); property(d.body, "managedBy") != inGroup("virtualMachines/vm") ||
		property(d.body, "properties.diskState") != "Reserved" {
		t.Errorf("%v", d.body)
	}
	if list := r.do("GET", at("virtualMachines"), nil); len(property(list.body, "value").([]any)) != 1 {
		t.Errorf("%v", list.body)
	}
	r.token = "group"
	other := strings.ReplaceAll(body, "resourceGroups/g/", "resourceGroups/other/")
	r.refuses("PUT", at("virtualMachines/x"), other, http.StatusForbidden, "LinkedAuthorizationFailed")
	r.token = "good"
	r.poll(r.do("DELETE", at("virtualMachines/vm"), nil))
	r.refuses("GET", at("virtualMachines/vm"), "", http.StatusNotFound, "ResourceNotFound")
}
