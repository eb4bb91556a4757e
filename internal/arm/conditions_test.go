package arm

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/identity"
	"tintype/internal/rbac"
)

const (
	accessAdmin = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
	contribRole = "b24988ac-6180-42a0-ab88-20f7382dd24c"
	bobID       = "0a1b2c3d-0000-4000-8000-0000000000b1"
	teamID      = "0a1b2c3d-0000-4000-8000-0000000000c1"
)

// delegation is what the portal writes for "may give and take Reader and Contributor, to users and programs alone".
const delegation = `((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR (` +
	`@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {` + readerRole + `, ` + contribRole + `} AND ` +
	`@Request[Microsoft.Authorization/roleAssignments:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {'User', 'ServicePrincipal'}))` +
	` AND ((!(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})) OR (` +
	`@Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {` + readerRole + `, ` + contribRole + `} AND ` +
	`@Resource[Microsoft.Authorization/roleAssignments:PrincipalId] ForAnyOfAllValues:GuidNotEquals {` + firstPrincipal + `}))`

// conditioned is the body of an assignment under a condition.
func conditioned(t testing.TB, role, principal, condition string) string {
	t.Helper()
	b, err := json.Marshal(condition)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(assignment(role, principal), `"principalId"`, `"condition":`+string(b)+`,"conditionVersion":"2.0","principalId"`, 1)
}

