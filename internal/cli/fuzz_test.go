package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

// FuzzOutput checks that nothing that a server may answer breaks the output: every
// format prints it or refuses it, under queries too, and JSON stays JSON.
func FuzzOutput(f *testing.F) {
	f.Add(`{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d","zones":["1"],"sku":{"name":"x"},"properties":{"diskSizeGB":1}}`)
	f.Add(`{"properties":[],"sku":3,"zones":{},"tags":null,"id":7}`)
	f.Add(`{"properties":{"timeCreated":"x","completionPercent":1e99,"shareInfo":[1,{}]}}`)
	var queries []*query
	for _, text := range []string{"", "[].{a:name,b:sku}", "[0]", "[*].zones[]", "[].[tags,id]", "[].{a:&id}"} {
		q, err := compileQuery(text)
		if err != nil {
			f.Fatal(err)
		}
		queries = append(queries, q)
	}
	f.Fuzz(func(t *testing.T, body string) {
		v, err := decodeJSON([]byte(body))
		wire, ok := v.(map[string]any)
		if err != nil || !ok {
			return
		}
		for _, m := range []*model{diskModel, snapshotModel, groupModel, accessModel} {
			shown := m.show(wire)
			m.send(shown, wire)
			for i, format := range outputFormats {
				for _, q := range queries {
					columns := []func(map[string]any) row{nil, diskColumns, snapshotColumns, groupColumns}[i%4]
					var out bytes.Buffer
					err := printResult(Env{Stdout: &out}, []map[string]any{shown}, format, q, columns)
					if format == "json" && q == nil && (err != nil || !json.Valid(out.Bytes())) {
						t.Fatalf("%q is printed as %q, %v", body, out.Bytes(), err)
					}
				}
			}
		}
	})
}

// FuzzQuery checks that every expression compiles or is a usage error, and that what
// it finds can be printed.
func FuzzQuery(f *testing.F) {
	f.Add("[?a==`x`].{b:c}")
	f.Add("&a")
	f.Add("`1` / `0`")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "(") {
			return // functions may take as long as their arguments say
		}
		q, err := compileQuery(text)
		var usage *usageError
		if err != nil && !errors.As(err, &usage) {
			t.Fatalf("%v is no usage error", err)
		}
		if err != nil || q == nil {
			return
		}
		for _, format := range outputFormats {
			err := printResult(Env{Stdout: io.Discard}, []any{map[string]any{"a": "x", "c": json.Number("1")}}, format, q, nil)
			if err != nil && !errors.As(err, &usage) && !errors.Is(err, errNoTable) {
				t.Fatalf("%s: %v", format, err)
			}
		}
	})
}

// FuzzEdits checks that edits change the object or say what is wrong.
func FuzzEdits(f *testing.F) {
	f.Add("set", "tags.a=1", "", false)
	f.Add("add", "zones", "2", true)
	f.Add("remove", "zones[0].x", "0", false)
	f.Add("set", "[=]=", "]", false)
	f.Fuzz(func(t *testing.T, verb, first, second string, literal bool) {
		disk := map[string]any{"name": "d", "tags": nil, "zones": []any{"1"}, "sku": map[string]any{"name": "x"}}
		words := []string{first}
		if second != "" {
			words = append(words, second)
		}
		err := applyEdits(disk, []edit{{verb, words}}, literal)
		if err != nil && err.Error() == "" {
			t.Fatal("an error without words")
		}
		diskModel.send(disk, nil)
	})
}
