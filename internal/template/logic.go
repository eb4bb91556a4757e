package template

import (
	"errors"
	"fmt"
	"strings"
)

func logicFunctions() map[string]function {
	constant := func(v any) function {
		return plain(0, 0, func(*evaluator, []any) (any, error) { return v, nil })
	}
	return map[string]function{
		"true": constant(true), "false": constant(false), "null": constant(nil),
		"if":  special(3, 3, ifFunction),
		"and": special(2, -1, junction(false)),
		"or":  special(2, -1, junction(true)),
		"not": plain(1, 1, func(_ *evaluator, args []any) (any, error) {
			b, err := boolArg(args, 0)
			return !b, err
		}),
		"bool": plain(1, 1, boolFunction),
		"equals": plain(2, 2, func(e *evaluator, args []any) (any, error) {
			return e.same(args[0], args[1])
		}),
		"less":            compare(func(c int) bool { return c < 0 }),
		"lessorequals":    compare(func(c int) bool { return c <= 0 }),
		"greater":         compare(func(c int) bool { return c > 0 }),
		"greaterorequals": compare(func(c int) bool { return c >= 0 }),
		"coalesce": plain(1, -1, func(_ *evaluator, args []any) (any, error) {
			for _, v := range args {
				if v != nil {
					return v, nil
				}
			}
			return nil, nil
		}),
		"fail": plain(1, 1, func(_ *evaluator, args []any) (any, error) {
			s, err := textArg(args, 0)
			if err != nil {
				return nil, err
			}
			return nil, errors.New(s)
		}),
	}
}

// ifFunction evaluates the branch that is taken, or both when it is unknown which.
func ifFunction(e *evaluator, c *call) (any, error) {
	cond, err := e.eval(c.args[0])
	if err != nil {
		return nil, err
	}
	if isUnknown(cond) {
		for _, branch := range c.args[1:] {
			if _, err := e.eval(branch); err != nil {
				return nil, err
			}
		}
		return unknown{}, nil
	}
	b, ok := cond.(bool)
	if !ok {
		return nil, fmt.Errorf("unable to evaluate template language function 'if': %w", wrong(0, "Boolean", cond))
	}
	if b {
		return e.eval(c.args[1])
	}
	return e.eval(c.args[2])
}

// junction is "or" when end is true, "and" when it is false: it stops at the first argument that decides.
func junction(end bool) func(*evaluator, *call) (any, error) {
	return func(e *evaluator, c *call) (any, error) {
		open := false
		for i, a := range c.args {
			v, err := e.eval(a)
			if err != nil {
				return nil, err
			}
			if isUnknown(v) {
				open = true
				continue
			}
			b, ok := v.(bool)
			if !ok {
				return nil, fmt.Errorf("unable to evaluate template language function '%s': %w", c.name, wrong(i, "Boolean", v))
			}
			if b == end {
				return end, nil
			}
		}
		if open {
			return unknown{}, nil
		}
		return !end, nil
	}
}

func boolFunction(_ *evaluator, args []any) (any, error) {
	switch v := args[0].(type) {
	case bool:
		return v, nil
	case int64:
		return v != 0, nil
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true", "1":
			return true, nil
		case "false", "0":
			return false, nil
		}
		return nil, fmt.Errorf("'%.100s' is not a boolean", v)
	}
	return nil, wrong(0, "String", args[0])
}

func compare(ok func(int) bool) function {
	return plain(2, 2, func(_ *evaluator, args []any) (any, error) {
		switch a := args[0].(type) {
		case int64:
			b, err := numberArg(args, 1)
			if err != nil {
				return nil, err
			}
			switch {
			case a < b:
				return ok(-1), nil
			case a > b:
				return ok(1), nil
			}
			return ok(0), nil
		case string:
			b, err := textArg(args, 1)
			return ok(strings.Compare(a, b)), err
		}
		return nil, wrong(0, "Integer", args[0])
	})
}
