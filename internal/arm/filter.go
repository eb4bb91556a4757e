package arm

import (
	"errors"
	"net/http"
	"strings"

	"tintype"
)

// facts are what a $filter can ask of a resource or group.
type facts struct {
	name, group, location, resourceType string
	tags                                map[string]string
}

// filter tells whether something is to be listed.
type filter func(facts) bool

const (
	// maxFilter bounds a filter's length, maxFilterDepth its parentheses.
	maxFilter      = 2048
	maxFilterDepth = 16
)

// parseFilter reads the part of OData's $filter that ARM's lists take: eq and ne on name, resourceType, resourceGroup,
// location, tagName and tagValue; substringof and startswith; and, or, parentheses. Comparisons ignore case, as ARM's do,
// except of tag values.
func parseFilter(s string) (filter, error) {
	if strings.TrimSpace(s) == "" {
		return func(facts) bool { return true }, nil
	}
	p := &filterParser{}
	err := p.scan(s)
	var f filter
	if err == nil {
		f, err = p.or(0)
	}
	if err == nil && p.peek() != "" {
		err = errFilter
	}
	if err != nil {
		return nil, gateway(http.StatusBadRequest, "InvalidFilterInQueryString",
			"Invalid $filter '%s' specified in the query string.", clip(s))
	}
	return f, nil
}

var errFilter = errors.New("not a filter")

// filterParser holds the words still to be read. A string literal is a word that begins with a quote.
type filterParser struct{ words []string }

func (p *filterParser) scan(s string) error {
	if len(s) > maxFilter {
		return errFilter
	}
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		n := strings.IndexAny(s, " (),'")
		switch {
		case s[0] == '\'':
			text, rest, ok := cutLiteral(s[1:])
			if !ok {
				return errFilter
			}
			p.words, s = append(p.words, "'"+text), rest
		case n == 0:
			p.words, s = append(p.words, s[:1]), s[1:]
		case n < 0:
			p.words, s = append(p.words, s), ""
		default:
			p.words, s = append(p.words, s[:n]), s[n:]
		}
	}
	return nil
}

// cutLiteral reads up to the closing quote; two quotes in a row are one.
func cutLiteral(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '\'')
		if i < 0 {
			return "", "", false
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		if !strings.HasPrefix(s, "'") {
			return b.String(), s, true
		}
		b.WriteByte('\'')
		s = s[1:]
	}
}

func (p *filterParser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *filterParser) next() string {
	w := p.peek()
	if w != "" {
		p.words = p.words[1:]
	}
	return w
}

func (p *filterParser) take(word string) bool {
	if !strings.EqualFold(p.peek(), word) {
		return false
	}
	p.next()
	return true
}

func (p *filterParser) literal() (string, error) {
	text, ok := strings.CutPrefix(p.next(), "'")
	if !ok {
		return "", errFilter
	}
	return text, nil
}

func (p *filterParser) or(depth int) (filter, error) {
	left, err := p.and(depth)
	for err == nil && p.take("or") {
		var right filter
		if right, err = p.and(depth); err == nil {
			a := left
			left = func(f facts) bool { return a(f) || right(f) }
		}
	}
	return left, err
}

func (p *filterParser) and(depth int) (filter, error) {
	left, err := p.term(depth)
	for err == nil && p.take("and") {
		var right filter
		if right, err = p.term(depth); err == nil {
			a := left
			left = func(f facts) bool { return a(f) && right(f) }
		}
	}
	return left, err
}

func (p *filterParser) term(depth int) (filter, error) {
	if depth > maxFilterDepth {
		return nil, errFilter
	}
	switch word := p.next(); strings.ToLower(word) {
	case "(":
		f, err := p.or(depth + 1)
		if err == nil && !p.take(")") {
			err = errFilter
		}
		return f, err
	case "substringof":
		return p.call(true)
	case "startswith":
		return p.call(false)
	case "tagname":
		return p.tag()
	default:
		return p.comparison(word)
	}
}

// comparison reads what follows a property's name.
func (p *filterParser) comparison(property string) (filter, error) {
	get, ok := propertyOf(property)
	equal := p.take("eq")
	if !ok || !equal && !p.take("ne") {
		return nil, errFilter
	}
	want, err := p.literal()
	if err != nil {
		return nil, err
	}
	if r, known := tintype.FindRegion(want); known && strings.EqualFold(property, "location") {
		want = r.Name // which clients also write "West US 2"
	}
	return func(f facts) bool { return strings.EqualFold(get(f), want) == equal }, nil
}

// tag reads tagName eq 'a', and with it the tagValue eq 'b' that belongs to the same tag.
func (p *filterParser) tag() (filter, error) {
	if !p.take("eq") {
		return nil, errFilter
	}
	name, err := p.literal()
	if err != nil {
		return nil, err
	}
	has := func(f facts, ok func(value string) bool) bool {
		for k, v := range f.tags {
			if strings.EqualFold(k, name) && ok(v) {
				return true
			}
		}
		return false
	}
	if len(p.words) < 3 || !strings.EqualFold(p.words[0], "and") || !strings.EqualFold(p.words[1], "tagValue") {
		return func(f facts) bool { return has(f, func(string) bool { return true }) }, nil
	}
	p.words = p.words[2:]
	if !p.take("eq") {
		return nil, errFilter
	}
	want, err := p.literal()
	return func(f facts) bool { return has(f, func(v string) bool { return v == want }) }, err
}

// call reads the arguments of substringof('text', property) or startswith(property, 'text').
func (p *filterParser) call(substring bool) (filter, error) {
	if !p.take("(") {
		return nil, errFilter
	}
	var property, text string
	var err error
	if substring {
		text, err = p.literal()
	} else {
		property = p.next()
	}
	if err != nil || !p.take(",") {
		return nil, errFilter
	}
	if substring {
		property = p.next()
	} else {
		text, err = p.literal()
	}
	get, ok := propertyOf(property)
	if err != nil || !ok || !p.take(")") {
		return nil, errFilter
	}
	text = strings.ToLower(text)
	return func(f facts) bool {
		if substring {
			return strings.Contains(strings.ToLower(get(f)), text)
		}
		return strings.HasPrefix(strings.ToLower(get(f)), text)
	}, nil
}

func propertyOf(name string) (func(facts) string, bool) {
	switch strings.ToLower(name) {
	case "name":
		return func(f facts) string { return f.name }, true
	case "resourcetype":
		return func(f facts) string { return f.resourceType }, true
	case "resourcegroup":
		return func(f facts) string { return f.group }, true
	case "location":
		return func(f facts) string { return f.location }, true
	default:
		return nil, false
	}
}
