package arm

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/block/blocktest"
	"tintype/internal/catalog"
	"tintype/internal/compute"
	"tintype/internal/identity"
)

// sizeStore is a store that knows which volumes there are and how large: all that the API shows of bytes.
type sizeStore struct {
	mu   sync.Mutex
	size map[block.ID]int64
}

func (s *sizeStore) add(id block.ID, size int64) error {
	if _, ok := s.size[id]; ok {
		return block.ErrExists
	}
	s.size[id] = size
	return nil
}

func (s *sizeStore) Create(id block.ID, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(id, size)
}

func (s *sizeStore) Snapshot(cuts ...block.Cut) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, c := range cuts {
		size, ok := s.size[c.Source]
		if !ok {
			return block.ErrNotFound
		}
		err = errors.Join(err, s.add(c.Snapshot, size))
	}
	return err
}

func (s *sizeStore) Clone(id, _ block.ID, size int64) error { return s.Create(id, size) }

func (s *sizeStore) Delete(id block.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.size[id]; !ok {
		return block.ErrNotFound
	}
	delete(s.size, id)
	return nil
}

func (s *sizeStore) SetRedundancy(block.ID, block.Redundancy) error { return nil }

func (s *sizeStore) Resize(id block.ID, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size[id] = size
	return nil
}

func (s *sizeStore) OpenVolume(id block.ID) (block.Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return blocktest.NewMem(s.size[id]), nil
}

func (s *sizeStore) Sizes(id block.ID) (block.Sizes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return block.Sizes{Used: 8192, Provisioned: s.size[id]}, nil
}

func (s *sizeStore) Share(block.ID) (block.Share, error) {
	return block.Share{Incremental: 8192, Exclusive: 4096}, nil
}

func (s *sizeStore) Freed(ids ...block.ID) (int64, error) {
	return int64(len(ids)) * 4096, nil
}

// noDoor exports nothing and says where it would.
type noDoor struct{}

func (noDoor) Export(string, block.Device, bool, string, []compute.Older) error { return nil }
func (noDoor) ExportChanges(string, block.Device, string, compute.Older) error  { return nil }
func (noDoor) Unexport(string) error                                            { return nil }
func (noDoor) Socket(string) string                                             { return "" }
func (noDoor) URI(name string) string                                           { return "nbd+unix:///" + name + "?socket=/s" }

// rigGuard lets three in: "good", who may do all in testSub; "group", the same in group g only; and "reader", who may
// read in testSub.
type rigGuard struct{ testGuard }

func (g rigGuard) Authenticate(r *http.Request) (identity.Principal, error) {
	switch who := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); who {
	case "group", "reader", "machines":
		return identity.Principal{ObjectID: who, AppID: who}, nil
	}
	return g.testGuard.Authenticate(r)
}

func (g rigGuard) Allowed(p identity.Principal, permission, scope string) bool {
	switch p.ObjectID {
	case "group":
		return strings.HasPrefix(strings.ToLower(scope)+"/", "/subscriptions/"+testSub+"/resourcegroups/g/")
	case "machines":
		return strings.HasPrefix(permission, "Microsoft.Compute/virtualMachines/") || permission == "Microsoft.Compute/images/read" ||
			permission == "Microsoft.Compute/disks/write" && strings.EqualFold(scope, inGroup("disks/vm"))
	case "reader":
		return strings.HasSuffix(permission, "/read") && g.testGuard.Allowed(p, permission, scope)
	}
	return g.testGuard.Allowed(p, permission, scope)
}

// health is a store with a damage that nothing on record has, and a scrub that ended an hour ago.
type health struct{}

func (health) StartScrub() {}

func (health) Scrub() tintype.Scrub {
	at := time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)
	return tintype.Scrub{Rate: 5, Last: tintype.ScrubPass{Begun: at, Ended: at, Bytes: 7}}
}

func (health) Damages() []tintype.Damage {
	return []tintype.Damage{{Volume: uuid.UUID{9}, Off: 4096, Len: 8192, Cause: "checksum"}}
}

// computeRig is a router in front of the real domain.
type computeRig struct {
	t      testing.TB
	router *Router
	token  string
	rows   *catalog.Catalog
	seen   *companionsSeen
}

