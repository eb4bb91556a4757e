package template

import (
	"errors"
	"fmt"
	"strings"
)

func resourceFunctions() map[string]function {
	return map[string]function{
		"resourceid": plain(2, -1, func(e *evaluator, args []any) (any, error) {
			return e.resourceID(args)
		}),
		"subscriptionresourceid": plain(2, -1, func(e *evaluator, args []any) (any, error) {
			words, typ, err := idArgs(args, 1)
			if err != nil {
				return nil, err
			}
			scope := e.subscriptionScope()
			if typ == 1 {
				scope = "/subscriptions/" + words[0]
			}
			return join2(scope, words[typ], words[typ+1:])
		}),
		"tenantresourceid": plain(2, -1, func(_ *evaluator, args []any) (any, error) {
			words, _, err := idArgs(args, 0)
			if err != nil {
				return nil, err
			}
			return join2("", words[0], words[1:])
		}),
		"extensionresourceid": plain(3, -1, func(_ *evaluator, args []any) (any, error) {
			words, _, err := idArgs(args[1:], 0)
			if err != nil {
				return nil, err
			}
			base, err := textArg(args, 0)
			if err != nil {
				return nil, err
			}
			return join2(strings.TrimSuffix(base, "/"), words[0], words[1:])
		}),
		"reference":    special(1, 3, referenceFunction),
		"resourceinfo": plain(1, 1, resourceInfo),
		"references":   special(1, 2, referencesFunction),
	}
}

// idArgs are arguments that are all text, and the place of the type: the first that has a slash, after at most before others.
func idArgs(args []any, before int) (words []string, typ int, err error) {
	typ = -1
	for i := range args {
		s, err := textArg(args, i)
		if err != nil {
			return nil, 0, err
		}
		words = append(words, s)
		if typ < 0 && i <= before && strings.Contains(s, "/") {
			typ = i
		}
	}
	if typ < 0 || typ == len(words)-1 {
		return nil, 0, errors.New("the arguments must name a resource type, such as 'Microsoft.Compute/disks', and a resource")
	}
	return words, typ, nil
}

// resourceID takes [subscription], [group], type, names…
func (e *evaluator) resourceID(args []any) (string, error) {
	words, typ, err := idArgs(args, 2)
	if err != nil {
		return "", err
	}
	scope := e.in.env.Scope
	switch {
	case typ == 2:
		scope = "/subscriptions/" + words[0] + "/resourceGroups/" + words[1]
	case typ == 1 && isGUID(words[0]):
		if _, group, ok := strings.Cut(e.in.env.Scope, "/resourceGroups/"); ok {
			scope = "/subscriptions/" + words[0] + "/resourceGroups/" + group
		} else {
			scope = "/subscriptions/" + words[0]
		}
	case typ == 1:
		scope = e.subscriptionScope() + "/resourceGroups/" + words[0]
	}
	return join2(scope, words[typ], words[typ+1:])
}

func isGUID(s string) bool {
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-'
}

func (e *evaluator) subscriptionScope() string {
	scope, _, _ := strings.Cut(e.in.env.Scope, "/resourceGroups/")
	return scope
}

// join2 is the id of the resource in the scope, or why type and names don't fit.
func join2(scope, typ string, names []string) (string, error) {
	id, ok := idOf(scope, typ, names)
	if !ok {
		return "", fmt.Errorf("the type '%s' requires '%d' resource name argument(s), and '%d' were given", typ, strings.Count(typ, "/"), len(names))
	}
	return id, nil
}

// idOf is the id of the resource of the type in the scope. A resource group has an id of its own form.
func idOf(scope, typ string, names []string) (string, bool) {
	parts := strings.Split(strings.Trim(typ, "/"), "/")
	if len(parts)-1 != len(names) || len(names) == 0 {
		return "", false
	}
	if strings.EqualFold(typ, "Microsoft.Resources/resourceGroups") {
		scope, _, _ = strings.Cut(scope, "/resourceGroups/")
		return scope + "/resourceGroups/" + names[0], true
	}
	id := scope + "/providers/" + parts[0]
	for i, n := range names {
		id += "/" + parts[i+1] + "/" + n
	}
	return id, true
}

