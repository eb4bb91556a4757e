package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/arm"
	"tintype/internal/identity"
	"tintype/internal/rbac"
)

var update = flag.Bool("update", false, "write docs/permissions.md anew")

// matrixFile says who may do what. It is documentation that this test holds to the server.
const matrixFile = "../../docs/permissions.md"

const matrixHead = `# Who may do what

Every operation that the server knows, and which built-in role allows it when it is held on the subscription. A test has each
role try each of them; one that is not in this table fails the test. After a change of the API, read the difference that
` + "`go test ./cmd/tintype -run TestMatrix -update`" + ` makes.

An operation marked ` + "`*`" + ` asks for a permission on each resource that it is told of, or shows only what the caller may see.

`

// matrixRoles are the columns: the roles that differ on what is here.
var matrixRoles = []string{
	"Owner", "Contributor", "Reader", "User Access Administrator", "Role Based Access Control Administrator", "Disk Snapshot Contributor",
	"Disk Backup Reader", "Disk Restore Operator", "Disk Pool Operator", "Data Operator for Managed Disks", "Cost Management Reader",
	"Monitoring Reader", "Key Vault Contributor", "Key Vault Administrator", "Key Vault Crypto Officer", "Key Vault Crypto User", "Key Vault Crypto Service Encryption User",
	"Managed Identity Contributor", "Managed Identity Operator",
}

