package conformance

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"tintype/internal/openapi"
)

// specVersion is the api-version of disks, snapshots and their companions in the description.
const specVersion = "2024-03-02"

// exampled are the documents whose examples are sent: the others' are of machines and subscriptions.
var exampled = regexp.MustCompile(`/DiskRP/|/ComputeRP/.*/restorePoint\.json$`)

// refusedExamples are the requests of Azure's examples that are refused, each with the code and the reason.
var refusedExamples = map[string]struct{ code, why string }{
	"Disk_Create_ConfidentialVMSupportedDiskEncryptedWithCMK":              {"PlatformImageNotFound", "there are no images of the marketplace"},
	"Disk_Create_FromAnAzureComputeGalleryCommunityImage":                  {"GalleryImageNotFound", "there are no galleries"},
	"Disk_Create_WithSecurityProfile":                                      {"InvalidParameter", "the id is that of no image, not of a version"},
	"Disk_Create_FromAPlatformImage":                                       {"PlatformImageNotFound", "there are no images of the marketplace"},
	"Disk_Create_FromAnAzureComputeGalleryDirectSharedImage":               {"GalleryImageNotFound", "there are no galleries"},
	"Disk_Create_FromAnAzureComputeGalleryImage":                           {"GalleryImageNotFound", "there are no galleries"},
	"Disk_Create_ByImportingBlobFromTheSameSubscription":                   {"InvalidParameter", "there are no storage accounts"},
	"Disk_Create_ByImportingBlobFromADifferentSubscription":                {"InvalidParameter", "there are no storage accounts"},
	"Snapshot_Create_ByImportingAnUnmanagedBlobFromTheSameSubscription":    {"InvalidParameter", "there are no storage accounts"},
	"Snapshot_Create_ByImportingAnUnmanagedBlobFromADifferentSubscription": {"InvalidParameter", "there are no storage accounts"},
	"Disk_Create_FromImportSecure":                                         {"InvalidParameter", "there are no storage accounts"},
	"Disk_BeginGetAccess_WithVMGuestState":                                 {"InvalidParameter", "the disk that the example has before it has no guest state"},
	"Disk_Create_FromAnElasticSanVolumeSnapshot":                           {"InvalidParameter", "there are no elastic SANs"},
	"Snapshot_Create_FromAnElasticSanVolumeSnapshot":                       {"InvalidParameter", "there are no elastic SANs"},
	"Disk_Create_InExtendedLocation":                                       {"InvalidParameter", "there are no edge zones"},
	"Disk_Create_WithSSDZRSAccountType":                                    {"InvalidParameter", "as Azure: West US has no zones"},
	"Disk_Create_PerformancePlus":                                          {"InvalidParameter", "as Azure: an upload without its size"},
	"Snapshot_Create_FromAnExistingSnapshotInDifferentRegion":              {"InvalidParameter", "as Azure: CopyStart takes incremental snapshots alone"},
	"Snapshot_Create_EnhancedProvisionedBandwidthCopySpeed":                {"InvalidParameter", "as Azure: CopyStart takes incremental snapshots alone"},
	"DiskAccessPrivateEndpointConnection_Get":                              {"NotFound", "the example has no connection before it"},
	"DiskEncryptionSet_Create":                                             {"InvalidParameter", "as Azure: the key has no version"},
	"DiskEncryptionSet_Create_WithKeyVaultFromADifferentSubscription":      {"InvalidParameter", "as Azure: the key has no version"},
	"DiskEncryptionSet_Create_WithKeyVaultFromADifferentTenant":            {"InvalidParameter", "as Azure: the key has no version"},
}

// TestExamples sends every request of the description's examples, and wants it accepted, or refused for the reason that is
// known, and every answer to be as described.
func TestExamples(t *testing.T) {
	s, err := azure.Find()
	if errors.Is(err, openapi.ErrAbsent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, o := range s.Operations {
		if !exampled.MatchString(o.File) {
			continue
		}
		for name, file := range o.Examples {
			count++
			t.Run(name, func(t *testing.T) {
				r := newRig(t)
				parameters := loadExample(t, file)
				target := examplePath(t, o.Path, parameters)
				body := parameters[o.BodyName]
				r.prepare(o, target, body)
				target = r.preparePoint(target)
				query := "?api-version=" + specVersion
				if strings.Contains(o.File, "/ComputeRP/") {
					r.prepareCollection(o.Method, target, body)
					query = "?api-version=" + pointVersion
				}
				if expand, _ := parameters["expand"].(string); expand != "" {
					query += "&$expand=" + expand
				}
				a := r.do(o.Method, target+query, body)
				refused, known := refusedExamples[name]
				code, _ := object(object(a.body)["error"])["code"].(string)
				switch {
				case a.status < 300 && known:
					t.Errorf("accepted, and on the list of the refused")
				case a.status >= 300 && (!known || code != refused.code):
					t.Errorf("%s %s: %d %s", o.Method, target, a.status, show(a.body))
				}
				r.settle(a)
				if a.status/100 == 2 && o.Method != http.MethodDelete {
					r.do("GET", strings.TrimSuffix(strings.TrimSuffix(target, "/beginGetAccess"), "/endGetAccess")+query, nil)
				}
			})
		}
	}
	if count < 100 {
		t.Errorf("only %d examples", count)
	}
}

var (
	placeholderRE = regexp.MustCompile(`\{subscription-?[iI]d\}|/subscriptions/subscriptionId`)
	bareIDRE      = regexp.MustCompile(`"subscriptions/`)
	bracesRE      = regexp.MustCompile(`\{([A-Za-z-]+)\}`)
)

func loadExample(t *testing.T, file string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := placeholderRE.ReplaceAllStringFunc(string(data), func(s string) string {
		if strings.HasPrefix(s, "/") {
			return "/subscriptions/" + subscription
		}
		return subscription
	})
	text = bracesRE.ReplaceAllString(bareIDRE.ReplaceAllString(text, `"/subscriptions/`), "$1")
	var e struct{ Parameters map[string]any }
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatal(err)
	}
	return e.Parameters
}

