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

// TestMachinePower stops a machine and starts it, as az does, and wants its state in the instance view.
func TestMachinePower(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.put("disks/d", disk("", ""))
	body := `{"location":"westus","properties":{"storageProfile":{"dataDisks":[{"lun":0,"createOption":"Attach","managedDisk":{"id":"` + inGroup("disks/d") + `"}}]}}}`
	if a := r.do("PUT", at("virtualMachines/vm"), body); a.status != http.StatusCreated {
		t.Fatalf("%d %v", a.status, a.body)
	}
	act := func(action string) string {
		return strings.Replace(at("virtualMachines/vm/"+action), "?", "?skipShutdown=false&", 1)
	}
	for _, x := range []struct{ action, code, words string }{
		{"restart", "PowerState/running", "VM running"},
		{"powerOff", "PowerState/stopped", "VM stopped"},
		{"deallocate", "PowerState/deallocated", "VM deallocated"},
		{"start", "PowerState/running", "VM running"},
	} {
		a := r.do("POST", act(x.action), nil)
		if a.status != http.StatusAccepted || a.header.Get("Azure-AsyncOperation") == "" || a.header.Get("Location") == "" || a.body != nil {
			t.Fatalf("%s: %d %v", x.action, a.status, a.body)
		}
		r.poll(a)
		if m := r.do("GET", local(a.header.Get("Location")), nil); m.status != http.StatusOK || m.body != nil {
			t.Errorf("%s: its result is %d %v", x.action, m.status, m.body)
		}
		view := r.do("GET", at("virtualMachines/vm/instanceView"), nil).object()
		last := view["statuses"].([]any)[1].(map[string]any)
		if last["code"] != x.code || last["displayStatus"] != x.words {
			t.Errorf("%s: %v", x.action, last)
		}
	}
	r.refuses("POST", strings.Replace(act("deallocate"), "?", "?hibernate=true&", 1), "", http.StatusConflict, "OperationNotAllowed")
	r.refuses("POST", strings.Replace(act("start"), "/vm/", "/none/", 1), "", http.StatusNotFound, "ResourceNotFound")
	r.token = "reader"
	r.refuses("POST", act("deallocate"), "", http.StatusForbidden, "AuthorizationFailed")
}
