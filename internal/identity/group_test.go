package identity

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// TestMembershipsAreReached compares with the closure of a matrix: groups in groups, in circles too, and principals that come and go.
func TestMembershipsAreReached(t *testing.T) {
	s, _ := newService(t)
	rnd := rand.New(rand.NewPCG(7, 11))
	const n = 9
	ids, at := make([]string, n), map[string]int{}
	for i := range ids {
		g, err := s.AddGroup(Group{Name: "g", Nick: "g"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ids[i], at[g.ObjectID] = g.ObjectID, i
	}
	var edge [n][n]bool // of a group to its member
	for step := range 300 {
		from, to := rnd.IntN(n), rnd.IntN(n)
		if edge[from][to] {
			if err := s.RemoveMember(ids[from], ids[to]); err != nil {
				t.Fatal(err)
			}
			edge[from][to] = false
		} else if err := s.ChangeGroup(ids[from], GroupChange{Members: []string{ids[to]}}); (err == nil) != (from != to) {
			t.Fatalf("step %d: %v", step, err)
		} else {
			edge[from][to] = from != to
		}
		reached := edge
		for k := range n {
			for i := range n {
				for j := range n {
					reached[i][j] = reached[i][j] || reached[i][k] && reached[k][j]
				}
			}
		}
		for i, id := range ids {
			down, err := s.Members(id, true)
			if err != nil {
				t.Fatal(err)
			}
			var wantDown, wantUp []string
			for j := range n {
				if i != j && reached[i][j] {
					wantDown = append(wantDown, ids[j])
				}
				if i != j && reached[j][i] {
					wantUp = append(wantUp, ids[j])
				}
			}
			up := s.MemberOf(id, true)
			for _, all := range [][]string{down, up, wantDown, wantUp} {
				slices.Sort(all)
			}
			if d := cmp.Diff(wantDown, down); d != "" {
				t.Fatalf("step %d, members: %s", step, d)
			}
			if d := cmp.Diff(wantUp, up); d != "" {
				t.Fatalf("step %d, groups: %s", step, d)
			}
		}
	}
}

// TestMembersGoWithTheirPrincipals: nobody of a later life is in a group for one that is gone, and what is there outlives a restart.
func TestMembersGoWithTheirPrincipals(t *testing.T) {
	s, _ := newService(t)
	user, err := s.AddUser("ann@example", "Ann", "long enough a password")
	if err != nil {
		t.Fatal(err)
	}
	app, err := s.AddApp("a")
	if err != nil {
		t.Fatal(err)
	}
	if app, err = s.AddServicePrincipal(app.AppID); err != nil {
		t.Fatal(err)
	}
	inner, err := s.AddGroup(Group{Name: "inner", Nick: "inner"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := s.AddGroup(Group{Name: "all", Nick: "all", Description: "x"}, []string{user.ObjectID, app.ObjectID, inner.ObjectID})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]string{{app.ID}, {uuid.NewString()}, {user.ObjectID}, {g.ObjectID}, {"ann@example"}} {
		if err := s.ChangeGroup(g.ObjectID, GroupChange{Members: bad}); err == nil {
			t.Errorf("%v became a member", bad)
		}
	}
	for _, bad := range []Group{{Nick: "x"}, {Name: "x"}, {Name: "x", Nick: "a b"}, {Name: "x", Nick: "a@b"}} {
		if _, err := s.AddGroup(bad, nil); err == nil {
			t.Errorf("%+v was made", bad)
		}
	}
	again, err := Open(s.opt)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := again.Members(g.ObjectID, false); len(got) != 3 || len(again.MemberOf(user.ObjectID, true)) != 1 {
		t.Errorf("after a restart: %v", got)
	}
	for _, err := range []error{second(s.DeleteUser(user.ObjectID)), second(s.DeleteApp(app.ObjectID, true)), second(s.DeleteGroup(inner.ObjectID))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := s.Members(g.ObjectID, false); len(got) != 0 {
		t.Errorf("left in the group: %v", got)
	}
}

func second[T any](_ T, err error) error { return err }
