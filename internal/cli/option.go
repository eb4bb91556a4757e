package cli

import (
	"slices"
	"strconv"
	"strings"
)

// arity says how many values an option takes, in argparse's words.
type arity int

const (
	one      arity = iota // exactly one value
	none                  // a switch
	boolean               // nothing, or true, or false
	anyNo                 // as many as follow, also none
	atLeast1              // one or more
)

// option is one command-line option of a command.
type option struct {
	long     string // without dashes
	short    string // one or more letters
	arity    arity
	choices  []string // values allowed, in az's order and case; compared without case
	integer  bool
	required bool
	hidden   bool
	help     string
	alias    string // a second long name
	repeated bool   // every occurrence counts, not only the last
}

// display is the option's name in messages: --name/-n.
func (o *option) display() string {
	return strings.Join(o.names(), "/")
}

func (o *option) names() []string {
	names := []string{"--" + o.long}
	if o.alias != "" {
		names = append(names, "--"+o.alias)
	}
	for _, letter := range o.short {
		names = append(names, "-"+string(letter))
	}
	return names
}

// admit checks one value and brings it to its canonical form.
func (o *option) admit(command, value string) (string, error) {
	if o.integer {
		if _, err := strconv.ParseInt(value, 10, 64); err != nil {
			return "", usagef("argument %s: invalid int value: '%s'", o.display(), value)
		}
	}
	if len(o.choices) == 0 {
		return value, nil
	}
	i := slices.IndexFunc(o.choices, func(c string) bool { return strings.EqualFold(c, value) })
	if i < 0 {
		return "", usagef("tintype %s: '%s' is not a valid value for '--%s'. Allowed values: %s.",
			command, value, o.long, strings.Join(o.choices, ", "))
	}
	return o.choices[i], nil
}

// arguments are the options that were given, by long name.
type arguments struct {
	values map[string][]string
	edits  []edit // --set, --add and --remove in the order given
}

// edit is one occurrence of a generic update option.
type edit struct {
	verb   string // set, add or remove
	values []string
}

func (a *arguments) has(name string) bool { _, ok := a.values[name]; return ok }

// get returns the last value given, or "".
func (a *arguments) get(name string) string {
	v := a.values[name]
	if len(v) == 0 {
		return ""
	}
	return v[len(v)-1]
}

// or returns the last value given, or def when the option is absent.
func (a *arguments) or(name, def string) string {
	if !a.has(name) {
		return def
	}
	return a.get(name)
}

// yes says whether a switch is given, or a boolean option given and not false.
func (a *arguments) yes(name string) bool { return a.has(name) && a.get(name) != "false" }

// int returns an integer option, which admit has already checked.
func (a *arguments) int(name string) int64 {
	n, err := strconv.ParseInt(a.get(name), 10, 64)
	if err != nil {
		return 0 // never: admit refused it
	}
	return n
}
