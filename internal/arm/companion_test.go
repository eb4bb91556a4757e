package arm

import (
	"net/http"
	"strings"
	"testing"
)

const keyURL = "https://v.example/keys/k/"

func encryptionSet(version string) string {
	return `{"location":"westus","identity":{"type":"SystemAssigned"},"properties":{"activeKey":{"keyUrl":"` + keyURL + version + `"}}}`
}

// property follows a dotted path into a body.
func property(v any, path string) any {
	for _, key := range strings.Split(path, ".") {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// TestCompanions follows a disk access and an encryption set through their lives.
func TestCompanions(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.group("other")
	access, set := inGroup("diskAccesses/a"), inGroup("diskEncryptionSets/s")
	r.poll(r.do("PUT", version(access), `{"location":"West US"}`))
	made := r.poll(r.do("PUT", version(set), encryptionSet("1")))
	principal := property(made.body, "properties.output.identity.principalId")
	if principal == nil || property(made.body, "properties.output.properties.encryptionType") != "EncryptionAtRestWithCustomerKey" {
		t.Errorf("the set is %v", made.body)
	}
	using := `,"networkAccessPolicy":"AllowPrivate","diskAccessId":"` + access + `","encryption":{"diskEncryptionSetId":"` + set + `"}`
	d := strings.Replace(version(inGroup("disks/d")), "/g/", "/other/", 1)
	r.poll(r.do("PUT", d, disk(using, "")))
	if got := property(r.do("GET", version(set+"/associatedResources"), nil).body, "value"); len(got.([]any)) != 1 {
		t.Errorf("associated with the set: %v", got)
	}
	for _, path := range []string{access, set} {
		if a := r.do("DELETE", version(path), nil); a.status != http.StatusConflict {
			t.Errorf("deletion in use: %d %v", a.status, a.body)
		}
	}
	group := "/subscriptions/" + testSub + "/resourceGroups/g"
	if a := r.do("DELETE", group+"?api-version=2021-04-01", nil); a.status != http.StatusConflict {
		t.Errorf("deletion of a group in use: %d %v", a.status, a.body)
	}
	list := property(r.do("GET", group+"/resources?api-version=2021-04-01", nil).body, "value").([]any)
	if len(list) != 2 {
		t.Errorf("the group lists %v", list)
	}

	turned := r.poll(r.do("PATCH", version(set), `{"properties":{"activeKey":{"keyUrl":"`+keyURL+`2"}}}`))
	out := property(turned.body, "properties.output")
	if property(out, "properties.activeKey.keyUrl") != keyURL+"2" || property(out, "properties.lastKeyRotationTimestamp") == nil ||
		property(out, "identity.principalId") != principal {
		t.Errorf("after a rotation: %v", out)
	}
	if a := r.do("POST", strings.Replace(d, "?", "/beginGetAccess?", 1), `{"access":"Read","durationInSeconds":60}`); a.status != http.StatusConflict {
		t.Errorf("access to a private disk: %d %v", a.status, a.body)
	}
	r.poll(r.do("DELETE", d, nil))
	for _, path := range []string{access, set} {
		r.poll(r.do("DELETE", version(path), nil))
		if a := r.do("DELETE", version(path), nil); a.status != http.StatusNoContent {
			t.Errorf("deleted again: %d", a.status)
		}
	}
}

// TestCompanionRefusals requires of every bad request its status and code.
func TestCompanionRefusals(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.poll(r.do("PUT", version(inGroup("diskEncryptionSets/s")), encryptionSet("1")))
	r.poll(r.do("PUT", version(inGroup("diskEncryptionSets/east")), strings.Replace(encryptionSet("1"), "westus", "eastus", 1)))
	r.poll(r.do("PUT", version(inGroup("diskAccesses/a")), `{"location":"westus"}`))
	byKey := func(typ, set string) string {
		return disk(`,"encryption":{"type":"`+typ+`","diskEncryptionSetId":"`+inGroup("diskEncryptionSets/"+set)+`"}`, "")
	}
	for _, c := range []refusalCase{
		{"no location", "PUT", "diskAccesses/x", `{}`, 400, "LocationRequired", "location", ""},
		{"moved", "PUT", "diskAccesses/a", `{"location":"eastus"}`, 409, "InvalidResourceLocation", "location", ""},
		{"edge zone", "PUT", "diskAccesses/x", `{"location":"westus","extendedLocation":{"name":"e"}}`, 400, "InvalidParameter", "extendedLocation", ""},
		{"bad name", "PUT", "diskAccesses/x-", `{"location":"westus"}`, 400, "InvalidParameter", "diskAccess.name", "validation rule"},
		{"bad tag", "PATCH", "diskAccesses/a", `{"tags":{"a/b":"c"}}`, 400, "InvalidTagNameCharacters", "tags", ""},
		{"absent", "GET", "diskAccesses/none", ``, 404, "ResourceNotFound", "", "diskAccesses/none"},
		{"absent patched", "PATCH", "diskEncryptionSets/none", `{}`, 404, "ResourceNotFound", "", ""},
		{"absent connection", "GET", "diskAccesses/a/privateEndpointConnections/c", ``, 404, "NotFound", "", ""},
		{"no key", "PUT", "diskEncryptionSets/x", `{"location":"westus"}`, 400, "InvalidParameter", "properties.activeKey", "missing"},
		{"no version", "PUT", "diskEncryptionSets/x", encryptionSet(""), 400, "InvalidParameter", "properties.activeKey.keyUrl", "VERSION"},
		{"plain HTTP", "PUT", "diskEncryptionSets/x", strings.Replace(encryptionSet("1"), "https", "http", 1), 400, "InvalidParameter", "properties.activeKey.keyUrl", ""},
		{"identity", "PATCH", "diskEncryptionSets/s", `{"identity":{"type":"Mine"}}`, 400, "InvalidParameter", "identity.type", ""},
		{"no users", "PATCH", "diskEncryptionSets/s", `{"identity":{"type":"UserAssigned"}}`, 400, "InvalidParameter", "identity.userAssignedIdentities", ""},
		{"type", "PATCH", "diskEncryptionSets/s", `{"properties":{"encryptionType":"None"}}`, 400, "InvalidParameter", "encryptionType", ""},
		{"other type", "PATCH", "diskEncryptionSets/s", `{"properties":{"encryptionType":"EncryptionAtRestWithPlatformAndCustomerKeys"}}`, 400, "PropertyChangeNotAllowed", "encryptionType", ""},
		{"client", "PATCH", "diskEncryptionSets/s", `{"properties":{"federatedClientId":"me"}}`, 400, "InvalidParameter", "federatedClientId", ""},
		{"set of another type", "PUT", "disks/x", byKey("EncryptionAtRestWithPlatformAndCustomerKeys", "s"), 400, "InvalidParameter", "encryption.type", "is not that of disk encryption set"},
		{"set of another region", "PUT", "disks/x", byKey("EncryptionAtRestWithCustomerKey", "east"), 400, "InvalidParameter", "diskEncryptionSetId", "same subscription and region"},
		{"set with the platform's key", "PUT", "disks/x", byKey("EncryptionAtRestWithPlatformKey", "s"), 400, "InvalidParameter", "encryption.diskEncryptionSetId", "must not be set"},
		{"access for a set", "PUT", "disks/x", disk(`,"encryption":{"diskEncryptionSetId":"`+inGroup("diskAccesses/a")+`"}`, ""), 400, "InvalidParameter", "encryption.diskEncryptionSetId", "invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := r.do(c.method, version(inGroup(c.path)), c.body)
			message, _ := property(a.body, "error.message").(string)
			target, _ := property(a.body, "error.target").(string)
			if a.status != c.status || property(a.body, "error.code") != c.code || target != c.target || !strings.Contains(message, c.text) {
				t.Errorf("got %d %v", a.status, a.body)
			}
		})
	}
}
