package cli

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// as runs a command as another principal: with a client folder of its own.
func (r *real) as(t *testing.T, login string, line ...string) (stdout, stderr string, code int) {
	t.Helper()
	var given struct{ AppID, Password, Tenant string }
	if err := json.Unmarshal([]byte(login), &given); err != nil {
		t.Fatalf("%s: %v", login, err)
	}
	dir := t.TempDir()
	who := map[string]string{}
	for _, name := range []string{"ca.pem", "principal.json"} {
		b, err := os.ReadFile(filepath.Join(r.Client(), name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "principal.json" {
			if err := json.Unmarshal(b, &who); err != nil {
				t.Fatal(err)
			}
			maps.Copy(who, map[string]string{"appId": given.AppID, "password": given.Password})
			if b, err = json.Marshal(who); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return runIn(t.Context(), func(string) string { return "" }, append(line, "--client", dir)...)
}

// TestPrincipalsAndRoles makes users, groups and programs, and gives them roles, with commands alone.
func TestPrincipalsAndRoles(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the real server")
	}
	t.Parallel()
	r := startReal(t)
	expect := r.expects(t)
	scope := r.must(t, "group", "show", "-n", "g", "--query", "id", "-o", "tsv")
	login := r.must(t, "ad", "sp", "create-for-rbac", "-n", "program", "--role", "Reader", "--scopes", scope, "--only-show-errors")
	may := func(want bool, line ...string) {
		t.Helper()
		if _, stderr, code := r.as(t, login, line...); (code == 0) != want || !want && !strings.Contains(stderr, "AuthorizationFailed") {
			t.Errorf("%s: exit %d, %s", strings.Join(line, " "), code, stderr)
		}
	}
	may(true, "group", "show", "-n", "g")
	may(false, "disk", "create", "-g", "g", "-n", "d", "--size-gb", "1")
	app := r.must(t, "ad", "sp", "list", "--display-name", "prog", "--query", "[].appId", "-o", "tsv")
	sp := r.must(t, "ad", "sp", "show", "--id", app, "--query", "id", "-o", "tsv")

	r.must(t, "ad", "user", "create", "--display-name", "Ann", "--password", "correct-horse-battery", "--user-principal-name", "ann@example")
	ann := r.must(t, "ad", "user", "show", "--id", "ann@example", "--query", "id", "-o", "tsv")
	r.must(t, "ad", "user", "update", "--id", ann, "--display-name", "Anna", "--account-enabled", "false")
	expect("Anna", "ad", "user", "list", "--upn", "ann@example", "--query", "[].displayName", "-o", "tsv")
	ops := r.must(t, "ad", "group", "create", "--display-name", "Ops", "--mail-nickname", "ops", "--description", "it's them", "--query", "id", "-o", "tsv")
	expect(ops, "ad", "group", "create", "--display-name", "Ops", "--mail-nickname", "ops", "--query", "id", "-o", "tsv")
	for _, id := range []string{sp, ann} {
		r.must(t, "ad", "group", "member", "add", "-g", "Ops", "--member-id", id)
	}
	expect("program\nAnna", "ad", "group", "member", "list", "-g", ops, "--query", "[].displayName", "-o", "tsv")
	expect("true", "ad", "group", "member", "check", "-g", "Ops", "--member-id", ann, "--query", "value", "-o", "tsv")
	expect(ops, "ad", "user", "get-member-groups", "--id", "ann@example", "-o", "tsv")
	r.must(t, "ad", "group", "member", "remove", "-g", "Ops", "--member-id", ann)
	expect("false", "ad", "group", "member", "check", "-g", "Ops", "--member-id", ann, "--query", "value", "-o", "tsv")
	r.fails(t, 3, "No group matches", "ad", "group", "show", "-g", "Nobody")

	r.must(t, "role", "assignment", "create", "--assignee-object-id", ops, "--assignee-principal-type", "Group", "--role", "Contributor", "-g", "g")
	may(true, "disk", "create", "-g", "g", "-n", "d", "--size-gb", "1")
	if _, stderr, code := r.as(t, login, "ad", "group", "delete", "-g", "Ops"); code == 0 || !strings.Contains(stderr, "Insufficient privileges") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	again := r.must(t, "role", "assignment", "create", "--assignee", app, "--role", "Reader", "--scope", scope, "--query", "name", "-o", "tsv")
	expect(again, "role", "assignment", "list", "--assignee", app, "-g", "g", "--query", "[].name", "-o", "tsv")
	expect("Ops\tContributor", "role", "assignment", "list", "--all", "--role", "Contributor", "--query", "[].[principalName,roleDefinitionName]", "-o", "tsv")
	expect("2", "role", "assignment", "list", "--all", "--include-groups", "--assignee", sp, "--query", "length(@)", "-o", "tsv")
	table := r.must(t, "role", "assignment", "list", "-g", "g", "-o", "table")
	if !strings.Contains(table, "Ops") || !strings.HasPrefix(table, "Principal") {
		t.Error(table)
	}
	r.must(t, "role", "assignment", "delete", "--assignee", ops, "-g", "g")
	may(false, "disk", "create", "-g", "g", "-n", "e", "--size-gb", "1")
	r.fails(t, 1, "No matched assignments", "role", "assignment", "delete", "--assignee", ops, "-g", "g")
	r.fails(t, 1, "doesn't exist", "role", "assignment", "create", "--assignee", app, "--role", "Nothing")

	r.customRole(t, app, scope)
	reset := r.must(t, "ad", "sp", "credential", "reset", "--id", app)
	if _, _, code := r.as(t, login, "group", "show", "-n", "g"); code == 0 {
		t.Error("the old password is good")
	}
	login = reset
	may(true, "group", "show", "-n", "g")
	r.must(t, "ad", "sp", "delete", "--id", app)
	r.fails(t, 3, "doesn't exist", "ad", "sp", "show", "--id", app)
	r.must(t, "ad", "group", "delete", "-g", "Ops")
	r.must(t, "ad", "user", "delete", "--id", "ann@example")
	expect("", "role", "assignment", "list", "-g", "g", "-o", "tsv")
}

// customRole makes a role, gives it, changes it and deletes it.
func (r *real) customRole(t *testing.T, app, scope string) {
	t.Helper()
	sub := scope[:strings.Index(scope, "/resourceGroups")]
	file := filepath.Join(t.TempDir(), "role.json")
	text := `{"Name":"Namer","Description":"names","Actions":["Microsoft.Compute/disks/*"],"NotActions":["Microsoft.Compute/disks/delete"],"AssignableScopes":["` + sub + `"]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	id := r.must(t, "role", "definition", "create", "--role-definition", file, "--query", "name", "-o", "tsv")
	r.must(t, "role", "assignment", "create", "--assignee", app, "--role", "Namer", "-g", "g")
	r.fails(t, 1, "RoleDefinitionHasAssignments", "role", "definition", "delete", "-n", "Namer")
	r.must(t, "role", "assignment", "delete", "--assignee", app, "--role", id, "-g", "g")
	r.must(t, "role", "definition", "update", "--role-definition", strings.Replace(text, "names", "others", 1))
	if got := r.must(t, "role", "definition", "list", "--custom-role-only", "--query", "[].[name,description,roleType]", "-o", "tsv"); got != id+"\tothers\tCustomRole" {
		t.Errorf("custom roles: %q", got)
	}
	r.must(t, "role", "definition", "delete", "-n", id)
	if got := r.must(t, "role", "definition", "list", "-n", "Reader", "--query", "[].permissions[0].actions[0]", "-o", "tsv"); got != "*/read" {
		t.Errorf("Reader: %q", got)
	}
}

// TestLocksTagsAndEvents locks and tags a disk, and finds what was done in the log.
func TestLocksTagsAndEvents(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the real server")
	}
	t.Parallel()
	r := startReal(t)
	id := r.must(t, "disk", "create", "-g", "g", "-n", "d", "--size-gb", "1", "--query", "id", "-o", "tsv")
	on := []string{"-g", "g", "--resource", "d", "--resource-type", "Microsoft.Compute/disks"}
	lock := r.must(t, append([]string{"lock", "create", "-n", "keep", "-t", "CanNotDelete", "--notes", "mine", "--query", "id", "-o", "tsv"}, on...)...)
	if !strings.EqualFold(lock, id+"/providers/Microsoft.Authorization/locks/keep") {
		t.Error(lock)
	}
	r.fails(t, 1, "ScopeLocked", "disk", "delete", "-g", "g", "-n", "d", "-y")
	r.must(t, "lock", "update", "--ids", lock, "-t", "ReadOnly")
	if got := r.must(t, "lock", "list", "-g", "g", "--query", "[].[name,level,notes]", "-o", "tsv"); got != "keep\tReadOnly\tmine" {
		t.Errorf("locks: %q", got)
	}
	r.must(t, append([]string{"lock", "delete", "-n", "keep"}, on...)...)
	r.fails(t, 3, "LockNotFound", "lock", "show", "--ids", lock)
	r.fails(t, 2, "--name", "lock", "show", "-g", "g")

	r.must(t, "tag", "create", "--resource-id", id, "--tags", "a=1", "b=2")
	r.must(t, "tag", "update", "--resource-id", id, "--operation", "Merge", "--tags", "b=3")
	if got := r.must(t, "tag", "list", "--resource-id", id, "--query", "properties.tags.[a,b]", "-o", "tsv"); got != "1\n3" {
		t.Errorf("tags: %q", got)
	}
	r.must(t, "tag", "delete", "--resource-id", id, "-y")
	if got := r.must(t, "disk", "show", "--ids", id, "--query", "tags", "-o", "json"); got != "{}" {
		t.Errorf("tags: %q", got)
	}
	events := r.must(t, "monitor", "activity-log", "list", "--offset", "1h", "-g", "g", "--max-events", "500", "--query", "[].[operationName.value,status.value]", "-o", "tsv")
	for _, want := range []string{"Microsoft.Compute/disks/write\tSucceeded", "Microsoft.Compute/disks/delete\tFailed", "Microsoft.Resources/tags/write\tSucceeded"} {
		if !strings.Contains(events, want) {
			t.Errorf("no %q in %s", want, events)
		}
	}
	if got := r.must(t, "monitor", "activity-log", "list", "--max-events", "2", "--query", "length(@)", "-o", "tsv"); got != "2" {
		t.Errorf("%s events", got)
	}
	if got := r.must(t, "monitor", "activity-log", "list", "--end-time", "2020-01-01T00:00:00Z", "--query", "length(@)", "-o", "tsv"); got != "0" {
		t.Errorf("%s events of long ago", got)
	}
	if got := r.must(t, "monitor", "activity-log", "list", "--resource-id", id, "--status", "Failed", "--query", "[].operationName.value", "-o", "tsv"); got != "Microsoft.Compute/disks/delete" {
		t.Errorf("failed: %q", got)
	}
	r.fails(t, 2, "--offset", "monitor", "activity-log", "list", "--offset", "x")
	if got := r.must(t, "monitor", "activity-log", "list", "-o", "table"); !strings.HasPrefix(got, "Time") {
		t.Error(got)
	}
}
