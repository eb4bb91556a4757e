package graph

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/audit"
	"tintype/internal/identity"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// rig is the handler over a real directory. The token "admin" may write, "user" may read, any other is refused.
type rig struct {
	t    testing.TB
	h    *Handler
	id   *identity.Service
	gone []string
}

func newRig(t testing.TB) *rig {
	t.Helper()
	now := func() time.Time { return start }
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	id, err := identity.Open(identity.Options{Dir: t.TempDir(), Now: now, Log: log, Origin: identity.Origin{Default: "https://h"}})
	if err != nil {
		t.Fatal(err)
	}
	changes, err := audit.Open(t.Context(), filepath.Join(t.TempDir(), "activity.db"), now, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := changes.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &rig{t: t, id: id}
	r.h = New(Options{
		Identity: id, Audit: changes, Now: now, Log: log, BaseURL: func(*http.Request) string { return "https://h" },
		Authenticate: func(req *http.Request) (identity.Principal, error) {
			switch who := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "); who {
			case "admin", "user":
				return identity.Principal{ObjectID: who, AppID: who}, nil
			case "ann", "bob":
				u, _ := id.FindUser(who + "@example")
				return identity.Principal{ObjectID: u.ObjectID, AppID: "az", Name: u.Name}, nil
			}
			return identity.Principal{}, &identity.Error{Status: 401, Code: "AuthenticationFailed", Message: "no", Challenge: "Bearer"}
		},
		MayWrite: func(p identity.Principal) bool { return p.ObjectID == "admin" },
		Gone:     func(id string) error { r.gone = append(r.gone, id); return nil },
	})
	return r
}

// do sends a request and reads the answer into out, when that is not nil.
func (r *rig) do(who, method, path, body string, status int, out any) {
	r.t.Helper()
	req := httptest.NewRequest(method, "https://h/graph/v1.0"+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+who)
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	if w.Code != status {
		r.t.Fatalf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			r.t.Fatal(err)
		}
	}
}

func TestLifeOfAServicePrincipal(t *testing.T) {
	r := newRig(t)
	var a application
	r.do("nobody", "GET", "/applications", "", 401, nil)
	r.do("user", "POST", "/applications", `{"displayName":"x"}`, 403, nil)
	r.do("admin", "POST", "/applications", `{"displayName":"it's"}`, 201, &a)
	r.do("admin", "GET", "/servicePrincipals/"+a.ID, "", 404, nil)
	var sp servicePrincipal
	r.do("admin", "POST", "/servicePrincipals", `{"appId":"`+a.AppID+`"}`, 201, &sp)
	r.do("admin", "POST", "/servicePrincipals", `{"appId":"`+a.AppID+`"}`, 409, nil)
	r.do("admin", "POST", "/servicePrincipals", `{"appId":"`+uuid.NewString()+`"}`, 400, nil)
	if sp.ID == "" || sp.ID == a.ID || sp.AppID != a.AppID {
		t.Fatalf("%+v", sp)
	}
	var p passwordBody
	r.do("admin", "POST", "/servicePrincipals/"+sp.ID+"/addPassword", `{"passwordCredential":{"displayName":"rbac","endDateTime":"2027-01-01T00:00:00Z"}}`, 200, &p)
	if p.Secret == nil || !r.id.SecretFits(a.AppID, *p.Secret) || p.End != "2027-01-01T00:00:00Z" {
		t.Fatalf("%+v", p)
	}
	r.do("user", "GET", "/servicePrincipals/"+sp.ID, "", 200, &sp)
	if len(sp.Passwords) != 1 || sp.Passwords[0].Secret != nil || sp.Passwords[0].KeyID != p.KeyID {
		t.Errorf("%+v", sp.Passwords)
	}
	var l struct{ Value []servicePrincipal }
	for filter, want := range map[string]int{
		"servicePrincipalNames/any(c:c eq '" + a.AppID + "')": 1, "displayName eq 'it''s'": 1, "displayName eq 'its'": 0,
		"startswith(displayName,'IT')": 1, "appId eq '" + a.AppID + "' and displayName eq 'x'": 0,
		"appId eq '" + a.AppID + "' or displayName eq 'owner'": 2, "": 2,
	} {
		r.do("user", "GET", "/servicePrincipals?$filter="+url.QueryEscape(filter), "", 200, &l)
		if len(l.Value) != want {
			t.Errorf("%s: %d", filter, len(l.Value))
		}
	}
	for _, filter := range []string{"x", "a eq 'b' and", "a eq 'b' and c eq 'd' or e eq 'f'", "n/any(a:b eq 'c')", "a eq b"} {
		r.do("user", "GET", "/servicePrincipals?$filter="+url.QueryEscape(filter), "", 400, nil)
	}
	r.do("user", "POST", "/directoryObjects/getByIds", `{"ids":["`+sp.ID+`","`+a.ID+`","`+uuid.NewString()+`"]}`, 200, &l)
	if len(l.Value) != 1 || l.Value[0].Type != "#microsoft.graph.servicePrincipal" {
		t.Errorf("%+v", l)
	}
	r.do("admin", "POST", "/servicePrincipals/"+sp.ID+"/removePassword", `{"keyId":"`+p.KeyID+`"}`, 204, nil)
	if r.id.SecretFits(a.AppID, *p.Secret) {
		t.Error("the removed password fits")
	}
	r.do("admin", "DELETE", "/servicePrincipals/"+sp.ID, "", 204, nil)
	if len(r.gone) != 1 || r.gone[0] != sp.ID {
		t.Errorf("%v", r.gone)
	}
	r.do("admin", "DELETE", "/applications/"+a.ID, "", 204, nil)
	r.do("admin", "DELETE", "/applications/"+a.ID, "", 404, nil)
	r.do("admin", "DELETE", "/servicePrincipals/"+r.id.First().ObjectID, "", 403, nil)
	r.do("admin", "POST", "/applications", `[`, 400, nil)
	r.do("admin", "POST", "/applications", `{"displayName":"`+strings.Repeat("x", maxBody)+`"}`, 400, nil)
}

