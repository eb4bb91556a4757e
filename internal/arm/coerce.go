package arm

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
)

// decodeJSON reads the body into v. As Azure's parser does, it takes a string for a number or a boolean where its text is one:
// templates write "diskSizeGB": "128".
func decodeJSON(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	var typed *json.UnmarshalTypeError
	if !errors.As(err, &typed) || typed.Value != "string" {
		return err
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&tree) != nil {
		return err
	}
	loosened, encodeErr := json.Marshal(unquote(tree, reflect.TypeOf(v)))
	if encodeErr != nil || json.Unmarshal(loosened, v) != nil {
		return err // which names the place in what was sent
	}
	return nil
}

// unquote turns strings of the tree into numbers and booleans where t has these.
func unquote(tree any, t reflect.Type) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch value := tree.(type) {
	case string:
		return unquoteText(value, t)
	case []any:
		if t.Kind() == reflect.Slice {
			for i := range value {
				value[i] = unquote(value[i], t.Elem())
			}
		}
	case map[string]any:
		for name, member := range value {
			if inner := memberType(t, name); inner != nil {
				value[name] = unquote(member, inner)
			}
		}
	}
	return tree
}

func unquoteText(text string, t reflect.Type) any {
	switch t.Kind() {
	case reflect.Int, reflect.Int32, reflect.Int64:
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil {
			return n
		}
	case reflect.Bool:
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "true":
			return true
		case "false":
			return false
		}
	}
	return text
}

// memberType is the type of the member that an object of type t has under the name, in any case; nil when it has none.
func memberType(t reflect.Type, name string) reflect.Type {
	switch t.Kind() {
	case reflect.Map:
		return t.Elem()
	case reflect.Struct:
		for i := range t.NumField() {
			tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if strings.EqualFold(tag, name) {
				return t.Field(i).Type
			}
		}
	}
	return nil
}
