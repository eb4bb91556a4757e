package arm

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"tintype"
	"tintype/internal/compute"
)

// testGroups keeps groups in a map and lists volumes in pages of three, in the order of their keys, as the domain does.
type testGroups struct {
	groups  map[string]tintype.Group
	ops     map[uuid.UUID]tintype.Operation
	volumes []tintype.Volume
}

func (g *testGroups) PutGroup(_ context.Context, in tintype.Group) (tintype.Group, bool, error) {
	old, exists := g.groups[in.Key()]
	if exists {
		in.Name = old.Name
	}
	in.State = tintype.StateSucceeded
	g.groups[in.Key()] = in
	return in, !exists, nil
}

func (g *testGroups) PatchGroup(ctx context.Context, sub tintype.SubscriptionID, name string, change tintype.GroupPatch) (tintype.Group, error) {
	found, err := g.GetGroup(ctx, sub, name)
	if err == nil {
		err = change.Apply(&found)
	}
	if err == nil {
		g.groups[found.Key()] = found
	}
	return found, err
}

func (g *testGroups) GetGroup(_ context.Context, sub tintype.SubscriptionID, name string) (tintype.Group, error) {
	if found, ok := g.groups[tintype.GroupKey(sub, name)]; ok {
		return found, nil
	}
	return tintype.Group{}, tintype.GroupNotFound(name)
}

func (g *testGroups) ListGroups(context.Context, tintype.SubscriptionID) (out []tintype.Group, err error) {
	for _, one := range g.groups {
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b tintype.Group) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (g *testGroups) DeleteGroup(_ context.Context, sub tintype.SubscriptionID, name string) (tintype.Accepted, error) {
	if _, ok := g.groups[tintype.GroupKey(sub, name)]; !ok {
		return tintype.Accepted{}, tintype.GroupNotFound(name)
	}
	delete(g.groups, tintype.GroupKey(sub, name))
	op := tintype.Operation{ID: uuid.New(), Kind: tintype.OpDeleteGroup, State: tintype.InProgress}
	g.ops[op.ID] = op
	return tintype.Accepted{Operation: op}, nil
}

func (g *testGroups) Operation(_ context.Context, _ tintype.SubscriptionID, id uuid.UUID) (tintype.Operation, error) {
	if op, ok := g.ops[id]; ok {
		return op, nil
	}
	return tintype.Operation{}, &tintype.Error{Kind: tintype.KindNotFound, Code: "NotFound", Message: "no operation"}
}

func (g *testGroups) ListCompanions(context.Context, tintype.SubscriptionID, string, tintype.Kind, string) (compute.CompanionPage, error) {
	return compute.CompanionPage{}, nil
}

func (g *testGroups) List(_ context.Context, _ tintype.SubscriptionID, group string, kind tintype.Kind, after string) (compute.Page, error) {
	var p compute.Page
	for _, v := range g.volumes {
		if v.ID.Key() <= after || group != "" && !strings.EqualFold(group, v.ID.Group) || kind != 0 && kind != v.ID.Kind {
			continue
		}
		if len(p.Volumes) == 3 {
			p.Next = p.Volumes[2].ID.Key()
			break
		}
		p.Volumes = append(p.Volumes, v)
	}
	return p, nil
}

func newGroupRouter(t testing.TB) (*Router, *testGroups) {
	t.Helper()
	rt := newTestRouter(t)
	g := &testGroups{groups: map[string]tintype.Group{}, ops: map[uuid.UUID]tintype.Operation{}}
	rt.opt.Groups = g
	return rt, g
}

const groupPath = "/subscriptions/" + testSub + "/resourcegroups/Gr-1"

func TestGroupLife(t *testing.T) {
	rt, groups := newGroupRouter(t)
	const v = "?api-version=2021-04-01"
	step := func(method, path, body string, status int, want string) http.Header {
		t.Helper()
		w := do(t, rt, method, path+v, body)
		if w.Code != status || w.Body.String() != want {
			t.Errorf("%s %s: %d %s\nwant %d %s", method, path, w.Code, w.Body, status, want)
		}
		return w.Header()
	}
	group := func(tags string) string {
		return `{"id":"/subscriptions/` + testSub + `/resourceGroups/Gr-1","name":"Gr-1","type":"Microsoft.Resources/resourceGroups",` +
			`"location":"westus2",` + tags + `"properties":{"provisioningState":"Succeeded"}}`
	}
	const missing = `{"error":{"code":"ResourceGroupNotFound","message":"Resource group 'Gr-1' could not be found."}}`
	if h := step("GET", groupPath, "", 404, missing); h.Get("x-ms-failure-cause") != "gateway" {
		t.Errorf("x-ms-failure-cause: %q", h.Get("x-ms-failure-cause"))
	}
	step("HEAD", groupPath, "", 404, "")
	step("PUT", groupPath, `{"location":"West US 2","tags":{"a":"b"}}`, 201, group(`"tags":{"a":"b"},`))
	step("PUT", strings.ToUpper(groupPath), `{"location":"westus2"}`, 200, group(""))
	step("PATCH", groupPath, `{"tags":{"c":"d"}}`, 200, group(`"tags":{"c":"d"},`))
	step("PATCH", groupPath, `{}`, 200, group(`"tags":{"c":"d"},`))
	step("GET", groupPath, "", 200, group(`"tags":{"c":"d"},`))
	by := group(`"managedBy":"/subscriptions/s/x","tags":{"c":"d"},`)
	step("PATCH", groupPath, `{"managedBy":"/subscriptions/s/x"}`, 200, by)
	step("PATCH", groupPath, `{"tags":{"c":"d"}}`, 200, by)
	step("GET", groupPath, "", 200, by)
	step("PUT", groupPath, `{"location":"westus2","tags":{"c":"d"},"managedBy":"/subscriptions/s/x"}`, 200, by)
	step("PUT", groupPath, `{"location":"westus2","tags":{"c":"d"}}`, 200, group(`"tags":{"c":"d"},`))
	step("HEAD", groupPath, "", 204, "")
	step("GET", "/subscriptions/"+testSub+"/resourcegroups", "", 200, `{"value":[`+group(`"tags":{"c":"d"},`)+`]}`)
	h := step("DELETE", groupPath, "", 202, "")
	at, err := url.Parse(h.Get("Location"))
	if err != nil || at.Host != "localhost:8443" || h.Get("Retry-After") == "" {
		t.Fatalf("%v %v", h, err)
	}
	if w := do(t, rt, "GET", at.RequestURI(), ""); w.Code != 202 || w.Header().Get("Location") != at.String() {
		t.Errorf("while it runs: %d %v", w.Code, w.Header())
	}
	for id, op := range groups.ops {
		op.State = tintype.Succeeded
		groups.ops[id] = op
	}
	if w := do(t, rt, "GET", at.RequestURI(), ""); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("when it has ended: %d %s", w.Code, w.Body)
	}
	for id, op := range groups.ops {
		op.State, op.Failure = tintype.Failed, tintype.NotAllowed("Disk d is attached.")
		groups.ops[id] = op
	}
	if w := do(t, rt, "GET", at.RequestURI(), ""); w.Code != 409 || !strings.Contains(w.Body.String(), "Disk d is attached.") {
		t.Errorf("when it has failed: %d %s", w.Code, w.Body)
	}
	step("DELETE", groupPath, "", 404, missing)
}

