package template

import (
	"errors"
	"fmt"
	"strings"
)

func scopeFunctions() map[string]function {
	return map[string]function{
		"parameters":    plain(1, 1, parametersFunction),
		"variables":     plain(1, 1, variablesFunction),
		"copyindex":     plain(0, 2, copyIndex),
		"resourcegroup": plain(0, 0, func(e *evaluator, _ []any) (any, error) { return given("resourceGroup", e.in.env.Group) }),
		"subscription":  plain(0, 0, func(e *evaluator, _ []any) (any, error) { return given("subscription", e.in.env.Subscription) }),
		"tenant":        plain(0, 0, func(e *evaluator, _ []any) (any, error) { return given("tenant", e.in.env.Tenant) }),
		"deployment":    plain(0, 0, func(e *evaluator, _ []any) (any, error) { return given("deployment", e.in.env.Deployment) }),
		"environment":   plain(0, 0, func(e *evaluator, _ []any) (any, error) { return given("environment", e.in.env.Cloud) }),
		"deployer":      plain(0, 0, func(e *evaluator, _ []any) (any, error) { return given("deployer", e.in.env.Deployer) }),
	}
}

func given(name string, v map[string]any) (any, error) {
	if v == nil {
		return nil, fmt.Errorf("the function '%s' is not available in a deployment of this scope", name)
	}
	return v, nil
}

func parametersFunction(e *evaluator, args []any) (any, error) {
	name, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	from := e.in.parameters
	if e.inFunction {
		from = e.parameters
	}
	v, ok := get(from, name)
	if !ok {
		return nil, fmt.Errorf("the template parameter '%s' is not found. Please see https://aka.ms/arm-syntax-parameters for usage details", name)
	}
	return v, nil
}

// variablesFunction evaluates a variable when it is first asked for. Variables know nothing of what exists.
func variablesFunction(e *evaluator, args []any) (any, error) {
	name, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	if e.inFunction || e.mode == modeDefault {
		return nil, errors.New("the function 'variables' is not available here")
	}
	key := strings.ToLower(name)
	if v, ok := e.variables[key]; ok {
		return v, nil
	}
	raw, ok := e.in.template.variable(name)
	if !ok {
		return nil, fmt.Errorf("the template variable '%s' is not found. Please see https://aka.ms/arm-syntax-variables for usage details", name)
	}
	if e.pending[key] {
		return nil, fmt.Errorf("the template variable '%s' refers to itself", name)
	}
	e.pending[key] = true
	defer delete(e.pending, key)
	saved := *e
	e.mode, e.copies, e.lambdas = modeStatic, nil, nil
	v, err := e.variable(raw, key)
	e.mode, e.copies, e.lambdas = saved.mode, saved.copies, saved.lambdas
	if err != nil {
		return nil, err
	}
	e.variables[key] = v
	return v, nil
}

// variableLoop is a variable that is made by an entry of the variables' "copy".
type variableLoop struct{ loop map[string]any }

func (e *evaluator) variable(raw any, name string) (any, error) {
	path := "variables." + name
	if l, ok := raw.(variableLoop); ok {
		input, _ := get(l.loop, "input")
		return e.loop(l.loop, name, false, input, path)
	}
	return e.tree(raw, path, true)
}

// copyIndex is the turn of the loop of that name, or of the innermost over resources.
func copyIndex(e *evaluator, args []any) (any, error) {
	name, offset := "", int64(0)
	for i, a := range args {
		switch v := a.(type) {
		case string:
			if i > 0 {
				return nil, wrong(i, "Integer", a)
			}
			name = v
		case int64:
			offset = v
		default:
			return nil, wrong(i, "Integer", a)
		}
	}
	for i := len(e.copies) - 1; i >= 0; i-- {
		t := e.copies[i]
		if name == "" && t.resource || name != "" && strings.EqualFold(t.name, name) {
			return addChecked(t.index, offset)
		}
	}
	if name == "" && len(e.copies) > 0 {
		return addChecked(e.copies[len(e.copies)-1].index, offset)
	}
	return nil, fmt.Errorf("the template function 'copyIndex' is not expected at this location: the function can only be used in a resource, property or output with a copy loop '%s'", name)
}

// ownFunction calls a function that the template defines.
func (e *evaluator) ownFunction(c *call) (any, error) {
	f, ok := e.in.template.functionNamed(c.namespace, c.name)
	if !ok {
		return nil, fmt.Errorf("the template function '%s.%s' is not valid", c.namespace, c.name)
	}
	if len(c.args) > len(f.parameters) {
		return nil, fmt.Errorf("the template function '%s.%s' takes '%d' arguments, and '%d' were given", c.namespace, c.name, len(f.parameters), len(c.args))
	}
	args, err := e.arguments(c)
	if err != nil {
		return nil, err
	}
	if isUnknown(args...) {
		return unknown{}, nil
	}
	bound := map[string]any{}
	for i, p := range f.parameters {
		if i < len(args) {
			bound[p] = args[i]
		}
	}
	parameters, in, copies, lambdas := e.parameters, e.inFunction, e.copies, e.lambdas
	e.parameters, e.inFunction, e.copies, e.lambdas = bound, true, nil, nil
	defer func() { e.parameters, e.inFunction, e.copies, e.lambdas = parameters, in, copies, lambdas }()
	return e.tree(f.output, "functions."+c.namespace+"."+c.name, true)
}
