package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sort"
	"strconv"
	"strings"
)

// A value of the language is nil, bool, int64, float64, string, []any or map[string]any. Inside of an evaluation it may
// also be a lambda or unknown.

const (
	// maxDocument bounds a template; Azure's limit is 4 MB.
	maxDocument = 4 << 20
	maxDepth    = 64
)

// unknown stands for what can only be known when resources exist: what reference and the list functions give. What is
// made of it is unknown too.
type unknown struct{}

// Decode reads one JSON value of bounded size and depth. Whole numbers become int64, others float64.
func Decode(data []byte) (any, error) {
	if len(data) > maxDocument {
		return nil, fmt.Errorf("the document has %d bytes, more than %d", len(data), maxDocument)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("there is more after the end of the JSON value")
	}
	return normal(v, 0)
}

// normal turns what encoding/json made into the language's values.
func normal(v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("the document is nested deeper than %d levels", maxDepth)
	}
	switch v := v.(type) {
	case json.Number:
		return number(string(v))
	case []any:
		for i := range v {
			var err error
			if v[i], err = normal(v[i], depth+1); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			var err error
			if v[k], err = normal(v[k], depth+1); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func number(s string) (any, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, fmt.Errorf("the number %.40s is out of range", s)
	}
	return f, nil
}

// Encode writes a value as JSON without spaces, the keys of objects in order.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// get finds a key of an object: as it is written, or in any case.
func get(m map[string]any, key string) (any, bool) {
	if v, ok := m[key]; ok {
		return v, true
	}
	for k, v := range m {
		if strings.EqualFold(k, key) {
			return v, true
		}
	}
	return nil, false
}

// keyOf is the key of the object as it is written there, or key itself.
func keyOf(m map[string]any, key string) string {
	if _, ok := m[key]; ok {
		return key
	}
	for k := range m {
		if strings.EqualFold(k, key) {
			return k
		}
	}
	return key
}

// folded finds keys as they are written first, whatever case they come in.
type folded map[string]string

func foldedKeys(m map[string]any) folded {
	f := make(folded, len(m))
	for k := range m {
		f.of(k)
	}
	return f
}

// of is the key as it was written when it first came.
func (f folded) of(key string) string {
	lower := strings.ToLower(key)
	if first, ok := f[lower]; ok {
		return first
	}
	f[lower] = key
	return key
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// kindOf is a value's type as Azure's messages call it.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "Null"
	case bool:
		return "Boolean"
	case int64:
		return "Integer"
	case float64:
		return "Float"
	case string:
		return "String"
	case []any:
		return "Array"
	case map[string]any:
		return "Object"
	case *lambda:
		return "Lambda"
	default:
		return "Unknown"
	}
}

// textOf is a value as text, as concat, format and string have it.
func (e *evaluator) textOf(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		if v {
			return "True", nil
		}
		return "False", nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case []any, map[string]any:
		if err := e.weigh(v); err != nil {
			return "", err
		}
		b, err := Encode(v)
		return string(b), err
	default:
		return "", fmt.Errorf("a value of type '%s' has no text", kindOf(v))
	}
}

// weigh charges the whole of a value, also what it holds more than once, and refuses what is too large to be written.
func (e *evaluator) weigh(v any) error {
	switch v := v.(type) {
	case string:
		return e.charge(len(v))
	case []any:
		if err := e.charge(len(v) + 1); err != nil {
			return err
		}
		for _, x := range v {
			if err := e.weigh(x); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		for k, x := range v {
			if err := e.charge(len(k) + 1); err != nil {
				return err
			}
			if err := e.weigh(x); err != nil {
				return err
			}
		}
		return nil
	default:
		return e.charge(8)
	}
}

// same compares two values; strings by their case, keys of objects without regard to it.
func (e *evaluator) same(a, b any) (bool, error) {
	if err := e.charge(1); err != nil {
		return false, err
	}
	switch x := a.(type) {
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		for i := range x {
			if eq, err := e.same(x[i], y[i]); err != nil || !eq {
				return false, err
			}
		}
		return true, nil
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		for k, v := range x {
			w, ok := get(y, k)
			if !ok {
				return false, nil
			}
			if eq, err := e.same(v, w); err != nil || !eq {
				return false, err
			}
		}
		return true, nil
	case int64:
		if f, ok := b.(float64); ok {
			return float64(x) == f, nil
		}
	case float64:
		if n, ok := b.(int64); ok {
			return x == float64(n), nil
		}
	case *lambda:
		return false, nil
	}
	switch b.(type) {
	case []any, map[string]any, *lambda:
		return false, nil
	}
	return a == b, nil
}
