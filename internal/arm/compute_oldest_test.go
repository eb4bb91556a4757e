package arm

import (
	"strings"
	"testing"
)

// TestOldestVersion makes, reads, changes and lists a disk as clients of 2016-04-30-preview do, which know accountType in place of a
// SKU, and requires that later clients see the same disk.
func TestOldestVersion(t *testing.T) {
	const oldest = "?api-version=2016-04-30-preview"
	r := newComputeRig(t)
	r.group("g")
	at := inGroup("disks/d")
	a := r.do("PUT", at+oldest, strings.Replace(disk("", ""), `"diskSizeGB"`, `"accountType":"Premium_LRS","diskSizeGB"`, 1))
	made := r.poll(a).object()
	is := func(what string, volume map[string]any, account string) {
		t.Helper()
		props, _ := volume["properties"].(map[string]any)
		_, sku := volume["sku"]
		_, state := props["diskState"]
		if props["accountType"] != account || sku || state {
			t.Errorf("%s: %v", what, volume)
		}
	}
	is("accepted", a.object(), "Premium_LRS")
	output, _ := made["properties"].(map[string]any)["output"].(map[string]any)
	is("made", output, "Premium_LRS")
	is("read", r.do("GET", at+oldest, nil).object(), "Premium_LRS")
	later := func(want string) {
		t.Helper()
		v := r.do("GET", version(at), nil).object()
		sku, _ := v["sku"].(map[string]any)
		if _, shown := v["properties"].(map[string]any)["accountType"]; sku["name"] != want || shown {
			t.Errorf("to later clients: %v", v)
		}
	}
	later("Premium_LRS")
	r.poll(r.do("PATCH", at+oldest, `{"properties":{"accountType":"Standard_LRS"}}`))
	list, _ := r.do("GET", inGroup("disks")+oldest, nil).object()["value"].([]any)
	if len(list) != 1 {
		t.Fatalf("listed: %v", list)
	}
	is("listed", list[0].(map[string]any), "Standard_LRS")
	later("Standard_LRS")
	if a := r.do("PUT", inGroup("disks/x")+oldest, strings.Replace(disk("", ""), `"diskSizeGB"`, `"accountType":"None_LRS","diskSizeGB"`, 1)); a.status != 400 {
		t.Errorf("a type of storage that there is none of: %d %v", a.status, a.body)
	}
	r.poll(r.do("PUT", inGroup("disks/new")+"?api-version=2017-03-30", strings.Replace(disk("", ""), `"diskSizeGB"`, `"accountType":"Premium_LRS","diskSizeGB"`, 1)))
	if v := r.do("GET", version(inGroup("disks/new")), nil).object(); v["sku"].(map[string]any)["name"] != "Standard_LRS" {
		t.Errorf("accountType at a version that does not know it: %v", v)
	}
}
