package template

import (
	"fmt"
	"strings"
)

// Template is a parsed document. It is not changed and may be used by many goroutines.
type Template struct {
	doc        map[string]any
	parameters map[string]any
	variables  map[string]any
	loops      map[string]variableLoop // variables made by loops, by lower case
	own        map[string]ownFunction  // the template's own functions: namespace.name in lower case
	outputs    map[string]any
	resources  []entry
	symbolic   bool
	functions  map[string]function
}

// entry is a resource as it is written, with its symbolic name, or "".
type entry struct {
	symbol string
	raw    any
	path   string
}

type ownFunction struct {
	parameters []string
	output     any
}

// Parse reads a template: its schema must be one of Azure's for deployments to a resource group or a subscription, and no
// section unknown.
func Parse(data []byte) (*Template, error) {
	v, err := Decode(data)
	if err != nil {
		return nil, invalid("", "The template is not valid JSON: %s.", err)
	}
	return From(v)
}

// From is Parse for a decoded document, which must not be changed afterwards.
func From(v any) (*Template, error) {
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, invalid("", "The template must be a JSON object.")
	}
	t := &Template{doc: doc, functions: allFunctions(), loops: map[string]variableLoop{}, own: map[string]ownFunction{}}
	for _, step := range []func() error{t.head, t.sections, t.variableLoops, t.ownFunctions, t.entries} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Subscription tells that the template is for a subscription, by its schema.
func (t *Template) Subscription() bool {
	return strings.Contains(strings.ToLower(t.text("$schema")), "subscriptiondeploymenttemplate.json")
}

func (t *Template) text(field string) string {
	v, _ := get(t.doc, field)
	s, _ := v.(string)
	return s
}

func (t *Template) head() error {
	schema, ok := get(t.doc, "$schema")
	uri, is := schema.(string)
	if !ok || !is || uri == "" {
		return invalid("$schema", "The template '$schema' property is missing or is not a string.")
	}
	lower := strings.ToLower(strings.TrimSuffix(uri, "#"))
	known := strings.HasPrefix(lower, "https://schema.management.azure.com/schemas/") || strings.HasPrefix(lower, "http://schema.management.azure.com/schemas/")
	if !known || !strings.HasSuffix(lower, "/deploymenttemplate.json") && !strings.HasSuffix(lower, "/subscriptiondeploymenttemplate.json") {
		return invalid("$schema", "The template schema '%.300s' is not supported. Supported are deployments to a resource group or a subscription. "+
			"Please see https://aka.ms/arm-template for usage details.", uri)
	}
	version, ok := get(t.doc, "contentVersion")
	if s, is := version.(string); !ok || !is || s == "" {
		return invalid("contentVersion", "The template 'contentVersion' property is missing or is not a string.")
	}
	if _, ok := get(t.doc, "resources"); !ok {
		return invalid("resources", "The template 'resources' property is missing.")
	}
	for _, k := range sortedKeys(t.doc) {
		switch strings.ToLower(k) {
		case "$schema", "contentversion", "resources", "parameters", "variables", "outputs", "functions", "metadata", "languageversion",
			"definitions", "apiprofile", "imports", "extensions":
		default:
			return invalid(k, "Could not find member '%s' on object of type 'Template'.", k)
		}
	}
	for _, k := range []string{"imports", "extensions"} {
		if m, ok := get(t.doc, k); ok && m != nil {
			if o, is := m.(map[string]any); !is || len(o) > 0 {
				return invalid(k, "Template extensions ('%s') are not supported.", k)
			}
		}
	}
	return nil
}

// object is a section that is an object; a missing one is empty.
func object(doc map[string]any, field string) (map[string]any, error) {
	v, ok := get(doc, field)
	if !ok || v == nil {
		return map[string]any{}, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, invalid(field, "The template section '%s' must be an object, and is of type '%s'.", field, kindOf(v))
	}
	return m, nil
}

