package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Azure's own description of its API, which is not part of the repository.
const (
	specifications = "../../../shared/openapi/specification/compute/resource-manager/Microsoft.Compute/DiskRP/stable/2024-03-02"
	specVersion    = "2024-03-02"
)

// spec is the description of disks, snapshots and their companions at one api-version.
type spec struct {
	compiler   *jsonschema.Compiler
	documents  map[string]map[string]any // by file
	operations []operation
}

// operation is one method on one path.
type operation struct {
	method, path string // path is a template
	at           *regexp.Regexp
	file         string
	responses    map[string]any
	bodyName     string            // of the parameter
	examples     map[string]string // file of each, by its name
}

// surplus are keys of our answers that the description does not have, with the reason.
var surplus = map[*regexp.Regexp]string{
	regexp.MustCompile(`^properties\.isArmResource$`):            "recordings have it in the answer to a PUT",
	regexp.MustCompile(`(^|\.)properties\.readOnly$`):            "recordings have it of Ultra disks",
	regexp.MustCompile(`(^|\.)properties\.encryptionSettings$`):  "before 2018-09-30",
	regexp.MustCompile(`(^|\.)properties\.snapshotAccessState$`): "since 2025-01-02",
}

func loadSpec(t testing.TB) *spec {
	t.Helper()
	s := findSpec(t)
	if s == nil {
		t.Skip("there is no description of Azure's API in " + specifications)
	}
	return s
}

// findSpec is loadSpec where the description may be absent: then it is nil.
func findSpec(t testing.TB) *spec {
	t.Helper()
	if _, err := os.Stat(specifications); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	s := &spec{compiler: jsonschema.NewCompiler(), documents: map[string]map[string]any{}}
	s.compiler.DefaultDraft(jsonschema.Draft4)
	for _, name := range []string{"disk", "snapshot", "diskAccess", "diskEncryptionSet", "diskRestorePoint"} {
		file, err := filepath.Abs(filepath.Join(specifications, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		for path, methods := range object(s.document(t, file)["paths"]) {
			for method, op := range object(methods) {
				s.operations = append(s.operations, s.operation(t, file, path, method, object(op)))
			}
		}
	}
	return s
}

func (s *spec) document(t testing.TB, file string) map[string]any {
	t.Helper()
	if d, ok := s.documents[file]; ok {
		return d
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d map[string]any
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	s.documents[file] = d
	return d
}

var templateRE = regexp.MustCompile(`\\\{[^}]*\\\}`)

func (s *spec) operation(t testing.TB, file, path, method string, op map[string]any) operation {
	o := operation{
		method: strings.ToUpper(method), path: path, file: file, responses: object(op["responses"]), examples: map[string]string{},
		at: regexp.MustCompile(`(?i)^` + templateRE.ReplaceAllString(regexp.QuoteMeta(path), `[^/]+`) + `$`),
	}
	parameters, _ := op["parameters"].([]any)
	for _, p := range parameters {
		if object(p)["in"] == "body" {
			o.bodyName, _ = object(p)["name"].(string)
		}
	}
	for _, e := range object(op["x-ms-examples"]) {
		ref, _ := object(e)["$ref"].(string)
		at := filepath.Join(filepath.Dir(file), ref)
		o.examples[strings.TrimSuffix(filepath.Base(at), ".json")] = at
	}
	return o
}

func (s *spec) find(method, path string) (operation, bool) {
	for _, o := range s.operations {
		if o.method == method && o.at.MatchString(path) {
			return o, true
		}
	}
	return operation{}, false
}

// check says what is wrong with an answer by the description; nothing when it does not describe the request.
func (s *spec) check(t testing.TB, method, path string, a answer) []string {
	o, ok := s.find(method, path)
	if !ok {
		return nil
	}
	key := fmt.Sprint(a.status)
	if a.status >= http.StatusBadRequest {
		return checkError(a)
	}
	response, ok := o.responses[key].(map[string]any)
	if !ok {
		return []string{"status " + key + " is not described"}
	}
	schema, ok := response["schema"].(map[string]any)
	if !ok {
		if a.body != nil {
			return []string{"a body where none is described: " + show(a.body)}
		}
		return nil
	}
	if a.body == nil {
		return []string{"no body where one is described"}
	}
	pointer := "#/paths/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(o.path) + "/" + strings.ToLower(o.method) + "/responses/" + key + "/schema"
	compiled, err := s.compiler.Compile("file://" + o.file + pointer)
	if err != nil {
		t.Fatal(err)
	}
	var bad []string
	if err := compiled.Validate(a.body); err != nil {
		bad = append(bad, err.Error())
	}
	return append(bad, s.unknown(t, o.file, schema, "", a.body)...)
}

// checkError wants Azure's form of an error.
func checkError(a answer) []string {
	e := object(object(a.body)["error"])
	if code, _ := e["code"].(string); code == "" {
		return []string{"an error without a code: " + show(a.body)}
	}
	if message, _ := e["message"].(string); message == "" {
		return []string{"an error without a message: " + show(a.body)}
	}
	return nil
}

// unknown lists the keys of v that its schema does not have.
func (s *spec) unknown(t testing.TB, file string, schema map[string]any, at string, v any) (bad []string) {
	switch v := v.(type) {
	case []any:
		item, from := s.resolve(t, file, object(s.deref(t, &file, schema)["items"]))
		for _, x := range v {
			bad = append(bad, s.unknown(t, from, item, at, x)...)
		}
	case map[string]any:
		known := map[string]located{}
		open := s.properties(t, file, schema, known)
		for k, x := range v {
			path := strings.TrimPrefix(at+"."+k, ".")
			p, ok := known[k]
			switch {
			case ok:
				bad = append(bad, s.unknown(t, p.file, p.schema, path, x)...)
			case !open && !isSurplus(path):
				bad = append(bad, path+" is not described")
			}
		}
	}
	return bad
}

func isSurplus(path string) bool {
	for at := range surplus {
		if at.MatchString(path) {
			return true
		}
	}
	return false
}

type located struct {
	file   string
	schema map[string]any
}

// properties gathers those of the schema and of what it is made of; open tells that it takes any others.
func (s *spec) properties(t testing.TB, file string, schema map[string]any, into map[string]located) (open bool) {
	schema, file = s.resolve(t, file, schema)
	all, _ := schema["allOf"].([]any)
	for _, part := range all {
		open = s.properties(t, file, object(part), into) || open
	}
	for k, p := range object(schema["properties"]) {
		sub, from := s.resolve(t, file, object(p))
		into[k] = located{from, sub}
	}
	_, any := schema["additionalProperties"]
	return open || any || schema["properties"] == nil && len(all) == 0
}

func (s *spec) deref(t testing.TB, file *string, schema map[string]any) map[string]any {
	var out map[string]any
	out, *file = s.resolve(t, *file, schema)
	return out
}

// resolve follows references to the schema itself and the file that it stands in.
func (s *spec) resolve(t testing.TB, file string, schema map[string]any) (map[string]any, string) {
	for {
		ref, ok := schema["$ref"].(string)
		if !ok {
			return schema, file
		}
		path, pointer, _ := strings.Cut(ref, "#/")
		if path != "" {
			file = filepath.Join(filepath.Dir(file), path)
		}
		schema = s.document(t, file)
		for _, key := range strings.Split(pointer, "/") {
			schema = object(schema[key])
		}
	}
}
