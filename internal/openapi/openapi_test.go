package openapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// azure is where Azure's description may be.
var azure = At("../../../shared/openapi/specification")

func described(t *testing.T) *Spec {
	t.Helper()
	s, err := azure.Find()
	if errors.Is(err, ErrAbsent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const disk = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d?api-version=2024-03-02"

func goodDisk() map[string]any {
	return map[string]any{"location": "westus", "properties": map[string]any{"creationData": map[string]any{"createOption": "Empty"}}}
}

func goodHeader() http.Header {
	h := http.Header{}
	for _, name := range []string{"x-ms-request-id", "x-ms-correlation-request-id", "x-ms-routing-request-id", "Strict-Transport-Security"} {
		h.Set(name, "x")
	}
	return h
}

// TestCheckBites holds answers to the description that are not as described.
func TestCheckBites(t *testing.T) {
	s := described(t)
	good := Answer{Method: "GET", Target: "https://h" + disk, Status: 200, Header: goodHeader(), Body: goodDisk()}
	if bad := s.Check(good); len(bad) > 0 {
		t.Errorf("a good answer: %v", bad)
	}
	properties := goodDisk()["properties"]
	with := func(change func(*Answer)) Answer {
		a := good
		change(&a)
		return a
	}
	for name, a := range map[string]Answer{
		"no body":    with(func(a *Answer) { a.Body = nil }),
		"no header":  with(func(a *Answer) { a.Header = http.Header{} }),
		"no way":     with(func(a *Answer) { a.Method, a.Status = "PUT", 202 }),
		"wrong type": with(func(a *Answer) { a.Body = map[string]any{"location": 5.0, "properties": properties} }),
		"no location": with(func(a *Answer) {
			a.Body = map[string]any{"properties": properties}
		}),
		"unknown key": with(func(a *Answer) {
			a.Body = map[string]any{"location": "westus", "surprise": true}
		}),
		"key inside": with(func(a *Answer) {
			a.Body = map[string]any{"location": "westus", "properties": map[string]any{"creationData": map[string]any{"createOption": "Empty", "surprise": true}}}
		}),
		"key in a list": with(func(a *Answer) {
			a.Target = strings.Replace(disk, "/disks/d", "/disks", 1)
			a.Body = map[string]any{"value": []any{map[string]any{"location": "westus", "surprise": true}}}
		}),
		"unknown status":  with(func(a *Answer) { a.Status = 201 }),
		"error unlike it": with(func(a *Answer) { a.Status, a.Body = 404, map[string]any{"message": "no"} }),
	} {
		if len(s.Check(a)) == 0 {
			t.Errorf("%s: nothing was found", name)
		}
	}
}

// TestFind wants the operation that says most of a path.
func TestFind(t *testing.T) {
	s := described(t)
	for path, want := range map[string]string{
		"/subscriptions":                            "/subscriptions",
		"/subscriptions/s/resourcegroups/g":         "/subscriptions/{subscriptionId}/resourcegroups/{resourceGroupName}",
		"/SUBSCRIPTIONS/s/resourceGroups/g":         "/subscriptions/{subscriptionId}/resourcegroups/{resourceGroupName}",
		"/subscriptions/s/providers/Microsoft.Nope": "/subscriptions/{subscriptionId}/providers/{resourceProviderNamespace}",
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.Resources/tags/default": "/{scope}/providers/Microsoft.Resources/tags/default",
	} {
		if o, ok := s.find("GET", path); !ok || o.Path != want {
			t.Errorf("%s: %s", path, o.Path)
		}
	}
	if o, ok := s.find("GET", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d/sizes"); ok {
		t.Errorf("an addition of ours is described: %s", o.Path)
	}
}

// TestHoldPassesOn wants the answer that went in.
func TestHoldPassesOn(t *testing.T) {
	h := azure.Hold(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, v := range goodHeader() {
			w.Header()[name] = v
		}
		w.Header().Set("a", "b")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error":{"code":"c","message":"m"}}`))
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", disk, nil))
	if w.Code != 404 || w.Header().Get("a") != "b" || !json.Valid(w.Body.Bytes()) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// TestCheckFile reads what a server recorded, the last line of which was cut off.
func TestCheckFile(t *testing.T) {
	s := described(t)
	good, err := json.Marshal(Answer{Method: "GET", Target: disk, Status: 200, Header: goodHeader(), Body: goodDisk()})
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(good), `"location"`, `"place"`, 1)
	file := filepath.Join(t.TempDir(), "answers")
	if err := os.WriteFile(file, []byte(string(good)+"\n"+bad+"\n"+bad+"\n"+bad[:20]), 0o600); err != nil {
		t.Fatal(err)
	}
	count, found, err := s.checkFile(file)
	if err != nil || count != 3 || len(found) != 4 {
		t.Errorf("%d answers, %d deviations, %v: %v", count, len(found), err, found)
	}
}
