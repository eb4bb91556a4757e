package abac

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var seeds = flag.Int("abac.count", 3000, "conditions that TestModel makes")

const (
	readerRole  = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	contributor = "b24988ac-6180-42a0-ab88-20f7382dd24c"
	alice       = "0a1b2c3d-0000-4000-8000-0000000000a1"
	write       = "Microsoft.Authorization/roleAssignments/write"
)

func ours(source, name string) Attribute {
	return Attribute{source, "microsoft.authorization/roleassignments:" + name}
}

// known knows what is asked of role assignments, and one of each other kind.
func known(a Attribute) (Kind, bool) {
	switch {
	case a == UTCNow():
		return Time, true
	case a.Source == "principal" && a.Name == "size":
		return Number, true
	case a.Source == "principal" && a.Name == "hired":
		return Bool, true
	case a.Source == "principal" || a.Source == "environment":
		return 0, false
	}
	switch a.Name {
	case ours("", "roledefinitionid").Name, ours("", "principalid").Name:
		return GUID, true
	case ours("", "principaltype").Name:
		return Text, true
	}
	return 0, false
}

func facts() Facts {
	return Facts{
		Action: write, Now: time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC),
		Values: map[Attribute]string{
			ours("request", "roledefinitionid"): contributor, ours("request", "principalid"): alice, ours("request", "principaltype"): "User",
			{"principal", "size"}: "10", {"principal", "hired"}: "true",
		},
	}
}

// constrained is what Azure's portal writes for "may give these roles to those".
const constrained = `
(
 (
  !(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})
 )
 OR
 (
  @Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {acdd72a7-3385-48ef-bd42-f606fba81ae7, B24988AC-6180-42a0-ab88-20f7382dd24c}
  AND
  @Request[Microsoft.Authorization/roleAssignments:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {'user', 'Group'}
 )
)
AND
(
 (
  !(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})
 )
 OR
 (
  @Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {acdd72a7-3385-48ef-bd42-f606fba81ae7}
 )
)`

