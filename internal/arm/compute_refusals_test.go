package arm

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// refusalCase is a request that must be refused, and how.
type refusalCase struct {
	name, method, path, body string
	status                   int
	code, target             string
	text                     string // must be in the message
}

const (
	diskPath  = "disks/new"
	snapPath  = "snapshots/new"
	emptyDisk = `{"location":"westus","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1%s}%s}`
)

func disk(props, top string) string { return fmt.Sprintf(emptyDisk, props, top) }

func creation(fields string) string {
	return `{"location":"westus","properties":{"creationData":{` + fields + `}}}`
}

func badDisks() []refusalCase {
	put := func(name, body, code, target, text string) refusalCase {
		return refusalCase{name, "PUT", diskPath, body, 400, code, target, text}
	}
	sized := func(n string) string {
		return `{"location":"westus","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":` + n + `}}`
	}
	uploaded := func(n string) string { return creation(`"createOption":"Upload","uploadSizeBytes":` + n) }
	return []refusalCase{
		put("no location", `{"properties":{}}`, "LocationRequired", "location", "The location property is required for this definition."),
		put("unknown location", `{"location":"mars"}`, "LocationNotAvailableForResourceType", "location", "The provided location 'mars' is not available for resource type 'Microsoft.Compute/disks'. List of available regions for the resource type is 'australiacentral,"),
		put("no creationData", `{"location":"westus"}`, "InvalidParameter", "creationData", "Required parameter 'creationData' is missing (null)."),
		put("no createOption", creation(``), "InvalidParameter", "creationData.createOption", "Required parameter 'creationData.createOption' is missing (null)."),
		put("unknown createOption", creation(`"createOption":"Magic"`), "InvalidParameter", "creationData.createOption", "The value of parameter creationData.createOption is invalid."),
		put("FromImage", creation(`"createOption":"FromImage"`), "InvalidParameter", "creationData.imageReference", "Required"),
		put("Attach", creation(`"createOption":"Attach"`), "InvalidParameter", "creationData.createOption", "Supported create options are Empty,Copy,Upload,Restore,Import,FromImage,UploadPreparedSecure,ImportSecure."),
		put("Import without URI", creation(`"createOption":"Import"`), "InvalidParameter", "sourceUri", "Required parameter 'sourceUri' is missing (null)."),
		put("Copy of nothing", creation(`"createOption":"Copy"`), "InvalidParameter", "creationData.sourceResourceId", "missing (null)"),
		put("Copy of no id", creation(`"createOption":"Copy","sourceResourceId":"x"`), "InvalidParameter", "creationData.sourceResourceId", "is invalid"),
		put("no size", creation(`"createOption":"Empty"`), "InvalidParameter", "diskSizeGB", "Required parameter 'diskSizeGB' is missing (null)."),
		put("size 0", sized("0"), "InvalidParameter", "diskSizeGB", "The value '0' of parameter 'diskSizeGB' is out of range. The value must be between '1' and '32767', inclusive."),
		put("size below 0", sized("-1"), "InvalidParameter", "diskSizeGB", "out of range"),
		put("size too large", sized("32768"), "InvalidParameter", "diskSizeGB", "'32768'"),
		put("size that wraps around", sized("17179869185"), "InvalidParameter", "diskSizeGB", "out of range"),
		{"size of 20 digits", "PUT", diskPath, sized("99999999999999999999"), 400, "InvalidRequestContent", "", "diskSizeGB"},
		{"size as text", "PUT", diskPath, sized(`"five"`), 400, "InvalidRequestContent", "", "diskSizeGB"},
		put("upload without size", creation(`"createOption":"Upload"`), "InvalidParameter", "creationData.uploadSizeBytes", "Required parameter 'creationData.uploadSizeBytes' is missing (null)."),
		put("upload too small", uploaded("20971520"), "InvalidParameter", "creationData.uploadSizeBytes", "'20972032' and '35183298347520'"),
		put("upload too large", uploaded("35183298348032"), "InvalidParameter", "creationData.uploadSizeBytes", "out of range"),
		put("upload of no sectors", uploaded("20972033"), "InvalidParameter", "creationData.uploadSizeBytes", "multiple of 512"),
		put("unknown sku", disk("", `,"sku":{"name":"Gold_LRS"}`), "InvalidParameter", "sku", "SKU Gold_LRS is not supported for resource type Disk in this region."),
		put("ZRS without zones", disk("", `,"sku":{"name":"Premium_ZRS"}`), "InvalidParameter", "sku", "Premium_ZRS is not supported"),
		put("zone without zones", disk("", `,"zones":["1"]`), "LocationNotSupportAvailabilityZones", "zones", "does not support availability zones at location 'westus'"),
		put("two zones", strings.Replace(disk("", `,"zones":["1","2"]`), "westus", "westus2", 1), "ResourceTypeNotSupportMultiZones", "zones", "The provided zones are '1,2'. Please provide a single availability zone."),
		put("zone 9", strings.Replace(disk("", `,"zones":["9"]`), "westus", "westus2", 1), "InvalidAvailabilityZone", "zones", "The supported zones for location 'westus2' are '1,2,3'"),
		put("edge zone", disk("", `,"extendedLocation":{"name":"e","type":"EdgeZone"}`), "InvalidParameter", "extendedLocation", "not supported"),
		put("osType", disk(`,"osType":"BeOS"`, ""), "InvalidParameter", "osType", "invalid"),
		put("hyperVGeneration", disk(`,"hyperVGeneration":"V3"`, ""), "InvalidParameter", "hyperVGeneration", "invalid"),
		put("networkAccessPolicy", disk(`,"networkAccessPolicy":"X"`, ""), "InvalidParameter", "networkAccessPolicy", "invalid"),
		put("AllowPrivate", disk(`,"networkAccessPolicy":"AllowPrivate"`, ""), "InvalidParameter", "diskAccessId", "missing (null)"),
		put("diskAccessId", disk(`,"diskAccessId":"/x"`, ""), "InvalidParameter", "diskAccessId", "invalid"),
		put("AllowAll and diskAccessId", disk(`,"diskAccessId":"`+inGroup("diskAccesses/a")+`"`, ""), "InvalidParameter", "diskAccessId", "'AllowPrivate'"),
		put("publicNetworkAccess", disk(`,"publicNetworkAccess":"X"`, ""), "InvalidParameter", "publicNetworkAccess", "invalid"),
		put("dataAccessAuthMode", disk(`,"dataAccessAuthMode":"X"`, ""), "InvalidParameter", "dataAccessAuthMode", "invalid"),
		put("encryption", disk(`,"encryption":{"type":"X"}`, ""), "InvalidParameter", "encryption.type", "invalid"),
		put("customer key", disk(`,"encryption":{"type":"EncryptionAtRestWithCustomerKey"}`, ""), "InvalidParameter", "encryption.diskEncryptionSetId", "missing (null)"),
		put("key set", disk(`,"encryption":{"diskEncryptionSetId":"/x"}`, ""), "InvalidParameter", "encryption.diskEncryptionSetId", "invalid"),
		put("keys in a vault", disk(`,"encryptionSettingsCollection":{"enabled":true}`, ""), "InvalidParameter", "encryptionSettingsCollection", "not supported"),
		put("architecture", disk(`,"supportedCapabilities":{"architecture":"m68k"}`, ""), "InvalidParameter", "supportedCapabilities.architecture", "invalid"),
		put("half a plan", disk(`,"purchasePlan":{"name":"n"}`, ""), "InvalidParameter", "purchasePlan.publisher", "missing (null)"),
		put("confidential", disk(`,"securityProfile":{"securityType":"ConfidentialVM_DiskEncryptedWithCustomerKey"}`, ""), "InvalidParameter", "securityProfile.secureVMDiskEncryptionSetId", "missing (null)"),
		put("maxShares", disk(`,"maxShares":2`, ""), "BadRequest", "maxShares", "MaxShares '2' for disk"),
		put("IOPS", disk(`,"diskIOPSReadWrite":0`, ""), "InvalidParameter", "diskIOPSReadWrite", "out of range"),
		put("tier", disk(`,"tier":"P99"`, ""), "InvalidParameter", "tier", "invalid"),
		put("sector size", creation(`"createOption":"Empty","logicalSectorSize":4096`), "InvalidParameter", "creationData.logicalSectorSize", "'4096'"),
		put("incremental disk", disk(`,"incremental":true`, ""), "InvalidParameter", "incremental", "snapshots"),
		put("tag name", disk("", `,"tags":{"a/b":"c"}`), "InvalidTagNameCharacters", "tags", "reserved characters"),
		put("tag value", disk("", `,"tags":{"a":"`+strings.Repeat("v", 257)+`"}`), "InvalidTagValueLength", "tags", "maximum length of '256'"),
		{"no JSON", "PUT", diskPath, `{`, 400, "InvalidRequestContent", "", ""},
		{"no body", "PUT", diskPath, ``, 400, "InvalidRequestContent", "", ""},
	}
}

