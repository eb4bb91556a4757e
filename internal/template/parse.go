package template

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	// maxExpression is Azure's limit of an expression.
	maxExpression = 24576
	// maxNesting bounds the parentheses and brackets of an expression.
	maxNesting = 100
)

// node is a part of a parsed expression.
type node interface{ isNode() }

type (
	// literal is a number or a string.
	literal struct{ value any }
	// call is a function with its arguments; namespace is that of a template's own function, or "".
	call struct {
		namespace, name string
		args            []node
	}
	// access is of.key or of[key].
	access struct{ of, key node }
)

func (literal) isNode() {}
func (*call) isNode()   {}
func (*access) isNode() {}

// expression tells an expression from plain text: text that begins with a bracket and ends with one, unless it begins with
// two, of which the first is dropped.
func expression(s string) (body string, is bool, plain string) {
	if !strings.HasPrefix(s, "[") || !strings.HasSuffix(s, "]") || len(s) < 2 {
		return "", false, s
	}
	if strings.HasPrefix(s, "[[") {
		return "", false, s[1:]
	}
	return s[1 : len(s)-1], true, ""
}

// escape writes plain text so that it is read as plain text again.
func escape(s string) string {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return "[" + s
	}
	return s
}

// parse reads an expression without its outer brackets.
func parse(s string) (node, error) {
	if len(s) > maxExpression {
		return nil, fmt.Errorf("the expression has %d characters, more than %d", len(s), maxExpression)
	}
	p := &parser{text: s}
	n, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.at < len(p.text) {
		return nil, p.unexpected("end of the expression")
	}
	return n, nil
}

type parser struct {
	text string
	at   int
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// peek is the next character that is no space, 0 at the end.
func (p *parser) peek() byte {
	p.space()
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *parser) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.at++
	return true
}

func (p *parser) unexpected(want string) error {
	found := "the end"
	if p.at < len(p.text) {
		found = "'" + p.text[p.at:min(len(p.text), p.at+10)] + "'"
	}
	return fmt.Errorf("the language expression '%.200s' is not valid: expected %s at position '%d', found %s", p.text, want, p.at, found)
}

func (p *parser) expression(depth int) (node, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("the expression is nested deeper than %d levels", maxNesting)
	}
	n, err := p.primary(depth)
	for err == nil {
		switch {
		case p.take('.'):
			name := p.name()
			if name == "" {
				return nil, p.unexpected("a property's name")
			}
			n = &access{of: n, key: literal{name}}
		case p.take('['):
			var key node
			if key, err = p.expression(depth + 1); err == nil && !p.take(']') {
				err = p.unexpected("']'")
			}
			n = &access{of: n, key: key}
		default:
			return n, nil
		}
		depth++ // a chain of accesses is as deep as nested ones
		if depth > 4*maxNesting {
			return nil, fmt.Errorf("the expression has more than %d accesses in a row", 4*maxNesting)
		}
	}
	return nil, err
}

func (p *parser) primary(depth int) (node, error) {
	switch c := p.peek(); {
	case c == '\'':
		return p.text1()
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	name := p.name()
	if name == "" {
		return nil, p.unexpected("a function, a string or a number")
	}
	namespace := ""
	if p.take('.') {
		namespace = name
		if name = p.name(); name == "" {
			return nil, p.unexpected("a function's name")
		}
	}
	if !p.take('(') {
		return nil, p.unexpected("'('")
	}
	c := &call{namespace: strings.ToLower(namespace), name: name}
	for !p.take(')') {
		if len(c.args) > 0 && !p.take(',') {
			return nil, p.unexpected("',' or ')'")
		}
		arg, err := p.expression(depth + 1)
		if err != nil {
			return nil, err
		}
		c.args = append(c.args, arg)
	}
	return c, nil
}

func (p *parser) name() string {
	p.space()
	from := p.at
	for p.at < len(p.text) {
		c := p.text[p.at]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '$'
		if !letter && (p.at == from || c < '0' || c > '9') {
			break
		}
		p.at++
	}
	return p.text[from:p.at]
}

// text1 reads a string; two quotes in a row are one.
func (p *parser) text1() (node, error) {
	var b strings.Builder
	for p.at++; ; {
		i := strings.IndexByte(p.text[p.at:], '\'')
		if i < 0 {
			p.at = len(p.text)
			return nil, p.unexpected("a quote")
		}
		b.WriteString(p.text[p.at : p.at+i])
		p.at += i + 1
		if p.at == len(p.text) || p.text[p.at] != '\'' {
			return literal{b.String()}, nil
		}
		b.WriteByte('\'')
		p.at++
	}
}

func (p *parser) number() (node, error) {
	from := p.at
	if p.text[p.at] == '-' {
		p.at++
	}
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	n, err := strconv.ParseInt(p.text[from:p.at], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the number '%.40s' is not valid", p.text[from:p.at])
	}
	return literal{n}, nil
}
