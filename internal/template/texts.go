package template

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

func textFunctions() map[string]function {
	return map[string]function{
		"concat":     plain(1, -1, concat),
		"format":     plain(1, -1, format),
		"string":     plain(1, 1, func(e *evaluator, args []any) (any, error) { return e.textOf(args[0]) }),
		"tolower":    textTo(func(s string) any { return strings.ToLower(s) }),
		"toupper":    textTo(func(s string) any { return strings.ToUpper(s) }),
		"trim":       textTo(func(s string) any { return strings.TrimSpace(s) }),
		"replace":    plain(3, 3, replace),
		"split":      plain(2, 2, split),
		"join":       plain(2, 2, join),
		"substring":  plain(2, 3, substring),
		"startswith": edge(strings.HasPrefix),
		"endswith":   edge(strings.HasSuffix),
		"padleft":    plain(2, 3, padLeft),
	}
}

// concat joins texts, or arrays.
func concat(e *evaluator, args []any) (any, error) {
	if _, ok := args[0].([]any); ok {
		out := []any{}
		for i := range args {
			list, err := arrayArg(args, i)
			if err != nil {
				return nil, err
			}
			if err := e.charge(16 * len(list)); err != nil {
				return nil, err
			}
			out = append(out, list...)
		}
		return out, nil
	}
	var b strings.Builder
	for i, v := range args {
		switch v.(type) {
		case []any, map[string]any, *lambda:
			return nil, wrong(i, "String", v)
		}
		s, err := e.textOf(v)
		if err != nil {
			return nil, err
		}
		if err := e.charge(len(s)); err != nil {
			return nil, err
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

func replace(e *evaluator, args []any) (any, error) {
	var s [3]string
	for i := range s {
		var err error
		if s[i], err = textArg(args, i); err != nil {
			return nil, err
		}
	}
	if s[1] == "" {
		return nil, errors.New("what is to be replaced must not be empty")
	}
	if err := e.charge(strings.Count(s[0], s[1]) * len(s[2])); err != nil {
		return nil, err
	}
	return strings.ReplaceAll(s[0], s[1], s[2]), nil
}

// split cuts at any of the delimiters.
func split(e *evaluator, args []any) (any, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	marks, ok := args[1].([]any)
	if !ok {
		marks = []any{args[1]}
	}
	out := []any{}
	for from, at := 0, 0; ; {
		n := -1
		for i := range marks {
			mark, err := textArg(marks, i)
			if err != nil {
				return nil, err
			}
			if err := e.charge(1); err != nil {
				return nil, err
			}
			if mark != "" && strings.HasPrefix(s[at:], mark) && len(mark) > n {
				n = len(mark)
			}
		}
		switch {
		case at == len(s):
			return append(out, s[from:]), nil
		case n < 0:
			at++
		default:
			out = append(out, s[from:at])
			at += n
			from = at
		}
	}
}

func join(e *evaluator, args []any) (any, error) {
	list, err := arrayArg(args, 0)
	if err != nil {
		return nil, err
	}
	between, err := textArg(args, 1)
	if err != nil {
		return nil, err
	}
	parts := make([]string, len(list))
	for i, v := range list {
		if parts[i], err = e.textOf(v); err != nil {
			return nil, err
		}
		if err := e.charge(len(parts[i]) + len(between)); err != nil {
			return nil, err
		}
	}
	return strings.Join(parts, between), nil
}

func substring(_ *evaluator, args []any) (any, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	r := []rune(s)
	from, err := numberArg(args, 1)
	if err != nil {
		return nil, err
	}
	n := int64(len(r)) - from
	if len(args) == 3 {
		if n, err = numberArg(args, 2); err != nil {
			return nil, err
		}
	}
	if from < 0 || n < 0 || from > int64(len(r)) || n > int64(len(r))-from {
		return nil, fmt.Errorf("the index and length parameters must refer to a location within the string: the index is '%d', the length is '%d', the length of the string is '%d'", from, n, len(r))
	}
	return string(r[from : from+n]), nil
}

// edge compares the beginning or the end of a text without regard to case.
func edge(has func(s, part string) bool) function {
	return plain(2, 2, func(_ *evaluator, args []any) (any, error) {
		s, err := textArg(args, 0)
		if err != nil {
			return nil, err
		}
		what, err := textArg(args, 1)
		return has(strings.ToLower(s), strings.ToLower(what)), err
	})
}

// maxPad bounds the width to which text is padded.
const maxPad = 1 << 16

func padLeft(e *evaluator, args []any) (any, error) {
	s, err := e.textOf(args[0])
	if err != nil {
		return nil, err
	}
	width, err := numberArg(args, 1)
	if err != nil {
		return nil, err
	}
	pad := " "
	if len(args) == 3 {
		if pad, err = e.textOf(args[2]); err != nil || len([]rune(pad)) != 1 {
			return nil, errors.Join(err, errors.New("the padding must be one character"))
		}
	}
	if width > maxPad {
		return nil, errTooMuch
	}
	return strings.Repeat(pad, int(max(0, width-int64(len([]rune(s)))))) + s, nil
}

// format fills {0}, {1,8} and {2:D3} as .NET's composite formatting does.
func format(e *evaluator, args []any) (any, error) {
	pattern, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case (c == '{' || c == '}') && i+1 < len(pattern) && pattern[i+1] == c:
			b.WriteByte(c)
			i++
		case c == '{':
			n := strings.IndexByte(pattern[i:], '}')
			if n < 0 {
				return nil, errors.New("the format has a bracket that is not closed")
			}
			s, err := e.hole(pattern[i+1:i+n], args[1:])
			if err != nil {
				return nil, err
			}
			if err := e.charge(len(s)); err != nil {
				return nil, err
			}
			b.WriteString(s)
			i += n
		case c == '}':
			return nil, errors.New("the format has a closing bracket that was not opened")
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// hole fills one place: index[,width][:form].
func (e *evaluator) hole(place string, args []any) (string, error) {
	place, form, _ := strings.Cut(place, ":")
	place, widthText, wide := strings.Cut(place, ",")
	n, err := strconv.Atoi(strings.TrimSpace(place))
	if err != nil || n < 0 || n >= len(args) {
		return "", fmt.Errorf("the format names argument '%.40s', and there are '%d'", place, len(args))
	}
	s, err := e.textOf(args[n])
	if number, ok := args[n].(int64); ok && err == nil && form != "" {
		s, err = numberForm(number, form)
	}
	if err != nil || !wide {
		return s, err
	}
	width, err := strconv.Atoi(strings.TrimSpace(widthText))
	if err != nil || width > maxPad || width < -maxPad {
		return "", fmt.Errorf("the format's width '%.40s' is not valid", widthText)
	}
	return fmt.Sprintf("%*s", width, s), nil
}

// numberForm writes a whole number in one of the forms D, X, N, or zeros.
func numberForm(n int64, form string) (string, error) {
	bad := fmt.Errorf("the number format '%.40s' is not supported", form)
	if strings.Trim(form, "0") == "" && len(form) <= maxPad {
		return fmt.Sprintf("%0*d", len(form)+sign(n), n), nil
	}
	digits := 0
	if form[1:] != "" {
		var err error
		if digits, err = strconv.Atoi(form[1:]); err != nil || digits < 0 || digits > 99 {
			return "", bad
		}
	}
	switch form[0] {
	case 'd', 'D':
		return fmt.Sprintf("%0*d", digits+sign(n), n), nil
	case 'x':
		return fmt.Sprintf("%0*x", digits, uint64(n)), nil
	case 'X':
		return fmt.Sprintf("%0*X", digits, uint64(n)), nil
	}
	return "", bad
}

func sign(n int64) int {
	if n < 0 {
		return 1
	}
	return 0
}
