package arm

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tintype/internal/identity"
	"tintype/internal/openapi"
)

// azure is where Azure's description of its API may be.
var azure = openapi.At("../../../shared/openapi/specification")

const testSub = "0a1b2c3d-0000-4000-8000-000000000001"

// testGuard lets the token "good" in, with a role on testSub only; two subscriptions exist.
type testGuard struct{}

func (testGuard) Authenticate(r *http.Request) (identity.Principal, error) {
	if r.Header.Get("Authorization") != "Bearer good" {
		return identity.Principal{}, &identity.Error{
			Status: 401, Code: "AuthenticationFailed",
			Message: "no", Challenge: `Bearer authorization_uri="https://h/t"`,
		}
	}
	return identity.Principal{ObjectID: "oid", AppID: "app", Tenant: "ten"}, nil
}

func (testGuard) Allowed(_ identity.Principal, permission, scope string) bool {
	return strings.HasPrefix(strings.ToLower(scope), "/subscriptions/"+testSub) && !strings.HasSuffix(permission, "/forbidden/action")
}

func (g testGuard) AllowedBelow(p identity.Principal, permission, scope string) bool {
	return g.Allowed(p, permission, scope)
}

func (testGuard) Sees(_ identity.Principal, scope string) bool {
	return strings.HasPrefix(strings.ToLower(scope), "/subscriptions/"+testSub)
}

func (testGuard) Tenant() identity.Tenant { return identity.Tenant{ID: testTenant, Name: "T"} }

func (testGuard) Subscriptions() []identity.Subscription {
	return []identity.Subscription{{ID: testSub, Name: "One"}, {ID: otherSub, Name: "Two"}}
}

const testTenant = "0a1b2c3d-0000-4000-8000-00000000000a"

const otherSub = "0a1b2c3d-0000-4000-8000-000000000002"

func widgetTypes() []Type {
	echo := func(_ context.Context, c *Call) (Response, error) {
		return JSON(200, map[string]any{
			"id": c.ID.String(), "version": c.APIVersion, "action": c.Param("action"),
			"base": c.BaseURL, "body": string(c.Body),
		}), nil
	}
	return []Type{{
		Namespace: "Microsoft.Compute", Name: "widgets", Versions: []string{"2022-03-02", "2026-03-02"},
		Operations: []Operation{
			{Method: "GET", Path: InGroup("Microsoft.Compute/widgets/{name}"), Do: echo},
			{Method: "PUT", Path: InGroup("Microsoft.Compute/widgets/{name}"), Do: echo},
			{Method: "POST", Path: InGroup("Microsoft.Compute/widgets/{name}/attach"), Do: echo, Versions: []string{"2026-03-02"}},
			{Method: "POST", Path: InGroup("Microsoft.Compute/widgets/{name}/forbidden"), Do: echo},
			{Method: "GET", Path: InSubscription("Microsoft.Compute/widgets"), Do: echo},
			{Method: "GET", Path: InGroup("Microsoft.Compute/widgets/{name}/panic"), Do: func(context.Context, *Call) (Response, error) {
				panic("secret detail")
			}},
			{Method: "GET", Path: InGroup("Microsoft.Compute/widgets/{name}/fail"), Do: func(context.Context, *Call) (Response, error) {
				return Response{}, errors.New("secret detail")
			}},
			{Method: "GET", Path: InGroup("Microsoft.Compute/widgets/{name}/unencodable"), Do: func(context.Context, *Call) (Response, error) {
				return JSON(200, func() {}), nil
			}},
			{Method: "DELETE", Path: InGroup("Microsoft.Compute/widgets/{name}"), Do: func(_ context.Context, c *Call) (Response, error) {
				return c.Accepted("DiskOperations", "westus2", "op-1", nil), nil
			}},
		},
	}}
}

