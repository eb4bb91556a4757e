package arm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// definitionMembers are what the body of a resource may have beside its properties, in lower case. Azure's gateway refuses any other
// before a resource provider sees it (azure-powershell#4309, #3487): a property that was written one level too high is not lost in silence.
func definitionMembers() []string {
	return []string{
		"id", "name", "type", "location", "extendedlocation", "tags", "plan", "sku", "kind", "identity", "zones", "managedby", "managedbyextended",
		"properties", "etag", "scale", "placement", "systemdata",
	}
}

// checkDefinition holds the body of a PUT or PATCH of a resource to what Azure's gateway takes of any type. What is no object is left to
// the handler.
func checkDefinition(m *route, body []byte) error {
	write := m.op.Method == http.MethodPut || m.op.Method == http.MethodPatch
	if !write || m.typ.Global || m.op.Loose || len(body) == 0 || body[0] != '{' {
		return nil
	}
	known := definitionMembers()
	d := json.NewDecoder(bytes.NewReader(body))
	if _, err := d.Token(); err != nil {
		return invalidContent(describeJSON(err))
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return invalidContent(describeJSON(err))
		}
		word, at := fmt.Sprint(name), d.InputOffset()
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return invalidContent(describeJSON(err))
		}
		if !slices.Contains(known, strings.ToLower(word)) {
			line, column := placeIn(body, at)
			return invalidContent(fmt.Sprintf("The request content was invalid and could not be deserialized: 'Could not find member '%s' on "+
				"object of type 'ResourceDefinition'. Path '%s', line %d, position %d.'.", clip(word), clip(word), line, column+2))
		}
		if strings.EqualFold(word, "sku") && !namesSKU(value) {
			return invalidContent("The request content was invalid and could not be deserialized: Required property 'name' not found in 'sku'.")
		}
		if strings.EqualFold(word, "tags") {
			var tags map[string]any
			if json.Unmarshal(value, &tags) != nil {
				continue
			}
			if err := checkTagNames(tags); err != nil {
				return err
			}
		}
	}
	return nil
}

// namesSKU tells whether a sku has the name that every one needs; what is no object is the handler's to refuse.
func namesSKU(value json.RawMessage) bool {
	var sku map[string]any
	if json.Unmarshal(value, &sku) != nil || sku == nil {
		return true
	}
	for k, v := range sku {
		if strings.EqualFold(k, "name") && v != nil {
			return true
		}
	}
	return false
}

// checkTagNames refuses two tags whose names differ in case alone, which are one to Azure.
func checkTagNames[V any](tags map[string]V) error {
	seen := map[string]string{}
	for k := range tags {
		other, twice := seen[strings.ToLower(k)]
		if twice {
			return invalidContent(fmt.Sprintf("The request content was invalid: the tag names '%s' and '%s' differ only in case.",
				clip(min(k, other)), clip(max(k, other))))
		}
		seen[strings.ToLower(k)] = k
	}
	return nil
}

// placeIn counts lines and columns from 1 up to the offset.
func placeIn(body []byte, at int64) (line, column int) {
	before := body[:min(at, int64(len(body)))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - (bytes.LastIndexByte(before, '\n') + 1)
}
