package template

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

func numberFunctions() map[string]function {
	return map[string]function{
		"int":   plain(1, 1, intFunction),
		"float": plain(1, 1, floatFunction),
		"add":   arithmetic(addChecked),
		"sub": arithmetic(func(a, b int64) (int64, error) {
			if b == math.MinInt64 {
				return 0, errOverflow
			}
			return addChecked(a, -b)
		}),
		"mul": arithmetic(func(a, b int64) (int64, error) {
			p := a * b
			if a != 0 && (p/a != b || a == -1 && b == math.MinInt64) {
				return 0, errOverflow
			}
			return p, nil
		}),
		"div": arithmetic(func(a, b int64) (int64, error) {
			if b == 0 {
				return 0, errors.New("division by zero")
			}
			if a == math.MinInt64 && b == -1 {
				return 0, errOverflow
			}
			return a / b, nil
		}),
		"mod": arithmetic(func(a, b int64) (int64, error) {
			if b == 0 {
				return 0, errors.New("division by zero")
			}
			if b == -1 {
				return 0, nil
			}
			return a % b, nil
		}),
		"min": plain(1, -1, extreme(func(a, b int64) bool { return a < b })),
		"max": plain(1, -1, extreme(func(a, b int64) bool { return a > b })),
		"range": plain(2, 2, func(_ *evaluator, args []any) (any, error) {
			from, err := numberArg(args, 0)
			if err != nil {
				return nil, err
			}
			n, err := numberArg(args, 1)
			if err != nil {
				return nil, err
			}
			if n < 0 || n > 10000 || from > math.MaxInt32 || from < math.MinInt32 {
				return nil, errors.New("a range has 0 to 10000 elements")
			}
			out := make([]any, n)
			for i := range n {
				out[i] = from + i
			}
			return out, nil
		}),
	}
}

var errOverflow = errors.New("the result is out of range")

func addChecked(a, b int64) (int64, error) {
	s := a + b
	if (s > a) != (b > 0) && b != 0 {
		return 0, errOverflow
	}
	return s, nil
}

func arithmetic(f func(a, b int64) (int64, error)) function {
	return plain(2, 2, func(_ *evaluator, args []any) (any, error) {
		a, err := numberArg(args, 0)
		if err != nil {
			return nil, err
		}
		b, err := numberArg(args, 1)
		if err != nil {
			return nil, err
		}
		return f(a, b)
	})
}

func intFunction(_ *evaluator, args []any) (any, error) {
	switch v := args[0].(type) {
	case int64:
		return v, nil
	case float64:
		if v < math.MinInt64 || v >= math.MaxInt64 {
			return nil, errOverflow
		}
		return int64(v), nil
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("'%.100s' is not a whole number", v)
		}
		return n, nil
	}
	return nil, wrong(0, "String", args[0])
}

func floatFunction(_ *evaluator, args []any) (any, error) {
	switch v := args[0].(type) {
	case int64:
		return float64(v), nil
	case float64:
		return v, nil
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, fmt.Errorf("'%.100s' is not a number", v)
		}
		return f, nil
	}
	return nil, wrong(0, "String", args[0])
}

// extreme takes one array of numbers, or numbers.
func extreme(better func(a, b int64) bool) func(*evaluator, []any) (any, error) {
	return func(_ *evaluator, args []any) (any, error) {
		if list, ok := args[0].([]any); ok && len(args) == 1 {
			args = list
		}
		var best int64
		for i := range args {
			n, err := numberArg(args, i)
			if err != nil {
				return nil, err
			}
			if i == 0 || better(n, best) {
				best = n
			}
		}
		if len(args) == 0 {
			return nil, errors.New("there are no numbers")
		}
		return best, nil
	}
}
