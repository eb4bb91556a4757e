package arm

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/identity"
	"tintype/internal/rbac"
)

// emptyMoves moves whatever it is told to, when it is not told to fail. Its resources look busy: a move finishes first what is in progress.
type emptyMoves struct{ fails error }

func (emptyMoves) CheckMove(context.Context, tintype.Group, tintype.Group, []tintype.ResourceID) error {
	return tintype.NotAllowed("Another operation is in progress on a resource. Please retry later.")
}

func (m emptyMoves) Move(context.Context, tintype.Group, tintype.Group, []tintype.ResourceID) (tintype.Operation, error) {
	if m.fails != nil {
		return tintype.Operation{}, m.fails
	}
	return tintype.Operation{ID: uuid.New(), Kind: tintype.OpMove, State: tintype.Succeeded}, nil
}

// TestRolesStayBehind: nobody has on what was moved what was given on its old id, nor what was given on another thing that had its new
// id once.
func TestRolesStayBehind(t *testing.T) {
	plain, _ := newRoleRouter(t)
	opt := plain.opt
	disk := func(group string) string {
		return subPath + "/resourceGroups/" + group + "/providers/Microsoft.Compute/disks/d"
	}
	for _, scope := range []string{disk("a"), disk("b"), disk("c")} {
		if _, _, err := opt.Roles.PutAssignment(identity.Principal{}, rbac.Assignment{Name: uuid.NewString(), Principal: aliceID, Role: ownerRole, Scope: scope}); err != nil {
			t.Fatal(err)
		}
	}
	there := map[string]bool{"a": true, "b": true, "c": true}
	disks := Type{Namespace: "Microsoft.Compute", Name: "disks", Versions: []string{"2024-03-02"}, Operations: []Operation{{
		Method: "GET", Path: InGroup("Microsoft.Compute/disks/{name}"), Do: func(_ context.Context, c *Call) (Response, error) {
			if !there[c.ID.Group] {
				return Response{}, &tintype.Error{Kind: tintype.KindNotFound, Code: "ResourceNotFound"}
			}
			return JSON(200, map[string]any{}), nil
		},
	}}}
	opt.Types = append(opt.Types, disks)
	for _, step := range []struct {
		fails  error
		gone   string
		status int
		given  map[string]bool
	}{
		{tintype.NotAllowed("no"), "", 409, map[string]bool{"a": true, "b": true, "c": true}},
		// As if the server had ended right after the move: nobody has anything on what came to b.
		{errors.New("the power went"), "b", 500, map[string]bool{"a": true, "b": false, "c": true}},
		{nil, "b", 202, map[string]bool{"a": false, "b": false, "c": true}},
	} {
		opt.Moves = emptyMoves{step.fails}
		delete(there, step.gone)
		rt, err := New(opt)
		if err != nil {
			t.Fatal(err)
		}
		w := as(t, rt, firstPrincipal, "POST", subPath+"/resourceGroups/a/moveResources?api-version=2021-04-01",
			`{"resources":["`+disk("a")+`"],"targetResourceGroup":"`+subPath+`/resourceGroups/b"}`)
		if w.Code != step.status {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for group, want := range step.given {
			if opt.Roles.AnyAt(disk(group)) != want {
				t.Errorf("%d: assigned in %s: %v", step.status, group, !want)
			}
		}
	}
}

// TestMoveResources asks for moves over the API.
func TestMoveResources(t *testing.T) {
	r := newComputeRig(t)
	r.group("a")
	r.group("b")
	const sub = "/subscriptions/" + testSub
	a, b := sub+"/resourceGroups/a", sub+"/resourceGroups/b"
	disk, set := a+"/providers/Microsoft.Compute/disks/d", a+"/providers/Microsoft.Compute/diskEncryptionSets/s"
	const v, version = "?api-version=2021-04-01", "?api-version=2024-03-02"
	r.poll(r.do("PUT", disk+version, `{"location":"westus2","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}}`))
	body := func(target string, ids ...string) string {
		return `{"resources":["` + strings.Join(ids, `","`) + `"],"targetResourceGroup":"` + target + `"}`
	}
	for _, tc := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"no body", ``, 400, "InvalidRequestContent"},
		{"no target", `{"resources":["` + disk + `"]}`, 400, "InvalidRequestContent"},
		{"nothing", body(b), 400, "InvalidRequestContent"},
		{"no id", body(b, "disk"), 400, "InvalidRequestContent"},
		{"same group", body(strings.ToUpper(a), disk), 400, "ResourceMoveNotSupported"},
		{"other subscription", body(strings.Replace(b, testSub, otherSub, 1), disk), 400, "ResourceMoveNotSupported"},
		{"of another group", body(b, strings.Replace(disk, "/a/", "/b/", 1)), 400, "ResourceMoveNotSupported"},
		{"a set", body(b, disk, set), 409, "ResourceMoveNotSupported"},
		{"a vault", body(b, a+"/providers/Microsoft.KeyVault/vaults/v"), 409, "ResourceMoveNotSupported"},
		{"no such group", body(b+"x", disk), 404, "ResourceGroupNotFound"},
		{"no such disk", body(b, disk+"x"), 404, "ResourceNotFound"},
	} {
		for _, verb := range []string{"moveResources", "validateMoveResources"} {
			got := r.do("POST", a+"/"+verb+v, tc.body)
			problem, _ := got.object()["error"].(map[string]any)
			if got.status != tc.status || problem["code"] != tc.code {
				t.Errorf("%s, %s: %d %v", tc.name, verb, got.status, got.body)
			}
		}
	}
	if got := r.do("POST", a+"/validateMoveResources"+v, body(b, disk)); got.status != 204 {
		t.Errorf("%d %v", got.status, got.body)
	}
	lock := func(at, level string) string {
		path := at + "/providers/Microsoft.Authorization/locks/l?api-version=2020-05-01"
		if got := r.do("PUT", path, `{"properties":{"level":"`+level+`"}}`); got.status != 201 {
			t.Fatal(got)
		}
		return path
	}
	for _, l := range []struct{ at, level string }{{disk, "CanNotDelete"}, {a, "CanNotDelete"}, {a, "ReadOnly"}, {b, "ReadOnly"}} {
		path := lock(l.at, l.level)
		if got := r.do("POST", a+"/moveResources"+v, body(b, disk)); got.status != 409 {
			t.Errorf("locked at %s: %d %v", l.at, got.status, got.body)
		}
		r.do("DELETE", path, nil)
	}
	lock(b, "CanNotDelete")
	r.poll(r.do("PUT", strings.Replace(disk, "/a/", "/b/", 1)+version, `{"location":"westus2","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}}`))
	got := r.do("POST", a+"/moveResources"+v, body(b, disk))
	problem, _ := got.object()["error"].(map[string]any)
	details, _ := problem["details"].([]any)
	if got.status != 409 || problem["code"] != "ResourceMoveProviderValidationFailed" || len(details) != 1 || !strings.HasSuffix(details[0].(map[string]any)["target"].(string), "/disks/d") {
		t.Errorf("%d %v", got.status, got.body)
	}
	r.group("c")
	got = r.do("POST", a+"/moveResources"+v, body(strings.Replace(b, "/b", "/c", 1), disk, strings.ToUpper(disk)))
	if got.status != 202 {
		t.Fatalf("%d %v", got.status, got.body)
	}
	if end := r.do("GET", local(got.header.Get("Location")), nil); end.status != 204 {
		t.Errorf("%d %v", end.status, end.body)
	}
	for path, status := range map[string]int{disk: 404, strings.Replace(disk, "/a/", "/c/", 1): 200} {
		if got := r.do("GET", path+version, nil); got.status != status {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}
