package arm

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"tintype/internal/identity"
	"tintype/internal/rbac"
)

const (
	firstPrincipal = "0a1b2c3d-0000-4000-8000-00000000000f"
	aliceID        = "0a1b2c3d-0000-4000-8000-0000000000a1"
	readerRole     = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	ownerRole      = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
)

// roleGuard asks the real roles. The bearer token is the caller's object id.
type roleGuard struct {
	testGuard
	*rbac.Service
}

func (roleGuard) Authenticate(r *http.Request) (identity.Principal, error) {
	id := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	return identity.Principal{ObjectID: id, AppID: "app-" + id, Tenant: testTenant}, nil
}

func (g roleGuard) Allowed(p identity.Principal, action, scope string) bool {
	return g.Service.Allowed(p, action, scope)
}

func (g roleGuard) AllowedBelow(p identity.Principal, action, scope string) bool {
	return g.Service.AllowedBelow(p, action, scope)
}

func (g roleGuard) Sees(p identity.Principal, scope string) bool { return g.Service.Sees(p, scope) }

func openRoles(t testing.TB) *rbac.Service {
	t.Helper()
	roles, err := rbac.Open(rbac.Options{
		Dir: t.TempDir(), First: firstPrincipal, Subscription: testSub, Now: func() time.Time { return time.Unix(1_800_000_000, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return roles
}

// newRoleRouter has groups and widgets, and roles that hold.
func newRoleRouter(t testing.TB) (*Router, *testGroups) {
	t.Helper()
	plain, groups := newGroupRouter(t)
	opt := plain.opt
	roles := openRoles(t)
	opt.Roles, opt.Guard = roles, roleGuard{Service: roles}
	opt.PrincipalType = func(id string) string {
		if id == firstPrincipal || id == aliceID {
			return "ServicePrincipal"
		}
		return ""
	}
	rt, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return rt, groups
}

// as sends a request with the caller's object id for a token.
func as(t testing.TB, rt http.Handler, who, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+who)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	azure.Hold(t, rt).ServeHTTP(w, r)
	return w
}

func errorCode(w *httptest.ResponseRecorder) string {
	var body struct{ Error struct{ Code string } }
	if json.Unmarshal(w.Body.Bytes(), &body) != nil {
		return "not an error: " + w.Body.String()
	}
	return body.Error.Code
}

const (
	subPath    = "/subscriptions/" + testSub
	roleV      = "?api-version=2022-04-01"
	assignPath = "/providers/Microsoft.Authorization/roleAssignments/"
)

func assignment(role, principal string) string {
	return `{"properties":{"roleDefinitionId":"` + subPath + `/providers/Microsoft.Authorization/roleDefinitions/` + role + `","principalId":"` + principal + `"}}`
}

func TestRoleAssignmentOverTheAPI(t *testing.T) {
	rt, _ := newRoleRouter(t)
	const name = "0a1b2c3d-0000-4000-8000-0000000000e1"
	put := func(who, scope, name, body string) *httptest.ResponseRecorder {
		return as(t, rt, who, "PUT", scope+assignPath+name+roleV, body)
	}
	expect := func(w *httptest.ResponseRecorder, status int, code string) {
		t.Helper()
		if w.Code != status || errorCode(w) != code {
			t.Errorf("%d %s, want %d %s", w.Code, w.Body, status, code)
		}
	}
	expect(put(firstPrincipal, groupPath, name, assignment(readerRole, aliceID)), 404, "ResourceGroupNotFound")
	if w := as(t, rt, firstPrincipal, "PUT", groupPath+"?api-version=2021-04-01", `{"location":"westus2"}`); w.Code != 201 {
		t.Fatal(w.Body)
	}
	expect(put(aliceID, groupPath, name, assignment(ownerRole, aliceID)), 403, "AuthorizationFailed")
	expect(put(firstPrincipal, groupPath, name, assignment(readerRole, uuid.NewString())), 400, "PrincipalNotFound")
	expect(put(firstPrincipal, groupPath, name, assignment(readerRole, "")), 400, "PrincipalNotFound")
	expect(put(firstPrincipal, groupPath, name, strings.Replace(assignment(readerRole, aliceID), `"principalId"`, `"principalType":"User","principalId"`, 1)), 400, "UnmatchedPrincipalType")
	for _, condition := range []string{
		`"condition":"x"`, `"condition":"ActionMatches{'*/read'}","conditionVersion":"1.0"`, `"condition":"ActionMatches{'*/read'}","conditionVersion":"3"`,
		`"condition":"@Resource[Microsoft.Storage/storageAccounts/blobServices/containers:name] StringEquals 'c'","conditionVersion":"2.0"`,
		`"condition":"@Principal[Microsoft.Directory/CustomSecurityAttributes/Id:A_B] StringEquals 'c'"`,
	} {
		expect(put(firstPrincipal, groupPath, name, strings.Replace(assignment(readerRole, aliceID), `"principalId"`, condition+`,"principalId"`, 1)), 400, "InvalidCondition")
	}
	expect(put(firstPrincipal, groupPath, name, assignment(uuid.NewString(), aliceID)), 400, "RoleDefinitionDoesNotExist")
	expect(put(firstPrincipal, groupPath, "x", assignment(readerRole, aliceID)), 400, "InvalidRoleAssignmentId")
	expect(put(firstPrincipal, "/subscriptions/"+otherSub, name, assignment(readerRole, aliceID)), 403, "AuthorizationFailed")

	w := put(firstPrincipal, groupPath, name, assignment(readerRole, aliceID))
	want := `{"properties":{"roleDefinitionId":"` + subPath + `/providers/Microsoft.Authorization/roleDefinitions/` + readerRole + `","principalId":"` + aliceID +
		`","principalType":"ServicePrincipal","scope":"` + groupPath + `","condition":null,"conditionVersion":null,"createdOn":"2027-01-15T08:00:00.0000000Z",` +
		`"updatedOn":"2027-01-15T08:00:00.0000000Z","createdBy":"` + firstPrincipal + `","updatedBy":"` + firstPrincipal +
		`","delegatedManagedIdentityResourceId":null,"description":null},"id":"` + groupPath + `/providers/Microsoft.Authorization/roleAssignments/` + name +
		`","type":"Microsoft.Authorization/roleAssignments","name":"` + name + `"}`
	if w.Code != 201 || w.Body.String() != want {
		t.Errorf("%d %s\n%s", w.Code, w.Body, cmp.Diff(want, w.Body.String()))
	}
	expect(put(firstPrincipal, groupPath, uuid.NewString(), assignment(readerRole, aliceID)), 409, "RoleAssignmentExists")
	if w := as(t, rt, aliceID, "GET", groupPath+"?api-version=2021-04-01", ""); w.Code != 200 {
		t.Errorf("alice reads: %d %s", w.Code, w.Body)
	}
	expect(as(t, rt, aliceID, "DELETE", groupPath+assignPath+name+roleV, ""), 403, "AuthorizationFailed")
	if w := as(t, rt, firstPrincipal, "DELETE", groupPath+assignPath+name+roleV, ""); w.Code != 200 || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := as(t, rt, firstPrincipal, "DELETE", groupPath+assignPath+name+roleV, ""); w.Code != 204 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	expect(as(t, rt, aliceID, "GET", groupPath+"?api-version=2021-04-01", ""), 403, "AuthorizationFailed")
}

func values(t *testing.T, w *httptest.ResponseRecorder) (names []string) {
	t.Helper()
	var list struct {
		Value []struct {
			Name       string
			Properties struct{ RoleName string }
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, v := range list.Value {
		if v.Properties.RoleName != "" {
			v.Name = v.Properties.RoleName
		}
		names = append(names, v.Name)
	}
	return names
}

func TestRoleFilters(t *testing.T) {
	rt, _ := newRoleRouter(t)
	get := func(path, filter string) *httptest.ResponseRecorder {
		return as(t, rt, firstPrincipal, "GET", subPath+"/providers/Microsoft.Authorization/"+path+roleV+"&$filter="+strings.ReplaceAll(filter, " ", "%20"), "")
	}
	for filter, want := range map[string][]string{
		"roleName eq 'reader'":                            {"Reader"},
		"roleName eq 'Reader' and type eq 'BuiltInRole'":  {"Reader"},
		"roleName eq 'Reader' and type eq 'CustomRole'":   nil,
		"atScopeAndBelow() and roleName eq 'Contributor'": {"Contributor"},
		"roleName eq 'O''Brien'":                          nil,
	} {
		if d := cmp.Diff(want, values(t, get("roleDefinitions", filter))); d != "" {
			t.Errorf("%s: %s", filter, d)
		}
	}
	for filter, want := range map[string]int{
		"": 1, "atScope()": 1, "principalId eq '" + firstPrincipal + "'": 1, "principalId eq '" + aliceID + "'": 0,
		"atScope() and assignedTo('" + firstPrincipal + "')": 1,
	} {
		if got := values(t, get("roleAssignments", filter)); len(got) != want {
			t.Errorf("%s: %v", filter, got)
		}
	}
	for _, filter := range []string{"x", "roleName eq Reader", "roleName eq 'a' and", "principalId eq 'a'", "atScope() or type eq 'x'"} {
		if w := get("roleDefinitions", filter); w.Code != 400 {
			t.Errorf("%s: %d %s", filter, w.Code, w.Body)
		}
	}
}

// TestStaleRolesAreForgotten: who had a role in a group that is gone has none in the next one of that name.
func TestStaleRolesAreForgotten(t *testing.T) {
	rt, groups := newRoleRouter(t)
	make := func() {
		t.Helper()
		if w := as(t, rt, firstPrincipal, "PUT", groupPath+"?api-version=2021-04-01", `{"location":"westus2"}`); w.Code > 201 {
			t.Fatal(w.Body)
		}
	}
	make()
	if w := as(t, rt, firstPrincipal, "PUT", groupPath+assignPath+uuid.NewString()+roleV, assignment(ownerRole, aliceID)); w.Code != 201 {
		t.Fatal(w.Body)
	}
	make() // an update
	if w := as(t, rt, aliceID, "GET", groupPath+"?api-version=2021-04-01", ""); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	clear(groups.groups)
	if w := as(t, rt, aliceID, "PUT", groupPath+"?api-version=2021-04-01", `{"location":"westus2"}`); w.Code != 403 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	make()
	if w := as(t, rt, aliceID, "GET", groupPath+"?api-version=2021-04-01", ""); w.Code != 403 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestListsShowWhatIsAllowed: a role on one group shows that group in the list of all.
func TestListsShowWhatIsAllowed(t *testing.T) {
	rt, _ := newRoleRouter(t)
	for _, g := range []string{"a", "b"} {
		if w := as(t, rt, firstPrincipal, "PUT", subPath+"/resourceGroups/"+g+"?api-version=2021-04-01", `{"location":"westus2"}`); w.Code != 201 {
			t.Fatal(w.Body)
		}
	}
	list := func(who string) *httptest.ResponseRecorder {
		return as(t, rt, who, "GET", subPath+"/resourceGroups?api-version=2021-04-01", "")
	}
	if w := list(aliceID); w.Code != 403 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := as(t, rt, firstPrincipal, "PUT", subPath+"/resourceGroups/b"+assignPath+uuid.NewString()+roleV, assignment(readerRole, aliceID)); w.Code != 201 {
		t.Fatal(w.Body)
	}
	if d := cmp.Diff([]string{"b"}, values(t, list(aliceID))); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"a", "b"}, values(t, list(firstPrincipal))); d != "" {
		t.Error(d)
	}
	for path, want := range map[string]int{
		subPath: 200, subPath + "/locations": 200, "/subscriptions": 200, subPath + "/providers": 200, "/subscriptions/" + otherSub: 403,
	} {
		if w := as(t, rt, aliceID, "GET", path+"?api-version=2021-04-01", ""); w.Code != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestPermissionsOfTheCaller(t *testing.T) {
	rt, _ := newRoleRouter(t)
	w := as(t, rt, firstPrincipal, "GET", subPath+"/providers/Microsoft.Authorization/permissions"+roleV, "")
	if want := `{"value":[{"actions":["*"],"notActions":[],"dataActions":[],"notDataActions":[]}]}`; w.Body.String() != want {
		t.Error(w.Body)
	}
	if w = as(t, rt, aliceID, "GET", subPath+"/providers/Microsoft.Authorization/permissions"+roleV, ""); w.Body.String() != `{"value":[]}` {
		t.Error(w.Body)
	}
}