func TestBadGroups(t *testing.T) {
	rt, _ := newGroupRouter(t)
	at := "/subscriptions/" + testSub + "/resourcegroups/"
	var tags []string
	for i := range 51 {
		tags = append(tags, fmt.Sprintf(`"t%d":""`, i))
	}
	for _, tc := range []struct{ method, path, body, code string }{
		{"PUT", at + "g", "", "InvalidRequestContent"},
		{"PUT", at + "g", `{}`, "LocationRequired"},
		{"PUT", at + "g", `{"location":"nowhere"}`, "LocationNotAvailableForResourceGroup"},
		{"PUT", at + "g", `{"location":5}`, "InvalidRequestContent"},
		{"PUT", at + "g", `{"location":"westus2","tags":{"a":5}}`, "InvalidRequestContent"},
		{"PUT", at + "g", `{"location":"westus2","tags":{` + strings.Join(tags, ",") + `}}`, "InvalidTags"},
		{"PUT", at + "g.", `{"location":"westus2"}`, "InvalidResourceGroup"},
		{"PUT", at + "g!", `{"location":"westus2"}`, "InvalidResourceGroup"},
		{"PUT", at + strings.Repeat("g", 91), `{"location":"westus2"}`, "InvalidResourceGroup"},
		{"GET", "/subscriptions/" + testSub + "/operationresults/nonsense", "", "OperationNotFound"},
		{"GET", "/subscriptions/" + testSub + "/operationresults/" + uuid.NewString(), "", "NotFound"},
		{"GET", at + "g/resources", "", "ResourceGroupNotFound"},
		{"GET", "/subscriptions/" + testSub + "/providers/Microsoft.Nothing", "", "InvalidResourceNamespace"},
	} {
		w := do(t, rt, tc.method, tc.path+"?api-version=2021-04-01", tc.body)
		var got errorBody
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Error.Code != tc.code || w.Code/100 != 4 {
			t.Errorf("%s %s %.40s: %d %s, want %s", tc.method, tc.path, tc.body, w.Code, w.Body, tc.code)
		}
	}
	w := do(t, rt, "GET", at+"g?api-version=1999-01-01", "")
	if !strings.Contains(w.Body.String(), "InvalidApiVersionParameter") || !strings.Contains(w.Body.String(), "The api-version '1999-01-01' is invalid. The supported versions are '") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// manyVolumes are ten volumes in two groups, in the order of their keys.
func manyVolumes() (out []tintype.Volume) {
	for _, group := range []string{"a", "b"} {
		for i := range 5 {
			kind := tintype.KindDisk
			if i >= 3 {
				kind = tintype.KindSnapshot
			}
			out = append(out, tintype.Volume{
				ID:       tintype.ResourceID{Subscription: testSub, Group: group, Kind: kind, Name: fmt.Sprintf("V%d", i)},
				Location: "westus2", SKU: tintype.StandardLRS, Tags: map[string]string{"n": fmt.Sprint(i)},
				Provisioning: tintype.StateSucceeded,
			})
		}
	}
	return out
}

// names walks all pages of a list and gives group/name of each resource.
func names(t *testing.T, rt *Router, path string, query url.Values) []string {
	t.Helper()
	query.Set("api-version", "2021-04-01")
	next := path + "?" + query.Encode()
	out := []string{}
	for range 50 {
		w := do(t, rt, "GET", next, "")
		var page List[resourceBody]
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d %s", next, w.Code, w.Body)
		}
		for _, r := range page.Value {
			id, ok := tintype.ParseResourceID(r.ID)
			if !ok {
				t.Fatalf("%q is no id", r.ID)
			}
			out = append(out, id.Group+"/"+r.Name)
		}
		if page.NextLink == "" {
			return out
		}
		at, err := url.Parse(page.NextLink)
		if err != nil || at.Host != "localhost:8443" {
			t.Fatalf("nextLink %q: %v", page.NextLink, err)
		}
		next = at.RequestURI()
	}
	t.Fatal("the list does not end")
	return nil
}

