package rbac

import (
	"fmt"
	"strings"

	"tintype/internal/abac"
	"tintype/internal/identity"
)

// ConditionVersion is the one version of conditions that there is.
const ConditionVersion = "2.0"

const assignmentAttribute = "microsoft.authorization/roleassignments:"

// attributes are what conditions may ask for here: of an assignment that is to be written (@Request) or deleted (@Resource), and the time.
// Source: "Authorization attributes", learn.microsoft.com/azure/role-based-access-control.
func attributes(a abac.Attribute) (abac.Kind, bool) {
	if a == abac.UTCNow() {
		return abac.Time, true
	}
	name, ok := strings.CutPrefix(a.Name, assignmentAttribute)
	if !ok || a.Source != "request" && a.Source != "resource" {
		return 0, false
	}
	switch name {
	case "roledefinitionid", "principalid":
		return abac.GUID, true
	case "principaltype":
		return abac.Text, true
	}
	return 0, false
}

func parseCondition(s string) (*abac.Condition, error) { return abac.Parse(s, attributes) }

// checkCondition refuses a condition that cannot be read or evaluated here, and completes its version.
func (a *Assignment) checkCondition() error {
	if strings.TrimSpace(a.Condition) == "" {
		a.Condition, a.ConditionVersion = "", ""
		return nil
	}
	why := "conditionVersion is '" + fmt.Sprintf("%.20s", a.ConditionVersion) + "', and has to be '" + ConditionVersion + "'"
	switch a.ConditionVersion {
	case "":
		a.ConditionVersion = ConditionVersion
		fallthrough
	case ConditionVersion:
		_, err := parseCondition(a.Condition)
		if err == nil {
			return nil
		}
		why = err.Error()
	}
	return invalid("InvalidCondition", "The given role assignment condition is invalid. %s.", why)
}

func (s *Service) facts(action string) abac.Facts {
	return abac.Facts{Action: strings.ToLower(action), Now: s.opt.Now()}
}

// truth of a grant's condition.
func (g grant) truth(f abac.Facts) abac.Truth {
	if g.condition == nil {
		return abac.True
	}
	return g.condition.Evaluate(f)
}

// AllowedPerhaps tells whether one of p's roles allows the action on the scope, or may allow it once its condition is asked with the
// assignment that the action is about.
func (s *Service) AllowedPerhaps(p identity.Principal, action, scope string) bool {
	f := s.facts(action)
	return s.any(p, scope, func(g grant) bool { return g.folded.allows(f.Action) && g.truth(f) != abac.False })
}

// AllowedAssignment tells whether one of p's roles allows the action, which is to write or to delete the assignment.
func (s *Service) AllowedAssignment(p identity.Principal, action string, a Assignment) bool {
	f := s.facts(action)
	source := "resource"
	if strings.HasSuffix(f.Action, "/write") {
		source = "request"
	}
	f.Values = map[abac.Attribute]string{}
	for name, value := range map[string]string{"roledefinitionid": a.Role, "principalid": a.Principal, "principaltype": a.PrincipalType} {
		f.Values[abac.Attribute{Source: source, Name: assignmentAttribute + name}] = value
	}
	return s.any(p, a.Scope, func(g grant) bool { return g.folded.allows(f.Action) && g.truth(f) == abac.True })
}
