package cli

import (
	"encoding/json"
	"maps"
	"strings"
	"time"
)

// show turns an object of the API into what az prints for it: properties
// flattened, fields renamed, absent ones null, times to the microsecond, and the
// resource group added beside every id that has one.
func (m *model) show(wire map[string]any) map[string]any {
	shown := m.flatten(wire)
	addResourceGroup(shown)
	return shown
}

func (m *model) flatten(wire map[string]any) map[string]any {
	shown := m.unknown(wire)
	for _, f := range m.fields {
		value, _ := lookup(wire, f.wire)
		shown[f.shown] = f.show(value)
	}
	return shown
}

// unknown collects what the API sent and the model does not know.
func (m *model) unknown(wire map[string]any) map[string]any {
	known := map[string]bool{}
	for _, f := range m.fields {
		known[f.wire] = true
	}
	rest := map[string]any{}
	for k, v := range wire {
		inside, nested := v.(map[string]any)
		if k == "properties" && nested && !known[k] {
			for name, value := range inside {
				if !known["properties."+name] {
					rest[lowerFirst(name)] = value
				}
			}
			continue
		}
		if !known[k] {
			rest[k] = v
		}
	}
	return rest
}

func (f field) show(value any) any {
	switch v := value.(type) {
	case map[string]any:
		if f.of != nil {
			return f.of.flatten(v)
		}
	case []any:
		if f.list {
			items := make([]any, len(v))
			for i, item := range v {
				items[i] = field{of: f.of}.show(item)
			}
			return items
		}
	case string:
		if f.when {
			return showTime(v)
		}
	case json.Number:
		if f.float && !strings.ContainsAny(v.String(), ".eE") {
			return v + ".0"
		}
	}
	return value
}

// send is show's inverse, for an update: what may be written, in the API's names,
// without nulls. base is the object as it was read; what the model does not know
// is sent back as it came.
func (m *model) send(shown, base map[string]any) map[string]any {
	wire := map[string]any{}
	for k, v := range base {
		if k != "properties" && !m.knows(k) {
			wire[k] = v
		}
	}
	if inside, ok := base["properties"].(map[string]any); ok && !m.knows("properties") {
		for k, v := range inside {
			if !m.knows("properties." + k) {
				store(wire, "properties."+k, v)
			}
		}
	}
	for _, f := range m.fields {
		value := shown[f.shown]
		if f.readOnly || value == nil {
			continue
		}
		store(wire, f.wire, f.send(value))
	}
	return wire
}

func (m *model) knows(wire string) bool {
	for _, f := range m.fields {
		if f.wire == wire {
			return true
		}
	}
	return false
}

func (f field) send(value any) any {
	switch v := value.(type) {
	case map[string]any:
		if f.wire == "tags" {
			return textValues(v)
		}
		if f.of != nil {
			return f.of.send(v, nil)
		}
	case []any:
		if f.list {
			items := make([]any, len(v))
			for i, item := range v {
				items[i] = field{of: f.of}.send(item)
			}
			return items
		}
	}
	return value
}

// textValues turns every value into text: a tag's value is never anything else.
func textValues(tags map[string]any) map[string]any {
	texts := make(map[string]any, len(tags))
	for k, v := range tags {
		texts[k] = pythonText(v)
	}
	return texts
}

// lookup follows a dotted path.
func lookup(o map[string]any, path string) (any, bool) {
	first, rest, nested := strings.Cut(path, ".")
	if !nested {
		v, ok := o[path]
		return v, ok
	}
	inside, ok := o[first].(map[string]any)
	if !ok {
		return nil, false
	}
	return lookup(inside, rest)
}

// store puts value at a dotted path, making the objects on the way.
func store(o map[string]any, path string, value any) {
	first, rest, nested := strings.Cut(path, ".")
	if !nested {
		o[path] = value
		return
	}
	inside, ok := o[first].(map[string]any)
	if !ok {
		inside = map[string]any{}
		o[first] = inside
	}
	store(inside, rest, value)
}

// showTime prints a time as Python's isoformat does: microseconds, or none.
func showTime(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	if t.Nanosecond()/1000 == 0 {
		return t.Format("2006-01-02T15:04:05-07:00")
	}
	return t.Format("2006-01-02T15:04:05.000000-07:00")
}

func addResourceGroup(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			addResourceGroup(item)
		}
	case map[string]any:
		id, _ := v["id"].(string)
		parts := strings.Split(id, "/")
		if _, has := v["resourceGroup"]; !has && len(parts) > 8 && strings.EqualFold(parts[3], "resourceGroups") {
			v["resourceGroup"] = parts[4]
		}
		for k, item := range maps.Clone(v) {
			if k != "sourceVault" {
				addResourceGroup(item)
			}
		}
	}
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
