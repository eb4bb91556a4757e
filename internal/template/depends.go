package template

import (
	"fmt"
	"slices"
	"strings"
)

// dependencies finds what each resource depends on, written and by reference, and puts the resources in order.
func (in *Instance) dependencies() error {
	e := in.evaluator(modeStatic)
	pre := in.evaluator(modePreflight)
	for _, r := range in.resources {
		if r.Existing || r.Skipped {
			continue
		}
		if err := in.written(e, r); err != nil {
			return err
		}
		pre.used = nil
		if _, err := r.body(pre); err != nil {
			return err
		}
		for _, what := range pre.used {
			r.dependOn(in.resolve(what))
		}
		for p := r.parent; p != nil; p = p.parent {
			r.dependOn(p)
		}
	}
	return in.sort()
}

// dependOn adds what is deployed with the resource. What is only referred to, or left out, is no dependency.
func (r *Resource) dependOn(on *Resource) {
	if on != nil && on != r && !on.Existing && !on.Skipped && !slices.Contains(r.Depends, on) {
		r.Depends = append(r.Depends, on)
	}
}

// written reads a resource's dependsOn.
func (in *Instance) written(e *evaluator, r *Resource) error {
	raw, ok := get(r.raw, "dependsOn")
	if !ok || raw == nil {
		return nil
	}
	path := r.path + ".dependsOn"
	e.copies = r.copies
	v, err := e.tree(raw, path, false)
	e.copies = nil
	if err != nil {
		return err
	}
	list, ok := v.([]any)
	if !ok {
		return invalid(path, "The 'dependsOn' of the template resource '%s' must be an array.", r.Name)
	}
	for _, x := range list {
		what, ok := x.(string)
		if !ok {
			return invalid(path, "The 'dependsOn' of the template resource '%s' must hold strings.", r.Name)
		}
		if made, ok := in.loops[strings.ToLower(what)]; ok {
			for _, on := range made {
				r.dependOn(on)
			}
			continue
		}
		on := in.resolve(what)
		if on == nil {
			return invalid(path, "The resource '%.300s' is not defined in the template. Please see https://aka.ms/arm-syntax-resources for usage details.",
				strings.TrimPrefix(what, in.env.Scope+"/providers/"))
		}
		if on == r {
			return circular(r)
		}
		r.dependOn(on)
	}
	return nil
}

func circular(r *Resource) error {
	return invalid(r.path, "Circular dependency detected on resource: '%s'. Please see https://aka.ms/arm-syntax-resources for usage details.", r.ID)
}

// sort puts each resource behind all on which it depends, and otherwise keeps their order.
func (in *Instance) sort() error {
	state := map[*Resource]int{} // 1 while visited, 2 when placed
	var out []*Resource
	var visit func(r *Resource) error
	visit = func(r *Resource) error {
		switch state[r] {
		case 1:
			return circular(r)
		case 2:
			return nil
		}
		state[r] = 1
		for _, on := range r.Depends {
			if err := visit(on); err != nil {
				return err
			}
		}
		state[r] = 2
		out = append(out, r)
		return nil
	}
	for _, r := range in.resources {
		if err := visit(r); err != nil {
			return err
		}
	}
	in.resources = out
	return nil
}

// Body is what is sent to make the resource: all but what only a template knows. A runtime of nil leaves what is not known
// yet as it is written.
func (r *Resource) Body(rt Runtime) (map[string]any, error) {
	e := r.in.evaluator(modePreflight)
	if rt != nil {
		e.mode, e.runtime = modeRun, rt
	}
	return r.body(e)
}

func (r *Resource) body(e *evaluator) (map[string]any, error) {
	e.copies, e.unknown = slices.Clone(r.copies), false
	defer func() { e.copies = nil }()
	out := map[string]any{}
	for _, k := range sortedKeys(r.raw) {
		lower := strings.ToLower(k)
		switch lower {
		case "copy", "condition", "dependson", "comments", "apiversion", "type", "name", "resources", "scope", "existing", "resourcegroup",
			"subscriptionid", "metadata", "import":
			continue
		}
		var err error
		path := r.path + "." + k
		if lower == "properties" && r.Deployment() {
			out[k], err = r.nested(e, r.raw[k], path)
		} else {
			out[k], err = e.tree(r.raw[k], path, lower == "properties")
		}
		if err != nil {
			return nil, err
		}
	}
	return out, e.weigh(out)
}

