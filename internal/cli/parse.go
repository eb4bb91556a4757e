package cli

import (
	"slices"
	"strings"
)

// parser reads a command line by argparse's rules, which az users know: an
// unambiguous prefix of an option stands for it, --opt=value and -ovalue are
// allowed, and some options take several values.
type parser struct {
	command string // "disk create"
	options []*option
	args    *arguments
	unknown []string
	rest    []string
}

// parseArguments reads line; the error is a usageError with az's text.
func parseArguments(command string, options []*option, line []string) (*arguments, error) {
	p := &parser{command: command, options: options, rest: line, args: &arguments{values: map[string][]string{}}}
	for len(p.rest) > 0 {
		token := p.rest[0]
		p.rest = p.rest[1:]
		if err := p.token(token); err != nil {
			return nil, err
		}
	}
	if err := p.missing(); err != nil {
		return nil, err
	}
	if len(p.unknown) > 0 {
		return nil, usagef("unrecognized arguments: %s", strings.Join(p.unknown, " "))
	}
	return p.args, nil
}

func (p *parser) token(token string) error {
	if !looksLikeOption(token) {
		p.unknown = append(p.unknown, token)
		return nil
	}
	o, attached, err := p.find(token)
	if err != nil {
		return err
	}
	if o == nil {
		p.unknown = append(p.unknown, token)
		return nil
	}
	values, err := p.take(o, attached)
	if err != nil {
		return err
	}
	for i, v := range values {
		if values[i], err = o.admit(p.command, v); err != nil {
			return err
		}
	}
	switch o.long {
	case "set", "add", "remove":
		p.args.edits = append(p.args.edits, edit{verb: o.long, values: values})
	}
	if o.repeated {
		values = append(p.args.values[o.long], values...)
	}
	p.args.values[o.long] = values
	return nil
}

// find returns the option that token names and the value attached to it, if any.
func (p *parser) find(token string) (*option, *string, error) {
	if !strings.HasPrefix(token, "--") {
		for _, o := range p.options {
			if strings.Contains(o.short, token[1:2]) {
				if len(token) == 2 {
					return o, nil, nil
				}
				value := strings.TrimPrefix(token[2:], "=")
				return o, &value, nil
			}
		}
		return nil, nil, nil
	}
	name, value, hasValue := strings.Cut(token[2:], "=")
	var attached *string
	if hasValue {
		attached = &value
	}
	var matches []*option
	for _, o := range p.options {
		if o.long == name || o.alias == name {
			return o, attached, nil
		}
		if strings.HasPrefix(o.long, name) || (o.alias != "" && strings.HasPrefix(o.alias, name)) {
			matches = append(matches, o)
		}
	}
	if len(matches) > 1 {
		names := make([]string, len(matches))
		for i, o := range matches {
			names[i] = "--" + o.long
		}
		return nil, nil, usagef("ambiguous option: --%s could match %s", name, strings.Join(names, ", "))
	}
	if len(matches) == 0 {
		return nil, nil, nil
	}
	return matches[0], attached, nil
}

// take collects the values of o from what follows it.
func (p *parser) take(o *option, attached *string) ([]string, error) {
	if attached != nil {
		if o.arity == none {
			return nil, usagef("argument %s: ignored explicit argument '%s'", o.display(), *attached)
		}
		return []string{*attached}, nil
	}
	switch o.arity {
	case none:
		return []string{"true"}, nil
	case boolean:
		if len(p.rest) > 0 && !looksLikeOption(p.rest[0]) {
			return p.shift(1), nil
		}
		return []string{"true"}, nil
	case one:
		if len(p.rest) == 0 || looksLikeOption(p.rest[0]) {
			return nil, usagef("argument %s: expected one argument", o.display())
		}
		return p.shift(1), nil
	default:
		n := slices.IndexFunc(p.rest, looksLikeOption)
		if n < 0 {
			n = len(p.rest)
		}
		if n == 0 && o.arity == atLeast1 {
			return nil, usagef("argument %s: expected at least one argument", o.display())
		}
		return p.shift(n), nil
	}
}

func (p *parser) shift(n int) []string {
	taken := slices.Clone(p.rest[:n])
	p.rest = p.rest[n:]
	return taken
}

func (p *parser) missing() error {
	var names []string
	for _, o := range p.options {
		if o.required && !p.args.has(o.long) {
			names = append(names, o.display())
		}
	}
	if len(names) == 0 {
		return nil
	}
	return usagef("the following arguments are required: %s", strings.Join(names, ", "))
}

// looksLikeOption is argparse's rule: a dash in front, unless it is a negative
// number or holds a space.
func looksLikeOption(token string) bool {
	if len(token) < 2 || token[0] != '-' || strings.Contains(token, " ") {
		return false
	}
	return !(token[1] >= '0' && token[1] <= '9') && !(token[1] == '.' && len(token) > 2)
}