var parameterRE = regexp.MustCompile(`\{[^}]*\}`)

func examplePath(t *testing.T, template string, parameters map[string]any) string {
	return parameterRE.ReplaceAllStringFunc(template, func(s string) string {
		if s == "{subscriptionId}" {
			return subscription
		}
		v, ok := parameters[s[1:len(s)-1]].(string)
		if !ok {
			t.Fatalf("the example has no %s", s)
		}
		return v
	})
}

var (
	computeRE = regexp.MustCompile(`/subscriptions/[0-9a-f-]+/resourceGroups/[^/"]+/providers/Microsoft\.Compute/(disks|snapshots|diskAccesses|diskEncryptionSets)/[^/"?]+`)
	keyRE     = regexp.MustCompile(`EncryptionAtRestWith(PlatformAnd)?CustomerKeys?`)
)

// prepare makes what the example takes for granted: its group, what its body names, and what it reads or changes.
func (r *rig) prepare(o openapi.Operation, target string, body any) {
	r.t.Helper()
	group := groupRE.FindStringSubmatch(target)
	if group == nil {
		return
	}
	r.make("/subscriptions/"+subscription+"/resourceGroups/"+group[1], map[string]any{"location": "westus"}, "2021-04-01")
	text := whole(body)
	for _, id := range computeRE.FindAllString(text, -1) {
		r.makeOne(id, text)
	}
	if id := computeRE.FindString(target); id != "" && (o.Method != http.MethodPut || id != target) {
		r.makeOne(id, text)
	}
	if strings.HasSuffix(target, "/endGetAccess") && !strings.Contains(target, "/diskRestorePoints/") {
		r.settle(r.do("POST", strings.Replace(target, "end", "begin", 1)+"?api-version="+specVersion, map[string]any{"access": "Read", "durationInSeconds": 60}))
	}
}

var diskPointRE = regexp.MustCompile(`^(.*/restorePointCollections/[^/]+)(/restorePoints/[^/]+)(/diskRestorePoints)(?:/([^/]+)(/.*)?)?$`)

// preparePoint makes the restore point that the example is about, and gives the target with the name that the server chose
// for what the point holds of a disk.
func (r *rig) preparePoint(target string) string {
	r.t.Helper()
	m := diskPointRE.FindStringSubmatch(target)
	if m == nil {
		return target
	}
	disk := m[1][:strings.Index(m[1], "/restorePointCollections/")] + "/disks/TestDisk"
	r.makeOne(disk, "")
	const version = "2024-07-01"
	r.make(m[1], map[string]any{"location": "westus", "properties": map[string]any{"source": map[string]any{"id": disk}}}, version)
	r.make(m[1]+m[2], map[string]any{}, version)
	if m[4] == "" {
		return target
	}
	list, _ := object(r.do("GET", m[1]+m[2]+m[3]+"?api-version="+specVersion, nil).body)["value"].([]any)
	if len(list) != 1 {
		r.t.Fatalf("the restore point holds %v", list)
	}
	one := m[1] + m[2] + m[3] + "/" + object(list[0])["name"].(string)
	if strings.HasSuffix(m[5], "/endGetAccess") {
		r.settle(r.do("POST", one+"/beginGetAccess?api-version="+specVersion, map[string]any{"access": "Read", "durationInSeconds": 60}))
	}
	return one + m[5]
}

func (r *rig) makeOne(id, text string) {
	r.t.Helper()
	body := map[string]any{"location": "West US"}
	switch computeRE.FindStringSubmatch(id)[1] {
	case "disks":
		body["sku"] = map[string]any{"name": "Premium_LRS"}
		body["properties"] = map[string]any{"creationData": map[string]any{"createOption": "Empty"}, "diskSizeGB": 127}
	case "snapshots":
		body["properties"] = map[string]any{"creationData": map[string]any{"createOption": "Empty"}, "diskSizeGB": 10}
		if strings.Contains(text, `"CopyStart"`) {
			disk := strings.Replace(id, "/snapshots/", "/disks/", 1)
			r.makeOne(disk, "")
			body["properties"] = map[string]any{"incremental": true, "creationData": map[string]any{"createOption": "Copy", "sourceResourceId": disk}}
		}
	case "diskEncryptionSets":
		kind := keyRE.FindString(text)
		if kind == "" {
			kind = "EncryptionAtRestWithCustomerKey"
		}
		body["identity"] = map[string]any{"type": "SystemAssigned"}
		body["properties"] = map[string]any{"encryptionType": kind, "activeKey": map[string]any{"keyUrl": "https://v.example/keys/k/1"}}
	}
	r.make(id, body, specVersion)
}

func (r *rig) make(id string, body any, version string) {
	r.t.Helper()
	a := r.do("PUT", id+"?api-version="+version, body)
	if a.status >= 300 {
		r.t.Fatalf("preparing %s: %d %s", id, a.status, show(a.body))
	}
	r.settle(a)
}
