package template

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// Value is a parameter or output: its type as the template writes it, and its value.
type Value struct {
	Type  string
	Value any
}

// Secure tells that a value of the type must not be shown.
func Secure(typ string) bool { return strings.HasPrefix(strings.ToLower(typ), "secure") }

// Instance is a template with its parameters, in its environment. It is not changed after [Template.Bind] and may be used
// by many goroutines.
type Instance struct {
	template   *Template
	env        Environment
	parameters map[string]any
	types      map[string]string

	resources []*Resource
	byID      map[string]*Resource
	bySymbol  map[string]*Resource
	loops     map[string][]*Resource

	spent atomic.Int64 // units of work, see maxWork
}

// Bind gives the template its parameters, each an object with a "value", and finds its resources and what they depend on.
// A second instance that is to be like a first is bound to the first one's Parameters, so that the time and random GUIDs
// in defaults stay.
func (t *Template) Bind(given map[string]any, env Environment) (*Instance, error) {
	in := &Instance{
		template: t, env: env, parameters: map[string]any{}, types: map[string]string{}, byID: map[string]*Resource{},
		bySymbol: map[string]*Resource{}, loops: map[string][]*Resource{},
	}
	if err := in.bind(given); err != nil {
		return nil, err
	}
	if err := in.expand(); err != nil {
		return nil, err
	}
	return in, nil
}

// Parameters are all parameters with what they have become.
func (in *Instance) Parameters() map[string]Value {
	out := make(map[string]Value, len(in.parameters))
	for name, v := range in.parameters {
		out[name] = Value{Type: in.types[name], Value: v}
	}
	return out
}

func (in *Instance) bind(given map[string]any) error {
	var extra []string
	for _, name := range sortedKeys(given) {
		if _, ok := get(in.template.parameters, name); !ok {
			extra = append(extra, name)
		}
	}
	if len(extra) > 0 {
		return invalid("", "Deployment template validation failed: 'The template parameters '%s' in the parameters file are not valid; they are not present "+
			"in the original template and can therefore not be provided at deployment time. The only supported parameters for this template are '%s'. "+
			"Please see https://aka.ms/arm-pass-parameter-values for usage details.'.",
			strings.Join(extra, ", "), strings.Join(sortedKeys(in.template.parameters), ", "))
	}
	// A default may use other parameters, in any order of writing.
	e := in.evaluator(modeDefault)
	left := sortedKeys(in.template.parameters)
	for len(left) > 0 {
		var later []string
		var failed error
		for _, name := range left {
			ok, err := in.bindOne(e, name, given)
			if err != nil {
				failed = err
			}
			if !ok {
				later = append(later, name)
			}
		}
		if len(later) == len(left) {
			return failed
		}
		left = later
	}
	return nil
}

// bindOne settles one parameter; ok is false when it could not be settled yet.
func (in *Instance) bindOne(e *evaluator, name string, given map[string]any) (ok bool, err error) {
	path := "parameters." + name
	def, is := in.template.parameters[name].(map[string]any)
	if !is {
		return false, invalid(path, "The template parameter '%s' must be an object.", name)
	}
	if def, err = in.template.resolveType(def, path, 0); err != nil {
		return false, err
	}
	v, set, err := givenValue(given, name)
	if err != nil {
		return false, err
	}
	nullable, _ := get(def, "nullable")
	if fallback, has := get(def, "defaultValue"); !set && has {
		if v, err = e.tree(fallback, path+".defaultValue", true); err != nil {
			return false, err
		}
	} else if !set && nullable != true {
		return false, invalid(path, "Deployment template validation failed: 'The value for the template parameter '%s' is not provided. "+
			"Please see https://aka.ms/arm-create-parameter-file for usage details.'.", name)
	}
	if v, err = in.template.checkValue(def, v, name, path, 0); err != nil {
		return false, err
	}
	typ, _ := get(def, "type")
	in.types[name], _ = typ.(string)
	in.parameters[name] = v
	return true, nil
}

func givenValue(given map[string]any, name string) (v any, set bool, err error) {
	raw, ok := get(given, name)
	if !ok {
		return nil, false, nil
	}
	m, ok := raw.(map[string]any)
	if !ok {
		return nil, false, invalid("parameters."+name, "Deployment template validation failed: 'Template parameter '%s' must be an object with a 'value'.'.", name)
	}
	if _, ok := get(m, "reference"); ok {
		return nil, false, invalid("parameters."+name, "The template parameter '%s' refers to a key vault, which is not supported for parameters.", name)
	}
	if v, ok := get(m, "value"); ok {
		return v, true, nil
	}
	return nil, false, invalid("parameters."+name, "Deployment template validation failed: 'Template parameter '%s' has no 'value'.'.", name)
}

// resolveType follows "$ref" into the template's definitions.
func (t *Template) resolveType(def map[string]any, path string, depth int) (map[string]any, error) {
	ref, ok := get(def, "$ref")
	if !ok {
		return def, nil
	}
	s, _ := ref.(string)
	name, ok := strings.CutPrefix(s, "#/definitions/")
	definitions, err := object(t.doc, "definitions")
	if err != nil {
		return nil, err
	}
	target, found := definitions[name].(map[string]any)
	if !ok || !found || depth > 16 {
		return nil, invalid(path, "The type reference '%.200s' can't be resolved.", s)
	}
	merged := make(map[string]any, len(target)+len(def))
	for k, v := range target {
		merged[k] = v
	}
	for k, v := range def {
		if k != "$ref" {
			merged[k] = v
		}
	}
	return t.resolveType(merged, path, depth+1)
}