func TestResourceList(t *testing.T) {
	rt, groups := newGroupRouter(t)
	groups.volumes = manyVolumes()
	for _, g := range []string{"a", "b"} {
		groups.groups[tintype.GroupKey(testSub, g)] = tintype.Group{Subscription: testSub, Name: g}
	}
	all := []string{"a/V0", "a/V1", "a/V2", "a/V3", "a/V4", "b/V0", "b/V1", "b/V2", "b/V3", "b/V4"}
	sub := "/subscriptions/" + testSub + "/resources"
	for _, top := range []string{"", "1", "2", "3", "4", "9", "10", "11"} {
		q := url.Values{}
		if top != "" {
			q.Set("$top", top)
		}
		if d := cmp.Diff(all, names(t, rt, sub, q)); d != "" {
			t.Errorf("$top=%s: %s", top, d)
		}
	}
	for filter, want := range map[string][]string{
		"resourceType eq 'microsoft.compute/SNAPSHOTS'":                          {"a/V3", "a/V4", "b/V3", "b/V4"},
		"resourceType ne 'Microsoft.Compute/snapshots' and resourceGroup eq 'B'": {"b/V0", "b/V1", "b/V2"},
		"name eq 'v1' or name eq 'v4'":                                           {"a/V1", "a/V4", "b/V1", "b/V4"},
		"(name eq 'v1' or name eq 'v4') and resourceGroup eq 'a'":                {"a/V1", "a/V4"},
		"name eq 'v1' or name eq 'v4' and resourceGroup eq 'a'":                  {"a/V1", "a/V4", "b/V1"},
		"tagName eq 'N' and tagValue eq '2'":                                     {"a/V2", "b/V2"},
		"tagName eq 'n' and tagValue eq '2' and resourceGroup eq 'a'":            {"a/V2"},
		"tagName eq 'n'":         all,
		"tagName eq 'o'":         {},
		"substringof('4', name)": {"a/V4", "b/V4"},
		"startswith(name,'v0')":  {"a/V0", "b/V0"},
		"location eq 'westus2' and substringof('disk',resourceType)": {"a/V0", "a/V1", "a/V2", "b/V0", "b/V1", "b/V2"},
		"name eq 'it''s'": {},
	} {
		if d := cmp.Diff(want, names(t, rt, sub, url.Values{"$filter": {filter}, "$top": {"2"}})); d != "" {
			t.Errorf("%s: %s", filter, d)
		}
	}
	q := url.Values{"$expand": {"provisioningState"}}
	if d := cmp.Diff(all[:5], names(t, rt, "/subscriptions/"+testSub+"/resourceGroups/A/resources", q)); d != "" {
		t.Error(d)
	}
	w := do(t, rt, "GET", sub+"?api-version=2021-04-01&$expand=provisioningState&$top=1", "")
	if !strings.Contains(w.Body.String(), `"provisioningState":"Succeeded"`) || strings.Contains(w.Body.String(), "createdTime") {
		t.Errorf("%s", w.Body)
	}
}

