package e2e

import (
	"encoding/json"
	"net/http"
	"testing"
)

// TestSharedDisk has two hosts write to one disk, each through its own export, each seeing what the other wrote. One flushes for both, the
// server is killed, and both find all of it under the URIs that they had. Detaching one cuts its connections alone.
func TestSharedDisk(t *testing.T) {
	data := t.TempDir()
	s := launch(t, data)
	a := newAPI(t, s)
	a.makeGroup("g")
	disk := a.id("g", "disks", "d")
	want := emptyDisk(1)
	want["sku"] = map[string]any{"name": "Premium_LRS"}
	want["properties"].(map[string]any)["maxShares"] = 2
	a.must("PUT", versioned(disk), want)
	uris := map[string]string{}
	for _, host := range []string{"one", "two"} {
		var made struct{ URI string }
		mustDo(t, json.Unmarshal(a.send("POST", versioned(disk+"/attach"), map[string]any{"host": host}).body, &made))
		uris[host] = made.URI
	}
	if uris["one"] == uris["two"] {
		t.Fatalf("both have %s", uris["one"])
	}
	if r := a.send("POST", versioned(disk+"/attach"), map[string]any{"host": "three"}); r.status != http.StatusConflict || r.code() != "ConflictingUserInput" {
		t.Errorf("a third host: %d %s", r.status, r.body)
	}
	one, two := dial(t, uris["one"]), dial(t, uris["two"])
	mustDo(t, second(one.WriteAt([]byte("from one"), 0)))
	mustDo(t, second(two.WriteAt([]byte("from two"), 4096)))
	got := make([]byte, 8)
	if _, err := two.ReadAt(got, 0); err != nil || string(got) != "from one" {
		t.Errorf("two reads %q, %v", got, err)
	}
	mustDo(t, one.Flush()) // for both
	s.Kill()
	s = launch(t, data)
	a = newAPI(t, s)
	one, two = dial(t, uris["one"]), dial(t, uris["two"])
	defer one.Close()
	defer two.Close()
	if _, err := one.ReadAt(got, 4096); err != nil || string(got) != "from two" {
		t.Errorf("after the kill one reads %q, %v", got, err)
	}
	if r := a.send("POST", versioned(disk+"/detach"), map[string]any{"host": "two"}); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
	if _, err := two.ReadAt(got, 0); err == nil {
		t.Error("a detached host still reads")
	}
	if _, err := one.ReadAt(got, 0); err != nil || string(got) != "from one" {
		t.Errorf("the host that stayed reads %q, %v", got, err)
	}
}

func second[T any](_ T, err error) error { return err }
