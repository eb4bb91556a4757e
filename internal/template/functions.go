package template

import "fmt"

// function is one function of the language. Plain ones get their arguments evaluated and never unknown; special ones
// evaluate what they need themselves. most < 0 means any number.
type function struct {
	least, most int
	plain       func(e *evaluator, args []any) (any, error)
	special     func(e *evaluator, c *call) (any, error)
}

// allFunctions are all functions by their names in lower case.
func allFunctions() map[string]function {
	all := map[string]function{}
	for _, table := range []map[string]function{
		scopeFunctions(), resourceFunctions(), logicFunctions(), numberFunctions(), textFunctions(), encodingFunctions(),
		arrayFunctions(), objectFunctions(), lambdaFunctions(), timeFunctions(), networkFunctions(),
	} {
		for name, f := range table {
			all[name] = f
		}
	}
	return all
}

// wrong refuses an argument's type.
func wrong(n int, want string, v any) error {
	return fmt.Errorf("argument %d is of type '%s', and '%s' is expected", n+1, kindOf(v), want)
}

func textArg(args []any, n int) (string, error) {
	s, ok := args[n].(string)
	if !ok {
		return "", wrong(n, "String", args[n])
	}
	return s, nil
}

func numberArg(args []any, n int) (int64, error) {
	i, ok := args[n].(int64)
	if !ok {
		return 0, wrong(n, "Integer", args[n])
	}
	return i, nil
}

func arrayArg(args []any, n int) ([]any, error) {
	a, ok := args[n].([]any)
	if !ok {
		return nil, wrong(n, "Array", args[n])
	}
	return a, nil
}

func objectArg(args []any, n int) (map[string]any, error) {
	m, ok := args[n].(map[string]any)
	if !ok {
		return nil, wrong(n, "Object", args[n])
	}
	return m, nil
}

func boolArg(args []any, n int) (bool, error) {
	b, ok := args[n].(bool)
	if !ok {
		return false, wrong(n, "Boolean", args[n])
	}
	return b, nil
}

func plain(least, most int, f func(e *evaluator, args []any) (any, error)) function {
	return function{least: least, most: most, plain: f}
}

func special(least, most int, f func(e *evaluator, c *call) (any, error)) function {
	return function{least: least, most: most, special: f}
}

// textTo is a function of one string that can't fail.
func textTo(f func(string) any) function {
	return plain(1, 1, func(_ *evaluator, args []any) (any, error) {
		s, err := textArg(args, 0)
		if err != nil {
			return nil, err
		}
		return f(s), nil
	})
}