func (t *Template) sections() error {
	var err error
	for field, into := range map[string]*map[string]any{
		"parameters": &t.parameters, "variables": &t.variables, "outputs": &t.outputs,
	} {
		if *into, err = object(t.doc, field); err != nil {
			return err
		}
	}
	for field, m := range map[string]map[string]any{"parameters": t.parameters, "variables": t.variables, "outputs": t.outputs} {
		if len(m) > 256 && field != "variables" || len(m) > 512 {
			return invalid(field, "The template section '%s' has '%d' entries, which is more than Azure's limit.", field, len(m))
		}
	}
	return nil
}

func (t *Template) variableLoops() error {
	v, ok := get(t.variables, "copy")
	list, is := v.([]any)
	if !ok || !is {
		return nil
	}
	for i, raw := range list {
		loop, ok := raw.(map[string]any)
		name, _ := get(loop, "name")
		s, is := name.(string)
		if !ok || !is || s == "" {
			return invalid(fmt.Sprintf("variables.copy[%d]", i), "A copy loop of a variable must be an object with a name.")
		}
		t.loops[strings.ToLower(s)] = variableLoop{loop}
	}
	return nil
}

// variable is a variable as it is written.
func (t *Template) variable(name string) (any, bool) {
	if l, ok := t.loops[strings.ToLower(name)]; ok {
		return l, true
	}
	return get(t.variables, name)
}

func (t *Template) ownFunctions() error {
	v, _ := get(t.doc, "functions")
	list, _ := v.([]any)
	for i, raw := range list {
		path := fmt.Sprintf("functions[%d]", i)
		m, ok := raw.(map[string]any)
		space, _ := get(m, "namespace")
		namespace, is := space.(string)
		if !ok || !is || namespace == "" {
			return invalid(path, "A group of functions must be an object with a namespace.")
		}
		members, err := object(m, "members")
		if err != nil {
			return err
		}
		for _, name := range sortedKeys(members) {
			f, err := readFunction(members[name], path+"."+name)
			if err != nil {
				return err
			}
			t.own[strings.ToLower(namespace+"."+name)] = f
		}
	}
	return nil
}

func readFunction(raw any, path string) (ownFunction, error) {
	m, ok := raw.(map[string]any)
	if !ok {
		return ownFunction{}, invalid(path, "A function must be an object.")
	}
	var f ownFunction
	parameters, _ := get(m, "parameters")
	list, _ := parameters.([]any)
	for _, p := range list {
		o, _ := p.(map[string]any)
		name, _ := get(o, "name")
		s, ok := name.(string)
		if !ok {
			return f, invalid(path, "A parameter of a function must have a name.")
		}
		f.parameters = append(f.parameters, s)
	}
	output, err := object(m, "output")
	if err != nil {
		return f, err
	}
	f.output, ok = get(output, "value")
	if !ok {
		return f, invalid(path, "A function must have an output with a value.")
	}
	return f, nil
}

func (t *Template) functionNamed(namespace, name string) (ownFunction, bool) {
	f, ok := t.own[strings.ToLower(namespace+"."+name)]
	return f, ok
}

// entries reads the resources: a list, or in version 2.0 of the language an object of symbolic names.
func (t *Template) entries() error {
	v, _ := get(t.doc, "resources")
	switch v := v.(type) {
	case []any:
		for i, raw := range v {
			t.resources = append(t.resources, entry{raw: raw, path: fmt.Sprintf("resources[%d]", i)})
		}
	case map[string]any:
		if !strings.HasPrefix(t.text("languageVersion"), "2.") && len(v) > 0 {
			return invalid("resources", "The template 'resources' can only be an object with 'languageVersion' '2.0'.")
		}
		t.symbolic = true
		for _, k := range sortedKeys(v) {
			t.resources = append(t.resources, entry{symbol: k, raw: v[k], path: "resources." + k})
		}
	default:
		return invalid("resources", "The template 'resources' must be an array or an object.")
	}
	return nil
}
