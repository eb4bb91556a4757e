package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// request is one that must be refused.
type request struct {
	name   string
	method string
	path   string
	body   any
	status int
	code   string
	says   string // a word that the message must hold: the parameter's name
}

// changed is a disk's body with one property of another value; a dot goes one level down.
func changed(body map[string]any, property string, value any) map[string]any {
	out := map[string]any{}
	for k, v := range body {
		out[k] = v
	}
	first, rest, deeper := strings.Cut(property, ".")
	if !deeper {
		out[first] = value
		return out
	}
	inner, _ := out[first].(map[string]any)
	out[first] = changed(inner, rest, value)
	return out
}

// TestBadParameters sends wrong parameters and requires Azure's codes, and that nothing is left behind.
func TestBadParameters(t *testing.T) {
	a := newAPI(t, start(t, t.TempDir()))
	a.makeGroup("g")
	disk := a.id("g", "disks", "kept")
	a.must("PUT", versioned(disk), emptyDisk(4))
	a.must("PUT", versioned(a.id("g", "disks", "inwestus")), changed(emptyDisk(1), "location", "westus"))
	fresh := versioned(a.id("g", "disks", "new"))
	shot := versioned(a.id("g", "snapshots", "new"))
	size := func(v any) map[string]any { return changed(emptyDisk(1), "properties.diskSizeGB", v) }
	westus := copyOf(a.id("g", "disks", "inwestus"))
	westus["location"], westus["sku"] = "westus", map[string]any{"name": "Standard_ZRS"}
	for _, r := range []request{
		{"unknown group", "PUT", versioned(a.id("nosuch", "disks", "new")), emptyDisk(1), 404, "ResourceGroupNotFound", "nosuch"},
		{"unknown disk", "GET", versioned(a.id("g", "disks", "new")), nil, 404, "ResourceNotFound", "Microsoft.Compute/disks/new"},
		{"unknown snapshot", "GET", shot, nil, 404, "ResourceNotFound", "Microsoft.Compute/snapshots/new"},
		{"bad name", "PUT", versioned(a.id("g", "disks", "a%20b")), emptyDisk(1), 400, "", ""},
		{"long name", "PUT", versioned(a.id("g", "disks", strings.Repeat("x", 81))), emptyDisk(1), 400, "", ""},
		{"unknown sku", "PUT", fresh, changed(emptyDisk(1), "sku", map[string]any{"name": "Golden_LRS"}), 400, "InvalidParameter", "Golden_LRS"},
		{"snapshot's sku", "PUT", shot, changed(copyOf(disk), "sku", map[string]any{"name": "StandardSSD_LRS"}), 400, "InvalidParameter", "StandardSSD_LRS"},
		{"zones", "PUT", shot, westus, 400, "", "Standard_ZRS"},
		{"no api-version", "GET", disk, nil, 400, "MissingApiVersionParameter", "api-version"},
		{"unknown api-version", "GET", disk + "?api-version=1999-01-01", nil, 400, "NoRegisteredProviderFound", "1999-01-01"},
		{"unknown region", "PUT", fresh, changed(emptyDisk(1), "location", "atlantis"), 400, "", "atlantis"},
		{"no region", "PUT", fresh, changed(emptyDisk(1), "location", ""), 400, "LocationRequired", ""},
		{"size 0", "PUT", fresh, size(0), 400, "", "diskSizeGB"},
		{"size below 0", "PUT", fresh, size(-1), 400, "", "diskSizeGB"},
		{"size too large", "PUT", fresh, size(1 << 20), 400, "", "diskSizeGB"},
		{"size beyond int32", "PUT", fresh, size(int64(1) << 40), 400, "", "diskSizeGB"},
		{"no size", "PUT", fresh, size(nil), 400, "", "diskSizeGB"},
		{"shrinking", "PUT", versioned(disk), emptyDisk(2), 0, "", "diskSizeGB"},
		{"no source", "PUT", shot, copyOf(a.id("g", "disks", "nosuch")), 404, "", "nosuch"},
		{"source of nothing", "PUT", shot, copyOf("/not/an/id"), 400, "", ""},
		{"unknown create option", "PUT", fresh, changed(emptyDisk(1), "properties.creationData.createOption", "Magic"), 400, "InvalidParameter", "createOption"},
		{"broken JSON", "PUT", fresh, "{\"location\":", 400, "InvalidRequestContent", ""},
		{"wrong types", "PUT", fresh, `{"location":7,"properties":[]}`, 400, "", ""},
		{"grant for 0 s", "POST", versioned(disk + "/beginGetAccess"), map[string]any{"access": "Read", "durationInSeconds": 0}, 400, "", "durationInSeconds"},
		{"grant of unknown access", "POST", versioned(disk + "/beginGetAccess"), map[string]any{"access": "All", "durationInSeconds": 60}, 400, "", "access"},
		{"unknown type", "GET", versioned(a.id("g", "dreams", "d")), nil, 0, "", "dreams"},
		{"huge body", "PUT", fresh, `{"x":"` + strings.Repeat("x", 32<<20) + `"}`, 0, "", ""},
	} {
		t.Run(r.name, func(t *testing.T) { refused(t, a, r) })
	}
	names := a.list("g", "disks")
	slices.Sort(names)
	if !slices.Equal(names, []string{"inwestus", "kept"}) || len(a.list("g", "snapshots")) != 0 {
		t.Errorf("left behind: disks %v, snapshots %v", names, a.list("g", "snapshots"))
	}
}

