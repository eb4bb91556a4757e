package arm

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStrictJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{"properties": {"mode": "Incremental", template:{"a":1}}}`: `{"properties":{"mode":"Incremental","template":{"a":1}}}`,
		"{// note\n\"a\": /* in */ 'it\"s',}":                       `{"a":"it\"s"}`,
		"{\"a\":\"two\nlines\",b:[1,-2,true,null,],}":               `{"a":"two\nlines","b":[1,-2,true,null]}`,
		`{"u":"http://x//y /* no comment */","q":"\""}`:             `{"u":"http://x//y /* no comment */","q":"\""}`,
	} {
		var got, wanted any
		if err := json.Unmarshal(strictJSON([]byte(in)), &got); err != nil {
			t.Errorf("%s: %v in %s", in, err, strictJSON([]byte(in)))
			continue
		}
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
}

// FuzzStrictJSON requires that JSON keeps its meaning, and that nothing makes the reader panic.
func FuzzStrictJSON(f *testing.F) {
	f.Add(`{"a":[1,"b\"",{"c":null}]}`)
	f.Add("{a:'b',//\n}")
	f.Fuzz(func(t *testing.T, in string) {
		out := strictJSON([]byte(in))
		if !json.Valid([]byte(in)) {
			return
		}
		var a, b any
		if json.Unmarshal([]byte(in), &a) == nil && (json.Unmarshal(out, &b) != nil || !cmp.Equal(a, b)) {
			t.Errorf("%q became %q", in, out)
		}
	})
}