func TestUsers(t *testing.T) {
	r := newRig(t)
	var u userBody
	add := func(name, password string, status int, out any) {
		t.Helper()
		r.do("admin", "POST", "/users", `{"accountEnabled":true,"displayName":"Ann","userPrincipalName":"`+name+`","passwordProfile":{"password":"`+password+`"}}`, status, out)
	}
	add("ann@example", "short", 400, nil)
	add("ann", "long enough a password", 400, nil)
	add("ann@example", "long enough a password", 201, &u)
	add("ANN@example", "long enough a password", 400, nil)
	r.do("user", "GET", "/users/ann@example", "", 200, &u)
	r.do("user", "GET", "/users?$filter="+url.QueryEscape("userPrincipalName eq 'ann@example'"), "", 200, nil)
	r.do("user", "GET", "/me", "", 400, nil)
	r.do("user", "PATCH", "/users/"+u.ID, `{"displayName":"x"}`, 403, nil)
	r.do("admin", "PATCH", "/users/"+u.ID, `{"displayName":"Anna","accountEnabled":false}`, 204, nil)
	if got, _ := r.id.FindUser(u.ID); got.Display != "Anna" || got.Enabled {
		t.Errorf("%+v", got)
	}
	r.do("admin", "PATCH", "/users/"+u.ID, `{"passwordProfile":{"password":"x","forceChangePasswordNextSignIn":true}}`, 400, nil)
	r.do("admin", "DELETE", "/users/"+u.ID, "", 204, nil)
	r.do("admin", "DELETE", "/users/"+u.ID, "", 404, nil)
}

func FuzzFilter(f *testing.F) {
	f.Add("servicePrincipalNames/any(c:c eq 'x') or startswith(displayName,'a''b')")
	f.Fuzz(func(t *testing.T, text string) {
		req := httptest.NewRequest("GET", "https://h/?$filter="+url.QueryEscape(text), nil)
		if keep, err := parseFilter(req); err == nil {
			keep(facts{"displayname": {"x"}})
		}
	})
}