// refused requires an answer of 4xx in Azure's form. A status of 0 in the row accepts any of 4xx.
func refused(t *testing.T, a *api, r request) {
	t.Helper()
	answer, err := a.try(r.method, r.path, r.body)
	if err != nil {
		t.Fatal(err)
	}
	body := string(answer.body)
	if answer.status == http.StatusAccepted {
		t.Fatalf("accepted: %s", body)
	}
	if r.status != 0 && answer.status != r.status || answer.status < 400 || answer.status > 499 {
		t.Errorf("%d, want %d: %s", answer.status, r.status, body)
	}
	if answer.code() == "" || r.code != "" && answer.code() != r.code {
		t.Errorf("code %q, want %q: %s", answer.code(), r.code, body)
	}
	if !strings.Contains(body, r.says) {
		t.Errorf("does not say %q: %s", r.says, body)
	}
}

// get reads a URL without a token.
func (a *api) get(address string) (int, []byte) {
	a.t.Helper()
	r := a.with("").send(http.MethodGet, address, nil)
	return r.status, r.body
}

// TestBadSAS offers signed URLs that were changed, have expired, or were taken back.
func TestBadSAS(t *testing.T) {
	a := newAPI(t, start(t, t.TempDir()))
	a.makeGroup("g")
	disk, other := a.id("g", "disks", "d"), a.id("g", "disks", "other")
	a.must("PUT", versioned(disk), emptyDisk(1))
	a.must("PUT", versioned(other), emptyDisk(1))
	short := a.grant(disk, "Read", 1)
	time.Sleep(1500 * time.Millisecond)
	if status, body := a.get(short); status != http.StatusForbidden {
		t.Errorf("expired: %d %s", status, body[:min(200, len(body))])
	}
	sas, foreign := a.grant(disk, "Read", 600), a.grant(other, "Read", 600)
	path, query, _ := strings.Cut(sas, "?")
	otherPath, _, _ := strings.Cut(foreign, "?")
	for name, address := range map[string]string{
		"no signature":      path,
		"changed signature": strings.Replace(sas, "sig=", "sig=A", 1),
		"changed id":        strings.Replace(sas, "si=", "si=0", 1),
		"another disk's":    otherPath + "?" + query,
		"another blob":      strings.Replace(sas, "/abcd?", "/abce?", 1),
	} {
		if status, body := a.get(address); status != 403 && status != 404 && status != 401 {
			t.Errorf("%s: %d %s", name, status, body[:min(200, len(body))])
		}
	}
	writing, err := http.NewRequestWithContext(t.Context(), http.MethodPut, sas+"&comp=page", strings.NewReader(strings.Repeat("x", 512)))
	if err != nil {
		t.Fatal(err)
	}
	writing.Header.Set("x-ms-page-write", "update")
	writing.Header.Set("x-ms-range", "bytes=0-511")
	writing.Header.Set("x-ms-version", "2019-12-12")
	answer, err := a.client.Do(writing)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("writing with a reader's SAS: %d", answer.StatusCode)
	}
	a.must("POST", versioned(disk+"/endGetAccess"), nil)
	if status, _ := a.get(sas); status != http.StatusForbidden {
		t.Errorf("revoked: %d", status)
	}
}

