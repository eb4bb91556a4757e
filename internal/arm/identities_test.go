package arm

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tintype/internal/identity"
)

// TestUserAssignedIdentities asks for them over the API, with the real directory behind it.
func TestUserAssignedIdentities(t *testing.T) {
	plain, groups := newRoleRouter(t)
	directory, err := identity.Open(identity.Options{Dir: t.TempDir(), Now: func() time.Time { return time.Unix(1_800_000_000, 0) }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	opt := plain.opt
	opt.Identities = directory
	opt.Types = append(opt.Types, IdentityTypes(directory, groups)...)
	rt, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	const version = "?api-version=2023-01-31"
	do := func(method, path, body string) *httptest.ResponseRecorder {
		t.Helper()
		return as(t, rt, firstPrincipal, method, path+version, body)
	}
	expect := func(w *httptest.ResponseRecorder, status int, text string) {
		t.Helper()
		if w.Code != status || !strings.Contains(w.Body.String(), text) {
			t.Errorf("%d %s, want %d %s", w.Code, w.Body, status, text)
		}
	}
	one := groupPath + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/worker"
	expect(do("PUT", one, `{"location":"westus2"}`), 404, "ResourceGroupNotFound")
	if w := as(t, rt, firstPrincipal, "PUT", groupPath+"?api-version=2021-04-01", `{"location":"westus2"}`); w.Code != 201 {
		t.Fatal(w.Body)
	}
	expect(do("GET", one, ""), 404, "ResourceNotFound")
	expect(do("PUT", one, `{}`), 400, "LocationRequired")
	expect(do("PUT", one, `{"location":"mars"}`), 400, "LocationNotAvailableForResourceType")
	expect(do("PUT", strings.TrimSuffix(one, "worker")+"x", `{"location":"westus2"}`), 400, "InvalidResourceName")
	expect(do("PUT", one, `{"location":"West US 2"}`), 201, `"clientId":"`)
	expect(do("PUT", one, `{"location":"westus2","tags":{"a":"b"}}`), 200, `"tags":{"a":"b"}`)
	expect(do("PUT", one, `{"location":"eastus"}`), 409, "InvalidResourceLocation")
	expect(do("PATCH", one, `{"tags":{"c":"d"}}`), 200, `"tags":{"c":"d"}`)
	found, ok := directory.FindAssigned(one)
	if !ok {
		t.Fatal("it is not in the directory")
	}
	for _, path := range []string{one, groupPath + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities", subPath + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities"} {
		expect(do("GET", path, ""), 200, `"principalId":"`+found.ObjectID+`","clientId":"`+found.ClientID+`"`)
	}
	if w := as(t, rt, firstPrincipal, "GET", groupPath+"/resources?api-version=2021-04-01&$filter=resourceType%20eq%20'Microsoft.ManagedIdentity/userAssignedIdentities'", ""); !strings.Contains(w.Body.String(), found.ID()) {
		t.Error(w.Body)
	}
	// What was given on one that is gone is not given on the next of its name.
	give := one + assignPath + "0a1b2c3d-0000-4000-8000-0000000000e2"
	if w := as(t, rt, firstPrincipal, "PUT", give+roleV, assignment(readerRole, aliceID)); w.Code != 201 {
		t.Fatal(w.Body)
	}
	if w := as(t, rt, aliceID, "GET", one+version, ""); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	expect(do("DELETE", one, ""), 200, "")
	expect(do("DELETE", one, ""), 204, "")
	expect(do("PUT", one, `{"location":"westus2"}`), 201, "")
	if w := as(t, rt, aliceID, "GET", one+version, ""); w.Code != 403 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
