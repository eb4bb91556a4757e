package conformance

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tintype"
	"tintype/internal/arm"
	"tintype/internal/block"
	"tintype/internal/catalog"
	"tintype/internal/compute"
	"tintype/internal/identity"
	"tintype/internal/keyvault"
	"tintype/internal/lsd"
	"tintype/internal/openapi"
	"tintype/internal/vault"
	"tintype/internal/vfs/crashfs"
)

// azure is where Azure's description of its API may be.
var azure = openapi.At("../../../shared/openapi/specification")

const (
	subscription = "00000000-0000-0000-0000-000000000000"
	tenant       = "54826b22-38d6-4fb2-bad9-b7b93a3e9c5a"
	base         = "https://localhost:8443"
)

// anyone may do all: who may do what is tested elsewhere.
type anyone struct{}

func (anyone) Authenticate(*http.Request) (identity.Principal, error) {
	return identity.Principal{ObjectID: "oid", AppID: "app", Tenant: tenant, Name: "someone@example.com"}, nil
}
func (anyone) Allowed(identity.Principal, string, string) bool { return true }

func (anyone) AllowedBelow(identity.Principal, string, string) bool { return true }

func (anyone) Sees(identity.Principal, string) bool { return true }
func (anyone) Tenant() identity.Tenant              { return identity.Tenant{ID: tenant, Name: "T"} }

func (anyone) Subscriptions() []identity.Subscription {
	return []identity.Subscription{{ID: subscription, Name: "One"}}
}

// noDoor exports nothing: no recording attaches.
type noDoor struct{}

func (noDoor) Export(string, block.Device, bool, string, []compute.Older) error { return nil }
func (noDoor) ExportChanges(string, block.Device, string, compute.Older) error  { return nil }
func (noDoor) Unexport(string) error                                            { return nil }
func (noDoor) Socket(string) string                                             { return "" }
func (noDoor) URI(name string) string                                           { return "nbd+unix:///" + name }

// rig is the server in this process: front door, domain and engine, on files in memory.
type rig struct {
	t      testing.TB
	router *arm.Router
	vaults *keyvault.Handler // nil: encryption sets name keys that nobody has
	door   http.Handler      // the router, every answer of which is held to the description
	clock  atomic.Int64      // nanoseconds since 1970
}

func newRig(t testing.TB) *rig { return newRigWith(t, nil) }

// newRigWith is newRig with key vaults behind a guard, or without.
func newRigWith(t testing.TB, guard keyvault.Guard) *rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	engine, err := lsd.Open(crashfs.New(1), "engine", lsd.Options{
		SegmentSlots: 64, Reserve: -1, Zones: []string{"zone1", "zone2", "zone3"}, Keys: &lsd.KeyRing{Current: lsd.Key{1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := catalog.Open(t.Context(), filepath.Join(t.TempDir(), "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t}
	r.clock.Store(time.Date(2018, 8, 1, 0, 0, 0, 123_456_700, time.UTC).UnixNano())
	now := func() time.Time { return time.Unix(0, r.clock.Load()).UTC() }
	options := compute.Options{
		Catalog: rows, Volumes: engine, Exporter: noDoor{}, Now: now, Log: log, ZoneRedundant: true,
	}
	vaults, err := vault.Open(vault.Options{Dir: t.TempDir(), Tenant: tenant, Now: now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if guard != nil {
		r.vaults = keyvault.New(keyvault.Options{
			Vaults: vaults, Guard: guard, Login: func(*http.Request) string { return "https://login.microsoftonline.com" }, Log: log,
		})
		options.Vaults, options.Keys = vaults, volumeKeys{engine}
	}
	service := compute.New(options)
	if err := service.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(service.Close(), rows.Close(), engine.Close()); err != nil {
			t.Error(err)
		}
	})
	types := arm.VaultTypes(arm.VaultOptions{Vaults: vaults, Groups: service, Domain: publicVaults})
	r.router, err = arm.New(arm.Options{
		Types: append(types, arm.ComputeTypes(arm.ComputeOptions{
			Volumes: service, Companions: service, Points: service, Machines: service, Images: service, Tenant: tenant, Allowed: anyone{}.Allowed,
			SignURL: func(base string, g tintype.Grant) string {
				return base + "/" + g.Account + "/" + g.Container + "/abcd?sv=2018-03-28&sr=b&si=" + g.ID.String() + "&sig=s"
			},
		})...),
		Guard: anyone{}, Groups: service, Locks: service, Tags: service, Region: "westus", Now: now, Log: log,
		BaseURL: func(*http.Request) string { return base },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.door = azure.Hold(t, r.router)
	return r
}

// publicVaults is the domain of Azure's vaults.
const publicVaults = "vault.azure.net"

// volumeKeys is the engine as the domain gives it keys.
type volumeKeys struct{ *lsd.Store }

func (v volumeKeys) GiveKey(secret [32]byte) (string, error) {
	k := lsd.Key(secret)
	return k.ID(), v.Store.GiveKey(k)
}

func (v volumeKeys) SetKey(key string, volumes ...block.ID) error {
	return v.Store.SetKey(key, volumes...)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   any
}

// do sends a request; target is a path with its query.
func (r *rig) do(method, target string, body any) answer {
	r.t.Helper()
	var text string
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			r.t.Fatal(err)
		}
		text = string(b)
	}
	return r.send(method, target, text)
}

// send is do with the body's text.
func (r *rig) send(method, target, text string) answer {
	r.t.Helper()
	w := httptest.NewRecorder()
	if strings.HasPrefix(target, "https://") { // of a vault's keys
		r.vaults.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(text)))
	} else {
		req := httptest.NewRequest(method, base+target, strings.NewReader(text))
		req.Header.Set("Content-Type", "application/json")
		r.door.ServeHTTP(w, req)
	}
	a := answer{status: w.Code, header: w.Header()}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
			r.t.Fatalf("%s %s: %v in %q", method, target, err, w.Body)
		}
	}
	return a
}

// settle polls an accepted write to its end.
func (r *rig) settle(a answer) {
	r.t.Helper()
	poll := local(a.header.Get("Azure-AsyncOperation"))
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if poll == "" || object(r.do("GET", poll, nil).body)["status"] != "InProgress" {
			return
		}
	}
	r.t.Fatal("the operation does not end")
}

// local is a URL of ours without its host.
func local(u string) string { return strings.TrimPrefix(u, base) }