// TestBadImages imports VHDs that are cut short or lie, and requires that no disk stays behind.
func TestBadImages(t *testing.T) {
	need(t, "qemu-img")
	s := start(t, t.TempDir())
	term := open(t, s)
	a := newAPI(t, s)
	a.makeGroup("g")
	raw := makeImage(t, 24*mib)
	vhd := filepath.Join(t.TempDir(), "good.vhd")
	term.must("qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on " + raw + " " + vhd)
	good, err := os.ReadFile(vhd)
	if err != nil {
		t.Fatal(err)
	}
	footer := len(good) - 512
	spoil := func(change func([]byte) []byte) []byte { return change(slices.Clone(good)) }
	for name, content := range map[string][]byte{
		"truncated":      good[:len(good)/2],
		"no footer":      good[:footer],
		"half a footer":  good[:footer+256],
		"wrong checksum": spoil(func(b []byte) []byte { b[footer+64] ^= 1; return b }),
		"wrong size":     spoil(func(b []byte) []byte { b[footer+48]++; return b }),
		"empty":          {},
	} {
		file := filepath.Join(t.TempDir(), "bad.vhd")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := term.try("tintype disk create -g g -n bad --file " + file); err == nil {
			t.Errorf("%s: imported: %s", name, out)
		}
		if left := a.list("g", "disks"); len(left) != 0 {
			t.Errorf("%s: left behind: %v", name, left)
			a.must("DELETE", versioned(a.id("g", "disks", left[0])), nil)
		}
	}
	term.must("tintype disk create -g g -n good --file " + vhd)
	out := filepath.Join(t.TempDir(), "out.raw")
	term.must("tintype disk export -g g -n good --file " + out)
	if fileSum(t, out) != fileSum(t, raw) {
		t.Error("the image has changed on its way through")
	}
}

// TestBadUpload checks at endGetAccess what a client uploaded on its own.
func TestBadUpload(t *testing.T) {
	a := newAPI(t, start(t, t.TempDir()))
	a.makeGroup("g")
	const data = 20 * mib
	disk := a.id("g", "disks", "up")
	a.must("PUT", versioned(disk), map[string]any{"location": "westus2", "properties": map[string]any{
		"creationData": map[string]any{"createOption": "Upload", "uploadSizeBytes": data + 512},
	}})
	if r := a.send("POST", versioned(disk+"/attach"), map[string]any{"host": "h"}); r.status < 400 || r.status > 499 {
		t.Errorf("attaching before the upload: %d %s", r.status, r.body)
	}
	sas := a.grant(disk, "Write", 600)
	a.putPage(sas, 0, strings.Repeat("x", 512), 201)
	a.putPage(sas, data, "not a footer"+strings.Repeat("\x00", 500), 201)
	a.putPage(sas, data+512, strings.Repeat("x", 512), 416)
	status, body := a.finish(a.send("POST", versioned(disk+"/endGetAccess"), nil))
	if status != "Failed" || !strings.Contains(string(body), "InvalidVhd") {
		t.Errorf("endGetAccess: %s %s", status, body)
	}
	a.must("DELETE", versioned(disk), nil)
}

// putPage writes one page of 512 bytes and requires a status; 416 stands for any refusal.
func (a *api) putPage(sas string, off int64, page string, want int) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), http.MethodPut, sas+"&comp=page", strings.NewReader(page))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("x-ms-page-write", "update")
	req.Header.Set("x-ms-range", pageRange(off))
	req.Header.Set("x-ms-version", "2019-12-12")
	answer, err := a.client.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != want && !(want == 416 && answer.StatusCode >= 400 && answer.StatusCode < 500) {
		a.t.Errorf("page at %d: %d, want %d", off, answer.StatusCode, want)
	}
}
