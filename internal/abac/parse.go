package abac

import (
	"fmt"
	"regexp"
	"strings"
)

// Bounds of a condition.
const (
	// MaxLength is Azure's own, 8 KiB.
	MaxLength = 8 << 10
	maxDepth  = 64
)

// Attribute is what a condition asks for.
type Attribute struct {
	// Source is "resource", "request", "principal" or "environment".
	Source string
	// Name as in Microsoft.Authorization/roleAssignments:PrincipalId, in lower case.
	Name string
}

// String writes the attribute shortly, for errors.
func (a Attribute) String() string { return "@" + a.Source + "[" + a.Name + "]" }

// Condition is one that was read. It may be evaluated by many goroutines at once.
type Condition struct{ root node }

// attributeRE is an attribute's form. A suffix such as <$key_case_sensitive$> or &$keys$& is about tags of blobs.
var attributeRE = regexp.MustCompile(`(?i)^@(resource|request|principal|environment)\[\s*([a-z0-9][a-z0-9._/:-]*(?:<\$[a-z_]+\$>|&\$[a-z_]+\$&)?)\s*\]$`)

// Parse reads a condition and holds it to what is known: known gives an attribute's kind, and false for one that nobody here could tell
// the value of. Its error says where and why in words.
func Parse(s string, known func(Attribute) (Kind, bool)) (*Condition, error) {
	if len(s) > MaxLength {
		return nil, fmt.Errorf("it has more than %d characters", MaxLength)
	}
	tokens, err := lex(s)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, known: known}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.next().kind != end {
		return nil, p.bad("the end was expected")
	}
	return &Condition{root}, nil
}

type parser struct {
	tokens []token
	i      int
	depth  int
	known  func(Attribute) (Kind, bool)
}

func (p *parser) next() token { return p.tokens[p.i] }

// take gives the next token; the end stays.
func (p *parser) take() token {
	t := p.tokens[p.i]
	if t.kind != end {
		p.i++
	}
	return t
}

func (p *parser) bad(format string, args ...any) error {
	return fmt.Errorf("at %d: %s", p.next().at, fmt.Sprintf(format, args...))
}

// is takes the next token when it is the sign, or the word in any case.
func (p *parser) is(sign, name string) bool {
	t := p.next()
	if t.kind == end || t.kind == text || t.text != sign && !(t.kind == word && name != "" && strings.EqualFold(t.text, name)) {
		return false
	}
	p.i++
	return true
}

func (p *parser) or() (node, error) {
	all, err := p.chain(p.and, "||", "or")
	if err != nil || len(all) == 1 {
		return first(all), err
	}
	return anyOf(all), nil
}

func (p *parser) and() (node, error) {
	all, err := p.chain(p.not, "&&", "and")
	if err != nil || len(all) == 1 {
		return first(all), err
	}
	return allOf(all), nil
}

func first(all []node) node {
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

func (p *parser) chain(part func() (node, error), sign, name string) (all []node, err error) {
	for {
		n, err := part()
		if err != nil {
			return nil, err
		}
		if all = append(all, n); !p.is(sign, name) {
			return all, nil
		}
	}
}

// not reads what stands between AND and OR. All nesting comes through it.
func (p *parser) not() (node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.bad("it is nested deeper than %d levels", maxDepth)
	}
	defer func() { p.depth-- }()
	switch {
	case p.is("!", "not"):
		n, err := p.not()
		return negated{n}, err
	case p.is("(", ""):
		n, err := p.or()
		if err == nil && !p.is(")", "") {
			err = p.bad("a ) was expected")
		}
		return n, err
	case p.is("", "actionmatches"):
		patterns, err := p.set()
		return action(lowered(patterns)), err
	case p.is("", "suboperationmatches"):
		_, err := p.set()
		return subOperation{}, err
	case p.is("", "exists"):
		a, _, err := p.attribute()
		return exists{a}, err
	}
	return p.comparison()
}

func lowered(patterns []string) []string {
	for i, s := range patterns {
		patterns[i] = strings.ToLower(plain(s))
	}
	return patterns
}

func (p *parser) attribute() (a Attribute, k Kind, err error) {
	m := attributeRE.FindStringSubmatch(p.next().text)
	if p.next().kind != attribute || m == nil {
		return a, 0, p.bad("an attribute was expected")
	}
	a = Attribute{strings.ToLower(m[1]), strings.ToLower(m[2])}
	k, ok := p.known(a)
	if !ok {
		return a, 0, p.bad("the attribute %s cannot be evaluated here", a)
	}
	p.i++
	return a, k, nil
}

func (p *parser) comparison() (node, error) {
	c := compared{}
	var k Kind
	var err error
	if c.left, k, err = p.attribute(); err != nil {
		return nil, err
	}
	name, set := p.next().text, false
	if prefix, rest, ok := strings.Cut(name, ":"); ok && p.next().kind == word {
		if c.all, set = quantifier(prefix); !set {
			return nil, p.bad("%.40q is not known", prefix)
		}
		name = rest
	}
	op, ok := operatorOf(name)
	if !ok || p.next().kind != word {
		return nil, p.bad("an operator was expected")
	}
	if op.kind != k {
		return nil, p.bad("%.40s is not for what the attribute %s is", name, c.left)
	}
	p.i++
	c.op = op
	if p.next().kind == attribute {
		a, k, err := p.attribute()
		if err == nil && k != op.kind {
			err = p.bad("the attribute %s is not of that kind", a)
		}
		c.right = &a
		return c, err
	}
	if c.values, err = p.values(op); err == nil && !set && len(c.values) != 1 {
		err = p.bad("several values need ForAnyOfAnyValues: or the like")
	}
	return c, err
}

// values reads a value, or a set of them, for the operator.
func (p *parser) values(op operator) (values []string, err error) {
	if p.next().text == "{" && p.next().kind == sign {
		values, err = p.set()
	} else if t := p.take(); t.kind == text || t.kind == word {
		values = []string{t.text}
	} else {
		err = p.bad("a value was expected")
	}
	for i, v := range values {
		if !op.pattern {
			values[i] = plain(v)
		}
		if !op.kind.valid(values[i]) {
			return nil, p.bad("%.60q is not a value of the operator's kind", v)
		}
	}
	return values, err
}

// set reads {…}, which has at least one value.
func (p *parser) set() (values []string, err error) {
	if !p.is("{", "") {
		return nil, p.bad("a { was expected")
	}
	for {
		t := p.take()
		if t.kind != text && t.kind != word {
			return nil, p.bad("a value was expected")
		}
		values = append(values, t.text)
		switch {
		case p.is("}", ""):
			return values, nil
		case !p.is(",", ""):
			return nil, p.bad("a , or } was expected")
		}
	}
}
