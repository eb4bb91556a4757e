package arm

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recordings are exchanges of the real service with az. They are not part of the repository.
const recordings = "../../../shared/recorded/azure-cli"

// exchange is one recorded request and its answer.
type exchange struct {
	Method          string
	URI             string
	RequestBody     any
	Status          int
	ResponseHeaders map[string]string
	ResponseBody    any
}

// notServed names what recordings ask that this product does not have; an exchange that mentions it is left out, and so
// is every one about a resource that was made that way.
var notServed = []string{
	`"CopyStart"`, `diskEncryptionSetId`, `"FromImage"`, `"Restore"`, `"Import"`, `"UploadPreparedSecure"`, `"ImportSecure"`,
	`"logicalSectorSize": ?4096`, `diskAccessId`, `"UltraSSD_LRS"`, `"maxShares": ?[2-9]`,
	`"fileFormat":"VHDX"`,
}

// outdated names recordings of what the real service no longer does, with the reason.
var outdated = map[string]string{
	"test_vm_large_disk.json": "made in April 2019, when an upload took diskSizeGB in place of uploadSizeBytes and a 404 had no link",
}

var (
	guidRE   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	timeRE   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?\+00:00$`)
	sasRE    = regexp.MustCompile(`^https://.*/abcd\?sv=2018-03-28&sr=b&si=.*&sig=.*$`)
	volumeRE = regexp.MustCompile(`(?i)/resourceGroups/[^/]+/providers/Microsoft\.Compute/(disks|snapshots)/[^/?]+`)
	opRE     = regexp.MustCompile(`/DiskOperations/(` + guidRE.String() + `)`)
)

// TestRecordedTraffic sends what az sent to Azure and compares the answers.
func TestRecordedTraffic(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings, "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("there are no recordings in " + recordings)
	}
	compared := 0
	for _, file := range files {
		t.Run(strings.TrimPrefix(file, recordings+"/"), func(t *testing.T) {
			if why := outdated[filepath.Base(file)]; why != "" {
				t.Skip(why)
			}
			compared += replay(t, load(t, file))
		})
	}
	t.Logf("%d exchanges compared", compared)
	if compared < 200 {
		t.Errorf("only %d exchanges were compared", compared)
	}
}

func load(t *testing.T, file string) []exchange {
	t.Helper()
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip(file + " is absent")
	}
	if err != nil {
		t.Fatal(err)
	}
	// Regions of Azure's own tests, which are on no public list.
	text := strings.NewReplacer("eastus2euap", "eastus2", "centraluseuap", "centralus",
		"00000000-0000-0000-0000-000000000000", testSub).Replace(string(data))
	var all []exchange
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// player replays one recording.
type player struct {
	*computeRig
	groups  map[string]bool
	skipped map[string]bool   // volumes that can't be had here
	pending map[string]string // recorded operation → our poll URL
}

func replay(t *testing.T, all []exchange) (compared int) {
	p := &player{computeRig: newComputeRig(t), groups: map[string]bool{}, skipped: map[string]bool{}, pending: map[string]string{}}
	for i, e := range all {
		got, ok := p.send(e)
		if !ok {
			continue
		}
		compared++
		if got.status != e.Status {
			t.Errorf("%d: %s %s: status %d, recorded %d: %v", i, e.Method, e.URI, got.status, e.Status, got.body)
			continue
		}
		for _, h := range []string{"azure-asyncoperation", "location", "x-ms-failure-cause"} {
			if (e.ResponseHeaders[h] != "") != (got.header.Get(h) != "") {
				t.Errorf("%d: %s %s: header %s is %q, recorded %q", i, e.Method, e.URI, h, got.header.Get(h), e.ResponseHeaders[h])
			}
		}
		if diff := cmp.Diff(comparable(e.ResponseBody, echoed(e)), comparable(got.body, echoed(e))); diff != "" {
			t.Errorf("%d: %s %s (-recorded +ours):\n%s", i, e.Method, e.URI, diff)
		}
	}
	return compared
}

// send sends a recorded request, when it is one that this product serves.
func (p *player) send(e exchange) (answer, bool) {
	path := e.URI[strings.Index(e.URI, ".com")+len(".com"):]
	if m := opRE.FindStringSubmatch(path); m != nil {
		return p.sendPoll(e, m[1], path)
	}
	volume := strings.ToLower(volumeRE.FindString(path))
	if volume == "" || !strings.Contains(path, "/subscriptions/") {
		return answer{}, false
	}
	if p.cannot(e, volume) {
		p.skipped[volume] = true
		return answer{}, false
	}
	if group := strings.Split(volume, "/")[2]; !p.groups[group] {
		p.groups[group] = true
		p.group(group)
	}
	a := p.do(e.Method, path, e.RequestBody)
	if m := opRE.FindStringSubmatch(e.ResponseHeaders["azure-asyncoperation"]); m != nil && a.status == 202 {
		p.pending[m[1]] = local(a.header.Get("Azure-AsyncOperation"))
		if !strings.Contains(path, "GetAccess") {
			p.poll(a)
		}
	}
	return a, true
}

func (p *player) sendPoll(e exchange, op, path string) (answer, bool) {
	ours, ok := p.pending[op]
	body, _ := e.ResponseBody.(map[string]any)
	if !ok || body["status"] == "InProgress" {
		return answer{}, false
	}
	a := p.do("GET", ours, nil)
	for a.object()["status"] == "InProgress" {
		a = p.do("GET", ours, nil)
	}
	if strings.Contains(path, "monitor=true") {
		a = p.do("GET", ours+"&monitor=true", nil)
	}
	return a, true
}

// cannot tells that the exchange needs what isn't served here.
func (p *player) cannot(e exchange, volume string) bool {
	text, err := json.Marshal(e)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, s := range notServed {
		if regexp.MustCompile(s).Match(text) {
			return true
		}
	}
	for v := range p.skipped {
		if v == volume || strings.Contains(strings.ToLower(string(text)), v+`"`) {
			return true
		}
	}
	body, _ := e.ResponseBody.(map[string]any)
	props, _ := body["properties"].(map[string]any)
	// Made by a virtual machine, or attached to one.
	return body["managedBy"] != nil || props["diskState"] == "Reserved" || props["diskState"] == "Attached"
}

// echoed lists the top-level and property names that the real service puts into its answer to a write at some times and
// not at others, between recordings of the same request.
func echoed(e exchange) map[string]bool {
	if e.Method != "PUT" {
		return map[string]bool{"properties.LastOwnershipUpdateTime": true}
	}
	return map[string]bool{
		"name": true, "type": true, "id": true, "zones": true, "properties.isArmResource": true, "properties.faultDomain": true,
		"properties.publicNetworkAccess": true, "properties.creationData.sourceUniqueId": true,
	}
}

// comparable makes a body equal to another that differs only in what must differ: ids, times and signatures.
func comparable(v any, ignore map[string]bool) any { return comparableAt("", v, ignore) }

func comparableAt(at string, v any, ignore map[string]bool) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, field := range v {
			if path := strings.TrimPrefix(at+"."+k, "."); !ignore[path] {
				out[k] = comparableAt(path, field, ignore)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = comparableAt(at, v[i], ignore)
		}
		return out
	case string:
		switch {
		case timeRE.MatchString(v):
			return "TIME"
		case sasRE.MatchString(v):
			return "SAS"
		}
		return guidRE.ReplaceAllString(v, "GUID")
	}
	return v
}
