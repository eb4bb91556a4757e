package deploy

import (
	"bytes"
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

	"tintype"
	"tintype/internal/arm"
	"tintype/internal/block"
	"tintype/internal/block/blocktest"
	"tintype/internal/catalog"
	"tintype/internal/compute"
	"tintype/internal/identity"
	"tintype/internal/openapi"
)

// azure is where Azure's description of its API may be.
var azure = openapi.At("../../../shared/openapi/specification")

const (
	testSub    = "11111111-1111-1111-1111-111111111111"
	testTenant = "22222222-2222-2222-2222-222222222222"
	group      = "/subscriptions/" + testSub + "/resourceGroups/g"
	version    = "?api-version=2021-04-01"
)

// store knows which volumes there are, and how large.
type store struct {
	compute.Volumes // the rest is not used

	mu   sync.Mutex
	size map[block.ID]int64
}

func (s *store) Create(id block.ID, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.size[id]; ok {
		return block.ErrExists
	}
	s.size[id] = size
	return nil
}

func (s *store) Snapshot(cuts ...block.Cut) error {
	for _, c := range cuts {
		if err := s.Create(c.Snapshot, 1); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) Clone(id, _ block.ID, size int64) error         { return s.Create(id, size) }
func (s *store) SetRedundancy(block.ID, block.Redundancy) error { return nil }
func (s *store) OpenVolume(block.ID) (block.Device, error)      { return blocktest.NewMem(1 << 20), nil }
func (s *store) Sizes(block.ID) (block.Sizes, error)            { return block.Sizes{}, nil }
func (s *store) Resize(id block.ID, size int64) error           { return nil }

func (s *store) Delete(id block.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.size, id)
	return nil
}

// guard lets in "good", who may do all, and "reader", who may read and deploy.
type guard struct{ arm.Guard }

func (guard) Authenticate(r *http.Request) (identity.Principal, error) {
	who := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	return identity.Principal{ObjectID: who, AppID: who, Tenant: testTenant}, nil
}

func (guard) Allowed(p identity.Principal, permission, _ string) bool {
	return p.ObjectID == "good" || strings.HasSuffix(permission, "/read") || strings.HasPrefix(permission, "Microsoft.Resources/deployments/")
}

func (g guard) AllowedBelow(p identity.Principal, permission, scope string) bool {
	return g.Allowed(p, permission, scope)
}

func (guard) Sees(identity.Principal, string) bool { return true }

func (guard) Tenant() identity.Tenant { return identity.Tenant{ID: testTenant, Name: "T"} }

func (guard) Subscriptions() []identity.Subscription {
	return []identity.Subscription{{ID: testSub, Name: "Sub"}}
}

// rig is a router in front of the real domain, with deployments.
type rig struct {
	t       testing.TB
	file    string
	volumes *store
	rows    *catalog.Catalog
	domain  *compute.Service
	service *Service
	router  *arm.Router
	token   string
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, file: filepath.Join(t.TempDir(), "c.db"), volumes: &store{size: map[block.ID]int64{}}, token: "good"}
	r.start()
	t.Cleanup(r.stop)
	if a := r.do("PUT", group+version, `{"location":"westus2"}`); a.status != 201 {
		t.Fatalf("group: %d %s", a.status, a.text)
	}
	return r
}

func (r *rig) start() {
	r.t.Helper()
	var err error
	if r.rows, err = catalog.Open(r.t.Context(), r.file); err != nil {
		r.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	now := func() time.Time { return time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC) }
	r.domain = compute.New(compute.Options{Catalog: r.rows, Volumes: r.volumes, Now: now, Log: log})
	if err := r.domain.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.service = New(Options{Catalog: r.rows, Now: now, Log: log, Tenant: guard{}.Tenant(), Subscriptions: guard{}.Subscriptions})
	types := arm.ComputeTypes(arm.ComputeOptions{
		Volumes: r.domain, Companions: r.domain, Machines: r.domain, Tenant: testTenant, Allowed: guard{}.Allowed,
		SignURL: func(string, tintype.Grant) string { return "" },
	})
	r.router, err = arm.New(arm.Options{
		Types: append(types, r.service.Types()...), Guard: guard{}, Groups: r.domain, Locks: r.domain, Tags: r.domain, Region: "westus2", Now: now, Log: log,
		BaseURL: func(*http.Request) string { return "https://h" },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.service.Start(r.t.Context(), r.router); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) stop() {
	if err := errors.Join(r.service.Close(), r.domain.Close(), r.rows.Close()); err != nil {
		r.t.Error(err)
	}
}

type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// at follows keys and indexes into the answer.
func (a answer) at(path ...any) any {
	var v any = a.body
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			list, _ := v.([]any)
			if p >= len(list) {
				return nil
			}
			v = list[p]
		}
	}
	return v
}

func (r *rig) do(method, path string, body any) answer {
	r.t.Helper()
	var text []byte
	switch b := body.(type) {
	case nil:
	case string:
		text = []byte(b)
	default:
		var err error
		if text, err = json.Marshal(b); err != nil {
			r.t.Fatal(err)
		}
	}
	req := httptest.NewRequest(method, "https://h"+path, bytes.NewReader(text))
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	azure.Hold(r.t, r.router).ServeHTTP(w, req)
	a := answer{status: w.Code, header: w.Header(), text: w.Body.String()}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
			r.t.Fatalf("%s %s: %v in %q", method, path, err, a.text)
		}
	}
	return a
}

// sections makes a request of a template for a group.
func sections(s, parameters, mode string) string {
	return `{"properties":{"mode":"` + mode + `","parameters":` + parameters + `,"template":{
		"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0",` + s + `}}}`
}

const dep = group + "/providers/Microsoft.Resources/deployments/"

// deploy sends a deployment and waits for its end.
func (r *rig) deploy(name, body string) answer {
	r.t.Helper()
	a := r.do("PUT", dep+name+version, body)
	if a.status != 200 && a.status != 201 {
		r.t.Fatalf("not accepted: %d %s", a.status, a.text)
	}
	return r.ended(name)
}

func (r *rig) ended(name string) answer {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		a := r.do("GET", dep+name+version, nil)
		if s := a.at("properties", "provisioningState"); s != "Accepted" && s != "Running" {
			return a
		}
	}
	r.t.Fatal("the deployment does not end")
	return answer{}
}