// TestMatrix has every built-in role, and nobody, try every operation of the real server's table.
func TestMatrix(t *testing.T) {
	m := newMatrix(t)
	var got bytes.Buffer
	got.WriteString(matrixHead)
	for i, name := range m.names {
		fmt.Fprintf(&got, "%s. %s  \n", column(i), name)
	}
	got.WriteString("\n| operation | permission |")
	for i := range m.names {
		fmt.Fprintf(&got, " %s |", column(i))
	}
	got.WriteString("\n|---|---|" + strings.Repeat(":-:|", len(m.names)) + "\n")
	var rows []string
	for _, r := range m.router.Routes() {
		rows = append(rows, m.row(t, r))
	}
	slices.Sort(rows)
	got.WriteString(strings.Join(rows, ""))
	if *update {
		if err := os.WriteFile(matrixFile, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(matrixFile)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(want, got.Bytes()) {
		return
	}
	known := strings.Split(string(want), "\n")
	for line := range strings.Lines(got.String()) {
		if line = strings.TrimSuffix(line, "\n"); !slices.Contains(known, line) {
			t.Errorf("not in docs/permissions.md: %s", line)
		}
	}
	now := strings.Split(got.String(), "\n")
	for _, line := range known {
		if !slices.Contains(now, line) {
			t.Errorf("only in docs/permissions.md: %s", line)
		}
	}
}

// column names a column by a letter.
func column(i int) string { return string(rune('A' + i)) }

// matrix is a server's router, and a principal for each role.
type matrix struct {
	router *arm.Router
	names  []string
	tokens []string
	nobody string
	// member belongs to a group in a group that is a Contributor, and has nothing itself.
	member string
	// Each of the limited holds a role under a condition.
	limited []limited
	sub     string
}

// shown tells whether everybody with any role has an answer: lists of groups and resources then show what their roles let them read.
func shown(r arm.Route) bool {
	return r.Seen || r.Method == http.MethodGet && (strings.HasSuffix(r.Path, "/resourceGroups") || strings.HasSuffix(r.Path, "/resources"))
}

// limited is who holds a role under a condition, and what of the role is left to it then.
type limited struct {
	role, condition string
	left            func(r arm.Route) bool
	token           string
}

func limits() []limited {
	reads := func(r arm.Route) bool { return strings.HasSuffix(strings.ToLower(r.Permission), "/read") }
	all := func(arm.Route) bool { return true }
	none := func(arm.Route) bool { return false }
	return []limited{
		{role: "Owner", condition: "ActionMatches{'*/read'}", left: reads},
		{role: "Owner", condition: "@Environment[UtcNow] DateTimeLessThan '2020-01-01T00:00:00Z'", left: none},
		{role: "Owner", condition: "@Environment[UtcNow] DateTimeGreaterThan '2020-01-01T00:00:00Z'", left: all},
		// What depends on the assignment is left to its handler, which TestConstrainedDelegation asks; nothing else is.
		{
			role:      "Owner",
			condition: "@Request[Microsoft.Authorization/roleAssignments:PrincipalType] StringNotEquals 'Group' OR Exists @Resource[Microsoft.Authorization/roleAssignments:PrincipalId]",
			left: func(r arm.Route) bool {
				return r.Permission == "Microsoft.Authorization/roleAssignments/delete" || r.Permission == "Microsoft.Authorization/roleAssignments/write"
			},
		},
	}
}

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	dir := t.TempDir()
	var errs output
	log := slog.New(slog.NewTextHandler(&errs, nil))
	s := &server{opt: serveOptions{data: dir, listen: "127.0.0.1:0", region: "westus2"}, now: time.Now, log: log, stderr: &errs}
	if err := s.open(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	m := &matrix{router: s.router, names: matrixRoles, sub: string(s.identity.Subscriptions()[0].ID)}
	_, m.nobody = m.login(t, s, "nobody")
	for _, role := range s.roles.Roles("/subscriptions/" + m.sub) {
		if !slices.Contains(m.names, role.Name) {
			t.Errorf("the built-in role %s is not in the matrix", role.Name)
		}
	}
	for _, name := range m.names {
		id, token := m.login(t, s, name)
		m.tokens = append(m.tokens, token)
		m.give(t, s, rbac.Assignment{Principal: id}, name)
	}
	m.join(t, s)
	for _, l := range limits() {
		var id string
		id, l.token = m.login(t, s, "limited")
		m.give(t, s, rbac.Assignment{Principal: id, Condition: l.condition}, l.role)
		m.limited = append(m.limited, l)
	}
	return m
}

// give assigns a role on the subscription.
func (m *matrix) give(t *testing.T, s *server, a rbac.Assignment, role string) {
	t.Helper()
	all := s.roles.Roles("/subscriptions/" + m.sub)
	i := slices.IndexFunc(all, func(r rbac.Role) bool { return r.Name == role })
	if i < 0 {
		t.Fatalf("there is no role %s", role)
	}
	a.Name, a.Role, a.Scope = uuid.NewString(), all[i].ID, "/subscriptions/"+m.sub
	if _, _, err := s.roles.PutAssignment(identity.Principal{}, a); err != nil {
		t.Fatal(err)
	}
}

// memberRole is what the matrix gives a group.
const memberRole = "Contributor"

// join makes the member and its groups.
func (m *matrix) join(t *testing.T, s *server) {
	t.Helper()
	id, token := m.login(t, s, "member")
	m.member = token
	for _, name := range []string{"inner", "outer"} {
		g, err := s.identity.AddGroup(identity.Group{Name: name, Nick: name}, []string{id})
		if err != nil {
			t.Fatal(err)
		}
		id = g.ObjectID
	}
	m.give(t, s, rbac.Assignment{Principal: id, PrincipalType: "Group"}, memberRole)
}

// login makes a service principal and a token of it.
func (m *matrix) login(t *testing.T, s *server, name string) (objectID, token string) {
	t.Helper()
	app, err := s.identity.AddApp(name)
	if err != nil {
		t.Fatal(err)
	}
	if app, err = s.identity.AddServicePrincipal(app.AppID); err != nil {
		t.Fatal(err)
	}
	secret, err := s.identity.ResetSecret(app.AppID)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", s.url+"/"+s.identity.Tenant().ID+"/oauth2/v2.0/token", strings.NewReader(
		"grant_type=client_credentials&client_id="+app.AppID+"&client_secret="+secret+"&scope=https://management.azure.com/.default"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.identity.ServeHTTP(w, r)
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Token == "" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return app.ObjectID, body.Token
}

var paramRE = regexp.MustCompile(`\{[a-zA-Z]+\}`)

// target fills a route's path with names of things that do not exist, but for the subscription.
func (m *matrix) target(r arm.Route) string {
	return paramRE.ReplaceAllStringFunc(r.Path, func(p string) string {
		switch p {
		case "{subscription}":
			return m.sub
		case "{provider}":
			return "Microsoft.Compute"
		case "{type}":
			return "disks"
		case "{inner}":
			return "parts"
		case "{namespace}":
			return "Microsoft.Compute"
		case "{location}":
			return "westus2"
		case "{operation}", "{assignment}", "{definition}":
			return "0a1b2c3d-0000-4000-8000-0000000000ee"
		}
		return "matrix"
	}) + "?api-version=" + r.Version
}

// body is what operations need that ask for permissions themselves.
func (m *matrix) body(r arm.Route) string {
	disk := "/subscriptions/" + m.sub + "/resourceGroups/matrix/providers/Microsoft.Compute/disks/matrix"
	switch {
	case strings.HasSuffix(r.Path, "/freedBytes"):
		return `{"ids":["` + disk + `"]}`
	case strings.HasSuffix(r.Path, "/createSnapshotGroup"):
		return `{"snapshots":[{"name":"s","location":"westus2","properties":{"creationData":{"createOption":"Copy","sourceResourceId":"` + disk + `"}}}]}`
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodDelete {
		return ""
	}
	return "{}"
}

// row has everybody try one operation.
func (m *matrix) row(t *testing.T, r arm.Route) string {
	t.Helper()
	mark := ""
	if r.Unscoped {
		mark = " `*`"
	}
	line := fmt.Sprintf("| %s `%s` | `%s`%s |", r.Method, r.Path, r.Permission, mark)
	for i, token := range m.tokens {
		cell := "    "
		if m.allowed(t, r, token, m.names[i]) {
			cell = " ✓ "
		}
		line += strings.TrimRight(cell, " ") + " |"
		if m.names[i] == memberRole && m.allowed(t, r, m.member, "member") != (cell == " ✓ ") {
			t.Errorf("%s %s: a member of a group may not do what the group may, or more", r.Method, r.Path)
		}
	}
	for _, l := range m.limited {
		whole := m.allowed(t, r, m.tokens[slices.Index(m.names, l.role)], l.role)
		if got, want := m.allowed(t, r, l.token, "limited"), whole && (l.left(r) || shown(r)); !r.Unscoped && got != want {
			t.Errorf("%s %s: %v for who holds %s under %s", r.Method, r.Path, got, l.role, l.condition)
		}
	}
	if !r.Unscoped && m.allowed(t, r, m.nobody, "nobody") {
		t.Errorf("%s %s: allowed without any role", r.Method, r.Path)
	}
	return line + "\n"
}

// allowed tells whether the router let the call through to its handler, and that let it pass.
func (m *matrix) allowed(t *testing.T, r arm.Route, token, who string) bool {
	t.Helper()
	q := httptest.NewRequest(r.Method, "https://localhost"+m.target(r), strings.NewReader(m.body(r)))
	q.Header.Set("Authorization", "Bearer "+token)
	q.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	m.router.ServeHTTP(w, q)
	var body struct {
		Error struct{ Code string } `json:"error"`
	}
	if r.Method != http.MethodHead && w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			body.Error.Code = ""
		}
	}
	switch {
	case w.Code == http.StatusUnauthorized, w.Code >= 500:
		t.Errorf("%s %s as %s: %d %s", r.Method, r.Path, who, w.Code, w.Body)
	case w.Code == http.StatusForbidden && r.Method != http.MethodHead && body.Error.Code != "AuthorizationFailed" && body.Error.Code != "LinkedAuthorizationFailed":
		return true // refused for what it asks, not for who asks
	}
	return w.Code != http.StatusForbidden
}