func badRest() []refusalCase {
	long := strings.Repeat("n", 81)
	one := disk("", "")
	return []refusalCase{
		{"name of 81", "PUT", "disks/" + long, one, 400, "InvalidParameter", "disk.name", "The value of parameter disk.name is invalid."},
		{"name of 261", "PUT", "disks/" + strings.Repeat("n", 261), one, 400, "InvalidResourceName", "disk.name", "has a length of '261' which exceeds the maximum length of '260'"},
		{"name with a space", "PUT", "disks/a%20b", one, 400, "InvalidParameter", "disk.name", `The entity name 'disk.name' is invalid according to its validation rule: ^[^_\W][\w-._]{0,79}(?<![-.])$.`},
		{"name with a dash at its end", "PUT", "snapshots/a-", one, 400, "InvalidParameter", "snapshot.name", "validation rule"},
		{"snapshot sku", "PUT", snapPath, disk("", `,"sku":{"name":"StandardSSD_LRS"}`), 400, "InvalidParameter", "sku", "SKU StandardSSD_LRS is not supported for resource type Snapshot in this region. Supported SKUs for this region are Premium_LRS,Standard_LRS"},
		{"snapshot ZRS", "PUT", snapPath, disk("", `,"sku":{"name":"Standard_ZRS"}`), 400, "InvalidParameter", "sku", "Supported SKUs for this region are Premium_LRS,Standard_LRS"},
		{"snapshot upload", "PUT", snapPath, creation(`"createOption":"Upload"`), 400, "InvalidParameter", "creationData.uploadSizeBytes", "Required parameter 'creationData.uploadSizeBytes' is missing (null)."},
		{"incremental of nothing", "PUT", snapPath, disk(`,"incremental":true`, ""), 400, "InvalidParameter", "incremental", "'Copy'"},
		{"absent source", "PUT", snapPath, creation(`"createOption":"Copy","sourceResourceId":"` + inGroup("disks/none") + `"`), 404, "NotFound", "", "Resource none is not found."},
		{"source elsewhere", "PUT", snapPath, strings.Replace(creation(`"createOption":"Copy","sourceResourceId":"`+inGroup("disks/d")+`"`), "westus", "eastus", 1), 404, "NotFound", "", "Resource d is not found."},
		{"source of others", "PUT", snapPath, creation(`"createOption":"Copy","sourceResourceId":"` + strings.Replace(inGroup("disks/d"), testSub, otherSub, 1) + `"`), 403, "LinkedAuthorizationFailed", "", "Microsoft.Compute/disks/beginGetAccess/action"},
		{"copy smaller", "PUT", diskPath, `{"location":"westus","properties":{"diskSizeGB":1,"creationData":{"createOption":"Copy","sourceResourceId":"` + inGroup("disks/d") + `"}}}`, 400, "InvalidParameter", "diskSizeGB", "Disk size reduction is not supported. Current size is 5368709120 bytes, requested size is 1073741824 bytes."},
		{"shrink", "PATCH", "disks/d", `{"properties":{"diskSizeGB":4}}`, 400, "InvalidParameter", "diskSizeGB", "cannot be resized down. Reducing disk/snapshot size is not supported"},
		{"changed source", "PUT", "disks/d", creation(`"createOption":"Copy","sourceResourceId":"` + inGroup("disks/x") + `"`), 400, "PropertyChangeNotAllowed", "createOption", "Changing property 'createOption' is not allowed for existing disk 'd'."},
		{"changed source of a copy", "PUT", "snapshots/s", creation(`"createOption":"Copy","sourceResourceId":"` + inGroup("disks/x") + `"`), 400, "PropertyChangeNotAllowed", "sourceResourceId", "Changing property 'sourceResourceId' is not allowed for existing snapshot 's'."},
		{"moved", "PUT", "disks/d", strings.Replace(one, "westus", "eastus", 1), 409, "InvalidResourceLocation", "location", "The resource 'd' already exists in location 'westus' in resource group 'g'. A resource with the same name cannot be created in location 'eastus'."},
		{"absent disk access", "PUT", diskPath, disk(`,"networkAccessPolicy":"AllowPrivate","diskAccessId":"`+inGroup("diskAccesses/none")+`"`, ""), 404, "NotFound", "", "Resource none is not found."},
		{"absent encryption set", "PUT", diskPath, disk(`,"encryption":{"diskEncryptionSetId":"`+inGroup("diskEncryptionSets/none")+`"}`, ""), 404, "NotFound", "", "Resource none is not found."},
		{"absent group", "PUT", "../../../../resourceGroups/none/providers/Microsoft.Compute/disks/d", one, 404, "ResourceGroupNotFound", "", "Resource group 'none' could not be found."},
		{"absent disk", "GET", "disks/none", "", 404, "ResourceNotFound", "", "The Resource 'Microsoft.Compute/disks/none' under resource group 'g' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"},
		{"absent snapshot patched", "PATCH", "snapshots/none", `{}`, 404, "ResourceNotFound", "", "snapshots/none"},
		{"absent snapshot granted", "POST", "snapshots/none/beginGetAccess", `{"access":"Read","durationInSeconds":60}`, 404, "ResourceNotFound", "", "snapshots/none"},
		{"access", "POST", "disks/d/beginGetAccess", `{"access":"All","durationInSeconds":60}`, 400, "InvalidParameter", "grantAccessData.access", "invalid"},
		{"no access", "POST", "disks/d/beginGetAccess", `{"durationInSeconds":60}`, 400, "InvalidParameter", "grantAccessData.access", "missing (null)"},
		{"no duration", "POST", "disks/d/beginGetAccess", `{"access":"Read"}`, 400, "InvalidParameter", "grantAccessData.durationInSeconds", "missing (null)"},
		{"duration 0", "POST", "disks/d/beginGetAccess", `{"access":"Read","durationInSeconds":0}`, 400, "InvalidParameter", "grantAccessData.durationInSeconds", "'1' and '5184000'"},
		{"duration of years", "POST", "disks/d/beginGetAccess", `{"access":"Read","durationInSeconds":5184001}`, 400, "InvalidParameter", "grantAccessData.durationInSeconds", "out of range"},
		{"VHDX to write", "POST", "disks/d/beginGetAccess", `{"access":"Write","durationInSeconds":60,"fileFormat":"VHDX"}`, 400, "InvalidParameter", "grantAccessData.fileFormat", "'Read'"},
		{"format", "POST", "disks/d/beginGetAccess", `{"access":"Read","durationInSeconds":60,"fileFormat":"VMDK"}`, 400, "InvalidParameter", "grantAccessData.fileFormat", "invalid"},
		{"large sectors without format", "POST", "disks/ultra/beginGetAccess", `{"access":"Read","durationInSeconds":60}`, 400, "InvalidParameter", "fileFormat", "Set the fileFormat property to VHDX."},
		{"write to a finished disk", "POST", "disks/d/beginGetAccess", `{"access":"Write","durationInSeconds":60}`, 409, "OperationNotAllowed", "", "Only a disk created with createOption 'Upload' can be written."},
		{"host", "POST", "disks/d/attach", `{}`, 400, "InvalidParameter", "host", "missing (null)"},
		{"host name", "POST", "disks/d/attach", `{"host":"a/b"}`, 400, "InvalidParameter", "host", "invalid"},
		{"since a name", "POST", "disks/d/attach", `{"host":"h","since":["a b"]}`, 400, "InvalidParameter", "snapshot.name", "validation rule"},
		{"since an id", "POST", "disks/d/attach", `{"host":"h","since":["/x"]}`, 400, "InvalidParameter", "since", "The id '/x' is not that of a snapshot."},
		{"since a disk", "POST", "disks/d/attach", `{"host":"h","since":["` + inGroup("disks/d") + `"]}`, 400, "InvalidParameter", "since", "is not a snapshot of this subscription"},
		{"since none", "POST", "disks/d/attach", `{"host":"h","since":["none"]}`, 404, "ResourceNotFound", "", "snapshots/none"},
		{"since others", "POST", "disks/d/attach", `{"host":"h","since":["` + strings.Replace(inGroup("snapshots/s"), testSub, otherSub, 1) + `"]}`, 403, "AuthorizationFailed", "", "Microsoft.Compute/snapshots/beginGetAccess/action"},
		{"skip token", "GET", "disks?$skiptoken=%25", "", 400, "InvalidSkipToken", "", "skip token"},
		{"skip token that no list gave", "GET", "disks?$skiptoken=Z2FyYmFnZQ", "", 400, "InvalidSkipToken", "", "skip token"},
		{"skip token of half a list", "GET", "disks?$skiptoken=YQ", "", 400, "InvalidSkipToken", "", "skip token"},
		{"old version, a resource", "GET", "disks/d?api-version=2000-01-01", "", 400, "NoRegisteredProviderFound", "", "for location 'westus' and API version '2000-01-01' for type 'disks'"},
		{"old version, an action", "POST", "disks/d/beginGetAccess?api-version=2000-01-01", `{}`, 400, "NoRegisteredProviderFound", "", "for location 'westus'"},
		{"old version, no resource", "GET", "disks/none?api-version=2000-01-01", "", 404, "InvalidResourceType", "", "'disks'"},
		{"old version, a list", "GET", "disks?api-version=2000-01-01", "", 404, "InvalidResourceType", "", "'disks'"},
	}
}