func TestLifeOfAGroup(t *testing.T) {
	r := newRig(t)
	ann, err := r.id.AddUser("ann@example", "Ann", "long enough a password")
	if err != nil {
		t.Fatal(err)
	}
	first := r.id.First().ObjectID
	make := func(name, more string, status int, out any) {
		t.Helper()
		r.do("admin", "POST", "/groups", `{"displayName":"`+name+`","mailNickname":"nick","mailEnabled":false,"securityEnabled":true`+more+`}`, status, out)
	}
	link := func(id string) string { return `{"@odata.id":"https://h/graph/v1.0/directoryObjects/` + id + `"}` }
	var outer, inner groupBody
	make("outer", `,"description":"all"`, 201, &outer)
	make("inner", `,"members@odata.bind":["https://graph.microsoft.com/v1.0/users/`+ann.ObjectID+`"]`, 201, &inner)
	make("mail", `,"groupTypes":["Unified"]`, 400, nil)
	make("owned", `,"owners@odata.bind":["https://h/v1.0/groups/`+outer.ID+`"]`, 400, nil)
	make("bad", `,"members@odata.bind":["`+ann.ObjectID+`"]`, 400, nil)
	r.do("user", "POST", "/groups", `{}`, 403, nil)
	r.do("admin", "POST", "/groups", `{"displayName":"x"}`, 400, nil)
	r.do("admin", "POST", "/groups/"+outer.ID+"/members/$ref", link(inner.ID), 204, nil)
	r.do("admin", "POST", "/groups/"+outer.ID+"/members/$ref", link(first), 204, nil)
	r.do("admin", "POST", "/groups/"+outer.ID+"/members/$ref", link(first), 400, nil)
	r.do("admin", "POST", "/groups/"+outer.ID+"/members/$ref", link(uuid.NewString()), 404, nil)
	r.do("admin", "POST", "/groups/"+outer.ID+"/members/$ref", `{"@odata.id":"x"}`, 400, nil)
	r.do("user", "POST", "/groups/"+outer.ID+"/members/$ref", link(ann.ObjectID), 403, nil)

	var list struct {
		Value []struct {
			Type string `json:"@odata.type"`
			ID   string
		}
	}
	types := func(path string, want ...string) {
		t.Helper()
		r.do("user", "GET", path, "", 200, &list)
		var got []string
		for _, v := range list.Value {
			got = append(got, strings.TrimPrefix(v.Type, "#microsoft.graph.")+" "+v.ID)
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	types("/groups/"+outer.ID+"/members", "group "+inner.ID, "servicePrincipal "+first)
	types("/groups/"+outer.ID+"/transitiveMembers", "group "+inner.ID, "servicePrincipal "+first, "user "+ann.ObjectID)
	types("/users/ann@example/memberOf", "group "+inner.ID)
	types("/users/ann@example/transitiveMemberOf", "group "+inner.ID, "group "+outer.ID)
	types("/servicePrincipals/"+first+"/memberOf", "group "+outer.ID)
	r.do("user", "GET", "/groups?$filter="+url.QueryEscape("displayName eq 'outer' and mailNickname eq 'nick'"), "", 200, &list)
	if len(list.Value) != 1 || list.Value[0].ID != outer.ID {
		t.Errorf("%+v", list)
	}
	var in struct{ Value []string }
	r.do("user", "POST", "/directoryObjects/"+ann.ObjectID+"/checkMemberGroups", `{"groupIds":["`+outer.ID+`","`+uuid.NewString()+`"]}`, 200, &in)
	if len(in.Value) != 1 || in.Value[0] != outer.ID {
		t.Errorf("%+v", in)
	}
	r.do("user", "POST", "/users/ann@example/getMemberGroups", `{"securityEnabledOnly":false}`, 200, &in)
	if len(in.Value) != 2 {
		t.Errorf("%+v", in)
	}
	r.do("user", "POST", "/directoryObjects/"+uuid.NewString()+"/getMemberGroups", `{}`, 404, nil)

	r.do("admin", "PATCH", "/groups/"+outer.ID, `{"description":"some"}`, 204, nil)
	r.do("user", "GET", "/directoryObjects/"+outer.ID, "", 200, &outer)
	if outer.Description == nil || *outer.Description != "some" || outer.Type != "#microsoft.graph.group" {
		t.Errorf("%+v", outer)
	}
	r.do("admin", "DELETE", "/groups/"+outer.ID+"/members/"+first+"/$ref", "", 204, nil)
	r.do("admin", "DELETE", "/groups/"+outer.ID+"/members/"+first+"/$ref", "", 404, nil)
	r.do("user", "DELETE", "/groups/"+inner.ID, "", 403, nil)
	r.do("admin", "DELETE", "/groups/"+inner.ID, "", 204, nil)
	if len(r.gone) != 1 || r.gone[0] != inner.ID {
		t.Errorf("%v", r.gone)
	}
	types("/groups/" + outer.ID + "/members")
	r.do("user", "GET", "/groups/"+inner.ID+"/members", "", 404, nil)
}
