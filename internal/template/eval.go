package template

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Bounds of one evaluation: the calls of functions and the bytes that they make.
const (
	maxSteps = 1_000_000
	maxBytes = 32 << 20
)

// maxWork bounds what all evaluations of an instance do together, so that no template takes seconds of a processor,
// however its loops multiply. A unit is about a nanosecond.
const maxWork = 600_000_000

// The units of a step, of a byte of an expression that is parsed, and of a member of an object or array that may be looked at.
const (
	stepWork   = 100
	parseWork  = 40
	memberWork = 16
)

// Environment is what an evaluation knows of where it happens. Its values are plain ones of the language.
type Environment struct {
	Subscription map[string]any
	// Group is nil in a deployment to a subscription.
	Group      map[string]any
	Tenant     map[string]any
	Deployment map[string]any
	Cloud      map[string]any // what environment() gives
	Deployer   map[string]any
	// Scope is the id of the subscription or group to which the template is deployed.
	Scope string
	Now   time.Time
	// NewGUID makes a random GUID.
	NewGUID func() string
}

// Runtime is what exists. It may be called by many goroutines at once.
type Runtime interface {
	// Reference gives the whole resource. The version may be "".
	Reference(id, version string) (map[string]any, error)
	// List calls a list function, such as listKeys, of the resource.
	List(function, id, version string, body any) (any, error)
}

// mode says what an evaluation may ask of the outside.
type mode uint8

const (
	modeStatic    mode = iota // nothing
	modeDefault               // nothing but the time and new GUIDs: defaults of parameters
	modePreflight             // what exists is unknown, and who asks for it is recorded
	modeRun                   // what exists
)

var errTooMuch = errors.New("the template language expressions take too many steps or make too large values")

// evaluator evaluates the expressions of one document part. It is used by one goroutine.
type evaluator struct {
	in      *Instance
	mode    mode
	runtime Runtime

	steps, bytes int
	unknown      bool // something that was evaluated is unknown
	used         []string
	copies       []turn
	parameters   map[string]any // of the template's own function that is running, instead of the template's
	inFunction   bool
	lambdas      []map[string]any
	variables    map[string]any // evaluated so far, by lower case
	pending      map[string]bool
	depth        int
}

// turn is one turn of a copy loop.
type turn struct {
	name  string // "" only for none
	index int64
	// resource tells a loop over resources (or outputs), which copyIndex() without a name means.
	resource bool
}

func (in *Instance) evaluator(m mode) *evaluator {
	return &evaluator{in: in, mode: m, variables: map[string]any{}, pending: map[string]bool{}}
}

// charge counts n bytes or as many small steps.
func (e *evaluator) charge(n int) error {
	e.bytes += n
	if e.bytes > maxBytes {
		return errTooMuch
	}
	return e.work(n)
}

// work counts n units of what the instance may do in all.
func (e *evaluator) work(n int) error {
	if e.in.spent.Add(int64(n)) > maxWork {
		return errTooMuch
	}
	return nil
}

// look counts what a function may look at of its arguments. What it looks at below them it charges itself.
func (e *evaluator) look(args []any) error {
	n := 0
	for _, v := range args {
		switch v := v.(type) {
		case string:
			n += 2 * len(v)
		case []any:
			n += memberWork * len(v)
		case map[string]any:
			n += memberWork * len(v)
		}
	}
	return e.work(n)
}

// text evaluates a string of a template: an expression, or plain text.
func (e *evaluator) text(s string) (any, error) {
	body, is, plain := expression(s)
	if !is {
		return plain, nil
	}
	if err := e.work(parseWork * len(s)); err != nil {
		return nil, err
	}
	n, err := parse(body)
	if err != nil {
		return nil, err
	}
	return e.eval(n)
}