func inGroup(rest string) string {
	return "/subscriptions/" + testSub + "/resourceGroups/g/providers/Microsoft.Compute/" + rest
}

func version(path string) string {
	if strings.Contains(path, "?") {
		return path + "&api-version=2026-03-02"
	}
	return path + "?api-version=2026-03-02"
}

// TestVolumeRefusals requires of every bad request its status, code, target and text, and that nothing came of it.
func TestVolumeRefusals(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.poll(r.do("PUT", version(inGroup("disks/d")), strings.Replace(disk("", ""), `"diskSizeGB":1`, `"diskSizeGB":5`, 1)))
	r.poll(r.do("PUT", version(inGroup("snapshots/s")), creation(`"createOption":"Copy","sourceResourceId":"`+inGroup("disks/d")+`"`)))
	r.poll(r.do("PUT", version(inGroup("disks/ultra")), disk("", `,"sku":{"name":"UltraSSD_LRS"}`)))
	for _, c := range append(badDisks(), badRest()...) {
		t.Run(c.name, func(t *testing.T) {
			path := version(inGroup(c.path))
			if rest, ok := strings.CutPrefix(c.path, "../../../../"); ok {
				path = version("/subscriptions/" + testSub + "/" + rest)
			}
			a := r.do(c.method, path, c.body)
			e, _ := a.object()["error"].(map[string]any)
			message, _ := e["message"].(string)
			target, _ := e["target"].(string)
			if a.status != c.status || e["code"] != c.code || target != c.target || !strings.Contains(message, c.text) {
				t.Errorf("got %d %v", a.status, a.body)
			}
		})
	}
	for list, want := range map[string]int{"disks": 2, "snapshots": 1} {
		a := r.do("GET", version(inGroup(list)), nil)
		if value, _ := a.object()["value"].([]any); len(value) != want {
			t.Errorf("refused requests left %d %s", len(value), list)
		}
	}
}

