package template

import "fmt"

func objectFunctions() map[string]function {
	return map[string]function{
		"createobject": plain(0, -1, createObject),
		"items": plain(1, 1, func(_ *evaluator, args []any) (any, error) {
			m, err := objectArg(args, 0)
			if err != nil {
				return nil, err
			}
			out := []any{}
			for _, k := range sortedKeys(m) {
				out = append(out, map[string]any{"key": k, "value": m[k]})
			}
			return out, nil
		}),
		"objectkeys": plain(1, 1, func(_ *evaluator, args []any) (any, error) {
			m, err := objectArg(args, 0)
			if err != nil {
				return nil, err
			}
			out := []any{}
			for _, k := range sortedKeys(m) {
				out = append(out, k)
			}
			return out, nil
		}),
		"shallowmerge": plain(1, 1, shallowMerge),
		"json": plain(1, 1, func(_ *evaluator, args []any) (any, error) {
			s, err := textArg(args, 0)
			if err != nil {
				return nil, err
			}
			v, err := Decode([]byte(s))
			if err != nil {
				return nil, fmt.Errorf("the text is not JSON: %w", err)
			}
			return v, nil
		}),
		"tryget": plain(2, -1, func(_ *evaluator, args []any) (any, error) {
			v := args[0]
			for _, key := range args[1:] {
				if v == nil {
					return nil, nil
				}
				next, ok, err := member(v, key)
				if err != nil || !ok {
					return nil, err
				}
				v = next
			}
			return v, nil
		}),
	}
}

func createObject(_ *evaluator, args []any) (any, error) {
	if len(args)%2 != 0 {
		return nil, fmt.Errorf("keys and values are expected in pairs, and '%d' arguments were given", len(args))
	}
	out := make(map[string]any, len(args)/2)
	for i := 0; i < len(args); i += 2 {
		key, err := textArg(args, i)
		if err != nil {
			return nil, err
		}
		out[key] = args[i+1]
	}
	return out, nil
}

func shallowMerge(e *evaluator, args []any) (any, error) {
	list, err := arrayArg(args, 0)
	if err != nil {
		return nil, err
	}
	out, written := map[string]any{}, foldedKeys(nil)
	for i := range list {
		m, err := objectArg(list, i)
		if err != nil {
			return nil, err
		}
		if err := e.charge(32 * len(m)); err != nil {
			return nil, err
		}
		for k, v := range m {
			out[written.of(k)] = v
		}
	}
	return out, nil
}
