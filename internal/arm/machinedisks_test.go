package arm

import (
	"net/http"
	"strings"
	"testing"
)

// TestMachineMakesNoDisksForThoseWhoMayNot: who may write one disk of the group makes no others with a machine, whether the request has them or
// the image does.
func TestMachineMakesNoDisksForThoseWhoMayNot(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	image := r.imageOf("i")
	r.put("disks/vm", disk("", ""))
	r.put("disks/more", disk("", ""))
	withData := `{"location":"westus","properties":{"storageProfile":{"osDisk":{"osType":"Linux","osState":"Generalized","managedDisk":{"id":"` +
		inGroup("disks/i-disk") + `"}},"dataDisks":[{"lun":3,"managedDisk":{"id":"` + inGroup("disks/more") + `"}}]}}}`
	if a := r.do("PUT", at("images/two"), withData); a.status != http.StatusCreated {
		t.Fatalf("%d %v", a.status, a.body)
	}
	whole := machineBody(`{"id":"` + image + `"}`)
	named := strings.Replace(whole, `"name":null`, `"name":"os"`, 1)
	two := strings.Replace(strings.Replace(machineBody(`{"id":"`+inGroup("images/two")+`"}`), `"osDisk":{"createOption":"fromImage","name":null`, `"other":{"createOption":"x"`, 1),
		`"dataDisks":[{"lun":0,"managedDisk":{"storageAccountType":null},"createOption":"empty","diskSizeGB":2}]`, `"dataDisks":[]`, 1)
	attached := `{"location":"westus","properties":{"storageProfile":{"dataDisks":[{"lun":1,"createOption":"Attach","managedDisk":{"id":"` + inGroup("disks/vm") + `"}}` + "%" + `]}}}`
	alone := strings.Replace(attached, "%", "", 1)
	empty := strings.Replace(attached, "%", `,{"lun":2,"createOption":"Empty","diskSizeGB":2}`, 1)
	noData := strings.NewReplacer(`"name":null`, `"name":"vm"`, "images/i", "images/two",
		`{"lun":0,"managedDisk":{"storageAccountType":null},"createOption":"empty","diskSizeGB":2}`, "").Replace(whole)
	r.token = "machines"
	for _, body := range []string{whole, named, two, empty, noData} {
		r.refuses("PUT", at("virtualMachines/vm"), body, http.StatusForbidden, "LinkedAuthorizationFailed")
	}
	if a := r.do("PUT", at("virtualMachines/vm"), alone); a.status != http.StatusCreated {
		t.Errorf("%d %v", a.status, a.body)
	}
	// The place of a disk that is there makes none.
	place := `{"properties":{"storageProfile":{"dataDisks":[{"lun":1,"createOption":"Attach","caching":"ReadOnly"}]}}}`
	if a := r.do("PATCH", at("virtualMachines/vm"), place); a.status != http.StatusOK {
		t.Errorf("%d %v", a.status, a.body)
	}
	r.refuses("PATCH", at("virtualMachines/vm"), empty, http.StatusForbidden, "LinkedAuthorizationFailed")
	r.token = "good"
	if list := r.do("GET", version(inGroup("disks")), nil); len(property(list.body, "value").([]any)) != 3 {
		t.Errorf("refusals left %v", list.body)
	}
}
