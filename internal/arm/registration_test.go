package arm

import (
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tintype"
	"tintype/internal/identity"
)

// registry is the real directory's, but for the subscription of these tests.
type registry struct {
	*identity.Service
	sub tintype.SubscriptionID
}

func (r registry) Registered(_ tintype.SubscriptionID, namespace string) bool {
	return r.Service.Registered(r.sub, namespace)
}

func (r registry) Register(_ tintype.SubscriptionID, namespace string, registered bool) error {
	return r.Service.Register(r.sub, namespace, registered)
}

// TestRegistration unregisters a provider, and finds that nothing of it can be made until it is registered again.
func TestRegistration(t *testing.T) {
	plain, groups := newRoleRouter(t)
	options := identity.Options{Dir: t.TempDir(), Now: func() time.Time { return time.Unix(1_800_000_000, 0) }, Log: slog.New(slog.DiscardHandler)}
	open := func() (*Router, *identity.Service) {
		directory, err := identity.Open(options)
		if err != nil {
			t.Fatal(err)
		}
		opt := plain.opt
		opt.Identities, opt.Registrations = directory, registry{directory, directory.Subscriptions()[0].ID}
		opt.Types = append(opt.Types, IdentityTypes(directory, groups)...)
		rt, err := New(opt)
		if err != nil {
			t.Fatal(err)
		}
		return rt, directory
	}
	rt, _ := open()
	do := func(method, path, body string) *httptest.ResponseRecorder {
		t.Helper()
		version := "?api-version=2021-04-01"
		if strings.Contains(path, "/userAssigned") {
			version = "?api-version=2023-01-31"
		}
		return as(t, rt, firstPrincipal, method, path+version, body)
	}
	expect := func(w *httptest.ResponseRecorder, status int, code string) {
		t.Helper()
		if w.Code != status || code != "" && errorCode(w) != code {
			t.Errorf("%d %s, want %d %s", w.Code, w.Body, status, code)
		}
	}
	const provider = subPath + "/providers/Microsoft.ManagedIdentity"
	state := func(want string) {
		t.Helper()
		var p struct{ RegistrationState string }
		w := do("GET", provider, "")
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.RegistrationState != want {
			t.Errorf("%s, want %s", w.Body, want)
		}
	}
	state("Registered")
	expect(do("PUT", groupPath, `{"location":"westus2"}`), 201, "")
	one := groupPath + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/worker"
	expect(do("PUT", one, `{"location":"westus2"}`), 201, "")
	expect(do("POST", strings.ToLower(provider)+"/unregister", ""), 409, "SubscriptionNotAllowedToUnregister")
	expect(do("DELETE", one, ""), 200, "")
	expect(do("POST", provider+"/unregister", ""), 200, "")
	state("Unregistered")
	rt, _ = open()
	state("Unregistered")
	expect(do("PUT", one, `{"location":"westus2"}`), 409, "MissingSubscriptionRegistration")
	expect(do("GET", one, ""), 404, "ResourceNotFound")
	expect(do("POST", provider+"/register", ""), 200, "")
	state("Registered")
	expect(do("PUT", one, `{"location":"westus2"}`), 201, "")
	for _, free := range []string{"Microsoft.Resources", "Microsoft.Authorization"} {
		expect(do("POST", subPath+"/providers/"+free+"/unregister", ""), 400, "RegistrationFreeProvider")
	}
	expect(do("POST", subPath+"/providers/Microsoft.Nothing/unregister", ""), 404, "InvalidResourceNamespace")
}

// late is a registry in which something is made just before a provider is unregistered.
type late struct {
	Registrations
	before func()
}

func (l late) Register(sub tintype.SubscriptionID, namespace string, registered bool) error {
	if !registered {
		l.before()
	}
	return l.Registrations.Register(sub, namespace, registered)
}

// TestMadeBeforeUnregistered: a provider of which something was made after the first look stays registered.
func TestMadeBeforeUnregistered(t *testing.T) {
	plain, groups := newRoleRouter(t)
	directory, err := identity.Open(identity.Options{Dir: t.TempDir(), Now: func() time.Time { return time.Unix(1_800_000_000, 0) }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	opt := plain.opt
	opt.Identities = directory
	opt.Registrations = late{registry{directory, directory.Subscriptions()[0].ID}, func() {
		if _, _, err := directory.PutAssigned(identity.Assigned{Subscription: testSub, Group: "g", Name: "worker", Location: "westus2"}); err != nil {
			t.Error(err)
		}
	}}
	opt.Types = append(opt.Types, IdentityTypes(directory, groups)...)
	rt, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	w := as(t, rt, firstPrincipal, "POST", subPath+"/providers/Microsoft.ManagedIdentity/unregister?api-version=2021-04-01", "")
	if w.Code != 409 || errorCode(w) != "SubscriptionNotAllowedToUnregister" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !opt.Registrations.Registered(testSub, "Microsoft.ManagedIdentity") {
		t.Error("it is unregistered")
	}
}

// TestGroupOfSnapshotsUnregistered: a POST that makes resources is refused as a PUT is.
func TestGroupOfSnapshotsUnregistered(t *testing.T) {
	plain, _ := newRoleRouter(t)
	directory, err := identity.Open(identity.Options{Dir: t.TempDir(), Now: func() time.Time { return time.Unix(1_800_000_000, 0) }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	opt := plain.opt
	opt.Registrations = registry{directory, directory.Subscriptions()[0].ID}
	opt.Types = append(opt.Types, ComputeTypes(ComputeOptions{})...)
	rt, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := opt.Registrations.Register(testSub, computeNamespace, false); err != nil {
		t.Fatal(err)
	}
	const version = "?api-version=2026-03-02"
	w := as(t, rt, firstPrincipal, "POST", groupPath+"/providers/Microsoft.Compute/createSnapshotGroup"+version, `{}`)
	if w.Code != 409 || errorCode(w) != "MissingSubscriptionRegistration" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