func TestEvaluate(t *testing.T) {
	const role, who, kind = "@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ",
		"@Request[Microsoft.Authorization/roleAssignments:PrincipalId] ", "@Request[Microsoft.Authorization/roleAssignments:PrincipalType] "
	const gone = "@Resource[Microsoft.Authorization/roleAssignments:PrincipalType] "
	for text, want := range map[string]Truth{
		constrained:                        True,
		role + "GuidEquals " + contributor: True,
		role + "guidequals '" + strings.ToUpper(contributor) + "'":                        True,
		role + "GuidEquals {" + readerRole + "}":                                          False,
		role + "GuidNotEquals " + readerRole:                                              True,
		role + "ForAnyOfAllValues:GuidNotEquals {" + readerRole + "," + alice + "}":       True,
		role + "ForAnyOfAllValues:GuidNotEquals {" + readerRole + "," + contributor + "}": False,
		role + "ForAnyOfAnyValues:GuidNotEquals {" + readerRole + "," + contributor + "}": True,
		role + "ForAllOfAnyValues:GuidEquals {" + readerRole + "," + contributor + "}":    True,
		role + "ForAllOfAllValues:GuidEquals {" + contributor + "}":                       True,
		role + "GuidEquals " + strings.TrimSpace(who):                                     False,
		kind + "StringEquals 'User'":                                                      True,
		kind + "StringEquals 'user'":                                                      False,
		kind + "stringEqualsIgnoreCase 'user'":                                            True,
		kind + "StringNotEquals 'Group'":                                                  True,
		kind + "StringNotEqualsIgnoreCase 'USER'":                                         False,
		kind + "StringStartsWith 'Us'":                                                    True,
		kind + "StringNotStartsWithIgnoreCase 'us'":                                       False,
		kind + "StringLike 'U*r'":                                                         True,
		kind + "StringLike 'U??r'":                                                        True,
		kind + `StringLike 'U\*r'`:                                                        False,
		kind + "StringNotLikeIgnoreCase 'u*'":                                             False,
		gone + "StringEquals 'User'":                                                      Unknown,
		"!(" + gone + "StringEquals 'User')":                                              Unknown,
		gone + "StringEquals 'User' || " + kind + "StringEquals 'User'":                   True,
		gone + "StringEquals 'User' && " + kind + "StringEquals 'Group'":                  False,
		"Exists " + kind:     True,
		"NOT Exists " + gone: True,
		"ActionMatches{'microsoft.authorization/*/WRITE'}":                                  True,
		"ActionMatches{'Microsoft.Authorization/roleAssignments/delete', 'x'}":              False,
		"ActionMatches{'Microsoft.Authorization/roleAssignments/writ?'}":                    False,
		"SubOperationMatches{'Blob.List'}":                                                  False,
		"@Environment[UtcNow] DateTimeLessThan '2026-11-23T05:00:00.001Z'":                  True,
		"@Environment[utcNow] DateTimeGreaterThanEquals '2026-11-23T06:00:00+01:00'":        True,
		"@Environment[UtcNow] DateTimeGreaterThan '2026-11-23T05:00:00Z'":                   False,
		"@Principal[size] NumericLessThanEquals 10 and @Principal[size] NumericNotEquals 9": True,
		"@Principal[size] NumericGreaterThan 9.5 AND @Principal[hired] BoolEquals True":     True,
		// AND before OR, NOT before AND.
		kind + "StringEquals 'User' OR " + kind + "StringEquals 'x' AND " + kind + "StringEquals 'y'": True,
		"NOT " + kind + "StringEquals 'x' AND " + kind + "StringEquals 'x'":                           False,
	} {
		c, err := Parse(text, known)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := c.Evaluate(facts()); got != want {
			t.Errorf("%s is %d, not %d", text, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{
		"", " ", "true", "()", "(", "!", "ActionMatches", "ActionMatches{}", "ActionMatches{'a'", "ActionMatches{'a',}", "ActionMatches{@Request[a]}",
		"ActionMatches{'a'} ActionMatches{'b'}", "ActionMatches{'a'} AND", "OR ActionMatches{'a'}", "ActionMatches{'a'} & ActionMatches{'b'}",
		"ActionMatches{'a}", `ActionMatches{'a\'}`, "(ActionMatches{'a'}))", "Exists", "Exists 'a'",
		// Attributes and sources that nobody here knows.
		"@Resource[Microsoft.Storage/storageAccounts/blobServices/containers:name] StringEquals 'c'",
		"@Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags:Project<$key_case_sensitive$>] StringEquals 'c'",
		"@Principal[Microsoft.Directory/CustomSecurityAttributes/Id:Engineering_Project] StringEquals 'c'",
		"@Environment[isPrivateLink] BoolEquals true", "@Context[UtcNow] DateTimeEquals '2026-11-23T05:00:00Z'", "@Request[", "@Request[]", "@Request",
		// Operators and values that do not go together.
		"@Environment[UtcNow] StringEquals '2026-11-23T05:00:00Z'", "@Environment[UtcNow] DateTimeLessThan 'tomorrow'", "@Environment[UtcNow] DateTimeLike '2*'",
		"@Environment[UtcNow] DateTimeLessThan", "@Environment[UtcNow] 'DateTimeLessThan' 'x'", "@Environment[UtcNow]", "@Principal[size] NumericEquals 'ten'",
		"@Principal[hired] BoolEquals yes", "@Principal[hired] BoolLessThan true", "@Principal[size] NumericEquals {1, 2}", "@Principal[size] NumericEquals {}",
		"@Principal[size] ForSomeOfAnyValues:NumericEquals {1}", "@Principal[size] ForAnyOfAnyValues:Numeric {1}", "@Principal[size] NumericEquals @Principal[hired]",
		"@Request[Microsoft.Authorization/roleAssignments:PrincipalId] GuidEquals 'alice'", "@Request[Microsoft.Authorization/roleAssignments:PrincipalId] StringEquals 'x'",
		"@Request[Microsoft.Authorization/roleAssignments:PrincipalId] GuidEquals {" + alice + " " + alice + "}",
		"@Request[Microsoft.Authorization/roleAssignments:PrincipalId] GuidStartsWith '0'",
		strings.Repeat("(", 100) + "ActionMatches{'a'}" + strings.Repeat(")", 100), strings.Repeat("!", 5000) + "ActionMatches{'a'}",
		"ActionMatches{'" + strings.Repeat("a", MaxLength) + "'}", "ActionMatches{'a'} # 1", "\x00", "ActionMatches\xff{'a'}",
	} {
		if c, err := Parse(text, known); err == nil {
			t.Errorf("%.80q is taken: %+v", text, c)
		}
	}
}

// model makes a condition, with its truth by another way than the parser's.
func model(r *rand.Rand, depth int) (string, Truth) {
	switch n := r.IntN(8); {
	case n < 2 && depth > 0:
		a, x := model(r, depth-1)
		b, y := model(r, depth-1)
		if n == 0 {
			return "(" + a + pick(r, ")&&(", ") AND (", ") and(") + b + ")", min(x, y)
		}
		return "(" + a + pick(r, ")||(", ") OR (", ")or\n(") + b + ")", max(x, y)
	case n == 2 && depth > 0:
		a, x := model(r, depth-1)
		return pick(r, "!(", "NOT (", "not(") + a + ")", True - x
	case n == 3:
		return "ActionMatches{'" + write[:r.IntN(len(write))] + "*'}", True
	case n == 4:
		return "ActionMatches{'" + write[:r.IntN(len(write))] + "'}", False
	case n == 5:
		return "@Resource[Microsoft.Authorization/roleAssignments:PrincipalType] StringEquals 'User'", Unknown
	default:
		minutes := r.IntN(121) - 60
		at := facts().Now.Add(time.Duration(minutes) * time.Minute).Format(time.RFC3339)
		if r.IntN(2) == 0 {
			return "@Environment[UtcNow] DateTimeLessThan '" + at + "'", truthOf(minutes > 0)
		}
		return "@Environment[UtcNow] DateTimeGreaterThanEquals '" + at + "'", truthOf(minutes <= 0)
	}
}

func pick(r *rand.Rand, all ...string) string { return all[r.IntN(len(all))] }

func TestModel(t *testing.T) {
	for seed := range *seeds {
		text, want := model(rand.New(rand.NewPCG(uint64(seed), 7)), 6)
		c, err := Parse(text, known)
		if len(text) > MaxLength {
			continue
		}
		if err != nil {
			t.Fatalf("seed %d: %v in %s", seed, err, text)
		}
		if got := c.Evaluate(facts()); got != want {
			t.Fatalf("seed %d: %d, not %d: %s", seed, got, want, text)
		}
	}
}

// FuzzParse: nothing makes the parser panic, and what is said with few facts stays so with more of them.
func FuzzParse(f *testing.F) {
	f.Add(constrained, "User")
	f.Add(`!(Exists @Request[Microsoft.Authorization/roleAssignments:PrincipalType]) || @Environment[UtcNow] DateTimeLessThan '2027-01-01T00:00:00Z'`, "")
	f.Add(`@Request[Microsoft.Authorization/roleAssignments:PrincipalType] ForAnyOfAllValues:StringNotLike {'a*\*', '?'}`, "a*")
	f.Add(`@Principal[size] NumericLessThan 1e9 and @Principal[hired] BoolNotEquals false`, "x")
	f.Fuzz(func(t *testing.T, text, value string) {
		c, err := Parse(text, known)
		if err != nil {
			return
		}
		few, more := facts(), facts()
		few.Values = nil
		more.Values[ours("request", "principaltype")] = value
		a, b := c.Evaluate(few), c.Evaluate(more)
		if a != Unknown && a != b {
			t.Errorf("%s: %d without facts, %d with them", text, a, b)
		}
		if _, err := Parse(fmt.Sprintf("!(%s)", text), known); err != nil && len(text) < MaxLength-4 && !strings.Contains(err.Error(), "nested") {
			t.Errorf("%s cannot be negated: %v", text, err)
		}
	})
}