// TestVolumeVersions requires the list of versions from an unknown one, and that old ones don't show what they did not know.
func TestVolumeVersions(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.poll(r.do("PUT", version(inGroup("disks/d")), disk("", `,"sku":{"name":"Premium_LRS"}`)))
	a := r.do("GET", inGroup("disks/d")+"?api-version=2019-01-01", nil)
	e, _ := a.object()["error"].(map[string]any)
	if message, _ := e["message"].(string); a.status != 400 || e["code"] != "NoRegisteredProviderFound" || !strings.Contains(message, "2016-04-30-preview, 2017-03-30") {
		t.Errorf("unknown version: %d %v", a.status, a.body)
	}
	for at, shows := range map[string]map[string]bool{
		"2017-03-30": {"uniqueId": false, "diskSizeBytes": false, "tier": false, "networkAccessPolicy": false, "diskSizeGB": true},
		"2019-07-01": {"uniqueId": true, "diskSizeBytes": true, "tier": false, "networkAccessPolicy": false, "encryption": true},
		"2022-07-02": {"uniqueId": true, "tier": true, "networkAccessPolicy": true, "publicNetworkAccess": true},
	} {
		props, _ := r.do("GET", inGroup("disks/d")+"?api-version="+at, nil).object()["properties"].(map[string]any)
		for name, want := range shows {
			if _, have := props[name]; have != want {
				t.Errorf("%s at %s: shown %v, want %v", name, at, have, want)
			}
		}
	}
	if a := r.do("GET", inGroup("disks/d/sizes")+"?api-version=2022-07-02", nil); a.status < 400 {
		t.Errorf("our own action is served at a version of Azure's: %d", a.status)
	}
	if a := r.do("GET", version(inGroup("disks/d/sizes")), nil); a.object()["usedBytes"] != 8192.0 || a.object()["provisionedBytes"] != 1073741824.0 {
		t.Errorf("sizes: %d %v", a.status, a.body)
	}
}

