package arm

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// machineBody is what az's template has of a machine that is made of an image.
func machineBody(image string) string {
	return `{"location":"westus","tags":{},"properties":{"hardwareProfile":{"vmSize":"Standard_DS1_v2"},"storageProfile":{` +
		`"osDisk":{"createOption":"fromImage","name":null,"caching":"ReadWrite","managedDisk":{"storageAccountType":null},"deleteOption":"Delete"},` +
		`"imageReference":` + image + `,` +
		`"dataDisks":[{"lun":0,"managedDisk":{"storageAccountType":null},"createOption":"empty","diskSizeGB":2}]},` +
		`"osProfile":{"computerName":"vm","adminUsername":"me","AdminPassword":"hunter2-hunter2","customData":"aHVudGVyMg=="}}}`
}

// imageOf makes a generalized image of a new disk.
func (r *computeRig) imageOf(name string) string {
	r.t.Helper()
	r.put("disks/"+name+"-disk", disk(`,"osType":"Linux"`, ""))
	body := `{"location":"westus","properties":{"storageProfile":{"osDisk":{"osType":"Linux","osState":"Generalized","managedDisk":{"id":"` +
		inGroup("disks/"+name+"-disk") + `"}}}}}`
	if a := r.do("PUT", at("images/"+name), body); a.status != http.StatusCreated {
		r.t.Fatalf("%d %v", a.status, a.body)
	}
	return inGroup("images/" + name)
}

// TestMachineOfImage makes a machine of an image as az's template does, and reads it back and writes it again; no password comes back.
func TestMachineOfImage(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	image := r.imageOf("i")
	body := machineBody(`{"id":"` + image + `"}`)
	if a := r.do("PUT", at("virtualMachines/vm"), body); a.status != http.StatusCreated {
		t.Fatalf("%d %v", a.status, a.body)
	}
	a := r.do("GET", at("virtualMachines/vm"), nil)
	text, err := json.Marshal(a.body)
	if err != nil || strings.Contains(string(text), "hunter2") || strings.Contains(string(text), "aHVudGVyMg") {
		t.Fatalf("a secret came back: %s", text)
	}
	got := a.object()
	osDisk := property(got, "properties.storageProfile.osDisk").(map[string]any)
	name, _ := osDisk["name"].(string)
	if !strings.HasPrefix(name, "vm_OsDisk_1_") || osDisk["createOption"] != "FromImage" || osDisk["osType"] != "Linux" || osDisk["deleteOption"] != "Delete" ||
		property(osDisk, "managedDisk.id") != inGroup("disks/"+name) || property(osDisk, "managedDisk.storageAccountType") != "Premium_LRS" ||
		property(got, "properties.storageProfile.imageReference.id") != image || property(got, "properties.osProfile.allowExtensionOperations") != true ||
		property(got, "properties.osProfile.linuxConfiguration.provisionVMAgent") != true {
		t.Errorf("%s", text)
	}
	d := r.do("GET", version(inGroup("disks/"+name)), nil)
	if property(d.body, "properties.creationData.createOption") != "FromImage" || property(d.body, "managedBy") != inGroup("virtualMachines/vm") {
		t.Errorf("%v", d.body)
	}
	for _, again := range []any{got, body} { // as az vm update, and as the template once more
		if a := r.do("PUT", at("virtualMachines/vm"), again); a.status != http.StatusOK {
			t.Errorf("%d %v", a.status, a.body)
		}
	}
	if list := r.do("GET", version(inGroup("disks")), nil); len(property(list.body, "value").([]any)) != 3 {
		t.Errorf("%v", list.body)
	}
	r.poll(r.do("DELETE", at("virtualMachines/vm"), nil))
	r.refuses("GET", version(inGroup("disks/"+name)), "", http.StatusNotFound, "ResourceNotFound")
}