// Deployment tells that the resource is a nested deployment.
func (r *Resource) Deployment() bool {
	return strings.EqualFold(r.Type, "Microsoft.Resources/deployments")
}

// nested evaluates the properties of a nested deployment. Its template is evaluated here only in the scope "outer", which
// is the default; then what has become text stays text.
func (r *Resource) nested(e *evaluator, raw any, path string) (any, error) {
	m, ok := raw.(map[string]any)
	if !ok {
		return nil, invalid(path, "The properties of a nested deployment must be an object.")
	}
	out := map[string]any{}
	for _, k := range sortedKeys(m) {
		var err error
		switch {
		case !strings.EqualFold(k, "template"):
			out[k], err = e.tree(m[k], path+"."+k, false)
		case r.inner(m):
			out[k] = m[k]
		default:
			if out[k], err = e.tree(m[k], path+"."+k, false); err == nil && !e.unknown {
				out[k] = escaped(out[k])
			}
		}
		if err != nil {
			return nil, err
		}
	}
	delete(out, keyOf(out, "expressionEvaluationOptions"))
	return out, nil
}

// inner tells that expressions in the nested template are its own.
func (r *Resource) inner(properties map[string]any) bool {
	options, _ := get(properties, "expressionEvaluationOptions")
	m, _ := options.(map[string]any)
	scope, _ := get(m, "scope")
	s, _ := scope.(string)
	return strings.EqualFold(s, "inner")
}

// escaped has all text in a value read as text again.
func escaped(v any) any {
	switch v := v.(type) {
	case string:
		return escape(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = escaped(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[escape(k)] = escaped(x)
		}
		return out
	}
	return v
}

// Outputs evaluates the outputs whose conditions hold.
func (in *Instance) Outputs(rt Runtime) (map[string]Value, error) {
	e := in.evaluator(modeRun)
	e.runtime = rt
	out := map[string]Value{}
	for _, name := range sortedKeys(in.template.outputs) {
		v, show, err := in.output(e, name)
		if err != nil {
			return nil, err
		}
		if show {
			out[name] = v
		}
	}
	return out, nil
}

// checkOutputs finds what is wrong with outputs before anything is deployed.
func (in *Instance) checkOutputs() error {
	e := in.evaluator(modePreflight)
	for _, name := range sortedKeys(in.template.outputs) {
		if _, _, err := in.output(e, name); err != nil {
			return err
		}
	}
	return nil
}

func (in *Instance) output(e *evaluator, name string) (out Value, show bool, err error) {
	path := "outputs." + name
	def, ok := in.template.outputs[name].(map[string]any)
	if !ok {
		return out, false, invalid(path, "The template output '%s' must be an object.", name)
	}
	if def, err = in.template.resolveType(def, path, 0); err != nil {
		return out, false, err
	}
	if cond, ok := get(def, "condition"); ok {
		v, err := e.tree(cond, path+".condition", false)
		if b, ok := v.(bool); err != nil || ok && !b {
			return out, false, err
		}
	}
	typ, _ := get(def, "type")
	out.Type, _ = typ.(string)
	loop, looped := get(def, "copy")
	value, has := get(def, "value")
	e.unknown = false
	switch m, _ := loop.(map[string]any); {
	case looped && m != nil:
		input, _ := get(m, "input")
		out.Value, err = e.loop(m, name, true, input, path)
	case has:
		out.Value, err = e.tree(value, path+".value", true)
	default:
		err = invalid(path, "The template output '%s' has no 'value'.", name)
	}
	if err != nil || e.unknown {
		return out, false, err
	}
	if err := e.weigh(out.Value); err != nil {
		return out, false, at(path, err)
	}
	if out.Value, err = in.template.checkValue(def, out.Value, name, path, 0); err != nil {
		err = invalid(path, "The template output '%s' is not valid: %s", name, fmt.Sprint(err))
	}
	return out, true, err
}
