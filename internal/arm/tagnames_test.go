package arm

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const tagVersion = "?api-version=2021-04-01"

// counted writes the answer to a list of tag names shortly.
func (r *computeRig) counted() []string {
	r.t.Helper()
	a := r.do("GET", "/subscriptions/"+testSub+"/tagNames"+tagVersion, nil)
	if a.status != 200 {
		r.t.Fatal(a.status, a.body)
	}
	var out []string
	for _, one := range a.object()["value"].([]any) {
		n := one.(map[string]any)
		line := fmt.Sprint(n["tagName"], " ", n["count"].(map[string]any)["value"])
		for _, v := range n["values"].([]any) {
			value := v.(map[string]any)
			line += fmt.Sprint(" ", value["tagValue"], "=", value["count"].(map[string]any)["value"])
		}
		out = append(out, line)
	}
	return out
}

func TestTagNames(t *testing.T) {
	r := newComputeRig(t)
	const names = "/subscriptions/" + testSub + "/tagNames"
	const group = "/subscriptions/" + testSub + "/resourceGroups/g"
	for _, step := range []struct {
		method, path, body string
		status             int
		code               string
		want               []string
	}{
		{"PUT", names + "/Env", "", 201, "", []string{"Env 0"}},
		{"PUT", names + "/ENV", "", 200, "", []string{"Env 0"}},
		{"PUT", names + "/env/tagValues/test", "", 201, "", []string{"Env 0 test=0"}},
		{"PUT", names + "/env/tagValues/test", "", 200, "", []string{"Env 0 test=0"}},
		{"PUT", names + "/env/tagValues/Test", "", 201, "", []string{"Env 0 Test=0 test=0"}},
		{"PUT", names + "/other/tagValues/v", "", 404, "TagNameNotFound", nil},
		{"PUT", group, `{"location":"westus","tags":{"env":"test","a":"b"}}`, 201, "", []string{"a 1 b=1", "Env 1 Test=0 test=1"}},
		{"DELETE", names + "/env/tagValues/test", "", 409, "TagValueInUse", nil},
		{"DELETE", names + "/env", "", 409, "TagNameInUse", nil},
		{"DELETE", names + "/a", "", 409, "TagNameInUse", nil},
		{"PUT", names + "/a/tagValues/c", "", 201, "", []string{"a 1 b=1 c=0", "Env 1 Test=0 test=1"}},
		{"PUT", group, `{"location":"westus"}`, 200, "", []string{"a 0 c=0", "Env 0 Test=0 test=0"}},
		{"DELETE", names + "/a", "", 409, "TagNameHasValues", nil},
		{"DELETE", names + "/a/tagValues/c", "", 200, "", []string{"a 0", "Env 0 Test=0 test=0"}},
		{"DELETE", names + "/a/tagValues/c", "", 204, "", nil},
		{"DELETE", names + "/A", "", 200, "", []string{"Env 0 Test=0 test=0"}},
		{"DELETE", names + "/a", "", 204, "", nil},
		{"PUT", names + "/azure-env", "", 400, "InvalidTagName", nil},
		{"PUT", group, `{"location":"westus","tags":{"azure-env":"v"}}`, 200, "", []string{"azure-env 1 v=1", "Env 0 Test=0 test=0"}},
		{"PUT", names + "/azure-env/tagValues/w", "", 400, "InvalidTagName", nil},
		{"PUT", group, `{"location":"westus"}`, 200, "", nil},
		{"PUT", names + "/a%3Cb", "", 400, "InvalidTagNameCharacters", nil},
		{"PUT", names + "/" + strings.Repeat("n", 513), "", 400, "InvalidTagNameLength", nil},
		{"PUT", names + "/env/tagValues/" + strings.Repeat("v", 257), "", 400, "InvalidTagValueLength", []string{"Env 0 Test=0 test=0"}},
	} {
		a := r.do(step.method, step.path+tagVersion, step.body)
		e, _ := a.object()["error"].(map[string]any)
		if code, _ := e["code"].(string); a.status != step.status || code != step.code {
			t.Errorf("%s %s: %d %v", step.method, step.path, a.status, a.body)
		}
		if step.want != nil {
			if d := cmp.Diff(step.want, r.counted()); d != "" {
				t.Errorf("after %s %s: %s", step.method, step.path, d)
			}
		}
	}
	r.token = "reader"
	if a := r.do("PUT", names+"/x"+tagVersion, nil); a.status != 403 {
		t.Errorf("a reader: %d %v", a.status, a.body)
	}
}

