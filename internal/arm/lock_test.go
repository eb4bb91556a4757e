package arm

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func lockAt(scope, name string) string {
	return scope + "/providers/Microsoft.Authorization/locks/" + name + "?api-version=2016-09-01"
}

// TestLocks wants a lock to forbid what its level says, at its scope and below, and a deletion also above it.
func TestLocks(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.group("free")
	sub := "/subscriptions/" + testSub
	group, d := sub+"/resourceGroups/g", inGroup("disks/d")
	r.poll(r.do("PUT", version(d), disk("", "")))
	requests := []struct {
		name, method, path, body string
		needs                    string // what must not be locked
	}{
		{"read", "GET", version(d), "", ""},
		{"change", "PATCH", version(d), `{"tags":{"a":"b"}}`, "d"},
		{"access", "POST", strings.Replace(version(d), "?", "/beginGetAccess?", 1), `{"access":"Read","durationInSeconds":60}`, "d"},
		{"sibling", "PUT", version(inGroup("diskAccesses/a")), `{"location":"westus"}`, "g"},
		{"group", "PATCH", group + "?api-version=2021-04-01", `{"tags":{}}`, "g"},
		{"elsewhere", "PATCH", sub + "/resourceGroups/free?api-version=2021-04-01", `{"tags":{}}`, "sub"},
	}
	scopes := map[string]string{"d": d, "g": group, "sub": sub}
	below := map[string][]string{"d": {"d"}, "g": {"d", "g"}, "sub": {"d", "g", "sub"}}
	for name, scope := range scopes {
		for _, level := range []string{"CanNotDelete", "ReadOnly"} {
			a := r.do("PUT", lockAt(scope, "l"), fmt.Sprintf(`{"properties":{"level":"%s","notes":"n"}}`, level))
			if a.status != http.StatusCreated || property(a.body, "id") != strings.TrimSuffix(lockAt(scope, "l"), "?api-version=2016-09-01") {
				t.Fatalf("lock of %s: %d %v", name, a.status, a.body)
			}
			for _, q := range requests {
				a := r.do(q.method, q.path, q.body)
				locked := false
				for _, n := range below[name] {
					locked = locked || level == "ReadOnly" && n == q.needs
				}
				if locked != (property(a.body, "error.code") == "ScopeLocked") || locked != (a.status == http.StatusConflict) {
					t.Errorf("%s of %s: %s: %d %v", level, name, q.name, a.status, a.body)
				}
				if a.status == http.StatusAccepted {
					r.poll(a)
					if q.name == "access" {
						r.poll(r.do("POST", strings.Replace(version(d), "?", "/endGetAccess?", 1), nil))
					}
				}
			}
			for _, path := range []string{version(d), group + "?api-version=2021-04-01"} {
				if a := r.do("DELETE", path, nil); property(a.body, "error.code") != "ScopeLocked" {
					t.Errorf("%s of %s: deletion of %s: %d %v", level, name, path, a.status, a.body)
				}
			}
			if a := r.do("DELETE", lockAt(scope, "L"), nil); a.status != http.StatusOK {
				t.Errorf("deletion of the lock: %d %v", a.status, a.body)
			}
		}
	}
	if a := r.do("DELETE", lockAt(d, "l"), nil); a.status != http.StatusNoContent {
		t.Errorf("second deletion: %d", a.status)
	}
	r.poll(r.do("DELETE", version(d), nil))
}

// TestLockLists lists locks at a scope and below it, and refuses bad ones.
func TestLockLists(t *testing.T) {
	r := newComputeRig(t)
	r.group("g")
	r.poll(r.do("PUT", version(inGroup("disks/d")), disk("", "")))
	group := "/subscriptions/" + testSub + "/resourceGroups/g"
	const good = `{"properties":{"level":"CanNotDelete","owners":[{"applicationId":"x"}]}}`
	for _, scope := range []string{group, inGroup("disks/d")} {
		r.do("PUT", lockAt(scope, "l"), good)
	}
	if a := r.do("PUT", lockAt(group, "l"), good); a.status != http.StatusOK {
		t.Errorf("the same lock again: %d %v", a.status, a.body)
	}
	for query, want := range map[string]int{"": 2, "&$filter=atScope()": 1} {
		a := r.do("GET", strings.Replace(lockAt(group, ""), "locks/?", "locks?", 1)+query, nil)
		if list, _ := property(a.body, "value").([]any); len(list) != want {
			t.Errorf("list with %q: %d %v", query, a.status, a.body)
		}
	}
	for _, c := range []struct{ name, method, path, body, code string }{
		{"no level", "PUT", lockAt(group, "x"), `{"properties":{}}`, "InvalidParameter"},
		{"level", "PUT", lockAt(group, "x"), `{"properties":{"level":"Some"}}`, "InvalidLockLevel"},
		{"name", "PUT", lockAt(group, "a%3Ab"), good, "InvalidLockName"},
		{"long name", "PUT", lockAt(group, strings.Repeat("n", 261)), good, "InvalidLockName"},
		{"notes", "PUT", lockAt(group, "x"), `{"properties":{"level":"ReadOnly","notes":"` + strings.Repeat("n", 513) + `"}}`, "InvalidParameter"},
		{"no group", "PUT", lockAt(group+"h", "x"), good, "ResourceGroupNotFound"},
		{"no disk", "PUT", lockAt(inGroup("disks/e"), "x"), good, "ResourceNotFound"},
		{"no type", "PUT", lockAt(inGroup("widgets/e"), "x"), good, "InvalidParameter"},
		{"absent", "GET", lockAt(group, "x"), "", "LockNotFound"},
		{"filter", "GET", strings.Replace(lockAt(group, ""), "locks/?", "locks?", 1) + "&$filter=x", "", "InvalidFilterInQueryString"},
	} {
		if a := r.do(c.method, c.path, c.body); property(a.body, "error.code") != c.code {
			t.Errorf("%s: %d %v", c.name, a.status, a.body)
		}
	}
}