// listFunction is any function whose name begins with list: a POST to the resource.
func listFunction(e *evaluator, c *call) (any, error) {
	if len(c.args) < 1 || len(c.args) > 3 {
		return nil, fmt.Errorf("the template function '%s' was given '%d' arguments, which is not what it takes", c.name, len(c.args))
	}
	args, err := e.arguments(c)
	if err != nil {
		return nil, err
	}
	return e.outside(c.name, args, func(id, version string) (any, error) {
		var body any
		if len(args) == 3 {
			body = args[2]
		}
		return e.runtime.List(c.name, id, version, body)
	})
}

func referenceFunction(e *evaluator, c *call) (any, error) {
	args, err := e.arguments(c)
	if err != nil {
		return nil, err
	}
	full := false
	if len(args) == 3 && !isUnknown(args[2]) {
		word, err := textArg(args, 2)
		if err != nil || !strings.EqualFold(word, "full") {
			return nil, errors.Join(err, errors.New("the third argument of the function 'reference' can only be 'Full'"))
		}
		full = true
	}
	return e.outside("reference", args, func(id, version string) (any, error) {
		return e.reference(id, version, full)
	})
}

func (e *evaluator) reference(id, version string, full bool) (any, error) {
	whole, err := e.runtime.Reference(id, version)
	if err != nil {
		return nil, err
	}
	if !full {
		properties, _ := get(whole, "properties")
		return properties, nil
	}
	out := make(map[string]any, len(whole)+3)
	for k, v := range whole {
		switch strings.ToLower(k) {
		case "id", "name", "type":
		default:
			out[k] = v
		}
	}
	out["apiVersion"], out["resourceId"] = version, strings.TrimPrefix(strings.TrimPrefix(id, e.in.env.Scope), "/providers/")
	part := strings.Split(id, "/")
	for i := 0; i+1 < len(part); i++ {
		switch {
		case strings.EqualFold(part[i], "subscriptions"):
			out["subscriptionId"] = part[i+1]
		case strings.EqualFold(part[i], "resourceGroups"):
			out["resourceGroupName"] = part[i+1]
		}
	}
	return out, nil
}

// outside asks for a resource. What it names is recorded; before there are resources the answer is unknown.
func (e *evaluator) outside(name string, args []any, ask func(id, version string) (any, error)) (any, error) {
	if e.mode == modeStatic || e.mode == modeDefault || e.inFunction {
		return nil, fmt.Errorf("the template function '%s' is not expected at this location. Please see https://aka.ms/arm-template-expressions for usage details", name)
	}
	if isUnknown(args...) {
		return unknown{}, nil
	}
	what, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	version := ""
	if len(args) > 1 && args[1] != nil {
		if version, err = textArg(args, 1); err != nil {
			return nil, err
		}
	}
	e.used = append(e.used, what)
	id := what
	if r := e.in.resolve(what); r != nil {
		id = r.ID
		if version == "" {
			version = r.APIVersion
		}
	} else if !strings.HasPrefix(what, "/") {
		return nil, fmt.Errorf("the resource reference '%s' is not valid: it could not be found in the template. The reference must be a resource identifier or the name of a resource in the template", what)
	}
	if e.mode == modePreflight {
		return unknown{}, nil
	}
	v, err := ask(id, version)
	if err != nil {
		return nil, err
	}
	return v, e.weigh(v)
}

func resourceInfo(e *evaluator, args []any) (any, error) {
	name, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	r := e.in.resolve(name)
	if r == nil {
		return nil, fmt.Errorf("the resource '%s' is not defined in the template", name)
	}
	return map[string]any{"id": r.ID, "name": r.Name, "type": r.Type, "apiVersion": r.APIVersion}, nil
}

// referencesFunction gives all resources of a loop, by its symbolic name.
func referencesFunction(e *evaluator, c *call) (any, error) {
	args, err := e.arguments(c)
	if err != nil || isUnknown(args...) {
		return unknown{}, err
	}
	name, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, r := range e.in.loops[strings.ToLower(name)] {
		v, err := e.outside("references", []any{r.ID}, func(id, version string) (any, error) {
			return e.reference(id, version, len(args) > 1)
		})
		if err != nil || isUnknown(v) {
			return unknown{}, err
		}
		out = append(out, v)
	}
	return out, nil
}
