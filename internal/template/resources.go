package template

import (
	"fmt"
	"strings"
)

// maxResources is Azure's limit of a template.
const maxResources = 800

// Resource is one resource of a template: one turn of its loop, if it has one.
type Resource struct {
	Symbol     string // in version 2.0 of the language
	Name       string // of all segments, with slashes
	Type       string
	APIVersion string
	ID         string
	// Existing resources are only referred to; those whose condition is false are Skipped. Neither is deployed.
	Existing, Skipped bool
	// Depends are the resources of the template that must be there before.
	Depends []*Resource

	in     *Instance
	raw    map[string]any
	path   string
	copies []turn
	parent *Resource
	loop   string // the name of the loop that made it
}

// Resources are those to deploy, each after all on which it depends.
func (in *Instance) Resources() []*Resource {
	var out []*Resource
	for _, r := range in.resources {
		if !r.Existing && !r.Skipped {
			out = append(out, r)
		}
	}
	return out
}

// expand makes the resources, and finds what they depend on.
func (in *Instance) expand() error {
	e := in.evaluator(modeStatic)
	for _, entry := range in.template.resources {
		if err := in.expandEntry(e, entry, nil, 0); err != nil {
			return err
		}
	}
	if err := in.dependencies(); err != nil {
		return err
	}
	return in.checkOutputs()
}

// maxChildren bounds how deep resources are written inside of each other.
const maxChildren = 8

func (in *Instance) expandEntry(e *evaluator, entry entry, parent *Resource, depth int) error {
	raw, ok := entry.raw.(map[string]any)
	if !ok || depth > maxChildren {
		return invalid(entry.path, "A resource of the template must be an object, and not nested deeper than %d.", maxChildren)
	}
	loop, looped := get(raw, "copy")
	if !looped {
		return in.expandOne(e, entry, raw, parent, depth, "")
	}
	m, ok := loop.(map[string]any)
	if !ok {
		return invalid(entry.path+".copy", "The copy loop of a resource must be an object.")
	}
	name, err := e.textField(m, "name", entry.path+".copy")
	if err != nil {
		return err
	}
	n, err := e.turns(m, entry.path+".copy")
	if err != nil {
		return err
	}
	from := len(in.resources)
	for i := range n {
		one := entry
		if entry.symbol != "" {
			one.symbol = fmt.Sprintf("%s[%d]", entry.symbol, i)
		}
		e.copies = append(e.copies, turn{name: name, index: i, resource: true})
		err := in.expandOne(e, one, raw, parent, depth, name)
		e.copies = e.copies[:len(e.copies)-1]
		if err != nil {
			return err
		}
	}
	var made []*Resource
	for _, r := range in.resources[from:] {
		if r.loop == name && r.path == entry.path {
			made = append(made, r)
		}
	}
	for _, key := range []string{name, entry.symbol} {
		if key != "" {
			in.loops[strings.ToLower(key)] = made
		}
	}
	return serial(e, m, made, entry.path+".copy")
}

// serial has each batch of a serial loop wait for the batch before it.
func serial(e *evaluator, loop map[string]any, made []*Resource, path string) error {
	mode, ok := get(loop, "mode")
	if s, is := mode.(string); !ok || !is || !strings.EqualFold(s, "serial") {
		return nil
	}
	size := int64(1)
	if raw, ok := get(loop, "batchSize"); ok {
		v, err := e.tree(raw, path, false)
		if err != nil {
			return err
		}
		if size, ok = v.(int64); !ok || size < 1 {
			return invalid(path, "The 'batchSize' of a copy loop must be a whole number of at least 1.")
		}
	}
	size = min(size, int64(len(made))+1)
	for i := size; i < int64(len(made)); i++ {
		before := i/size*size - size
		for _, on := range made[before : before+size] {
			made[i].dependOn(on)
		}
	}
	return nil
}