// TestVolumeListPages follows nextLink over more resources than a page holds.
func TestVolumeListPages(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	const n = 510
	err := r.rows.Update(t.Context(), func(tx *catalog.Tx) error {
		var err error
		for i := range n {
			err = errors.Join(err, tx.PutVolume(tintype.Volume{
				ID:       tintype.ResourceID{Subscription: testSub, Group: "g", Kind: tintype.KindDisk, Name: fmt.Sprintf("d%d", i)},
				UniqueID: uuid.New(), Store: uuid.New(), Location: "westus2", Creation: tintype.Creation{Option: tintype.CreateEmpty},
			}))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	seen, pages := map[string]bool{}, 0
	for next := version("/subscriptions/" + testSub + "/providers/Microsoft.Compute/disks"); next != ""; pages++ {
		a := r.do("GET", local(next), nil)
		for _, v := range a.object()["value"].([]any) {
			seen[v.(map[string]any)["name"].(string)] = true
		}
		next, _ = a.object()["nextLink"].(string)
		for _, elsewhere := range []string{"/snapshots", "/diskAccesses"} {
			if next != "" {
				if a := r.do("GET", strings.Replace(local(next), "/disks", elsewhere, 1), nil); a.status != 400 {
					t.Errorf("a mark of disks in %s: %d", elsewhere, a.status)
				}
			}
		}
	}
	if len(seen) != n || pages != 2 {
		t.Errorf("%d disks on %d pages", len(seen), pages)
	}
}

// TestWhoMayPoll requires that whoever may act in one group can follow what they did, and that an operation's result
// gives nobody more than their role does.
func TestWhoMayPoll(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.group("other")
	r.token = "group"
	if p := r.poll(r.do("PUT", version(inGroup("disks/d")), disk("", ""))); p.object()["status"] != "Succeeded" {
		t.Errorf("in their group: %d %v", p.status, p.body)
	}
	grant := r.do("POST", version(inGroup("disks/d/beginGetAccess")), `{"access":"Read","durationInSeconds":60}`)
	if p := r.poll(grant); p.object()["status"] != "Succeeded" {
		t.Errorf("a grant in their group: %d %v", p.status, p.body)
	}
	r.token = "reader"
	for _, suffix := range []string{"", "&monitor=true"} {
		a := r.do("GET", local(grant.header.Get("Azure-AsyncOperation"))+suffix, nil)
		if a.status != 403 || strings.Contains(fmt.Sprint(a.body), "accessSAS") {
			t.Errorf("a reader was given %d %v", a.status, a.body)
		}
	}
	r.token = "good"
	elsewhere := r.do("PUT", version(strings.Replace(inGroup("disks/d"), "/g/", "/other/", 1)), disk("", ""))
	for token, want := range map[string]int{"good": 200, "reader": 200, "group": 403} {
		r.token = token
		if a := r.do("GET", local(elsewhere.header.Get("Azure-AsyncOperation")), nil); a.status != want {
			t.Errorf("%s was given %d, want %d", token, a.status, want)
		}
	}
	for token, want := range map[string]int{"good": 404, "group": 403} {
		r.token = token
		path := "/subscriptions/" + testSub + "/providers/Microsoft.Compute/locations/westus/DiskOperations/"
		for _, id := range []string{uuid.NewString(), "x"} {
			if a := r.do("GET", version(path+id), nil); a.status != want {
				t.Errorf("%s asked for an operation that is none and was given %d, want %d", token, a.status, want)
			}
		}
	}
}
