package template

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

func arrayFunctions() map[string]function {
	return map[string]function{
		"createarray": plain(0, -1, func(_ *evaluator, args []any) (any, error) { return args, nil }),
		"array": plain(1, 1, func(_ *evaluator, args []any) (any, error) {
			if a, ok := args[0].([]any); ok {
				return a, nil
			}
			return []any{args[0]}, nil
		}),
		"length": plain(1, 1, func(_ *evaluator, args []any) (any, error) {
			n, err := lengthOf(args[0])
			return int64(n), err
		}),
		"empty": plain(1, 1, func(_ *evaluator, args []any) (any, error) {
			if args[0] == nil {
				return true, nil
			}
			n, err := lengthOf(args[0])
			return n == 0, err
		}),
		"first":           plain(1, 1, end(func(n int) int { return 0 })),
		"last":            plain(1, 1, end(func(n int) int { return n - 1 })),
		"take":            plain(2, 2, part(func(n, len int) (int, int) { return 0, n })),
		"skip":            plain(2, 2, part(func(n, len int) (int, int) { return n, len })),
		"flatten":         plain(1, 1, flatten),
		"contains":        plain(2, 2, containsFunction),
		"union":           plain(1, -1, unionFunction),
		"intersection":    plain(1, -1, intersectionFunction),
		"indexof":         plain(2, 2, index(false)),
		"lastindexof":     plain(2, 2, index(true)),
		"indexfromend":    plain(2, 2, fromEnd),
		"tryindexfromend": plain(2, 2, func(e *evaluator, args []any) (any, error) { v, _ := fromEnd(e, args); return v, nil }),
	}
}

func lengthOf(v any) (int, error) {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v), nil
	case []any:
		return len(v), nil
	case map[string]any:
		return len(v), nil
	}
	return 0, wrong(0, "Array", v)
}

// end is first or last; nothing of an empty array is null, of empty text empty text.
func end(at func(n int) int) func(*evaluator, []any) (any, error) {
	return func(_ *evaluator, args []any) (any, error) {
		switch v := args[0].(type) {
		case string:
			r := []rune(v)
			if len(r) == 0 {
				return "", nil
			}
			return string(r[at(len(r))]), nil
		case []any:
			if len(v) == 0 {
				return nil, nil
			}
			return v[at(len(v))], nil
		}
		return nil, wrong(0, "Array", args[0])
	}
}

func part(cut func(n, length int) (from, to int)) func(*evaluator, []any) (any, error) {
	return func(_ *evaluator, args []any) (any, error) {
		n, err := numberArg(args, 1)
		if err != nil {
			return nil, err
		}
		length, err := lengthOf(args[0])
		if err != nil {
			return nil, err
		}
		from, to := cut(int(max(0, min(n, int64(length)))), length)
		switch v := args[0].(type) {
		case string:
			return string([]rune(v)[from:to]), nil
		case []any:
			return append([]any{}, v[from:to]...), nil
		}
		return nil, wrong(0, "Array", args[0])
	}
}

func flatten(_ *evaluator, args []any) (any, error) {
	list, err := arrayArg(args, 0)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, v := range list {
		if inner, ok := v.([]any); ok {
			out = append(out, inner...)
		} else {
			out = append(out, v)
		}
		if len(out) > maxBytes/16 {
			return nil, errTooMuch
		}
	}
	return out, nil
}

func containsFunction(e *evaluator, args []any) (any, error) {
	switch in := args[0].(type) {
	case string:
		what, err := e.textOf(args[1])
		return strings.Contains(in, what), err
	case []any:
		return e.has(in, args[1])
	case map[string]any:
		key, err := e.textOf(args[1])
		_, ok := get(in, key)
		return ok, err
	}
	return nil, wrong(0, "Array", args[0])
}

func (e *evaluator) has(list []any, v any) (bool, error) {
	for _, x := range list {
		if eq, err := e.same(x, v); err != nil || eq {
			return eq, err
		}
	}
	return false, nil
}

// unionFunction joins arrays without repeating elements, or merges objects, later ones winning, and objects in them too.
func unionFunction(e *evaluator, args []any) (any, error) {
	if _, ok := args[0].(map[string]any); ok {
		out := map[string]any{}
		for i := range args {
			m, err := objectArg(args, i)
			if err != nil {
				return nil, err
			}
			if out, err = e.merge(out, m); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	out := []any{}
	for i := range args {
		list, err := arrayArg(args, i)
		if err != nil {
			return nil, err
		}
		for _, v := range list {
			known, err := e.has(out, v)
			if err != nil {
				return nil, err
			}
			if !known {
				out = append(out, v)
			}
		}
	}
	return out, nil
}

func (e *evaluator) merge(a, b map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(a)+len(b))
	for k, v := range a {
		out[k] = v
	}
	if err := e.charge(32 * (len(a) + len(b))); err != nil {
		return nil, err
	}
	written := foldedKeys(out)
	for k, v := range b {
		key := written.of(k)
		old, isOld := out[key].(map[string]any)
		if add, ok := v.(map[string]any); ok && isOld {
			merged, err := e.merge(old, add)
			if err != nil {
				return nil, err
			}
			v = merged
		}
		out[key] = v
	}
	return out, nil
}

func intersectionFunction(e *evaluator, args []any) (any, error) {
	if first, ok := args[0].(map[string]any); ok {
		out := map[string]any{}
		for k, v := range first {
			everywhere := true
			for i := range args {
				m, err := objectArg(args, i)
				if err != nil {
					return nil, err
				}
				other, ok := get(m, k)
				if ok {
					if ok, err = e.same(v, other); err != nil {
						return nil, err
					}
				}
				everywhere = everywhere && ok
			}
			if everywhere {
				out[k] = v
			}
		}
		return out, nil
	}
	first, err := arrayArg(args, 0)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, v := range first {
		keep, err := e.has(out, v)
		if err != nil {
			return nil, err
		}
		keep = !keep
		for i := 1; i < len(args) && keep; i++ {
			list, err := arrayArg(args, i)
			if err != nil {
				return nil, err
			}
			if keep, err = e.has(list, v); err != nil {
				return nil, err
			}
		}
		if keep {
			out = append(out, v)
		}
	}
	return out, nil
}

// index finds text in text without regard to case, or an element of an array.
func index(last bool) func(*evaluator, []any) (any, error) {
	return func(e *evaluator, args []any) (any, error) {
		if list, ok := args[0].([]any); ok {
			found := int64(-1)
			for i, v := range list {
				eq, err := e.same(v, args[1])
				if err != nil {
					return nil, err
				}
				if eq {
					found = int64(i)
					if !last {
						break
					}
				}
			}
			return found, nil
		}
		in, err := textArg(args, 0)
		if err != nil {
			return nil, err
		}
		what, err := textArg(args, 1)
		if err != nil {
			return nil, err
		}
		in, what = strings.ToLower(in), strings.ToLower(what)
		at := strings.Index(in, what)
		if last {
			at = strings.LastIndex(in, what)
		}
		if at < 0 {
			return int64(-1), nil
		}
		return int64(len([]rune(in[:at]))), nil
	}
}

func fromEnd(_ *evaluator, args []any) (any, error) {
	list, err := arrayArg(args, 0)
	if err != nil {
		return nil, err
	}
	n, err := numberArg(args, 1)
	if err != nil {
		return nil, err
	}
	if n < 1 || n > int64(len(list)) {
		return nil, fmt.Errorf("the index '%d' from the end is out of bounds", n)
	}
	return list[int64(len(list))-n], nil
}

var errNoLambda = errors.New("a lambda function is expected")
