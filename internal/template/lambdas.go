package template

import (
	"fmt"
	"sort"
)

// lambda is a function in an expression: its variables' names, its body, and the variables around it.
type lambda struct {
	names []string
	body  node
	outer []map[string]any
}

func lambdaFunctions() map[string]function {
	return map[string]function{
		"lambda":          special(1, 4, lambdaFunction),
		"lambdavariables": plain(1, 1, lambdaVariable),
		"map": over(1, 2, func(e *evaluator, list []any, f *lambda, _ []any) (any, error) {
			out := make([]any, len(list))
			err := e.each(list, f, func(i int, v any) error { out[i] = v; return nil })
			return out, err
		}),
		"filter": over(1, 2, func(e *evaluator, list []any, f *lambda, _ []any) (any, error) {
			out := []any{}
			err := e.each(list, f, func(i int, v any) error {
				keep, ok := v.(bool)
				if !ok {
					return fmt.Errorf("the lambda function of a filter gave a value of type '%s', and 'Boolean' is expected", kindOf(v))
				}
				if keep {
					out = append(out, list[i])
				}
				return nil
			})
			return out, err
		}),
		"mapvalues": plain(2, 2, mapValues),
		"groupby": over(1, 1, func(e *evaluator, list []any, f *lambda, _ []any) (any, error) {
			out := map[string]any{}
			err := e.each(list, f, func(i int, v any) error {
				key, ok := v.(string)
				if !ok {
					return wrong(1, "String", v)
				}
				group, _ := out[key].([]any)
				out[key] = append(group, list[i])
				return nil
			})
			return out, err
		}),
		"toobject": plain(2, 3, toObject),
		"reduce":   plain(3, 3, reduce),
		"sort":     plain(2, 2, sortFunction),
	}
}

// lambdaFunction makes the lambda; its last argument is the body.
func lambdaFunction(e *evaluator, c *call) (any, error) {
	f := &lambda{body: c.args[len(c.args)-1], outer: e.lambdas}
	for _, a := range c.args[:len(c.args)-1] {
		l, ok := a.(literal)
		name, is := l.value.(string)
		if !ok || !is {
			return nil, fmt.Errorf("the names of a lambda function's variables must be strings")
		}
		f.names = append(f.names, name)
	}
	return f, nil
}

func lambdaVariable(e *evaluator, args []any) (any, error) {
	name, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	for i := len(e.lambdas) - 1; i >= 0; i-- {
		if v, ok := get(e.lambdas[i], name); ok {
			return v, nil
		}
	}
	return nil, fmt.Errorf("there is no lambda variable '%s'", name)
}

// apply calls the lambda. What it makes may be unknown.
func (e *evaluator) apply(f *lambda, args ...any) (any, error) {
	vars := make(map[string]any, len(f.names))
	for i, name := range f.names {
		if i < len(args) {
			vars[name] = args[i]
		}
	}
	saved := e.lambdas
	e.lambdas = append(append([]map[string]any{}, f.outer...), vars)
	defer func() { e.lambdas = saved }()
	return e.eval(f.body)
}

func lambdaArg(args []any, n, least, most int) (*lambda, error) {
	f, ok := args[n].(*lambda)
	if !ok {
		return nil, fmt.Errorf("argument %d: %w", n+1, errNoLambda)
	}
	if len(f.names) < least || len(f.names) > most {
		return nil, fmt.Errorf("the lambda function has %d variables, which is not what is expected", len(f.names))
	}
	return f, nil
}

// errUnknown ends a function of lambdas of which one gave something unknown.
type errUnknown struct{}

func (errUnknown) Error() string { return "the value is only known when the resources exist" }

// each applies the lambda to each element, and to its index when it takes two.
func (e *evaluator) each(list []any, f *lambda, do func(i int, v any) error) error {
	for i, x := range list {
		v, err := e.apply(f, x, int64(i))
		if err == nil && isUnknown(v) {
			err = errUnknown{}
		}
		if err == nil {
			err = do(i, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// over is a function of an array and a lambda.
func over(least, most int, do func(e *evaluator, list []any, f *lambda, args []any) (any, error)) function {
	return plain(2, 2, func(e *evaluator, args []any) (any, error) {
		list, err := arrayArg(args, 0)
		if err != nil {
			return nil, err
		}
		f, err := lambdaArg(args, 1, least, most)
		if err != nil {
			return nil, err
		}
		return do(e, list, f, args)
	})
}

func mapValues(e *evaluator, args []any) (any, error) {
	m, err := objectArg(args, 0)
	if err != nil {
		return nil, err
	}
	f, err := lambdaArg(args, 1, 1, 1)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(m))
	for _, k := range sortedKeys(m) {
		v, err := e.apply(f, m[k])
		if err != nil {
			return nil, err
		}
		if isUnknown(v) {
			return nil, errUnknown{}
		}
		out[k] = v
	}
	return out, nil
}

func toObject(e *evaluator, args []any) (any, error) {
	list, err := arrayArg(args, 0)
	if err != nil {
		return nil, err
	}
	keys, err := lambdaArg(args, 1, 1, 1)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(list))
	names := make([]string, len(list))
	err = e.each(list, keys, func(i int, v any) error {
		key, err := textArg([]any{nil, v}, 1)
		names[i] = key
		out[key] = list[i]
		return err
	})
	if err != nil || len(args) < 3 {
		return out, err
	}
	values, err := lambdaArg(args, 2, 1, 1)
	if err != nil {
		return nil, err
	}
	err = e.each(list, values, func(i int, v any) error { out[names[i]] = v; return nil })
	return out, err
}

func reduce(e *evaluator, args []any) (any, error) {
	list, err := arrayArg(args, 0)
	if err != nil {
		return nil, err
	}
	f, err := lambdaArg(args, 2, 2, 3)
	if err != nil {
		return nil, err
	}
	sum := args[1]
	for i, v := range list {
		if sum, err = e.apply(f, sum, v, int64(i)); err != nil {
			return nil, err
		}
		if isUnknown(sum) {
			return nil, errUnknown{}
		}
	}
	return sum, nil
}

func sortFunction(e *evaluator, args []any) (any, error) {
	list, err := arrayArg(args, 0)
	if err != nil {
		return nil, err
	}
	f, err := lambdaArg(args, 1, 2, 2)
	if err != nil {
		return nil, err
	}
	out := append([]any{}, list...)
	sort.SliceStable(out, func(i, j int) bool {
		if err != nil {
			return false
		}
		var v any
		if v, err = e.apply(f, out[i], out[j]); err == nil && isUnknown(v) {
			err = errUnknown{}
		}
		less, ok := v.(bool)
		if err == nil && !ok {
			err = fmt.Errorf("the lambda function of a sort gave a value of type '%s', and 'Boolean' is expected", kindOf(v))
		}
		return less
	})
	return out, err
}