func (in *Instance) expandOne(e *evaluator, entry entry, raw map[string]any, parent *Resource, depth int, loop string) error {
	if len(in.resources) >= maxResources {
		return invalid(entry.path, "The number of template resources exceeds the limit of '%d'.", maxResources)
	}
	r := &Resource{Symbol: entry.symbol, in: in, raw: raw, path: entry.path, parent: parent, loop: loop}
	r.copies = append(r.copies, e.copies...)
	if err := r.identify(e); err != nil {
		return err
	}
	if err := in.register(r); err != nil {
		return err
	}
	children, ok := get(raw, "resources")
	if !ok {
		return nil
	}
	switch list := children.(type) {
	case []any:
		for i, child := range list {
			path := fmt.Sprintf("%s.resources[%d]", entry.path, i)
			if err := in.expandEntry(e, entryOf("", child, path), r, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, k := range sortedKeys(list) {
			if err := in.expandEntry(e, entryOf(k, list[k], entry.path+".resources."+k), r, depth+1); err != nil {
				return err
			}
		}
	default:
		return invalid(entry.path, "The 'resources' of a resource must be an array.")
	}
	return nil
}

func entryOf(symbol string, raw any, path string) entry {
	return entry{symbol: symbol, raw: raw, path: path}
}

// identify finds what the resource is: condition, name, type, api-version and id.
func (r *Resource) identify(e *evaluator) error {
	if existing, _ := get(r.raw, "existing"); existing == true {
		r.Existing = true
	}
	if cond, ok := get(r.raw, "condition"); ok {
		v, err := e.tree(cond, r.path+".condition", false)
		if err != nil {
			return err
		}
		b, ok := v.(bool)
		if !ok {
			return invalid(r.path, "The condition of a resource must be of type 'Boolean', and is of type '%s'.", kindOf(v))
		}
		r.Skipped = !b
	}
	var err error
	if r.Type, err = e.textField(r.raw, "type", r.path); err != nil {
		return err
	}
	if r.Name, err = e.textField(r.raw, "name", r.path); err != nil {
		return err
	}
	if _, ok := get(r.raw, "apiVersion"); !ok {
		return invalid(r.path, "The template resource '%s' of type '%s' has no 'apiVersion'.", r.Name, r.Type)
	}
	if r.APIVersion, err = e.textField(r.raw, "apiVersion", r.path); err != nil {
		return err
	}
	if r.parent != nil {
		r.Type, r.Name = r.parent.Type+"/"+r.Type, r.parent.Name+"/"+r.Name
	}
	scope, err := r.scope(e)
	if err != nil {
		return err
	}
	var ok bool
	if r.ID, ok = idOf(scope, r.Type, strings.Split(r.Name, "/")); !ok || !strings.Contains(r.Type, ".") {
		return invalid(r.path, "The template resource '%.200s' for type '%.200s' has incorrect segment lengths. A nested resource type must have identical "+
			"number of segments as its resource name. A root resource type must have segment length one greater than its resource name. "+
			"Please see https://aka.ms/arm-syntax-resources for usage details.", r.Name, r.Type)
	}
	return nil
}

// scope is where the resource is: where its template is deployed, unless it says otherwise.
func (r *Resource) scope(e *evaluator) (string, error) {
	scope := e.in.env.Scope
	for _, field := range []string{"subscriptionId", "resourceGroup", "scope"} {
		if _, ok := get(r.raw, field); !ok {
			continue
		}
		v, err := e.textField(r.raw, field, r.path)
		if err != nil {
			return "", err
		}
		subscription, _, _ := strings.Cut(scope, "/resourceGroups/")
		switch field {
		case "subscriptionId":
			scope = "/subscriptions/" + v
		case "resourceGroup":
			scope = subscription + "/resourceGroups/" + v
		default:
			scope = strings.TrimSuffix(v, "/")
			if !strings.HasPrefix(v, "/") {
				scope = e.in.env.Scope + "/providers/" + v
				if o := e.in.resolve(v); o != nil {
					scope = o.ID
				}
			}
		}
	}
	return scope, nil
}

func (in *Instance) register(r *Resource) error {
	in.resources = append(in.resources, r)
	if r.Symbol != "" {
		in.bySymbol[r.Symbol] = r
	}
	key := strings.ToLower(r.ID)
	other := in.byID[key]
	switch {
	case other == nil || other.Skipped || other.Existing:
		in.byID[key] = r
	case r.Skipped || r.Existing:
	default:
		return invalid(r.path, "The resource '%s' is defined multiple times in a template. Please see https://aka.ms/arm-syntax-resources for usage details.",
			strings.TrimPrefix(r.ID, in.env.Scope+"/providers/"))
	}
	return nil
}

// resolve finds a resource of the template by symbolic name, id, name, or type and name; nil when there is none.
func (in *Instance) resolve(what string) *Resource {
	if r := in.bySymbol[what]; r != nil {
		return r
	}
	lower := strings.ToLower(what)
	if strings.HasPrefix(lower, "/") {
		return in.byID[lower]
	}
	if r := in.byID[strings.ToLower(in.env.Scope)+"/providers/"+lower]; r != nil {
		return r
	}
	var found *Resource
	for _, r := range in.resources {
		if strings.EqualFold(r.Name, what) || strings.EqualFold(r.Type+"/"+r.Name, what) {
			if found == nil || found.Skipped {
				found = r
			}
		}
	}
	return found
}
