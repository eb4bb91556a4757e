package rbac

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"tintype"
	"tintype/internal/identity"
)

const (
	testSub   = "0a1b2c3d-0000-4000-8000-000000000001"
	first     = "0a1b2c3d-0000-4000-8000-00000000000f"
	reader    = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	contrib   = "b24988ac-6180-42a0-ab88-20f7382dd24c"
	operator  = "959f8984-c045-4866-89c7-12bf9737be2e"
	testScope = "/subscriptions/" + testSub
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, dir string) *Service {
	t.Helper()
	s, err := Open(Options{Dir: dir, First: first, Subscription: testSub, Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func caller(id string) identity.Principal { return identity.Principal{ObjectID: id} }

// give assigns a role and returns the assignment.
func give(t testing.TB, s *Service, principal, role, scope string) Assignment {
	t.Helper()
	a, created, err := s.PutAssignment(caller(first), Assignment{
		Name: uuid.NewString(), Principal: principal, PrincipalType: "ServicePrincipal", Role: role, Scope: scope,
	})
	if err != nil || !created {
		t.Fatalf("%s %s: %v", role, scope, err)
	}
	return a
}

func refused(t testing.TB, err error, code string) {
	t.Helper()
	var e *tintype.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("%v, want %s", err, code)
	}
}

func TestAllowed(t *testing.T) {
	s := open(t, t.TempDir())
	give(t, s, "reader", reader, testScope)
	give(t, s, "contributor", contrib, testScope+"/resourceGroups/g")
	give(t, s, "operator", operator, testScope)
	disk := testScope + "/resourceGroups/G/providers/Microsoft.Compute/disks/d"
	const download = "Microsoft.Compute/disks/download/action"
	for _, tc := range []struct {
		who, permission, scope string
		want                   bool
	}{
		{first, "Microsoft.Compute/disks/write", disk, true},
		{first, "Microsoft.Compute/disks/write", strings.ToUpper(disk), true},
		{strings.ToUpper(first), "Microsoft.Compute/disks/write", disk, true},
		{first, "Microsoft.Compute/disks/read", "/subscriptions/" + uuid.NewString(), false},
		{first, "Microsoft.Compute/disks/read", testScope + "x/resourceGroups/g", false},
		{first, "Microsoft.Resources/tenants/read", "/", false},
		{first, download, disk, true}, // "*" is every action; as a data action it is another thing, below
		{"reader", "Microsoft.Compute/disks/read", disk, true},
		{"reader", "MICROSOFT.COMPUTE/DISKS/READ", disk, true},
		{"reader", "Microsoft.Compute/disks/beginGetAccess/action", disk, false},
		{"contributor", "Microsoft.Compute/disks/delete", disk, true},
		{"contributor", "Microsoft.Authorization/roleAssignments/write", disk, false},
		{"contributor", "Microsoft.Authorization/locks/delete", disk, false},
		{"contributor", "Microsoft.Authorization/roleAssignments/read", disk, true},
		{"contributor", "Microsoft.Compute/disks/read", testScope + "/resourceGroups/g2", false},
		{"operator", "Microsoft.Compute/disks/read", disk, false},
		{"nobody", "Microsoft.Compute/disks/read", disk, false},
		{"", "Microsoft.Compute/disks/read", disk, false},
	} {
		if got := s.Allowed(caller(tc.who), tc.permission, tc.scope); got != tc.want {
			t.Errorf("%s %s %s: %v", tc.who, tc.permission, tc.scope, got)
		}
	}
	if s.AllowedData(caller(first), download, disk) {
		t.Error("an owner has a data action")
	}
	if !s.AllowedData(caller("operator"), download, disk) {
		t.Error("a data operator has not")
	}
}

// TestMatch compares with regular expressions.
func TestMatch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	word := func(alphabet string) string {
		var b strings.Builder
		for range rnd.IntN(8) {
			b.WriteByte(alphabet[rnd.IntN(len(alphabet))])
		}
		return b.String()
	}
	for range 20000 {
		pattern, s := word("ab/*"), word("ab/")
		want := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$").MatchString(s)
		if got := match(pattern, s); got != want {
			t.Fatalf("%q %q: %v", pattern, s, got)
		}
	}
	if match(strings.Repeat("*a", 250), strings.Repeat("a", 200)+"b") {
		t.Error("matched")
	}
}

func TestBuiltins(t *testing.T) {
	roles, err := builtins()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range roles {
		if seen[r.ID] || seen[r.Name] {
			t.Errorf("%s is there twice", r.Name)
		}
		seen[r.ID], seen[r.Name] = true, true
		r.Scopes = []string{testScope} // "/" is for built-in ones alone
		if err := r.check(); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
		if r.AllowsData("Microsoft.Compute/disks/download/action") != (r.ID == operator) {
			t.Errorf("%s: disks' bytes", r.Name)
		}
	}
}

func TestAssignments(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	group := testScope + "/resourceGroups/G"
	a := give(t, s, "p", reader, group)
	put := func(a Assignment) error {
		_, _, err := s.PutAssignment(caller(first), a)
		return err
	}
	again := a
	again.Name = uuid.NewString()
	refused(t, put(again), "RoleAssignmentExists")
	again.Scope = strings.ToUpper(a.Scope)
	refused(t, put(again), "RoleAssignmentExists")
	other := a
	other.Role = contrib
	refused(t, put(other), "RoleAssignmentUpdateNotPermitted")
	other.Role, other.Name = uuid.NewString(), uuid.NewString()
	refused(t, put(other), "RoleDefinitionDoesNotExist")
	other.Name = "x"
	refused(t, put(other), "InvalidRoleAssignmentId")

	described := a
	described.Description = "why"
	if out, created, err := s.PutAssignment(caller("else"), described); err != nil || created || out.Description != "why" || out.UpdatedBy != "else" || out.CreatedBy != first {
		t.Errorf("%+v %v %v", out, created, err)
	}
	if n := len(s.Assignments(Query{Scope: testScope})); n != 2 {
		t.Errorf("%d at the subscription and below", n)
	}
	if got := s.Assignments(Query{Scope: group, AtScope: true}); len(got) != 2 || got[0].Principal != first {
		t.Errorf("at the group: %+v", got)
	}
	if got := s.Assignments(Query{Scope: testScope, AtScope: true}); len(got) != 1 {
		t.Errorf("at the subscription: %+v", got)
	}
	if got := s.Assignments(Query{Scope: testScope, Principal: "P"}); len(got) != 1 || got[0].Name != a.Name {
		t.Errorf("of p: %+v", got)
	}
	if _, err := s.Assignment(testScope, a.Name); err == nil {
		t.Error("found at another scope")
	}
	// Another start reads the same.
	before := s.current().Assignments
	if d := cmp.Diff(before, open(t, dir).current().Assignments); d != "" {
		t.Error(d)
	}
	now, err := s.Assignment(strings.ToLower(group), strings.ToUpper(a.Name))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		a    Assignment
		want bool
	}{{a, false}, {now, true}, {now, false}} { // as it was before it was changed; as it is; again
		if ok, err := s.DeleteAssignment(tc.a); ok != tc.want || err != nil {
			t.Error(ok, err)
		}
	}
	if s.Allowed(caller("p"), "Microsoft.Compute/disks/read", group) {
		t.Error("the role is still there")
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	s := open(t, t.TempDir())
	own := s.Assignments(Query{Scope: testScope})[0]
	_, err := s.DeleteAssignment(own)
	refused(t, err, "CannotDeleteLastRbacAdminAssignment")
	give(t, s, "g", Owner, testScope+"/resourceGroups/g")
	_, err = s.DeleteAssignment(own)
	refused(t, err, "CannotDeleteLastRbacAdminAssignment")
	give(t, s, "second", UserAccessAdministrator, testScope)
	if ok, err := s.DeleteAssignment(own); !ok || err != nil {
		t.Error(ok, err)
	}
}

// TestTheLastAdministratorStaysOne: nor does the last one who can give roles lose that to a condition, or to a change of the role.
func TestTheLastAdministratorStaysOne(t *testing.T) {
	s := open(t, t.TempDir())
	own := s.Assignments(Query{Scope: testScope})[0]
	never := own
	never.Condition = "@Environment[UtcNow] DateTimeLessThan '2000-01-01T00:00:00Z'"
	put := func(a Assignment) error { _, _, err := s.PutAssignment(caller(first), a); return err }
	refused(t, put(never), "CannotDeleteLastRbacAdminAssignment")
	again := own
	again.Description = "described"
	if err := put(again); err != nil {
		t.Error(err)
	}

	role := Role{ID: uuid.NewString(), Name: "gives roles", Scopes: []string{testScope}, Permissions: []Permissions{{Actions: []string{"Microsoft.Authorization/*"}}}}
	change := func(actions string) error {
		role.Permissions = []Permissions{{Actions: []string{actions}}}
		_, _, err := s.PutRole(caller(first), role)
		return err
	}
	if err := change("Microsoft.Authorization/*"); err != nil {
		t.Fatal(err)
	}
	give(t, s, "second", role.ID, testScope)
	if err := put(never); err != nil {
		t.Error(err)
	}
	refused(t, change("*/read"), "CannotDeleteLastRbacAdminAssignment")
	if !s.Allowed(caller("second"), "Microsoft.Authorization/roleAssignments/write", testScope) {
		t.Error("a change that was refused holds")
	}
	if err := change("Microsoft.Authorization/roleAssignments/*"); err != nil {
		t.Error(err)
	}
}

// TestConditionsAreReadOnce: a change of something else does not read all conditions again.
func TestConditionsAreReadOnce(t *testing.T) {
	s := open(t, t.TempDir())
	_, _, err := s.PutAssignment(caller(first), Assignment{Name: uuid.NewString(), Principal: "p", Role: reader, Scope: testScope, Condition: "ActionMatches{'*/read'}"})
	if err != nil {
		t.Fatal(err)
	}
	before := s.current().grants["p"][0].condition
	give(t, s, "q", reader, testScope)
	if after := s.current().grants["p"][0].condition; before == nil || after != before {
		t.Error("the condition was read again")
	}
}

func TestForget(t *testing.T) {
	s := open(t, t.TempDir())
	group := testScope + "/resourceGroups/g"
	give(t, s, "p", reader, group+"/providers/Microsoft.Compute/disks/d")
	give(t, s, "p", reader, group+"2")
	if !s.AnyAt(group) || s.AnyAt(group+"/providers/Microsoft.Compute/disks/d2") {
		t.Error("AnyAt")
	}
	if err := s.Forget(strings.ToUpper(group)); err != nil {
		t.Fatal(err)
	}
	if got := s.Assignments(Query{Scope: testScope, Principal: "p"}); len(got) != 1 || got[0].Scope != group+"2" {
		t.Errorf("%+v", got)
	}
	if err := s.ForgetPrincipal("P"); err != nil {
		t.Fatal(err)
	}
	if got := s.Assignments(Query{Scope: testScope, Principal: "p"}); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestCustomRoles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	r := Role{
		ID: uuid.NewString(), Name: "Namer", Scopes: []string{testScope + "/resourceGroups/g"},
		Permissions: []Permissions{{Actions: []string{"Microsoft.Compute/*"}, NotActions: []string{"*/delete"}}},
	}
	put := func(edit func(*Role)) error {
		other := r
		other.ID, other.Scopes, other.Permissions = uuid.NewString(), slices.Clone(r.Scopes), slices.Clone(r.Permissions)
		edit(&other)
		_, _, err := s.PutRole(caller(first), other)
		return err
	}
	if _, created, err := s.PutRole(caller(first), r); !created || err != nil {
		t.Fatal(created, err)
	}
	refused(t, put(func(*Role) {}), "RoleDefinitionWithSameNameExists")
	refused(t, put(func(r *Role) { r.Name = "reader" }), "RoleDefinitionWithSameNameExists")
	refused(t, put(func(r *Role) { r.ID, r.Name = reader, "Mine" }), "RoleDefinitionUpdateNotPermitted")
	refused(t, put(func(r *Role) { r.Name = " " }), "RoleDefinitionNameNullOrEmpty")
	refused(t, put(func(r *Role) { r.Scopes = []string{"/"} }), "InvalidAssignableScope")
	refused(t, put(func(r *Role) { r.Scopes = nil }), "MissingAssignableScopes")
	refused(t, put(func(r *Role) { r.Permissions = nil }), "RoleDefinitionPermissionsNullOrEmpty")
	refused(t, put(func(r *Role) { r.Permissions = []Permissions{{Actions: []string{"a b"}}} }), "InvalidActionOrNotAction")
	refused(t, put(func(r *Role) { r.ID = "x" }), "InvalidRoleDefinitionId")

	_, _, err := s.PutAssignment(caller(first), Assignment{Name: uuid.NewString(), Principal: "p", Role: r.ID, Scope: testScope})
	refused(t, err, "RoleDefinitionDoesNotExist") // not assignable there
	a := give(t, s, "p", r.ID, testScope+"/resourceGroups/G")
	disk := testScope + "/resourceGroups/g/providers/Microsoft.Compute/disks/d"
	if !s.Allowed(caller("p"), "Microsoft.Compute/disks/write", disk) || s.Allowed(caller("p"), "Microsoft.Compute/disks/delete", disk) {
		t.Error("the custom role does not hold")
	}
	// A change holds at once, for those who have the role too.
	r.Permissions = []Permissions{{Actions: []string{"Microsoft.Compute/disks/read"}}}
	if out, created, err := s.PutRole(caller("else"), r); created || err != nil || out.CreatedBy != first {
		t.Error(out, created, err)
	}
	if s.Allowed(caller("p"), "Microsoft.Compute/disks/write", disk) {
		t.Error("the old role still holds")
	}
	if d := cmp.Diff(s.current().Roles, open(t, dir).current().Roles); d != "" {
		t.Error(d)
	}
	_, _, err = s.DeleteRole(r.ID)
	refused(t, err, "RoleDefinitionHasAssignments")
	if _, err := s.DeleteAssignment(a); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.DeleteRole(r.ID); !ok || err != nil {
		t.Error(ok, err)
	}
	if _, ok, err := s.DeleteRole(r.ID); ok || err != nil {
		t.Error(ok, err)
	}
	_, _, err = s.DeleteRole(reader)
	refused(t, err, "RoleDefinitionUpdateNotPermitted")
}

func TestUnknownVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "roles.json")
	if err := os.WriteFile(file, []byte(`{"version":99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Options{Dir: dir, First: first, Subscription: testSub, Now: func() time.Time { return start }})
	if err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Error(err)
	}
	b, _ := json.Marshal("x")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir, First: first, Subscription: testSub, Now: func() time.Time { return start }}); err == nil {
		t.Error("a file that is none is taken")
	}
}

func BenchmarkAllowed(b *testing.B) {
	s := open(b, b.TempDir())
	next := &state{builtin: s.current().builtin}
	for i := range 2000 {
		next.Assignments = append(next.Assignments, Assignment{
			Name: fmt.Sprint(i), Principal: fmt.Sprint("p", i%100), Role: reader, Scope: fmt.Sprintf("%s/resourceGroups/g%d", testScope, i),
		})
	}
	next.index()
	s.state.Store(next)
	scope := testScope + "/resourceGroups/g1901/providers/Microsoft.Compute/disks/d"
	for b.Loop() {
		if !s.Allowed(caller("p1"), "Microsoft.Compute/disks/read", scope) {
			b.Fatal("refused")
		}
	}
}

// TestGroupsGive: what a group holds, whoever belongs to it has at that moment, and nobody else.
func TestGroupsGive(t *testing.T) {
	groups := map[string][]string{}
	s, err := Open(Options{
		Dir: t.TempDir(), First: first, Subscription: testSub, Now: func() time.Time { return start },
		Groups: func(id string) []string { return groups[id] },
	})
	if err != nil {
		t.Fatal(err)
	}
	const group, ann = "0a1b2c3d-0000-4000-8000-0000000000c1", "0a1b2c3d-0000-4000-8000-0000000000c2"
	a, _, err := s.PutAssignment(caller(first), Assignment{
		Name: uuid.NewString(), Principal: group, PrincipalType: "Group", Role: Owner, Scope: testScope,
	})
	if err != nil {
		t.Fatal(err)
	}
	disk := testScope + "/resourceGroups/g/providers/Microsoft.Compute/disks/d"
	check := func(want bool) {
		t.Helper()
		for _, got := range []bool{
			s.Allowed(caller(ann), "Microsoft.Compute/disks/write", disk), s.AllowedBelow(caller(ann), "Microsoft.Compute/disks/write", testScope),
			s.Sees(caller(ann), testScope), len(s.Held(caller(ann), disk)) > 0,
			len(s.Assignments(Query{Scope: testScope, AssignedTo: ann})) > 0,
		} {
			if got != want {
				t.Errorf("%v, want %v", got, want)
			}
		}
	}
	check(false)
	groups[ann] = []string{"another", group}
	check(true)
	if got := s.Assignments(Query{Scope: testScope, Principal: ann}); len(got) != 0 {
		t.Errorf("of ann herself: %+v", got)
	}
	// A group does not administer: it may be empty.
	all := s.Assignments(Query{Scope: testScope, Principal: first})
	_, err = s.DeleteAssignment(all[0])
	refused(t, err, "CannotDeleteLastRbacAdminAssignment")
	if ok, err := s.DeleteAssignment(a); !ok || err != nil {
		t.Fatal(ok, err)
	}
	check(false)
}

// TestConditionsAreKept: a condition holds after a restart, in all questions, and whoever holds a role under one is not counted on as the
// last who can give roles.
func TestConditionsAreKept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	const reads, disk = "ActionMatches{'*/read'}", testScope + "/resourceGroups/g/providers/Microsoft.Compute/disks/d"
	put := func(who, role, condition, version string) error {
		_, _, err := s.PutAssignment(caller(first), Assignment{
			Name: uuid.NewString(), Principal: who, PrincipalType: "User", Role: role, Scope: testScope, Condition: condition, ConditionVersion: version,
		})
		return err
	}
	if err := errors.Join(put("p", Owner, reads, ""), put("q", operatorRole(t, s), "NOT "+reads, ConditionVersion), put("r", reader, " \n", "")); err != nil {
		t.Fatal(err)
	}
	refused(t, put("x", reader, reads, "1.0"), "InvalidCondition")
	refused(t, put("x", reader, "reads", ConditionVersion), "InvalidCondition")
	refused(t, put("x", reader, "@Environment[subnet] StringEquals 'x'", ConditionVersion), "InvalidCondition")
	for range 2 {
		for _, tc := range []struct {
			what      string
			got, want bool
		}{
			{"p reads", s.Allowed(caller("p"), "Microsoft.Compute/disks/READ", disk), true},
			{"p writes", s.Allowed(caller("p"), "Microsoft.Compute/disks/write", disk), false},
			{"p reads below", s.AllowedBelow(caller("p"), "Microsoft.Compute/disks/read", "/subscriptions/"+testSub), true},
			{"p writes below", s.AllowedBelow(caller("p"), "Microsoft.Compute/disks/write", "/subscriptions/"+testSub), false},
			{"p may perhaps", s.AllowedPerhaps(caller("p"), "Microsoft.Compute/disks/write", disk), false},
			{"q's data", s.AllowedData(caller("q"), "Microsoft.Compute/disks/download/action", disk), true},
			{"r reads", s.Allowed(caller("r"), "Microsoft.Compute/disks/read", disk), true},
		} {
			if tc.got != tc.want {
				t.Errorf("%s: %v", tc.what, tc.got)
			}
		}
		if held := s.Held(caller("p"), disk); len(held) != 1 || held[0].Condition != reads {
			t.Errorf("%+v", held)
		}
		s = open(t, dir)
	}
	_, err := s.DeleteAssignment(s.Assignments(Query{Scope: testScope, Principal: first})[0])
	refused(t, err, "CannotDeleteLastRbacAdminAssignment")

	file := filepath.Join(dir, "roles.json")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), "ActionMatches", "ActionMatch", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir, First: first, Subscription: testSub, Now: func() time.Time { return start }}); err == nil {
		t.Error("a file with a condition that cannot be read is taken")
	}
}

// operatorRole is a role with data actions.
func operatorRole(t *testing.T, s *Service) string {
	t.Helper()
	if r, err := s.Role(operator); err != nil || !r.AllowsData("Microsoft.Compute/disks/download/action") {
		t.Fatal(r, err)
	}
	return operator
}