// checkValue holds a value to its parameter's type, and returns it as the type has it.
func (t *Template) checkValue(def map[string]any, v any, name, path string, depth int) (any, error) {
	nullable, _ := get(def, "nullable")
	if v == nil && nullable == true {
		return nil, nil
	}
	raw, _ := get(def, "type")
	typ, _ := raw.(string)
	want := ""
	ok := false
	switch strings.ToLower(typ) {
	case "string", "securestring":
		want = "String, Uri"
		_, ok = v.(string)
	case "int":
		want = "Integer"
		if f, is := v.(float64); is && f == float64(int64(f)) {
			v = int64(f)
		}
		_, ok = v.(int64)
	case "bool":
		want = "Boolean"
		_, ok = v.(bool)
	case "array":
		want = "Array"
		_, ok = v.([]any)
	case "object", "secureobject":
		want = "Object"
		_, ok = v.(map[string]any)
	default:
		return nil, invalid(path, "Deployment template validation failed: 'Template parameter '%s' has the type '%.100s', which is not valid. "+
			"Please see https://aka.ms/arm-syntax-parameters for usage details.'.", name, typ)
	}
	if !ok {
		return nil, invalid(path, "Deployment template validation failed: 'Template parameter JToken type is not valid. Expected '%s'. Actual '%s'. "+
			"Please see https://aka.ms/arm-create-parameter-file for usage details.'. The parameter is '%s'.", want, kindOf(v), name)
	}
	if err := t.checkBounds(def, v, name, path); err != nil {
		return nil, err
	}
	return v, t.checkInside(def, v, name, path, depth)
}

func (t *Template) checkBounds(def map[string]any, v any, name, path string) error {
	if raw, ok := get(def, "allowedValues"); ok {
		list, _ := raw.([]any)
		e := (&Instance{template: t}).evaluator(modeStatic)
		all := []string{}
		for _, a := range list {
			if eq, err := e.same(a, v); err != nil || eq {
				return err
			}
			if many, ok := v.([]any); ok && len(many) > 0 && e.allIn(many, list) {
				return nil
			}
			s, _ := e.textOf(a)
			all = append(all, s)
		}
		shown, _ := e.textOf(v)
		return invalid(path, "Deployment template validation failed: 'The provided value '%.200s' for the template parameter '%s' is not valid. "+
			"The value is not part of the allowed value(s): '%s'.'.", hidden(def, shown), name, strings.Join(all, ","))
	}
	size, word := int64(0), "length"
	low, high := "minLength", "maxLength"
	switch v := v.(type) {
	case int64:
		size, word, low, high = v, "value", "minValue", "maxValue"
	case string:
		size = int64(len([]rune(v)))
	case []any:
		size = int64(len(v))
	default:
		return nil
	}
	if least, ok := get(def, low); ok {
		if n, is := least.(int64); is && size < n {
			return invalid(path, "Deployment template validation failed: 'The provided value for the template parameter '%s' is not valid. "+
				"The %s of the value must be greater than or equal to '%d'. Please see https://aka.ms/arm-create-parameter-file for usage details.'.", name, word, n)
		}
	}
	if most, ok := get(def, high); ok {
		if n, is := most.(int64); is && size > n {
			return invalid(path, "Deployment template validation failed: 'The provided value for the template parameter '%s' is not valid. "+
				"The %s of the value must be less than or equal to '%d'. Please see https://aka.ms/arm-create-parameter-file for usage details.'.", name, word, n)
		}
	}
	return nil
}

// hidden is text that may be shown of a value of the type.
func hidden(def map[string]any, s string) string {
	typ, _ := get(def, "type")
	if word, _ := typ.(string); Secure(word) {
		return "***"
	}
	return s
}

// allIn tells that every element of many is one of list.
func (e *evaluator) allIn(many, list []any) bool {
	for _, v := range many {
		if ok, err := e.has(list, v); err != nil || !ok {
			return false
		}
	}
	return true
}

// checkInside holds the elements of an array and the properties of an object to the types that are written for them.
func (t *Template) checkInside(def map[string]any, v any, name, path string, depth int) error {
	if depth > maxDepth {
		return invalid(path, "The type of parameter '%s' is nested too deep.", name)
	}
	inner := func(raw, v any, path string) error {
		d, ok := raw.(map[string]any)
		if !ok {
			return nil
		}
		d, err := t.resolveType(d, path, 0)
		if err != nil {
			return err
		}
		if _, typed := get(d, "type"); !typed {
			return nil
		}
		_, err = t.checkValue(d, v, name, path, depth+1)
		return err
	}
	switch v := v.(type) {
	case []any:
		items, _ := get(def, "items")
		for i, x := range v {
			if err := inner(items, x, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		properties, err := object(def, "properties")
		if err != nil {
			return err
		}
		for _, k := range sortedKeys(properties) {
			x, _ := get(v, k)
			if err := inner(properties[k], x, path+"."+k); err != nil {
				return err
			}
		}
	}
	return nil
}