func TestBadListParameters(t *testing.T) {
	rt, _ := newGroupRouter(t)
	for _, q := range []url.Values{
		{"$filter": {"name"}},
		{"$filter": {"name eq"}},
		{"$filter": {"name eq 'x"}},
		{"$filter": {"name eq 'x' and"}},
		{"$filter": {"size eq 'x'"}},
		{"$filter": {"name like 'x'"}},
		{"$filter": {"name eq 'x' name"}},
		{"$filter": {"(name eq 'x'"}},
		{"$filter": {"substringof('x' name)"}},
		{"$filter": {"tagName eq 'x' and tagValue ne 'y'"}},
		{"$filter": {strings.Repeat("(", 50) + "name eq 'x'" + strings.Repeat(")", 50)}},
		{"$filter": {strings.Repeat("x", maxFilter+1)}},
		{"$top": {"0"}},
		{"$top": {"-1"}},
		{"$top": {"x"}},
		{"$top": {"99999999999999999999"}},
		{"$skiptoken": {"x"}},
		{"$skiptoken": {strings.Repeat("A", 2*maxID)}},
		{"$skiptoken": {base64.RawURLEncoding.EncodeToString([]byte("1:x"))}},
	} {
		q.Set("api-version", "2021-04-01")
		if w := do(t, rt, "GET", "/subscriptions/"+testSub+"/resources?"+q.Encode(), ""); w.Code != 400 {
			t.Errorf("%v: %d %s", q, w.Code, w.Body)
		}
	}
}

func TestSubscriptionsShowWhatTheCallerMaySee(t *testing.T) {
	rt, _ := newGroupRouter(t)
	w := do(t, rt, "GET", "/subscriptions?api-version=2019-11-01", "")
	if !strings.Contains(w.Body.String(), testSub) || strings.Contains(w.Body.String(), otherSub) {
		t.Errorf("%s", w.Body)
	}
	if w := do(t, rt, "GET", "/subscriptions/"+otherSub+"?api-version=2019-11-01", ""); w.Code != 403 {
		t.Errorf("a subscription without a role: %d %s", w.Code, w.Body)
	}
	if w := do(t, rt, "GET", "/tenants?api-version=2019-11-01", ""); !strings.Contains(w.Body.String(), `"tenantId":"`+testTenant) {
		t.Errorf("%s", w.Body)
	}
}

func TestLocationsAndProvidersComeFromTheTables(t *testing.T) {
	rt, _ := newGroupRouter(t)
	w := do(t, rt, "GET", "/subscriptions/"+testSub+"/locations?api-version=2022-12-01", "")
	var locations List[locationBody]
	if err := json.Unmarshal(w.Body.Bytes(), &locations); err != nil || len(locations.Value) != len(tintype.Regions()) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for i, r := range tintype.Regions() {
		if l := locations.Value[i]; l.Name != r.Name || len(l.Zones) != map[bool]int{true: 3}[r.Zones] {
			t.Errorf("%+v for %+v", l, r)
		}
	}
	if w := do(t, rt, "GET", "/subscriptions/"+testSub+"/locations?api-version=2019-11-01", ""); strings.Contains(w.Body.String(), "availabilityZoneMappings") {
		t.Error("an api-version before 2022-12-01 shows zones")
	}
	for _, m := range []struct{ method, path string }{
		{"GET", "/subscriptions/" + testSub + "/providers/microsoft.compute"},
		{"POST", "/subscriptions/" + testSub + "/providers/Microsoft.Compute/register"},
		{"GET", "/providers/Microsoft.Compute"},
	} {
		w := do(t, rt, m.method, m.path+"?api-version=2021-04-01", "")
		var p providerBody
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.RegistrationState != "Registered" || len(p.ResourceTypes) != 1 {
			t.Fatalf("%s: %d %s", m.path, w.Code, w.Body)
		}
		if d := cmp.Diff([]string{"2026-03-02", "2022-03-02"}, p.ResourceTypes[0].APIVersions); d != "" {
			t.Error(d)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add("name eq 'x' and (tagName eq 'a' and tagValue eq 'b' or substringof('c', name))")
	f.Add("startswith(name,'''')")
	f.Fuzz(func(t *testing.T, s string) {
		keep, err := parseFilter(s)
		if err == nil {
			keep(facts{name: "x", tags: map[string]string{"a": "b"}})
		}
	})
}
