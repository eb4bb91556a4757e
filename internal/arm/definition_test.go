package arm

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"
)

const diskVersion = "?api-version=2024-03-02"

// TestByteOrderMarks sends the same disk in the encodings in which .NET's clients and PowerShell's files write.
func TestByteOrderMarks(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	text := disk("", `,"tags":{"stadt":"Köln 🦊"}`)
	wide := func(order binary.ByteOrder, mark string) []byte {
		b := bytes.NewBufferString(mark)
		_ = binary.Write(b, order, utf16.Encode([]rune(text)))
		return b.Bytes()
	}
	for name, body := range map[string][]byte{
		"none": []byte(text), "utf8": []byte("\xef\xbb\xbf" + text),
		"utf16le": wide(binary.LittleEndian, "\xff\xfe"), "utf16be": wide(binary.BigEndian, "\xfe\xff"),
	} {
		if a := r.do("PUT", inGroup("disks/"+name)+diskVersion, string(body)); a.status != http.StatusAccepted {
			t.Errorf("%s: %d %v", name, a.status, a.body)
			continue
		}
		tags, _ := r.do("GET", inGroup("disks/"+name)+diskVersion, nil).object()["tags"].(map[string]any)
		if tags["stadt"] != "Köln 🦊" {
			t.Errorf("%s: tags %v", name, tags)
		}
	}
	for _, body := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xff\xfe{", "\xfe\xff\x00{\x00"} {
		if a := r.do("PUT", inGroup("disks/x")+diskVersion, body); a.status != http.StatusBadRequest {
			t.Errorf("%q: %d %v", body, a.status, a.body)
		}
	}
}

// TestTextForNumbers sends what templates write: numbers and booleans as text.
func TestTextForNumbers(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	body := `{"location":"westus2","sku":{"name":"UltraSSD_LRS"},"properties":{"diskSizeGB":"8","diskIOPSReadWrite":" 400 ","burstingEnabled":"False",` +
		`"creationData":{"createOption":"Empty","logicalSectorSize":"512"}}}`
	r.poll(r.do("PUT", inGroup("disks/d")+diskVersion, body))
	p, _ := r.do("GET", inGroup("disks/d")+diskVersion, nil).object()["properties"].(map[string]any)
	if p["diskSizeGB"] != 8.0 || p["diskIOPSReadWrite"] != 400.0 || p["burstingEnabled"] != false {
		t.Errorf("%v", p)
	}
	for _, size := range []string{`"8.0"`, `"0x8"`, `""`, `"eight"`, `8.5`, `true`, `"99999999999999999999"`} {
		a := r.do("PUT", inGroup("disks/x")+diskVersion, strings.Replace(body, `"8"`, size, 1))
		text := fmt.Sprint(a.body)
		if a.status != http.StatusBadRequest || !strings.Contains(text, "diskSizeGB") || strings.Contains(text, "wire.") {
			t.Errorf("size %s: %d %s", size, a.status, text)
		}
	}
}

// TestDefinitionMembers holds bodies to what Azure's gateway takes of a resource of any type.
func TestDefinitionMembers(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	for _, tc := range []struct{ body, text string }{
		{`{"location":"westus","diskSizeGB":1}`, "'Could not find member 'diskSizeGB' on object of type 'ResourceDefinition'. Path 'diskSizeGB', line 1, position 35.'."},
		{"{\r\n  \"AccountType\": \"x\"}", "Path 'AccountType', line 2, position 17.'."},
		{`{"location":"westus","sku":{},"properties":{}}`, "Required property 'name' not found in 'sku'."},
		{`{"location":"westus","sku":{"name":null,"tier":"Standard"}}`, "Required property 'name' not found in 'sku'."},
		{`{"location":"westus","tags":{"Env":"a","env":"b"}}`, "the tag names 'Env' and 'env' differ only in case"},
		{`"text"`, "Error converting value of kind string for path ''"},
		{`[]`, "Error converting value of kind array for path ''"},
	} {
		for _, method := range []string{"PUT", "PATCH"} {
			a := r.do(method, inGroup("disks/x")+diskVersion, tc.body)
			e, _ := a.object()["error"].(map[string]any)
			message, _ := e["message"].(string)
			if a.status != http.StatusBadRequest || e["code"] != "InvalidRequestContent" || !strings.Contains(message, tc.text) {
				t.Errorf("%s %s: %d %v", method, tc.body, a.status, a.body)
			}
		}
	}
	all := `{"id":"x","Name":"x","TYPE":"x","location":"westus","extendedLocation":null,"plan":null,"kind":null,"identity":null,"zones":null,` +
		`"managedBy":null,"managedByExtended":null,"etag":"x","systemData":{},"sku":null,"tags":null,` +
		`"properties":{"creationData":{"createOption":"Empty","unknown":1},"diskSizeGB":1,"unknown":{}}}`
	if a := r.do("PUT", inGroup("disks/x")+diskVersion, all); a.status != http.StatusAccepted {
		t.Errorf("what a resource may have: %d %v", a.status, a.body)
	}
	if a := r.do("POST", inGroup("disks/x/beginGetAccess")+diskVersion, `{"access":"Read","durationInSeconds":60,"unknown":1}`); a.status != http.StatusAccepted {
		t.Errorf("an action's body is no resource: %d %v", a.status, a.body)
	}
}

// TestQueryNames reads parameters' names, and api-versions, in any case.
func TestQueryNames(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.poll(r.do("PUT", inGroup("disks/d")+"?API-Version=2016-04-30-Preview", disk("", "")))
	link := "/subscriptions/" + testSub + "/resources?$TOP=1&Api-Version=2021-04-01&$FILTER=" + url.QueryEscape("location eq 'West US'")
	a := r.do("GET", link, nil)
	if list, _ := a.object()["value"].([]any); a.status != 200 || len(list) != 1 {
		t.Fatalf("%d %v", a.status, a.body)
	}
	next, _ := a.object()["nextLink"].(string)
	if next != "" {
		next = strings.Replace(local(next), "%24skiptoken", "%24skipToken", 1)
		if a := r.do("GET", next, nil); a.status != 200 {
			t.Errorf("%s: %d %v", next, a.status, a.body)
		}
	}
	for path, says := range map[string]string{
		"/disks/d/partitions":      "The resource type 'disks/partitions' could not be found in the namespace 'Microsoft.Compute' for api version '2024-03-02'.",
		"/disks/d/partitions/1":    "The resource type 'disks/partitions' could not",
		"/disks/d/a/1/b/2":         "The resource type 'disks/a/b' could not",
		"/nothing/d":               "The resource type 'nothing' could not",
		"/DISKS/d/beginGetAccess/": "",
	} {
		a := r.do("GET", inGroup("")+path+diskVersion, nil)
		e, _ := a.object()["error"].(map[string]any)
		if says == "" && a.status == http.StatusMethodNotAllowed {
			continue
		}
		if message, _ := e["message"].(string); a.status != 404 || e["code"] != "InvalidResourceType" || !strings.HasPrefix(message, says) {
			t.Errorf("%s: %d %v", path, a.status, a.body)
		}
	}
}

// TestGroupPages follows nextLink while groups come and go, and wants each group that was there all along once.
func TestGroupPages(t *testing.T) {
	r := newComputeRig(t)
	const count = 7
	for i := range count {
		body := `{"location":"westus","tags":{"Team":"a"}}`
		if a := r.do("PUT", fmt.Sprintf("/subscriptions/%s/resourcegroups/G%d?api-version=2021-04-01", testSub, i), body); a.status != 201 {
			t.Fatal(a)
		}
	}
	r.group("other")
	link := "/subscriptions/" + testSub + "/resourcegroups?api-version=2021-04-01&$top=2&$filter=" + url.QueryEscape("tagName eq 'team'")
	var names []string
	for page := 0; link != ""; page++ {
		a := r.do("GET", link, nil)
		list, _ := a.object()["value"].([]any)
		if a.status != 200 || len(list) == 0 || len(list) > 2 || page > count {
			t.Fatalf("%s: %d %v", link, a.status, a.body)
		}
		for _, g := range list {
			names = append(names, g.(map[string]any)["name"].(string))
		}
		switch page {
		case 0: // the one at which the next page begins goes, and one comes before it
			r.do("DELETE", "/subscriptions/"+testSub+"/resourcegroups/G1?api-version=2021-04-01", nil)
			r.do("PUT", "/subscriptions/"+testSub+"/resourcegroups/a?api-version=2021-04-01", `{"location":"westus","tags":{"team":"a"}}`)
		}
		next, _ := a.object()["nextLink"].(string)
		link = local(next)
	}
	if got := strings.Join(names, " "); got != "G0 G1 G2 G3 G4 G5 G6" {
		t.Errorf("listed %s", got)
	}
}

// TestMachineETags holds conditional writes of machines to the ETag that each write changes.
func TestMachineETags(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.poll(r.do("PUT", inGroup("disks/d")+diskVersion, disk("", "")))
	body := `{"location":"westus","properties":{"storageProfile":{"osDisk":{"createOption":"Attach","osType":"Linux","managedDisk":{"id":"` +
		inGroup("disks/d") + `"}}}}}`
	at := func(version string) string { return inGroup("virtualMachines/vm") + "?api-version=" + version }
	send := func(method, version, header, value string) (int, http.Header, map[string]any) {
		req := httptest.NewRequest(method, "https://localhost:8443"+at(version), strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer good")
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(header, value)
		w := httptest.NewRecorder()
		azure.Hold(t, r.router).ServeHTTP(w, req)
		var answer map[string]any
		_ = json.Unmarshal(w.Body.Bytes(), &answer)
		return w.Code, w.Header(), answer
	}
	prefix := ""
	tag := func(s string) string { // of this machine, for a number in quotes
		if len(s) == len(`"1"`) {
			s = `"` + prefix + s[1:]
		}
		return s
	}
	for i, step := range []struct {
		method, version, header, value string
		status                         int
		etag                           string
	}{
		{"PUT", "2024-07-01", "If-Match", `"1"`, 412, ""}, // there is none yet
		{"PUT", "2024-07-01", "If-Match", `*`, 412, ""},
		{"PUT", "2024-07-01", "If-None-Match", `*`, 201, `"1"`},
		{"PUT", "2024-07-01", "If-None-Match", `*`, 412, ""},
		{"PUT", "2024-07-01", "If-Match", `"1"`, 200, `"2"`},
		{"PATCH", "2024-07-01", "If-Match", `"1"`, 412, ""},
		{"PATCH", "2024-07-01", "If-Match", `"2"`, 200, `"3"`},
		{"PUT", "2024-07-01", "If-Match", `*`, 200, `"4"`},
		{"PUT", "2024-07-01", "If-None-Match", `"3"`, 200, `"5"`},
		{"PUT", "2024-07-01", "If-None-Match", `"5"`, 412, ""},
		{"PUT", "2023-07-01", "If-Match", `"1"`, 200, ""}, // knows no ETags
		{"GET", "2024-07-01", "Accept", `*/*`, 200, `"6"`},
	} {
		status, header, answer := send(step.method, step.version, step.header, tag(step.value))
		body, _ := answer["etag"].(string)
		if id, _ := property(answer, "properties.vmId").(string); id != "" {
			prefix = strings.ReplaceAll(id, "-", "")[:16] + "-"
		}
		if status != step.status || header.Get("ETag") != tag(step.etag) || body != tag(step.etag) {
			t.Errorf("step %d, %s %s %s: %d, ETag %q, %v", i, step.method, step.header, step.value, status, header.Get("ETag"), answer)
		}
		if e, _ := answer["error"].(map[string]any); status == 412 && e["code"] != "PreconditionFailed" {
			t.Errorf("step %d: %v", i, answer)
		}
	}
	old := tag(`"6"`)
	if _, _, answer := send("PUT", "2024-07-01", "If-Match", tag(`"2"`)); !strings.Contains(fmt.Sprint(answer),
		"Etag provided in if-match header "+tag(`"2"`)+" does not match etag "+old+" of resource.") {
		t.Errorf("%v", answer)
	}
	send("DELETE", "2024-07-01", "Accept", "*/*")
	for i := range 6 {
		if status, header, answer := send("PUT", "2024-07-01", "Accept", "*/*"); status/100 != 2 || header.Get("ETag") == old {
			t.Errorf("write %d of another machine of the name: %d, ETag %s, %v", i+1, status, header.Get("ETag"), answer)
		}
	}
}
