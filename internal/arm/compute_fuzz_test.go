package arm

import (
	"encoding/json"
	"fmt"
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
