// Package openapi holds answers to Azure's own description of its API.
//
// The description is no part of the repository, and tests say in which folder it may be: where it is absent nothing is held to anything, and the tests say so. It
// has one api-version of each document, the one nearest to what the server answers; what came and went in others is in
// surplus, each with the reason. Only tests use this package.
package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	diskFolder    = "compute/resource-manager/Microsoft.Compute/DiskRP/stable/2024-03-02/"
	computeFolder = "compute/resource-manager/Microsoft.Compute/ComputeRP/stable/2024-07-01/"
)

// documents are the files that describe what this server answers, below the description's folder.
var documents = []string{
	diskFolder + "disk.json", diskFolder + "snapshot.json", diskFolder + "diskAccess.json", diskFolder + "diskEncryptionSet.json",
	diskFolder + "diskRestorePoint.json",
	computeFolder + "restorePoint.json", computeFolder + "virtualMachine.json", computeFolder + "image.json",
	computeFolder + "computeRPCommon.json",
	"compute/resource-manager/Microsoft.Compute/Skus/stable/2021-07-01/skus.json",
	"resources/resource-manager/Microsoft.Resources/stable/2021-04-01/resources.json",
	"resources/resource-manager/Microsoft.Resources/stable/2022-12-01/subscriptions.json",
}

// ErrAbsent says that the description is not at hand.
var ErrAbsent = errors.New("there is no description of Azure's API")

// Spec is the description. It may be used from several goroutines.
type Spec struct {
	// Operations are all that are described.
	Operations []Operation

	mu        sync.Mutex // guards what follows
	compiler  *jsonschema.Compiler
	documents map[string]map[string]any // by file
}

// Operation is one method on one path.
type Operation struct {
	Method, Path string            // Path is a template
	File         string            // of the description in which it is
	BodyName     string            // of the parameter that is the body, "" without one
	Examples     map[string]string // file of each, by its name

	at        *regexp.Regexp
	literals  int // characters of the template outside of parameters
	responses map[string]any
}

// Folder is where the description may be. It may be used from several goroutines.
type Folder struct{ find func() (*Spec, error) }

// At takes the folder's name, relative to the working directory of this moment. Nothing is read before it is asked for.
func At(name string) Folder {
	root, err := filepath.Abs(name)
	return Folder{sync.OnceValues(func() (*Spec, error) {
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(root); err != nil {
			return nil, fmt.Errorf("%w in %s", ErrAbsent, name)
		}
		return load(root)
	})}
}

// Find loads the description, once. Its error is ErrAbsent when there is none.
func (f Folder) Find() (*Spec, error) { return f.find() }

func load(root string) (*Spec, error) {
	s := &Spec{compiler: jsonschema.NewCompiler(), documents: map[string]map[string]any{}}
	s.compiler.DefaultDraft(jsonschema.Draft4)
	s.compiler.UseLoader(loader{s})
	for _, name := range documents {
		file := filepath.Join(root, name)
		d, err := s.document(file)
		if err != nil {
			return nil, err
		}
		for path, methods := range object(d["paths"]) {
			if strings.Contains(path, "{resourceId}") || strings.Contains(path, "{parentResourcePath}") {
				continue // any resource at all: nothing that could be held to
			}
			for method, op := range object(methods) {
				s.Operations = append(s.Operations, newOperation(file, path, method, object(op)))
			}
		}
	}
	return s, nil
}

// document reads a file once. Call it with mu held, or alone.
func (s *Spec) document(file string) (map[string]any, error) {
	if d, ok := s.documents[file]; ok {
		return d, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var d map[string]any
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	amend(d)
	s.documents[file] = d
	return d, nil
}

// loader gives the compiler the documents as they were amended.
type loader struct{ s *Spec }

// Load implements jsonschema.URLLoader.
func (l loader) Load(at string) (any, error) {
	u, err := url.Parse(at)
	if err != nil {
		return nil, err
	}
	return l.s.document(u.Path)
}

// amend takes back what the description asks for and Azure does not do.
func amend(v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			amend(x)
		}
	case map[string]any:
		// A list without more pages has no link to the next.
		if required, ok := v["required"].([]any); ok {
			if required = slices.DeleteFunc(required, func(name any) bool { return name == "nextLink" }); len(required) > 0 {
				v["required"] = required
			} else {
				delete(v, "required")
			}
		}
		// A deployment's resource types without a location, such as role assignments, have the locations [null].
		if types, ok := v["ProviderResourceType"].(map[string]any); ok {
			delete(object(object(types["properties"])["locations"]), "items")
		}
		// Azure says of these words that there may be more, and a copy between servers fails for reasons that it has no word for.
		if failed, ok := v["CopyCompletionError"].(map[string]any); ok {
			delete(object(object(failed["properties"])["errorCode"]), "enum")
		}
		for _, x := range v {
			amend(x)
		}
	}
}

var (
	parameterRE = regexp.MustCompile(`\{[^}]*\}`)
	quotedRE    = regexp.MustCompile(`\\\{[^}]*\\\}`)
)

func newOperation(file, path, method string, op map[string]any) Operation {
	pattern := quotedRE.ReplaceAllStringFunc(regexp.QuoteMeta(path), func(p string) string {
		if p == `\{scope\}` {
			return `.+`
		}
		return `[^/]+`
	})
	o := Operation{
		Method: strings.ToUpper(method), Path: path, File: file, Examples: map[string]string{},
		at: regexp.MustCompile(`(?i)^` + strings.TrimSuffix(pattern, "/") + `/?$`), literals: len(parameterRE.ReplaceAllString(path, "")),
		responses: object(op["responses"]),
	}
	parameters, _ := op["parameters"].([]any)
	for _, p := range parameters {
		if object(p)["in"] == "body" {
			o.BodyName, _ = object(p)["name"].(string)
		}
	}
	for _, e := range object(op["x-ms-examples"]) {
		ref, _ := object(e)["$ref"].(string)
		at := filepath.Join(filepath.Dir(file), ref)
		o.Examples[strings.TrimSuffix(filepath.Base(at), ".json")] = at
	}
	return o
}

// find picks the operation whose path says most of the request's.
func (s *Spec) find(method, path string) (best Operation, ok bool) {
	for _, o := range s.Operations {
		if o.Method == method && (!ok || o.literals > best.literals) && o.at.MatchString(path) {
			best, ok = o, true
		}
	}
	return best, ok
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}
