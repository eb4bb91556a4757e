package arm

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzPutBody sends any body to a PUT: it is accepted or refused as the caller's mistake, never a failure of ours, and
// what is accepted can be read back and sent again.
func FuzzPutBody(f *testing.F) {
	for _, c := range badDisks() {
		f.Add(c.body)
	}
	f.Add(disk(`,"tier":"P10","diskIOPSReadWrite":500,"burstingEnabled":true`, `,"sku":{"name":"Premium_LRS"},"tags":{"a":null}`))
	f.Add(`{"location":"westus2","zones":["1"],"properties":{"creationData":{"createOption":"empty"},"diskSizeGB":32767}}`)
	f.Add(`[]`)
	f.Add(`{"properties":null,"sku":null,"tags":null,"zones":[null]}`)
	shared := newComputeRig(f)
	shared.group("g")
	n := 0
	f.Fuzz(func(t *testing.T, body string) {
		r := *shared
		r.t = t
		n++
		path := version(inGroup(fmt.Sprintf("disks/d%d", n)))
		a := r.do("PUT", path, body)
		if a.status != 202 {
			if a.status < 400 || a.status >= 500 {
				t.Fatalf("%d %v to %q", a.status, a.body, body)
			}
			return
		}
		if p := r.poll(a); p.object()["status"] != "Succeeded" {
			t.Fatalf("%v of %q", p.body, body)
		}
		got := r.do("GET", path, nil)
		text, err := json.Marshal(got.body)
		if err != nil {
			t.Fatal(err)
		}
		if again := r.do("PUT", path, string(text)); again.status != 202 {
			t.Fatalf("what was read back is refused: %d %v of %s", again.status, again.body, text)
		}
		r.poll(r.do("DELETE", path, nil))
	})
}

// FuzzOwnBodies sends any body to what Azure does not have: it is answered or refused as the caller's mistake.
func FuzzOwnBodies(f *testing.F) {
	f.Add(`{"ids":["` + inGroup("disks/d") + `"]}`)
	f.Add(`{"snapshots":[` + copyBody("s", "disks/d") + `,` + copyBody("t", "snapshots/s") + `]}`)
	f.Add(`{"snapshots":[null,{"name":null,"properties":null}],"ids":[null,""]}`)
	f.Add(`{"host":"h","readOnly":true,"since":["s","` + inGroup("snapshots/s") + `"]}`)
	f.Add(`{"snapshots":{},"ids":{},"since":{}}`)
	f.Add(`[]`)
	shared := newComputeRig(f)
	shared.group("g")
	shared.put("disks/d", disk("", ""))
	shared.put("snapshots/s", copyBody("s", "disks/d"))
	paths := []string{freedRoute, groupRoute, version(inGroup("disks/d/attach")), version(inGroup("disks/d/detach"))}
	f.Fuzz(func(t *testing.T, body string) {
		r := *shared
		r.t = t
		for _, path := range paths {
			if a := r.do("POST", path, body); a.status >= 500 {
				t.Errorf("POST %s: %d %v to %q", path, a.status, a.body, body)
			}
		}
	})
}

// FuzzPath sends any method, target and body to every type there is, with a disk, a snapshot and their companions at hand:
// the answer is one of the API's, in JSON, and a refusal is the caller's mistake and says so in Azure's form.
func FuzzPath(f *testing.F) {
	shared := newComputeRig(f)
	shared.group("g")
	shared.put("disks/d", disk("", ""))
	shared.put("snapshots/s", copyBody("s", "disks/d"))
	sub := "/subscriptions/" + testSub
	for _, path := range []string{
		inGroup("disks/d"), inGroup("snapshots/s"), inGroup("disks"), sub + "/providers/Microsoft.Compute/snapshots",
		inGroup("diskAccesses/a/privateEndpointConnections/p"), inGroup("restorePointCollections/c/restorePoints/p"),
		inGroup("diskEncryptionSets/k/associatedResources"), sub + "/providers/Microsoft.Compute/locations/westus2/DiskOperations/x",
		sub + "/providers/Microsoft.Compute/locations/westus2/usages", sub + "/providers/Microsoft.Compute/skus",
		sub + "/resourceGroups/g/resources", sub + "/operationresults/x", sub + "/resources", "/subscriptions", "/tenants", "/providers",
		inGroup("disks/d/providers/Microsoft.Authorization/locks/l"), inGroup("disks/d/providers/Microsoft.Resources/tags/default"),
	} {
		f.Add("GET", version(path)+"&$top=1&$filter=name+eq+'d'&$skiptoken=x&$expand=instanceView", "")
	}
	f.Add("PUT", version(inGroup("disks/e")), disk("", ""))
	f.Add("PATCH", version(inGroup("disks/d")), `{"tags":{"a":"b"},"properties":{"diskSizeGB":9}}`)
	f.Add("POST", version(inGroup("disks/d/beginGetAccess")), `{"access":"Read","durationInSeconds":60}`)
	f.Add("POST", version(inGroup("disks/d/endGetAccess")), "")
	f.Add("PUT", sub+"/resourcegroups/h?api-version=2021-04-01", `{"location":"westus2"}`)
	f.Add("DELETE", sub+"/resourcegroups/h?api-version=2021-04-01&forceDeletionTypes=x", "")
	f.Add("HEAD", sub+"/resourcegroups/g?api-version=2021-04-01", "")
	f.Fuzz(func(t *testing.T, method, target, body string) {
		r := *shared
		r.t = t
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" {
			return
		}
		req := httptest.NewRequest("GET", "https://localhost:8443/", strings.NewReader(body))
		req.Method, req.URL.Path, req.URL.RawPath, req.URL.RawQuery = method, u.Path, u.RawPath, u.RawQuery
		req.Header.Set("Authorization", "Bearer good")
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		r.router.ServeHTTP(w, req)
		var answer struct {
			Error *struct{ Code, Message string }
		}
		switch {
		case w.Code >= 500 || w.Code < 200:
			t.Fatalf("%s %q: %d %s to %q", method, target, w.Code, w.Body, body)
		case w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()):
			t.Fatalf("%s %q: no JSON: %q", method, target, w.Body)
		case w.Code >= 400 && method != "HEAD":
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Error == nil || answer.Error.Code == "" || answer.Error.Message == "" {
				t.Fatalf("%s %q: %d without a code and a message: %s", method, target, w.Code, w.Body)
			}
		case w.Code < 300 && method != "GET" && method != "HEAD":
			r.restore(method, target)
		}
	})
}

// restore takes back what a request that was let through may have done.
func (r *computeRig) restore(method, target string) {
	if method == "PUT" && !strings.Contains(target, "/d?") {
		r.do("DELETE", target, nil)
	}
	r.do("PUT", "/subscriptions/"+testSub+"/resourcegroups/g?api-version=2021-04-01", `{"location":"westus"}`)
	r.do("POST", version(inGroup("disks/d/endGetAccess")), nil)
	r.do("PUT", version(inGroup("disks/d")), disk("", ""))
	r.do("PUT", version(inGroup("snapshots/s")), copyBody("s", "disks/d"))
}
