package rbac

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"tintype/internal/abac"
	"tintype/internal/identity"
)

// Options of a [Service]. All are needed but Groups.
type Options struct {
	// Dir is the server's data folder: DIR/roles.json is read, or made.
	Dir string
	// First is the principal that owns the subscription when the file is made.
	First, Subscription string
	Now                 func() time.Time
	// Groups gives the object ids, in lower case, of all groups that a principal belongs to, by way of other groups too. When it
	// is nil nobody belongs to any.
	Groups func(objectID string) []string
}

// Service knows roles and assignments. Its methods may be called by many goroutines at once; what one of them changed holds
// for every call that begins after it returned, and is durable then.
type Service struct {
	opt Options

	writing sync.Mutex // one change at a time
	state   atomic.Pointer[state]
}

// state is everything, and never changes: a change makes another one.
type state struct {
	builtin     []Role
	Roles       []Role // custom ones
	Assignments []Assignment

	byID       map[string]Role
	grants     map[string][]grant         // by principal
	conditions map[string]*abac.Condition // those of grants, by their text
}

// grant is an assignment with its role at hand, all in lower case.
type grant struct {
	scope  string
	role   Role
	folded folded
	// condition, when not nil, has to hold as well; its text is what.
	condition *abac.Condition
	what      string
}

// Open reads the file, or makes it with one assignment: First owns the subscription.
func Open(opt Options) (*Service, error) {
	s := &Service{opt: opt}
	roles, err := builtins()
	if err != nil {
		return nil, err
	}
	st := &state{builtin: roles}
	found, err := st.read(s.file())
	if err != nil {
		return nil, err
	}
	if !found {
		now := opt.Now().UTC()
		st.Assignments = []Assignment{{
			Name: uuid.NewString(), Principal: strings.ToLower(opt.First), PrincipalType: "ServicePrincipal", Role: Owner,
			Scope: "/subscriptions/" + opt.Subscription, Created: now, Updated: now,
		}}
		if err := st.write(s.file()); err != nil {
			return nil, err
		}
	}
	st.index()
	s.state.Store(st)
	return s, nil
}

func (s *Service) file() string { return filepath.Join(s.opt.Dir, "roles.json") }

func (s *Service) current() *state { return s.state.Load() }

// change runs fn on a copy, makes that durable, and puts it in the place of what was there.
func (s *Service) change(fn func(*state) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	old := s.current()
	next := &state{
		builtin: old.builtin, Roles: slices.Clone(old.Roles), Assignments: slices.Clone(old.Assignments), byID: old.byID, conditions: old.conditions,
	}
	if err := fn(next); err != nil {
		return err
	}
	if err := next.write(s.file()); err != nil {
		return err
	}
	next.index()
	s.state.Store(next)
	return nil
}

// index makes what lookups need.
func (st *state) index() {
	st.indexRoles()
	st.grants = make(map[string][]grant)
	known := st.conditions
	st.conditions = make(map[string]*abac.Condition)
	for _, a := range st.Assignments {
		role, ok := st.byID[a.Role]
		if !ok {
			continue
		}
		g := grant{scope: fold(a.Scope), role: role, folded: role.folded(), what: a.Condition}
		if a.Condition != "" {
			if g.condition = known[a.Condition]; g.condition == nil {
				var err error
				if g.condition, err = parseCondition(a.Condition); err != nil {
					continue // which no assignment has that was checked
				}
			}
			st.conditions[a.Condition] = g.condition
		}
		st.grants[a.Principal] = append(st.grants[a.Principal], g)
	}
}

func (st *state) indexRoles() {
	st.byID = make(map[string]Role, len(st.builtin)+len(st.Roles))
	for _, r := range st.roles() {
		st.byID[r.ID] = r
	}
}

func (st *state) roles() []Role { return slices.Concat(st.builtin, st.Roles) }

func (st *state) role(id string) (Role, bool) {
	r, ok := st.byID[id]
	return r, ok
}

// Allowed tells whether one of p's roles allows the action on the scope, which is a resource id. What a condition leaves open is not allowed.
func (s *Service) Allowed(p identity.Principal, action, scope string) bool {
	f := s.facts(action)
	return s.any(p, scope, func(g grant) bool { return g.folded.allows(f.Action) && g.truth(f) == abac.True })
}

// AllowedData tells whether one of p's roles allows the data action on the scope.
func (s *Service) AllowedData(p identity.Principal, action, scope string) bool {
	f := s.facts(action)
	return s.any(p, scope, func(g grant) bool { return g.folded.allowsData(f.Action) && g.truth(f) == abac.True })
}

// Held is a set of permissions that somebody holds, and the condition on it.
type Held struct {
	Permissions
	Condition string
}

// Held gives the permissions of all roles that p holds on the scope.
func (s *Service) Held(p identity.Principal, scope string) (out []Held) {
	s.any(p, scope, func(g grant) bool {
		for _, set := range g.role.Permissions {
			out = append(out, Held{set, g.what})
		}
		return false
	})
	return out
}

// AllowedBelow tells whether a role of p allows the action on the scope, or on anything below it.
func (s *Service) AllowedBelow(p identity.Principal, action, scope string) bool {
	f := s.facts(action)
	scope = fold(scope)
	return s.holds(p, func(g grant) bool {
		return (covers(g.scope, scope) || covers(scope, g.scope)) && g.folded.allows(f.Action) && g.truth(f) == abac.True
	})
}

// Sees tells whether p holds any role at the scope, above it or below it.
func (s *Service) Sees(p identity.Principal, scope string) bool {
	scope = fold(scope)
	return s.holds(p, func(g grant) bool {
		return covers(g.scope, scope) || covers(scope, g.scope)
	})
}

func (s *Service) any(p identity.Principal, scope string, fits func(grant) bool) bool {
	scope = fold(scope)
	return s.holds(p, func(g grant) bool { return covers(g.scope, scope) && fits(g) })
}

// holds tells whether any grant of p, or of a group that p belongs to, fits.
func (s *Service) holds(p identity.Principal, fits func(grant) bool) bool {
	grants := s.current().grants
	return slices.ContainsFunc(s.holders(p.ObjectID), func(id string) bool { return slices.ContainsFunc(grants[id], fits) })
}

// holders are those whose grants are the principal's: itself, and its groups.
func (s *Service) holders(objectID string) []string {
	all := []string{strings.ToLower(objectID)}
	if s.opt.Groups != nil {
		all = append(all, s.opt.Groups(objectID)...)
	}
	return all
}