// tree evaluates a value of a template and all in it. What is unknown stays as it is written. Keys may be expressions.
// With loops set, an object's "copy" makes properties.
func (e *evaluator) tree(v any, path string, loops bool) (any, error) {
	switch v := v.(type) {
	case string:
		out, err := e.text(v)
		if err != nil {
			return nil, at(path, err)
		}
		switch out.(type) {
		case unknown:
			e.unknown = true
			return v, e.charge(len(v))
		case *lambda:
			return nil, invalid(path, "A lambda function is only valid as an argument of a function.")
		}
		return out, e.charge(8)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = e.tree(v[i], fmt.Sprintf("%s[%d]", path, i), loops); err != nil {
				return nil, err
			}
		}
		return out, e.charge(8 * len(v))
	case map[string]any:
		return e.object(v, path, loops)
	}
	return v, nil
}

func (e *evaluator) object(m map[string]any, path string, loops bool) (any, error) {
	out := make(map[string]any, len(m))
	for _, k := range sortedKeys(m) {
		if loops && strings.EqualFold(k, "copy") {
			if list, ok := m[k].([]any); ok {
				if err := e.propertyLoops(out, list, path+".copy"); err != nil {
					return nil, err
				}
				continue
			}
		}
		key, err := e.text(k)
		if err != nil {
			return nil, at(path, err)
		}
		name, ok := key.(string)
		if !ok {
			return nil, invalid(path, "The name of a property is of type '%s'. It must be a string.", kindOf(key))
		}
		if out[name], err = e.tree(m[k], path+"."+k, loops); err != nil {
			return nil, err
		}
	}
	return out, e.charge(16 * len(m))
}

// maxTurns is Azure's limit of a copy loop.
const maxTurns = 800

// propertyLoops makes the arrays that the entries of a "copy" describe.
func (e *evaluator) propertyLoops(out map[string]any, list []any, path string) error {
	for i, entry := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		loop, ok := entry.(map[string]any)
		if !ok {
			return invalid(at, "A copy loop must be an object.")
		}
		name, err := e.textField(loop, "name", at)
		if err != nil {
			return err
		}
		input, _ := get(loop, "input")
		if out[name], err = e.loop(loop, name, false, input, at); err != nil {
			return err
		}
	}
	return nil
}

// loop evaluates input once for each turn.
func (e *evaluator) loop(loop map[string]any, name string, resource bool, input any, path string) ([]any, error) {
	n, err := e.turns(loop, path)
	if err != nil {
		return nil, err
	}
	made := make([]any, 0, n)
	for i := range n {
		e.copies = append(e.copies, turn{name: name, index: i, resource: resource})
		v, err := e.tree(input, path+".input", true)
		e.copies = e.copies[:len(e.copies)-1]
		if err != nil {
			return nil, err
		}
		made = append(made, v)
	}
	return made, nil
}

// turns is the count of a copy loop.
func (e *evaluator) turns(loop map[string]any, path string) (int64, error) {
	raw, _ := get(loop, "count")
	v, err := e.tree(raw, path+".count", false)
	if err != nil {
		return 0, err
	}
	n, ok := v.(int64)
	if !ok || n < 0 || n > maxTurns {
		return 0, invalid(path, "The 'count' of a copy loop must be a whole number from 0 to %d.", maxTurns)
	}
	return n, nil
}

// textField evaluates a field that must be text.
func (e *evaluator) textField(m map[string]any, field, path string) (string, error) {
	raw, ok := get(m, field)
	if !ok {
		return "", invalid(path, "The property '%s' is missing.", field)
	}
	v, err := e.tree(raw, path+"."+field, false)
	if err != nil {
		return "", err
	}
	s, ok := v.(string)
	if !ok || s == "" {
		return "", invalid(path, "The property '%s' must be a string that is not empty.", field)
	}
	return s, nil
}

// at puts a path on an error that has none.
func at(path string, err error) error {
	var known *Error
	if errors.As(err, &known) {
		if known.Path == "" {
			return &Error{Path: path, Message: known.Message, Cause: known.Cause}
		}
		return err
	}
	return &Error{
		Path: path, Cause: err,
		Message: fmt.Sprintf("Unable to process template language expressions: '%s'", err.Error()),
	}
}

// maxCalls bounds how deep evaluations go: expressions, variables in variables, functions of the template, lambdas.
const maxCalls = 1000