// conditionRig is a router with real roles, a hand clock, and alice, bob and a team.
func conditionRig(t testing.TB) (rt *Router, roles *rbac.Service, now *time.Time) {
	t.Helper()
	at := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	now = &at
	plain, _ := newGroupRouter(t)
	opt := plain.opt
	roles, err := rbac.Open(rbac.Options{Dir: t.TempDir(), First: firstPrincipal, Subscription: testSub, Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	opt.Roles, opt.Guard = roles, roleGuard{Service: roles}
	opt.PrincipalType = func(id string) string {
		return map[string]string{firstPrincipal: "ServicePrincipal", aliceID: "User", bobID: "User", teamID: "Group"}[id]
	}
	if rt, err = New(opt); err != nil {
		t.Fatal(err)
	}
	return rt, roles, now
}

// TestConstrainedDelegation: who may give some roles to some principals under a condition gives and takes these, and no others.
func TestConstrainedDelegation(t *testing.T) {
	rt, roles, _ := conditionRig(t)
	send := func(who, method, name, body string) *httptest.ResponseRecorder {
		return as(t, rt, who, method, subPath+assignPath+name+roleV, body)
	}
	expect := func(what string, w *httptest.ResponseRecorder, status int) {
		t.Helper()
		code := map[int]string{403: "AuthorizationFailed", 400: "InvalidCondition"}[status]
		if w.Code != status || code != "" && errorCode(w) != code {
			t.Errorf("%s: %d %s, want %d", what, w.Code, w.Body, status)
		}
	}
	own, readers, team, owner, other := uuid.NewString(), uuid.NewString(), uuid.NewString(), uuid.NewString(), uuid.NewString()
	expect("the delegation", send(firstPrincipal, "PUT", own, conditioned(t, accessAdmin, aliceID, delegation)), 201)
	var shown struct {
		Properties struct{ Condition, ConditionVersion string }
	}
	if w := send(firstPrincipal, "GET", own, ""); json.Unmarshal(w.Body.Bytes(), &shown) != nil || shown.Properties.Condition != delegation || shown.Properties.ConditionVersion != "2.0" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	expect("reader to a user", send(aliceID, "PUT", readers, assignment(readerRole, bobID)), 201)
	expect("again", send(aliceID, "PUT", readers, assignment(readerRole, bobID)), 200)
	expect("reader, as a role's name in capitals", send(aliceID, "PUT", uuid.NewString(), assignment(strings.ToUpper(contribRole), bobID)), 201)
	expect("reader to a group", send(aliceID, "PUT", team, assignment(readerRole, teamID)), 403)
	expect("owner to herself", send(aliceID, "PUT", owner, assignment(ownerRole, aliceID)), 403)
	expect("a role that is none", send(aliceID, "PUT", owner, assignment("x", aliceID)), 403)
	expect("her own condition", send(aliceID, "PUT", own, assignment(accessAdmin, aliceID)), 403)
	expect("her own condition made wider", send(aliceID, "PUT", own, conditioned(t, accessAdmin, aliceID, "ActionMatches{'*'}")), 403)
	// What she may not give she learns nothing by: neither what there is, nor who.
	inside := groupPath + assignPath + uuid.NewString() + roleV
	expect("owner on a group that is none", as(t, rt, aliceID, "PUT", inside, assignment(ownerRole, aliceID)), 403)
	expect("owner to somebody who is none", send(aliceID, "PUT", owner, assignment(ownerRole, uuid.NewString())), 403)
	for principal, code := range map[string]string{aliceID: "ResourceGroupNotFound", uuid.NewString(): "AuthorizationFailed"} {
		if w := as(t, rt, aliceID, "PUT", inside, assignment(readerRole, principal)); errorCode(w) != code {
			t.Errorf("%d %s, want %s", w.Code, w.Body, code)
		}
	}

	expect("team by the owner", send(firstPrincipal, "PUT", team, assignment(contribRole, teamID)), 201)
	expect("first's reader", send(firstPrincipal, "PUT", other, assignment(readerRole, firstPrincipal)), 201)
	expect("taking an owner", send(aliceID, "DELETE", roles.Assignments(rbac.Query{Scope: subPath, Principal: firstPrincipal})[0].Name, ""), 403)
	expect("taking from whom the condition names", send(aliceID, "DELETE", other, ""), 403)
	expect("taking her own", send(aliceID, "DELETE", own, ""), 403)
	expect("taking what is none", send(aliceID, "DELETE", uuid.NewString(), ""), 204)
	expect("taking a reader", send(aliceID, "DELETE", readers, ""), 200)
	expect("taking a group's", send(aliceID, "DELETE", team, ""), 200)
	expect("the rest of the role", as(t, rt, aliceID, "GET", subPath+"/providers/Microsoft.Authorization/roleAssignments"+roleV, ""), 200)
	// What depends on a condition is no right to give roles in general, which making users and programs takes.
	if roles.Allowed(identity.Principal{ObjectID: aliceID}, "Microsoft.Authorization/roleAssignments/write", subPath) {
		t.Error("alice may give any role")
	}
	expect("without the condition", send(firstPrincipal, "PUT", own, assignment(accessAdmin, aliceID)), 200)
	expect("then a group", send(aliceID, "PUT", uuid.NewString(), assignment(readerRole, teamID)), 201)
}

// remade are roles in which an assignment, once it was read, makes place for another one of its name.
type remade struct {
	*rbac.Service
	t    *testing.T
	once sync.Once
}

func (r *remade) Assignment(scope, name string) (rbac.Assignment, error) {
	a, err := r.Service.Assignment(scope, name)
	r.once.Do(func() {
		if ok, err := r.DeleteAssignment(a); !ok || err != nil {
			r.t.Error(ok, err)
		}
		other := a
		other.Principal, other.Role = firstPrincipal, contribRole
		if _, _, err := r.PutAssignment(identity.Principal{}, other); err != nil {
			r.t.Error(err)
		}
	})
	return a, err
}

// TestDeletesWhatWasAsked: what took the name of an assignment that the caller may delete is not deleted unasked.
func TestDeletesWhatWasAsked(t *testing.T) {
	plain, roles, _ := conditionRig(t)
	opt := plain.opt
	opt.Roles = &remade{Service: roles, t: t}
	rt, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	name := subPath + assignPath + uuid.NewString() + roleV
	for path, body := range map[string]string{
		subPath + assignPath + uuid.NewString() + roleV: conditioned(t, accessAdmin, aliceID, delegation), name: assignment(readerRole, bobID),
	} {
		if w := as(t, rt, firstPrincipal, "PUT", path, body); w.Code != 201 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if w := as(t, rt, aliceID, "DELETE", name, ""); w.Code != 403 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := as(t, rt, firstPrincipal, "DELETE", name, ""); w.Code != 200 || !strings.Contains(w.Body.String(), contribRole) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestConditionInTime: a role under a condition of time begins and ends by itself.
func TestConditionInTime(t *testing.T) {
	rt, _, now := conditionRig(t)
	const until = "@Environment[UtcNow] DateTimeGreaterThanEquals '2026-11-23T07:00:00Z' && @Environment[UtcNow] DateTimeLessThan '2026-11-23T08:00:00.000Z'"
	if w := as(t, rt, firstPrincipal, "PUT", subPath+assignPath+uuid.NewString()+roleV, conditioned(t, readerRole, aliceID, until)); w.Code != 201 {
		t.Fatal(w.Body)
	}
	for _, want := range []int{403, 404, 403} {
		if w := as(t, rt, aliceID, "GET", groupPath+tagVersion, ""); w.Code != want {
			t.Errorf("at %v: %d %s", now, w.Code, w.Body)
		}
		*now = now.Add(time.Hour)
	}
	w := as(t, rt, aliceID, "GET", subPath+"/providers/Microsoft.Authorization/permissions"+roleV, "")
	if !strings.Contains(w.Body.String(), `"conditionVersion":"2.0"`) {
		t.Errorf("a permission does not show its condition: %s", w.Body)
	}
}

// TestConditionInADefinition: nobody may believe that a condition holds which is not asked.
func TestConditionInADefinition(t *testing.T) {
	rt, _, _ := conditionRig(t)
	id := uuid.NewString()
	w := as(t, rt, firstPrincipal, "PUT", subPath+"/providers/Microsoft.Authorization/roleDefinitions/"+id+roleV,
		`{"properties":{"roleName":"r","assignableScopes":["`+subPath+`"],"permissions":[{"actions":["*"],"condition":"ActionMatches{'*/read'}","conditionVersion":"2.0"}]}}`)
	if w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