func newTestRouter(t testing.TB) *Router {
	t.Helper()
	rt, err := New(Options{
		Types: widgetTypes(), Guard: testGuard{},
		BaseURL: func(*http.Request) string { return "https://localhost:8443" },
		Region:  "westus2",
		Now:     func() time.Time { return time.Unix(1_800_000_000, 0) },
		Log:     slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

func do(t testing.TB, rt http.Handler, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer good")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	azure.Hold(t, rt).ServeHTTP(w, r)
	return w
}

func TestRouting(t *testing.T) {
	rt := newTestRouter(t)
	w := do(t, rt, "GET", "/SUBSCRIPTIONS/"+testSub+"//resourcegroups/GrouP/PROVIDERS/microsoft.compute/WIDGETS/Na%20me?api-version=2022-03-02", "")
	var got map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	want := map[string]string{
		"id":      "/subscriptions/" + testSub + "/resourceGroups/GrouP/providers/Microsoft.Compute/widgets/Na me",
		"version": "2022-03-02", "action": "", "base": "https://localhost:8443", "body": "",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, h := range []string{"x-ms-request-id", "x-ms-correlation-request-id", "x-ms-routing-request-id"} {
		if w.Header().Get(h) == "" {
			t.Errorf("no %s", h)
		}
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/json; charset=utf-8" {
		t.Errorf("Content-Type %q", ct)
	}
}

func TestRefusals(t *testing.T) {
	rt := newTestRouter(t)
	item := "/subscriptions/" + testSub + "/resourceGroups/g/providers/Microsoft.Compute/widgets/w"
	deep := strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)
	for _, tc := range []struct {
		method, target, body string
		status               int
		code, text           string
	}{
		{"GET", item, "", 400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests"},
		{"GET", item + "?api-version=2000-01-01", "", 404, "InvalidResourceType", "'widgets' could not be found in the namespace 'Microsoft.Compute' for api version '2000-01-01'. The supported api-versions are '2022-03-02, 2026-03-02'."},
		{"PUT", item + "?api-version=2000-01-01", `{"location":"westus"}`, 400, "NoRegisteredProviderFound", "location 'westus' and API version '2000-01-01' for type 'widgets'. The supported api-versions are '2022-03-02, 2026-03-02'. The supported locations are 'australiacentral, australiacentral2, "},
		{"POST", item + "/attach?api-version=2022-03-02", `{}`, 404, "InvalidResourceType", "The supported api-versions are '2026-03-02'."},
		{"POST", item + "/forbidden?api-version=2022-03-02", `{}`, 403, "AuthorizationFailed", "The client 'app' with object id 'oid' does not have authorization to perform action 'Microsoft.Compute/widgets/forbidden/action' over scope '" + item + "'"},
		{"GET", strings.Replace(item, testSub, otherSub, 1) + "?api-version=2022-03-02", "", 403, "AuthorizationFailed", otherSub},
		{"GET", "/subscriptions/0a1b2c3d-0000-4000-8000-000000000009/resourceGroups?api-version=2021-04-01", "", 403, "AuthorizationFailed", "over scope '/subscriptions/0a1b2c3d-0000-4000-8000-000000000009/resourceGroups'"},
		{"GET", "/subscriptions/nonsense/resourceGroups?api-version=2021-04-01", "", 400, "InvalidSubscriptionId", "'nonsense'"},
		{"PUT", item + "?api-version=2022-03-02", "{", 400, "InvalidRequestContent", "could not be deserialized"},
		{"PUT", item + "?api-version=2022-03-02", "{} {}", 400, "InvalidRequestContent", "could not be deserialized"},
		{"PUT", item + "?api-version=2022-03-02", deep, 400, "InvalidRequestContent", "deeper than 64"},
		{"PUT", item + "?api-version=2022-03-02", strings.Repeat(" ", maxBody+1), 413, "RequestContentTooLarge", "4 MB"},
		{"PATCH", item + "?api-version=2022-03-02", "{}", 405, "MethodNotAllowed", "'DELETE, GET, PUT'"},
		{"GET", InGroupPath("Microsoft.Compute/gadgets/g") + "?api-version=2022-03-02", "", 404, "InvalidResourceType", "'gadgets'"},
		{"GET", InGroupPath("Microsoft.Gadgets/gadgets/g") + "?api-version=2022-03-02", "", 404, "InvalidResourceNamespace", "'Microsoft.Gadgets'"},
		{"GET", "/nothing?api-version=2022-03-02", "", 404, "NotFound", "/nothing"},
		{"GET", item + "%2Fpanic?api-version=2022-03-02", "", 400, "InvalidRequestUri", ""},
		{"GET", item + "%00?api-version=2022-03-02", "", 400, "InvalidRequestUri", ""},
		{"GET", item + "/panic?api-version=2022-03-02", "", 500, "InternalServerError", ""},
		{"GET", item + "/fail?api-version=2022-03-02", "", 500, "InternalServerError", ""},
		{"GET", item + "/unencodable?api-version=2022-03-02", "", 500, "InternalServerError", ""},
	} {
		w := do(t, rt, tc.method, tc.target, tc.body)
		var got errorBody
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Errorf("%s %s: %d %q", tc.method, tc.target, w.Code, w.Body)
			continue
		}
		if w.Code != tc.status || got.Error.Code != tc.code || !strings.Contains(got.Error.Message, tc.text) {
			t.Errorf("%s %s:\n got %d %s %q\nwant %d %s %q", tc.method, tc.target,
				w.Code, got.Error.Code, got.Error.Message, tc.status, tc.code, tc.text)
		}
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s %s shows internals: %s", tc.method, tc.target, w.Body)
		}
	}
}

// InGroupPath is a path in testSub.
func InGroupPath(rest string) string {
	return "/subscriptions/" + testSub + "/resourceGroups/g/providers/" + rest
}

func TestUnauthenticated(t *testing.T) {
	rt := newTestRouter(t)
	r := httptest.NewRequest("GET", "/subscriptions?api-version=2019-11-01", nil)
	w := httptest.NewRecorder()
	rt.ServeHTTP(w, r)
	if w.Code != 401 || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer ") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestAcceptedHeaders(t *testing.T) {
	w := do(t, newTestRouter(t), "DELETE", InGroupPath("Microsoft.Compute/widgets/w")+"?api-version=2022-03-02", "")
	at := "https://localhost:8443/subscriptions/" + testSub + "/providers/Microsoft.Compute/locations/westus2/DiskOperations/op-1?p=op-1"
	got := []string{w.Header().Get("Azure-AsyncOperation"), w.Header().Get("Location"), w.Header().Get("Retry-After")}
	want := []string{at + "&api-version=2022-03-02", at + "&monitor=true&api-version=2022-03-02", "1"}
	if d := cmp.Diff(want, got); d != "" || w.Code != 202 || w.Body.Len() != 0 {
		t.Errorf("%d %s %s", w.Code, w.Body, d)
	}
}

func TestTableMistakes(t *testing.T) {
	types := widgetTypes()
	types[0].Operations = append(types[0].Operations, types[0].Operations[0])
	if _, err := New(Options{Types: types}); err == nil {
		t.Error("an operation that is in the table twice was accepted")
	}
}

func FuzzRoute(f *testing.F) {
	f.Add("GET", "/subscriptions/"+testSub+"/resourceGroups/g/providers/Microsoft.Compute/widgets/w?api-version=2022-03-02", "{}")
	f.Add("PUT", "/subscriptions/%2f/..//providers/%00?api-version=", `{"a":[1,{"b":"\""}]}`)
	f.Fuzz(func(t *testing.T, method, target, body string) {
		r, err := http.NewRequest(method, "https://h/"+target, strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		r.Header.Set("Authorization", "Bearer good")
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		newTestRouter(t).ServeHTTP(w, r)
		if w.Code == 500 && !strings.Contains(strings.ToLower(target), "widgets") {
			t.Fatalf("%s %q: 500 %s", method, target, w.Body)
		}
		if w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("answer is no JSON: %q", w.Body)
		}
	})
}