func (e *evaluator) eval(n node) (any, error) {
	if e.steps++; e.steps > maxSteps {
		return nil, errTooMuch
	}
	if err := e.work(stepWork); err != nil {
		return nil, err
	}
	if e.depth++; e.depth > maxCalls {
		return nil, errTooMuch
	}
	defer func() { e.depth-- }()
	switch n := n.(type) {
	case literal:
		return n.value, nil
	case *access:
		return e.access(n)
	case *call:
		return e.call(n)
	}
	return nil, errors.New("the expression is not valid")
}

func (e *evaluator) access(n *access) (any, error) {
	of, err := e.eval(n.of)
	if err != nil {
		return nil, err
	}
	key, err := e.eval(n.key)
	if err != nil {
		return nil, err
	}
	if isUnknown(of, key) {
		return unknown{}, nil
	}
	if err := e.lookUp(of, key); err != nil {
		return nil, err
	}
	v, ok, err := member(of, key)
	if err == nil && !ok {
		err = absent(of, key)
	}
	return v, err
}

// lookUp counts the search for a member whose name is not written as in the object.
func (e *evaluator) lookUp(of, key any) error {
	m, is := of.(map[string]any)
	name, text := key.(string)
	if _, exact := m[name]; !is || !text || exact {
		return nil
	}
	return e.work(memberWork * len(m))
}

// absent words that there is no such member.
func absent(of, key any) error {
	if m, ok := of.(map[string]any); ok {
		return fmt.Errorf("the language expression property '%v' doesn't exist, available properties are '%s'", key, strings.Join(sortedKeys(m), ", "))
	}
	return fmt.Errorf("the language expression property array index '%v' is out of bounds", key)
}

// member finds what key names in an object or array; ok is false when there is none.
func member(of, key any) (v any, ok bool, err error) {
	switch of := of.(type) {
	case map[string]any:
		name, is := key.(string)
		if !is {
			return nil, false, fmt.Errorf("a property of an object is named by a string, not by a value of type '%s'", kindOf(key))
		}
		v, ok = get(of, name)
		return v, ok, nil
	case []any:
		i, is := key.(int64)
		if !is {
			return nil, false, fmt.Errorf("an element of an array is named by a whole number, not by a value of type '%s'", kindOf(key))
		}
		if i < 0 || i >= int64(len(of)) {
			return nil, false, nil
		}
		return of[i], true, nil
	}
	return nil, false, fmt.Errorf("the language expression property '%v' can't be evaluated: a value of type '%s' has no properties", key, kindOf(of))
}

func isUnknown(all ...any) bool {
	for _, v := range all {
		if _, ok := v.(unknown); ok {
			return true
		}
	}
	return false
}

func (e *evaluator) call(c *call) (any, error) {
	if c.namespace != "" {
		return e.ownFunction(c)
	}
	lower := strings.ToLower(c.name)
	f, ok := e.in.template.functions[lower]
	if !ok && strings.HasPrefix(lower, "list") {
		return listFunction(e, c)
	}
	if !ok {
		return nil, fmt.Errorf("the template function '%s' is not valid", c.name)
	}
	if len(c.args) < f.least || f.most >= 0 && len(c.args) > f.most {
		return nil, fmt.Errorf("the template function '%s' was given '%d' arguments, which is not what it takes", c.name, len(c.args))
	}
	if f.special != nil {
		return f.special(e, c)
	}
	args, err := e.arguments(c)
	if err != nil {
		return nil, err
	}
	if isUnknown(args...) {
		return unknown{}, nil
	}
	if err := e.look(args); err != nil {
		return nil, err
	}
	v, err := f.plain(e, args)
	if errors.As(err, &errUnknown{}) {
		return unknown{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("unable to evaluate template language function '%s': %w", c.name, err)
	}
	return v, e.chargeValue(v)
}

func (e *evaluator) arguments(c *call) ([]any, error) {
	args := make([]any, len(c.args))
	for i, a := range c.args {
		var err error
		if args[i], err = e.eval(a); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// chargeValue charges what a function made, without what it only refers to.
func (e *evaluator) chargeValue(v any) error {
	switch v := v.(type) {
	case string:
		return e.charge(len(v))
	case []any:
		return e.charge(16 * len(v))
	case map[string]any:
		return e.charge(32 * len(v))
	}
	return nil
}
