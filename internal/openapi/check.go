package openapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Answer is what came back to a request.
type Answer struct {
	Method string      `json:"method"`
	Target string      `json:"uri"` // path and query; a host before it counts for nothing
	Status int         `json:"status"`
	Header http.Header `json:"responseHeaders"`
	Body   any         `json:"responseBody"` // decoded JSON; nil without one
}

// surplus are keys of our answers that the description does not have, each behind the last segment of the operation's path,
// with the reason.
var surplus = []struct {
	at  *regexp.Regexp
	why string
}{
	{regexp.MustCompile(`:properties\.isArmResource$`), "recordings have it in the answer to a PUT"},
	{regexp.MustCompile(`[:.]properties\.readOnly$`), "recordings have it of Ultra disks"},
	{regexp.MustCompile(`[:.]properties\.encryptionSettings$`), "before 2018-09-30"},
	{regexp.MustCompile(`[:.]properties\.(accountType|ownerId)$`), "before 2017-03-30"},
	{regexp.MustCompile(`[:.]properties\.snapshotAccessState$`), "since 2025-01-02"},
	{regexp.MustCompile(`[:.]properties\.trackingId$`), "Azure's deployment operations have it"},
	{regexp.MustCompile(`^validate:(id|name|type)$`), "newer api-versions describe it"},
}

// Check says what is wrong with an answer by the description. Of a request that it does not describe only refusals and
// headers are held to anything.
func (s *Spec) Check(a Answer) (bad []string) {
	u, err := url.Parse(a.Target)
	if err != nil {
		return nil // nobody's to describe
	}
	bad = checkHeaders(a)
	if a.Status >= http.StatusBadRequest {
		return append(bad, checkError(a)...)
	}
	o, ok := s.find(a.Method, u.Path)
	if !ok {
		return bad
	}
	key := fmt.Sprint(a.Status)
	response, ok := o.responses[key].(map[string]any)
	if !ok {
		return append(bad, "status "+key+" is not described")
	}
	schema, ok := response["schema"].(map[string]any)
	switch {
	case !ok && a.Body != nil:
		return append(bad, "a body where none is described: "+show(a.Body))
	case !ok:
		return bad
	case a.Body == nil && a.Status == http.StatusAccepted:
		return bad // the operation's result is described here; that comes at the operation's end
	case a.Body == nil:
		return append(bad, "no body where one is described")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pointer := "#/paths/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(o.Path) + "/" + strings.ToLower(o.Method) + "/responses/" + key + "/schema"
	compiled, err := s.compiler.Compile("file://" + o.File + pointer)
	if err != nil {
		return append(bad, err.Error())
	}
	if err := compiled.Validate(a.Body); err != nil {
		bad = append(bad, err.Error())
	}
	return append(bad, s.unknown(o.File, schema, path.Base(o.Path)+":", a.Body)...)
}

// checkHeaders wants what Azure sends with every answer, and what a client needs to wait for an operation.
func checkHeaders(a Answer) (bad []string) {
	if a.Header == nil {
		return nil
	}
	for _, name := range []string{"X-Ms-Request-Id", "X-Ms-Correlation-Request-Id", "X-Ms-Routing-Request-Id", "Strict-Transport-Security"} {
		if a.Header.Get(name) == "" {
			bad = append(bad, "no header "+name)
		}
	}
	if a.Status == http.StatusAccepted && a.Header.Get("Location") == "" && a.Header.Get("Azure-AsyncOperation") == "" {
		bad = append(bad, "accepted, and nowhere to ask how it goes")
	}
	return bad
}

// checkError wants Azure's form of an error.
func checkError(a Answer) []string {
	if a.Method == http.MethodHead {
		return nil
	}
	e := object(object(a.Body)["error"])
	if code, _ := e["code"].(string); code == "" {
		return []string{"an error without a code: " + show(a.Body)}
	}
	if message, _ := e["message"].(string); message == "" {
		return []string{"an error without a message: " + show(a.Body)}
	}
	return nil
}

// unknown lists the keys of v that its schema does not have. Call it with mu held.
func (s *Spec) unknown(file string, schema map[string]any, at string, v any) (bad []string) {
	schema, file = s.resolve(file, schema)
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			bad = append(bad, s.unknown(file, object(schema["items"]), at, x)...)
		}
	case map[string]any:
		known := map[string]located{}
		open := s.properties(file, schema, known)
		for k, x := range v {
			key := at + k
			p, ok := known[k]
			switch {
			case ok:
				bad = append(bad, s.unknown(p.file, p.schema, key+".", x)...)
			case !open && !isSurplus(key):
				bad = append(bad, key+" is not described")
			}
		}
	}
	return bad
}

func isSurplus(key string) bool {
	for _, s := range surplus {
		if s.at.MatchString(key) {
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
func (s *Spec) properties(file string, schema map[string]any, into map[string]located) (open bool) {
	schema, file = s.resolve(file, schema)
	all, _ := schema["allOf"].([]any)
	for _, part := range all {
		open = s.properties(file, object(part), into) || open
	}
	for k, p := range object(schema["properties"]) {
		into[k] = located{file, object(p)}
	}
	_, any := schema["additionalProperties"]
	return open || any || schema["properties"] == nil && len(all) == 0
}

// resolve follows references to the schema itself and the file that it stands in. What cannot be followed is no schema,
// which the compiler has refused before.
func (s *Spec) resolve(file string, schema map[string]any) (map[string]any, string) {
	for {
		ref, ok := schema["$ref"].(string)
		if !ok {
			return schema, file
		}
		path, pointer, _ := strings.Cut(ref, "#/")
		if path != "" {
			file = filepath.Join(filepath.Dir(file), path)
		}
		var err error
		if schema, err = s.document(file); err != nil {
			return nil, file
		}
		for _, key := range strings.Split(pointer, "/") {
			schema = object(schema[key])
		}
	}
}

func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	if len(b) > 300 {
		return string(b[:300]) + "…"
	}
	return string(b)
}