// TestMachineOfImageRefusals wants Azure's status and code.
func TestMachineOfImageRefusals(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.group("other")
	image := r.imageOf("i")
	whole := machineBody(`{"id":"` + image + `"}`)
	with := func(old, new string) string {
		t.Helper()
		if !strings.Contains(whole, old) {
			t.Fatalf("no %s", old)
		}
		return strings.Replace(whole, old, new, 1)
	}
	for _, x := range []struct {
		body   string
		status int
		code   string
	}{
		{machineBody(`{"publisher":"Canonical","offer":"UbuntuServer","sku":"18.04-LTS","version":"latest"}`), http.StatusNotFound, "PlatformImageNotFound"},
		{machineBody(`{"id":"/subscriptions/` + testSub + `/resourceGroups/g/providers/Microsoft.Compute/galleries/x/images/y"}`), http.StatusNotFound, "GalleryImageNotFound"},
		{machineBody(`{"communityGalleryImageId":"/CommunityGalleries/x/Images/y"}`), http.StatusNotFound, "GalleryImageNotFound"},
		{machineBody(`{"id":"x"}`), http.StatusBadRequest, "InvalidParameter"},
		{machineBody(`{"id":"` + image + `none"}`), http.StatusNotFound, "NotFound"},
		{machineBody(`null`), http.StatusBadRequest, "InvalidParameter"},
		{with(`"AdminPassword":"hunter2-hunter2",`, ``), http.StatusBadRequest, "InvalidParameter"},
		{with(`"osProfile":{`, `"other":{`), http.StatusBadRequest, "InvalidParameter"},
		{with(`"osProfile":{`, `"osProfile":"x","other":{`), http.StatusBadRequest, "InvalidRequestContent"},
		{with(`"diskSizeGB":2`, `"diskSizeGB":-2`), http.StatusBadRequest, "InvalidParameter"},
		{with(`"diskSizeGB":2`, `"diskSizeGB":99999`), http.StatusBadRequest, "InvalidParameter"},
		{with(`"lun":0`, `"lun":64`), http.StatusBadRequest, "InvalidParameter"},
		{with(`"createOption":"empty"`, `"createOption":"fromImage"`), http.StatusBadRequest, "InvalidParameter"},
		{with(`"createOption":"empty"`, `"createOption":"Copy"`), http.StatusBadRequest, "InvalidParameter"},
		{with(`"managedDisk":{"storageAccountType":null},"deleteOption"`, `"managedDisk":{"id":"`+inGroup("disks/i-disk")+`"},"deleteOption"`), http.StatusBadRequest, "InvalidParameter"},
		{with(`"name":null`, `"name":"i-disk"`), http.StatusConflict, "OperationNotAllowed"},
		{with(`"managedDisk":{"storageAccountType":null},"deleteOption"`, `"managedDisk":{"diskEncryptionSet":{"id":"`+inGroup("diskEncryptionSets/none")+`"}},"deleteOption"`), http.StatusNotFound, "NotFound"},
	} {
		r.refuses("PUT", at("virtualMachines/vm"), x.body, x.status, x.code)
	}
	attached := `{"location":"westus","properties":{"osProfile":{"adminUsername":"me"},"storageProfile":{"osDisk":{"createOption":"Attach","managedDisk":{"id":"` + inGroup("disks/i-disk") + `"}}}}}`
	r.refuses("PUT", at("virtualMachines/vm"), attached, http.StatusBadRequest, "InvalidParameter")
	if list := r.do("GET", version(inGroup("disks")), nil); len(property(list.body, "value").([]any)) != 1 {
		t.Errorf("refusals left %v", list.body)
	}

	// Who may do all in g alone makes no machine elsewhere of its image, and none in g of an image elsewhere.
	r.token = "group"
	elsewhere := strings.Replace(at("virtualMachines/vm"), "/g/", "/other/", 1)
	r.refuses("PUT", elsewhere, whole, http.StatusForbidden, "AuthorizationFailed")
	r.refuses("PUT", at("virtualMachines/vm"), strings.Replace(whole, "/g/", "/other/", 1), http.StatusForbidden, "LinkedAuthorizationFailed")
	r.token = "reader"
	r.refuses("PUT", at("virtualMachines/vm"), whole, http.StatusForbidden, "AuthorizationFailed")
	r.token = "group"
	if a := r.do("PUT", at("virtualMachines/vm"), whole); a.status != http.StatusCreated {
		t.Errorf("%d %v", a.status, a.body)
	}
}

// TestWithoutSecrets wants no secret kept, wherever and however it is written.
func TestWithoutSecrets(t *testing.T) {
	for _, profile := range []string{
		`{"adminPassword":"hunter2","ADMINPASSWORD":"hunter2","keep":1}`, `[{"CustomData":"hunter2"},{"a":{"AdminPassword":"hunter2"}},"keep"]`,
		`{"windowsConfiguration":{"additionalUnattendContent":[{"content":"hunter2"}]},"keep":true}`,
		"{\"adminPa\u017fsword\":\"hunter2\",\"keep\":1}",
	} {
		kept, err := withoutSecrets(json.RawMessage(profile))
		if err != nil || strings.Contains(string(kept), "hunter2") || !strings.Contains(string(kept), "keep") {
			t.Errorf("%s: %s %v", profile, kept, err)
		}
	}
}
