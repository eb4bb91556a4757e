package abac

import (
	"slices"
	"strings"
	"time"
)

// Facts are what a condition is asked about.
type Facts struct {
	// Action is what is to be done, such as Microsoft.Authorization/roleAssignments/write.
	Action string
	Now    time.Time
	// Values of attributes that are known. One that is missing is neither equal nor different to anything: what depends on it is unknown.
	Values map[Attribute]string
}

// UTCNow is the attribute of the moment, which all facts have.
func UTCNow() Attribute { return Attribute{"environment", "utcnow"} }

// Truth of a condition, or of a part of it.
type Truth uint8

// Unknown is neither, for the want of facts.
const (
	False Truth = iota
	Unknown
	True
)

// Evaluate tells whether the condition holds. Only True grants anything.
func (c *Condition) Evaluate(f Facts) Truth {
	f.Action = strings.ToLower(f.Action)
	return c.root.truth(f)
}

type node interface{ truth(f Facts) Truth }

type (
	anyOf   []node
	allOf   []node
	negated struct{ of node }
	// action has patterns in lower case.
	action []string
	// subOperation is never there: no action here has parts.
	subOperation struct{}
	exists       struct{ what Attribute }
	// compared has values, or an attribute on its right side.
	compared struct {
		left   Attribute
		op     operator
		all    bool // of the values on the right
		values []string
		right  *Attribute
	}
)

func truthOf(is bool) Truth {
	if is {
		return True
	}
	return False
}

func (n anyOf) truth(f Facts) Truth {
	found := False
	for _, part := range n {
		found = max(found, part.truth(f))
	}
	return found
}

func (n allOf) truth(f Facts) Truth {
	found := True
	for _, part := range n {
		found = min(found, part.truth(f))
	}
	return found
}

func (n negated) truth(f Facts) Truth { return True - n.of.truth(f) }

func (n action) truth(f Facts) Truth {
	return truthOf(slices.ContainsFunc(n, func(pattern string) bool { return like(f.Action, strings.ReplaceAll(pattern, "?", `\?`)) }))
}

func (subOperation) truth(Facts) Truth { return False }

func (n exists) truth(f Facts) Truth {
	_, ok := f.value(n.what)
	if !ok && f.Values == nil {
		return Unknown
	}
	return truthOf(ok)
}

func (f Facts) value(a Attribute) (string, bool) {
	if a == UTCNow() {
		return f.Now.UTC().Format(time.RFC3339Nano), true
	}
	v, ok := f.Values[a]
	return v, ok
}

func (n compared) truth(f Facts) Truth {
	left, ok := f.value(n.left)
	right := n.values
	if ok && n.right != nil {
		var r string
		if r, ok = f.value(*n.right); ok {
			right = []string{r}
		}
	}
	if !ok || !n.op.kind.valid(left) {
		return Unknown
	}
	fits := func(r string) bool { return n.op.kind.valid(r) && n.op.fits(left, r) }
	if n.all {
		return truthOf(!slices.ContainsFunc(right, func(r string) bool { return !fits(r) }))
	}
	return truthOf(slices.ContainsFunc(right, fits))
}
