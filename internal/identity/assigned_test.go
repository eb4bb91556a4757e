package identity

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// TestAssignedIdentities makes, changes, uses and deletes user-assigned identities.
func TestAssignedIdentities(t *testing.T) {
	plain, _ := newService(t)
	opt := plain.opt
	may, gone := "", []string{}
	opt.Local = []LocalUser{{Name: "web", UID: 7}}
	opt.MayAssign = func(p Principal, id string) bool { return may == id && p.ObjectID == plain.local[7] }
	opt.Gone = func(id string) error { gone = append(gone, id); return nil }
	s, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	plain = s
	changes := 0
	s.OnChange(func() { changes++ })
	want := Assigned{Subscription: s.Subscriptions()[0].ID, Group: "g", Name: "worker", Location: "westus2"}
	a, made, err := s.PutAssigned(want)
	if err != nil || !made {
		t.Fatal(made, err)
	}
	want.Tags = map[string]string{"a": "b"}
	if again, made, err := s.PutAssigned(want); err != nil || made || again.ObjectID != a.ObjectID || again.Tags["a"] != "b" {
		t.Errorf("%+v %v %v", again, made, err)
	}
	want.Location = "eastus"
	if _, _, err := s.PutAssigned(want); err == nil {
		t.Error("it moved to another location")
	}
	for _, name := range []string{"", "ab", "-abc", "a b c", strings.Repeat("x", 129)} {
		if _, _, err := s.PutAssigned(Assigned{Subscription: want.Subscription, Group: "g", Name: name}); err == nil {
			t.Errorf("%q is a name", name)
		}
	}
	if got, ok := s.FindAssigned(strings.ToUpper(a.ID()) + "/"); !ok || got.ClientID != a.ClientID {
		t.Errorf("%+v %v", got, ok)
	}
	if s.PrincipalType(a.ObjectID) != "ServicePrincipal" {
		t.Error("it is no principal")
	}
	if _, err := s.ResetSecret(a.ClientID); err == nil {
		t.Error("it has got a password")
	}
	if _, err := s.DeleteApp(a.ObjectID, true); err == nil {
		t.Error("its principal was deleted alone")
	}

	r := httptest.NewRequest("GET", "https://h/", nil)
	ask := func(names ...string) (LocalToken, error) {
		return s.LocalToken(r, LocalRequest{UID: 7, Resource: "https://management.azure.com/", Named: names})
	}
	own, err := ask()
	if err != nil || own.ClientID == a.ClientID {
		t.Fatalf("%+v %v", own, err)
	}
	if _, err := ask(a.ClientID); err == nil {
		t.Error("a token for who may not assign the identity")
	}
	may = a.ID()
	var token string
	for _, names := range [][]string{{a.ClientID}, {strings.ToUpper(a.ObjectID)}, {a.ID()}, {a.ID(), a.ClientID}} {
		got, err := ask(names...)
		if err != nil || got.ClientID != a.ClientID {
			t.Errorf("%v: %+v %v", names, got, err)
		}
		token = got.Token
	}
	for _, names := range [][]string{{a.ClientID, own.ClientID}, {a.ID() + "x"}, {s.First().AppID}} {
		if _, err := ask(names...); err == nil {
			t.Errorf("%v: a token", names)
		}
	}
	who, refused := authenticate(s, "Bearer "+token)
	if refused != nil || who.ObjectID != a.ObjectID {
		t.Fatalf("%+v %v", who, refused)
	}
	s, err = Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	if who, refused := authenticate(s, "Bearer "+token); refused != nil || who.ObjectID != a.ObjectID {
		t.Errorf("after a restart: %+v %v", who, refused)
	}
	if all := s.ListAssigned(want.Subscription, "G"); len(all) != 1 {
		t.Errorf("%+v", all)
	}
	s.OnChange(func() { changes++ })
	if err := s.DeleteIdentities(want.Subscription, "other"); err != nil || changes != 0 {
		t.Error(changes, err)
	}
	if err := s.DeleteIdentities(want.Subscription, "G"); err != nil || changes != 1 || !slices.Equal(gone, []string{a.ObjectID}) {
		t.Error(changes, gone, err)
	}
	if ok, err := s.DeleteAssigned(a.ID()); ok || err != nil {
		t.Error(ok, err)
	}
	if _, refused := authenticate(s, "Bearer "+token); refused == nil {
		t.Error("its token is good after it")
	}
}
