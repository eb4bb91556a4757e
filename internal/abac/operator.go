package abac

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Kind is what an attribute's values are.
type Kind uint8

// Kinds of values.
const (
	Text Kind = iota + 1
	GUID
	Time
	Number
	Bool
)

// operator compares two values of one kind.
type operator struct {
	kind Kind
	// fits is asked only of values that are of the kind.
	fits func(l, r string) bool
	// pattern tells that the right side has wildcards, and its escapes with it.
	pattern bool
}

// quantifier tells whether an operator with the prefix must fit all values of the right side, or any. On the left is an attribute, all of
// which have one value here, so that "for any of" and "for all of" are the same.
func quantifier(prefix string) (all, ok bool) {
	switch strings.ToLower(prefix) {
	case "foranyofanyvalues", "forallofanyvalues":
		return false, true
	case "foranyofallvalues", "forallofallvalues":
		return true, true
	}
	return false, false
}

// operatorOf finds an operator by its name in any case.
func operatorOf(name string) (op operator, ok bool) {
	name = strings.ToLower(name)
	for prefix, kind := range map[string]Kind{"string": Text, "guid": GUID, "datetime": Time, "numeric": Number, "bool": Bool} {
		if rest, is := strings.CutPrefix(name, prefix); is {
			if kind == Text {
				return textOperator(rest)
			}
			return orderOperator(kind, rest)
		}
	}
	return op, false
}

func textOperator(name string) (op operator, ok bool) {
	name, fold := strings.CutSuffix(name, "ignorecase")
	name, not := strings.CutPrefix(name, "not")
	var test func(l, r string) bool
	switch name {
	case "equals":
		test = func(l, r string) bool { return l == r }
	case "startswith":
		test = strings.HasPrefix
	case "like":
		test = like
		op.pattern = true
	default:
		return op, false
	}
	op.kind = Text
	op.fits = func(l, r string) bool {
		if fold {
			l, r = strings.ToLower(l), strings.ToLower(r)
		}
		return test(l, r) != not
	}
	return op, true
}

func orderOperator(kind Kind, name string) (op operator, ok bool) {
	wanted := map[string]func(int) bool{
		"equals":            func(c int) bool { return c == 0 },
		"notequals":         func(c int) bool { return c != 0 },
		"lessthan":          func(c int) bool { return c < 0 },
		"lessthanequals":    func(c int) bool { return c <= 0 },
		"greaterthan":       func(c int) bool { return c > 0 },
		"greaterthanequals": func(c int) bool { return c >= 0 },
	}[name]
	ordered := kind == Time || kind == Number
	if wanted == nil || !ordered && name != "equals" && name != "notequals" {
		return op, false
	}
	op.kind = kind
	op.fits = func(l, r string) bool { return wanted(compare(kind, l, r)) }
	return op, true
}

func compare(kind Kind, l, r string) int {
	switch kind {
	case Time:
		a, _ := parseTime(l)
		b, _ := parseTime(r)
		return a.Compare(b)
	case Number:
		a, _ := strconv.ParseFloat(l, 64)
		b, _ := strconv.ParseFloat(r, 64)
		return cmp.Compare(a, b)
	default:
		return strings.Compare(strings.ToLower(l), strings.ToLower(r))
	}
}

// valid tells whether the text is a value of the kind.
func (k Kind) valid(s string) bool {
	switch k {
	case GUID:
		return len(s) == 36 && uuid.Validate(s) == nil
	case Time:
		_, ok := parseTime(s)
		return ok
	case Number:
		_, err := strconv.ParseFloat(s, 64)
		return err == nil
	case Bool:
		return strings.EqualFold(s, "true") || strings.EqualFold(s, "false")
	default:
		return true
	}
}

func parseTime(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(s))
	return t, err == nil
}

// like compares with a pattern in which * stands for any text, ? for one character, and a backslash takes what follows as it is.
// It takes time in the product of the lengths at most: after a *, only the last one is ever tried again.
func like(s, pattern string) bool {
	text, want := []rune(s), unescaped(pattern)
	p, i, star, mark := 0, 0, -1, 0
	for i < len(text) {
		switch {
		case p < len(want) && want[p].wild && want[p].r == '*':
			star, mark = p, i
			p++
		case p < len(want) && (want[p].wild || want[p].r == text[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(want) && want[p].wild && want[p].r == '*' {
		p++
	}
	return p == len(want)
}

type patternRune struct {
	r    rune
	wild bool
}

func unescaped(pattern string) (out []patternRune) {
	escaped := false
	for _, r := range pattern {
		if r == '\\' && !escaped {
			escaped = true
			continue
		}
		out = append(out, patternRune{r, !escaped && (r == '*' || r == '?')})
		escaped = false
	}
	return out
}
