package cli

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// This file is az's generic update: --set, --add and --remove on the object as it
// is shown.

const errCancelled = azText("Operation cancelled.")

func updateOptions() []*option {
	return []*option{
		{long: "set", arity: atLeast1, help: "Update an object by specifying a property path and value to set. Example: --set property1.property2=<value>"},
		{long: "add", arity: atLeast1, help: "Add an object to a list of objects by specifying a path and key value pairs. Example: --add property.listProperty <key=value, string or JSON string>"},
		{long: "remove", arity: atLeast1, help: "Remove a property or an element from a list. Example: --remove property.list <indexToRemove> OR --remove propertyToRemove"},
		{long: "force-string", arity: none, help: "When using 'set' or 'add', preserve string literals instead of attempting to convert to JSON"},
	}
}

// applyEdits changes o in the order in which the edits were given.
func applyEdits(o map[string]any, edits []edit, literal bool) error {
	for _, e := range edits {
		var err error
		switch e.verb {
		case "set":
			for _, expression := range e.values {
				if err = setProperty(o, expression, literal); err != nil {
					return err
				}
			}
		case "add":
			err = addProperty(o, e.values, literal)
		case "remove":
			err = removeProperty(o, e.values)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var segment = regexp.MustCompile(`(\[.*?\])|([^.]+)`)

// pathOf splits a.b[0].c into a, b, [0], c.
func pathOf(text string) []string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, ".[", "["), "[", ".[")
	return segment.FindAllString(text, -1)
}

// splitExpression cuts key=value at the first = outside brackets.
func splitExpression(text string) (key, value string) {
	depth := 0
	for i, c := range text {
		switch {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == '=' && depth <= 0:
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

func parseValue(text string, literal bool) any {
	if literal {
		return text
	}
	if v, err := decodeJSON([]byte(text)); err == nil && json.Valid([]byte(text)) {
		return v
	}
	return text
}

func setProperty(root map[string]any, expression string, literal bool) error {
	key, text := splitExpression(expression)
	path := pathOf(key)
	if len(path) == 0 {
		return azText("usage error: Empty key in --set. Correct syntax: --set KEY=VALUE [KEY=VALUE ...]")
	}
	return change(root, path, parseValue(text, literal))
}

// change stores value at path, making the objects on the way that are null.
func change(root map[string]any, path []string, value any) error {
	name, parents := path[len(path)-1], path[:len(path)-1]
	holder, err := find(root, parents)
	if err != nil {
		return err
	}
	if holder == nil {
		made := map[string]any{}
		if err := change(root, parents, made); err != nil {
			return err
		}
		holder = made
	}
	index, isIndex := indexOf(name)
	switch h := holder.(type) {
	case map[string]any:
		if _, known := h[name]; !known && len(parents) == 0 {
			return noSuch(h, name, path)
		}
		h[name] = value
		return nil
	case []any:
		if isIndex && index >= 0 && index < len(h) {
			h[index] = value
			return nil
		}
		if isIndex {
			return fmt.Errorf("index %d doesn't exist on %s", index, name)
		}
	}
	return noSuch(holder, name, path)
}

func addProperty(root map[string]any, words []string, literal bool) error {
	path := pathOf(words[0])
	if len(path) == 0 {
		return azText("usage error: --add <path> <key=value, string or JSON string>")
	}
	held, err := find(root, path)
	if err != nil {
		return err
	}
	list, ok := held.([]any)
	if held != nil && !ok {
		return fmt.Errorf("'%s' is not a list", words[0])
	}
	var entry map[string]any
	for _, word := range words[1:] {
		if key, value, pair := strings.Cut(word, "="); pair {
			if entry == nil {
				entry = map[string]any{}
			}
			entry[key] = value
			continue
		}
		if entry != nil {
			list, entry = append(list, entry), nil
		}
		list = append(list, parseValue(word, literal))
	}
	if entry != nil {
		list = append(list, entry)
	}
	return change(root, path, list)
}

func removeProperty(root map[string]any, words []string) error {
	path := pathOf(words[0])
	if len(path) == 0 {
		return azText("usage error: --remove <path> [<index>]")
	}
	held, err := find(root, path)
	if err != nil {
		return err
	}
	if len(words) == 1 {
		holder, err := find(root, path[:len(path)-1])
		if err != nil {
			return err
		}
		o, ok := holder.(map[string]any)
		if !ok {
			return noSuch(holder, path[len(path)-1], path)
		}
		if _, isList := held.([]any); isList {
			o[path[len(path)-1]] = []any{}
			return nil
		}
		delete(o, path[len(path)-1])
		return nil
	}
	list, ok := held.([]any)
	if !ok {
		return fmt.Errorf("%s doesn't exist", path[len(path)-1])
	}
	index, err := strconv.Atoi(words[1])
	if err != nil || index < 0 || index >= len(list) {
		return fmt.Errorf("index %s doesn't exist on %s", words[1], path[len(path)-1])
	}
	return change(root, path, slices.Delete(slices.Clone(list), index, index+1))
}

// find follows path; what is null on the way ends it with nil.
func find(v any, path []string) (any, error) {
	for i, part := range path {
		switch holder := v.(type) {
		case nil:
			return nil, nil
		case map[string]any:
			next, ok := holder[part]
			if !ok {
				return nil, noSuch(holder, part, path[:i+1])
			}
			v = next
		case []any:
			index, isIndex := indexOf(part)
			if !isIndex {
				return nil, noSuch(holder, part, path[:i+1])
			}
			if index < 0 || index >= len(holder) {
				return nil, fmt.Errorf("index %d doesn't exist on %s", index, strings.Join(path[:i], "."))
			}
			v = holder[index]
		default:
			return nil, noSuch(holder, part, path[:i+1])
		}
	}
	return v, nil
}

func indexOf(part string) (int, bool) {
	if !strings.HasPrefix(part, "[") || !strings.HasSuffix(part, "]") {
		return 0, false
	}
	n, err := strconv.Atoi(part[1 : len(part)-1])
	return n, err == nil
}

// noSuch is az's answer to a path that leads nowhere.
func noSuch(holder any, part string, path []string) error {
	parent := strings.ReplaceAll(strings.Join(path[:len(path)-1], "."), ".[", "[")
	text := fmt.Sprintf("Couldn't find '%s' in '%s'.", part, parent)
	switch h := holder.(type) {
	case map[string]any:
		names := make([]string, 0, len(h))
		for k := range h {
			names = append(names, "'"+k+"'")
		}
		slices.Sort(names)
		return azText(text + " Available options: [" + strings.Join(names, ", ") + "]")
	case []any:
		return azText(text + " Available options: index into the collection '" + parent + "' with [<index>] or [<key=value>]")
	default:
		return azText(text + " '" + parent + "' does not support further indexing.")
	}
}
