package conformance

import (
	"net/http"
	"strings"
	"testing"
)

// TestRoundTrips sends every resource back as it was read, at every api-version of its type, as clients do that change one thing: it is
// accepted, and changes nothing.
func TestRoundTrips(t *testing.T) {
	r := newRig(t)
	const group = "/subscriptions/" + subscription + "/resourceGroups/g"
	const compute = group + "/providers/Microsoft.Compute"
	r.make(group, map[string]any{"location": "westus2", "tags": map[string]any{"a": "b"}}, "2021-04-01")
	made := func(id, version string, properties map[string]any, more ...map[string]any) {
		body := map[string]any{"location": "westus2", "tags": map[string]any{"a": "b"}, "properties": properties}
		for _, m := range more {
			for k, v := range m {
				body[k] = v
			}
		}
		r.make(compute+"/"+id, body, version)
	}
	from := func(option, source string) map[string]any {
		return map[string]any{"createOption": option, "sourceResourceId": compute + "/" + source}
	}
	empty := map[string]any{"createOption": "Empty"}
	sku := func(name string) map[string]any {
		return map[string]any{"sku": map[string]any{"name": name}, "zones": []string{"1"}}
	}
	made("diskAccesses/a", specVersion, nil)
	r.makeOne(compute+"/diskEncryptionSets/k", "")
	made("disks/plain", specVersion, map[string]any{"creationData": empty, "diskSizeGB": 4})
	made("disks/full", specVersion, map[string]any{
		"creationData": empty, "diskSizeGB": 16, "osType": "Linux", "hyperVGeneration": "V2", "networkAccessPolicy": "AllowPrivate",
		"diskAccessId": compute + "/diskAccesses/a", "publicNetworkAccess": "Disabled", "dataAccessAuthMode": "AzureActiveDirectory",
		"supportsHibernation": true, "tier": "P10", "optimizedForFrequentAttach": true, "burstingEnabled": false,
		"purchasePlan":          map[string]any{"name": "n", "publisher": "p", "product": "q"},
		"supportedCapabilities": map[string]any{"architecture": "x64", "acceleratedNetwork": true, "diskControllerTypes": "SCSI, NVMe"},
		"securityProfile":       map[string]any{"securityType": "TrustedLaunch"},
	}, sku("Premium_LRS"))
	made("disks/ultra", specVersion, map[string]any{"creationData": empty, "diskSizeGB": 8, "diskIOPSReadWrite": 800}, sku("UltraSSD_LRS"))
	made("disks/upload", specVersion, map[string]any{"creationData": map[string]any{"createOption": "Upload", "uploadSizeBytes": 20972544}})
	made("snapshots/s", specVersion, map[string]any{"creationData": from("Copy", "disks/full"), "incremental": true})
	made("snapshots/u", specVersion, map[string]any{"creationData": from("Copy", "disks/ultra"), "incremental": true})
	made("disks/copy", specVersion, map[string]any{"creationData": from("Copy", "snapshots/s")})
	disk := func(name string) map[string]any {
		return map[string]any{"createOption": "Attach", "lun": 0, "managedDisk": map[string]any{"id": compute + "/disks/" + name}}
	}
	made("virtualMachines/vm", pointVersion, map[string]any{
		"hardwareProfile": map[string]any{"vmSize": "Standard_D2s_v3"},
		"storageProfile":  map[string]any{"osDisk": disk("copy"), "dataDisks": []any{disk("plain")}},
	})
	made("restorePointCollections/c", pointVersion, map[string]any{"source": map[string]any{"id": compute + "/virtualMachines/vm"}})
	made("images/i", pointVersion, map[string]any{"hyperVGeneration": "V2", "storageProfile": map[string]any{
		"osDisk": map[string]any{"osType": "Linux", "osState": "Generalized", "snapshot": map[string]any{"id": compute + "/snapshots/s"}},
	}})
	versions := map[string][]any{}
	provider := r.do("GET", "/subscriptions/"+subscription+"/providers/Microsoft.Compute?api-version=2021-04-01", nil)
	types, _ := object(provider.body)["resourceTypes"].([]any)
	for _, x := range types {
		versions[object(x)["resourceType"].(string)], _ = object(x)["apiVersions"].([]any)
	}
	count := 0
	for _, id := range []string{
		"diskAccesses/a", "diskEncryptionSets/k", "disks/plain", "disks/full", "disks/ultra", "disks/upload", "disks/copy", "snapshots/s", "snapshots/u",
		"virtualMachines/vm", "restorePointCollections/c", "images/i",
	} {
		kind, _, _ := strings.Cut(id, "/")
		newest := compute + "/" + id + "?api-version=" + versions[kind][0].(string)
		first := object(r.do("GET", newest, nil).body)
		for _, v := range versions[kind] {
			at := compute + "/" + id + "?api-version=" + v.(string)
			before := r.do("GET", at, nil)
			if before.status != http.StatusOK {
				t.Fatalf("%s: %d %s", at, before.status, show(before.body))
			}
			put := r.do("PUT", at, before.body)
			if put.status >= 300 {
				t.Errorf("%s sent back: %d %s", at, put.status, show(put.body))
				continue
			}
			r.settle(put)
			after := r.do("GET", at, nil)
			delete(object(before.body), "etag")
			delete(object(after.body), "etag")
			if a, b := whole(before.body), whole(after.body); a != b {
				t.Errorf("%s sent back is another:\n%s\n%s", at, a, b)
			}
			count++
		}
		last := object(r.do("GET", newest, nil).body) // what an old api-version does not know, it left alone
		delete(first, "etag")
		delete(last, "etag")
		if a, b := whole(first), whole(last); a != b {
			t.Errorf("%s was changed by older api-versions:\n%s\n%s", newest, a, b)
		}
	}
	if count < 200 {
		t.Errorf("only %d round trips", count)
	}
}