// TestSubscriptionTags: a subscription has tags of its own, through the same door as all others.
func TestSubscriptionTags(t *testing.T) {
	r := newComputeRig(t)
	const at = "/subscriptions/" + testSub + tagsMark + tagVersion
	for _, step := range []struct {
		method, body string
		status       int
		want         any
	}{
		{"GET", "", 200, map[string]any{}},
		{"PUT", `{"properties":{"tags":{"a":"1"}}}`, 200, map[string]any{"a": "1"}},
		{"PATCH", `{"operation":"Merge","properties":{"tags":{"A":"2","b":"3"}}}`, 200, map[string]any{"a": "2", "b": "3"}},
		{"PATCH", `{"operation":"Delete","properties":{"tags":{"a":"1","b":""}}}`, 200, map[string]any{"a": "2"}},
		{"PATCH", `{"operation":"Replace","properties":{"tags":{"c":"4"}}}`, 200, map[string]any{"c": "4"}},
		{"PATCH", `{"operation":"Swap","properties":{"tags":{"c":"5"}}}`, 400, nil},
		{"PATCH", `{"operation":"Merge","properties":{"tags":{"a/b":"5"}}}`, 400, nil},
		{"PATCH", `{"operation":"Merge","properties":{"tags":{"WindowsVersion":"5"}}}`, 200, map[string]any{"c": "4", "WindowsVersion": "5"}},
		{"PATCH", `{"operation":"Delete","properties":{"tags":{"WindowsVersion":""}}}`, 200, map[string]any{"c": "4"}},
		{"PUT", `{"properties":{"tags":{"x":"1","X":"2"}}}`, 400, nil},
		{"GET", "", 200, map[string]any{"c": "4"}},
	} {
		a := r.do(step.method, at, step.body)
		p, _ := a.object()["properties"].(map[string]any)
		if d := cmp.Diff(step.want, p["tags"]); a.status != step.status || d != "" {
			t.Errorf("%s %s: %d %v %s", step.method, step.body, a.status, a.body, d)
		}
	}
	if got := r.do("GET", "/subscriptions/"+testSub+"?api-version=2022-12-01", nil).object()["tags"]; cmp.Diff(got, any(map[string]any{"c": "4"})) != "" {
		t.Errorf("the subscription shows %v", got)
	}
	if a := r.do("DELETE", at, nil); a.status != 200 {
		t.Error(a.status, a.body)
	}
	if got := r.do("GET", "/subscriptions/"+testSub+"?api-version=2022-12-01", nil).object()["tags"]; got != nil {
		t.Errorf("afterwards %v", got)
	}
	r.token = "group"
	if a := r.do("PUT", at, `{"properties":{"tags":{}}}`); a.status != 403 {
		t.Errorf("who has a group alone: %d %v", a.status, a.body)
	}
}

// TestPatchesAtOnce: a PATCH of a group's tags and one of who manages it lose nothing of each other.
func TestPatchesAtOnce(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	const group = "/subscriptions/" + testSub + "/resourceGroups/g" + tagVersion
	for i := range 50 {
		want := fmt.Sprint(i)
		var both sync.WaitGroup
		for _, body := range []string{`{"tags":{"n":"` + want + `"}}`, `{"managedBy":"` + want + `"}`} {
			both.Go(func() {
				if a := r.do("PATCH", group, body); a.status != 200 {
					t.Errorf("%d %v", a.status, a.body)
				}
			})
		}
		both.Wait()
		if got := r.do("GET", group, nil).object(); got["managedBy"] != want || cmp.Diff(got["tags"], any(map[string]any{"n": want})) != "" {
			t.Fatalf("after %d rounds: %v", i, got)
		}
	}
	if a := r.do("PATCH", strings.Replace(group, "/g?", "/none?", 1), `{"tags":{}}`); a.status != 404 {
		t.Errorf("%d %v", a.status, a.body)
	}
	if a := r.do("PATCH", strings.Replace(group, "/g?", "/none?", 1), `{}`); a.status != 404 {
		t.Errorf("%d %v", a.status, a.body)
	}
}

// TestManagedGroup: who manages a group is kept on record.
func TestManagedGroup(t *testing.T) {
	r := newComputeRig(t)
	const group = "/subscriptions/" + testSub + "/resourceGroups/g"
	const by = "/subscriptions/" + testSub + "/resourceGroups/g2/providers/Microsoft.Solutions/applications/a"
	for _, step := range []struct {
		method, body string
		status       int
		want         any
	}{
		{"PUT", `{"location":"westus","managedBy":"` + by + `"}`, 201, by},
		{"PATCH", `{"tags":{"a":"b"}}`, 200, by},
		{"GET", "", 200, by},
		{"PUT", `{"location":"westus","managedBy":"` + strings.Repeat("x", 5000) + `"}`, 400, nil},
		{"GET", "", 200, by},
		{"PUT", `{"location":"westus"}`, 200, nil},
		{"GET", "", 200, nil},
	} {
		if a := r.do(step.method, group+tagVersion, step.body); a.status != step.status || a.object()["managedBy"] != step.want {
			t.Errorf("%s %s: %d %v", step.method, clip(step.body), a.status, a.body)
		}
	}
}