// companionsSeen are what the handlers see of companions, which a test may change.
type companionsSeen struct{ Companions }

func newComputeRig(t testing.TB) *computeRig {
	t.Helper()
	return newGuardedRig(t, rigGuard{}, nil)
}

// newRoleRig is a rig in which roles hold; its token is the object id of who owns the subscription.
func newRoleRig(t testing.TB) *computeRig {
	t.Helper()
	roles := openRoles(t)
	r := newGuardedRig(t, roleGuard{Service: roles}, roles)
	r.token = firstPrincipal
	return r
}

func newGuardedRig(t testing.TB, guard Guard, roles Roles) *computeRig {
	t.Helper()
	c, err := catalog.Open(t.Context(), filepath.Join(t.TempDir(), "c.db"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	now := func() time.Time { return time.Date(2026, 11, 22, 14, 0, 0, 123_456_700, time.UTC) }
	stats := func() any { return map[string]int{"liveBytes": 1} }
	service := compute.New(compute.Options{
		Catalog: c, Volumes: &sizeStore{size: map[block.ID]int64{}}, Exporter: noDoor{}, Now: now, Log: log,
		ZoneRedundant: true,
		RotateKey:     func(context.Context) (string, string, error) { return "old", "new", nil },
		StoreStats:    stats, Health: health{},
	})
	if err := service.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(service.Close(), c.Close()); err != nil {
			t.Error(err)
		}
	})
	seen := &companionsSeen{service}
	volumes := ComputeTypes(ComputeOptions{
		Peer:    func(sub tintype.SubscriptionID) bool { return sub == peerSub },
		Volumes: service, Companions: seen, Points: service, Machines: service, Images: service, Tenant: testTenant, Allowed: guard.Allowed,
		SignURL: func(base string, g tintype.Grant) string {
			return base + "/" + g.Account + "/" + g.Container + "/abcd?sv=2018-03-28&sr=b&si=" + g.ID.String() + "&sig=s"
		},
	})
	router, err := New(Options{
		Types: append(volumes, StoreTypes(service)...),
		Guard: guard, Roles: roles, PrincipalType: func(string) string { return "ServicePrincipal" }, Groups: service, Locks: service, Tags: service, Moves: service, Region: "westus2", Now: now, Log: log,
		BaseURL: func(*http.Request) string { return "https://localhost:8443" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return &computeRig{t: t, router: router, token: "good", rows: c, seen: seen}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   any
}

func (a answer) object() map[string]any { m, _ := a.body.(map[string]any); return m }

func (r *computeRig) do(method, path string, body any) answer {
	r.t.Helper()
	var text string
	switch b := body.(type) {
	case nil:
	case string:
		text = b
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			r.t.Fatal(err)
		}
		text = string(encoded)
	}
	req := httptest.NewRequest(method, "https://localhost:8443"+path, strings.NewReader(text))
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	azure.Hold(r.t, r.router).ServeHTTP(w, req)
	a := answer{status: w.Code, header: w.Header()}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
			r.t.Fatalf("%s %s: %v in %q", method, path, err, w.Body)
		}
	}
	return a
}

// poll follows an accepted write to its end and gives the last status.
func (r *computeRig) poll(a answer) answer {
	r.t.Helper()
	if a.status != http.StatusAccepted {
		r.t.Fatalf("not accepted: %d %v", a.status, a.body)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		p := r.do("GET", local(a.header.Get("Azure-AsyncOperation")), nil)
		if p.object()["status"] != "InProgress" {
			return p
		}
	}
	r.t.Fatal("the operation does not end")
	return answer{}
}

// local is a URL of ours without its host.
func local(u string) string { return strings.TrimPrefix(u, "https://localhost:8443") }

func (r *computeRig) group(name string) {
	r.t.Helper()
	if a := r.do("PUT", "/subscriptions/"+testSub+"/resourcegroups/"+name+"?api-version=2021-04-01", `{"location":"westus"}`); a.status != 201 {
		r.t.Fatalf("group: %d %v", a.status, a.body)
	}
}
