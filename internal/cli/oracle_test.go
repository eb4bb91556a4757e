package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// recordedBodies returns every disk, snapshot and group that Azure answered in the
// recorded traffic.
func recordedBodies(t *testing.T) map[string][]map[string]any {
	t.Helper()
	files, err := filepath.Glob("../../../shared/recorded/azure-cli/2.45.0/*.json")
	if err != nil || len(files) == 0 {
		t.Skip("no recorded traffic beside the repository")
	}
	types := map[string]string{
		"microsoft.compute/disks": "disk", "microsoft.compute/snapshots": "snapshot",
		"microsoft.resources/resourcegroups": "group",
	}
	bodies := map[string][]map[string]any{}
	var collect func(v any)
	collect = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				collect(item)
			}
		case map[string]any:
			name, _ := v["type"].(string)
			if kind := types[strings.ToLower(name)]; kind != "" && v["id"] != nil {
				bodies[kind] = append(bodies[kind], v)
				return
			}
			for _, item := range v {
				collect(item)
			}
		}
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		v, err := decodeJSON(data)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		collect(v)
	}
	for kind, m := range modelOf {
		for _, body := range bodies[kind] {
			prune(m, body)
		}
	}
	return bodies
}

var modelOf = map[string]*model{"disk": diskModel, "snapshot": snapshotModel, "group": groupModel}

// prune removes what az 2.45 does not know and therefore drops; tintype shows it,
// which TestUnknownFieldsAreShown checks.
func prune(m *model, body map[string]any) {
	for k := range body {
		if k != "properties" && !m.knows(k) {
			delete(body, k)
		}
	}
	if inside, ok := body["properties"].(map[string]any); ok && !m.knows("properties") {
		for k := range inside {
			if !m.knows("properties." + k) {
				delete(inside, k)
			}
		}
	}
	for _, f := range m.fields {
		v, _ := lookup(body, f.wire)
		if o, ok := v.(map[string]any); ok && f.of != nil {
			prune(f.of, o)
		}
	}
}

type oracleCase struct {
	Kind   string           `json:"kind"`
	Bodies []map[string]any `json:"bodies"`
	List   bool             `json:"list"`
	Query  string           `json:"query"`
	Format string           `json:"format"`
}

// askAz runs the installed Azure CLI's own code over cases.
func askAz(t *testing.T, cases []oracleCase) []*string {
	t.Helper()
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import azure.cli.core, azure.mgmt.compute").Run(); err != nil {
		t.Skip("the Azure CLI's Python modules are not installed")
	}
	input, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "testdata/az_output.py")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var texts []*string
	if err := json.Unmarshal(output, &texts); err != nil {
		t.Fatal(err)
	}
	return texts
}

func (c oracleCase) print() (string, error) {
	columns := map[string]func(map[string]any) row{"disk": diskColumns, "snapshot": snapshotColumns}[c.Kind]
	if c.Kind == "group" && c.List {
		columns = groupColumns
	}
	shown := make([]map[string]any, len(c.Bodies))
	for i, body := range c.Bodies {
		shown[i] = modelOf[c.Kind].show(body)
	}
	var result any = shown
	if !c.List {
		result = shown[0]
	}
	q, err := compileQuery(c.Query)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = printResult(Env{Stdout: &out}, result, c.Format, q, columns)
	return out.String(), err
}

// TestOutputIsAz prints everything that Azure ever answered in the recordings in
// every format, and under queries as people write them, and compares it with what
// the installed az prints.
func TestOutputIsAz(t *testing.T) {
	var cases []oracleCase
	queries := map[bool][]string{
		false: {"", "id", "tags", "diskSizeGb", "sku", "[name, sku.name, zones, diskSizeBytes]", "{Size:diskSizeGb, Name:name, A:tags}", "nothing", "sku.name=='Premium_LRS'"},
		true: {
			"", "[].id", "[].{Name:name, Gb:diskSizeGb, Bytes:diskSizeBytes, Account:sku.name}", "[0]", "length(@)", "[].[name, diskSizeGb, tags, zones]",
			"[?diskSizeGb>`1`].name", "[?location==`westus`].{n:name}", "sort_by(@,&id)[].name", "[].creationData.{o:createOption,s:sourceResourceId}", "[].sku", "[?tags.a]",
		},
	}
	for kind, bodies := range recordedBodies(t) {
		for _, format := range []string{"json", "yaml", "table", "tsv", "none"} {
			for _, q := range queries[true] {
				cases = append(cases, oracleCase{kind, bodies, true, q, format}, oracleCase{kind, bodies[:1], true, q, format})
			}
			for _, q := range queries[false] {
				for _, body := range bodies[:min(len(bodies), 12)] {
					cases = append(cases, oracleCase{kind, []map[string]any{body}, false, q, format})
				}
			}
		}
	}
	for i, want := range askAz(t, cases) {
		c := cases[i]
		got, err := c.print()
		switch {
		case want == nil && err == nil:
			t.Errorf("%s %q as %s: az makes nothing of it, we print %q", c.Kind, c.Query, c.Format, got)
		case want == nil:
		case err != nil:
			t.Errorf("%s %q as %s: %v; az prints %q", c.Kind, c.Query, c.Format, err, *want)
		case c.Format == "yaml":
			// Quotes and indentation are a matter of the YAML library: the content is compared.
			if diff := cmp.Diff(parseYAML(t, *want), parseYAML(t, got)); diff != "" {
				t.Errorf("%s %q as yaml: -az +tintype\n%s", c.Kind, c.Query, diff)
			}
		case got != *want:
			t.Errorf("%s %q as %s, list %v: -az +tintype\n%s", c.Kind, c.Query, c.Format, c.List, cmp.Diff(*want, got))
		}
	}
	t.Logf("%d outputs compared", len(cases))
}

// TestUpdateSendsWhatAzSends reads every recorded resource and compares the body
// that an update without changes would PUT with az's.
func TestUpdateSendsWhatAzSends(t *testing.T) {
	var cases []oracleCase
	for kind, bodies := range recordedBodies(t) {
		for _, body := range bodies {
			cases = append(cases, oracleCase{Kind: kind, Bodies: []map[string]any{body}, Format: "update"})
		}
	}
	for i, text := range askAz(t, cases) {
		body, m := cases[i].Bodies[0], modelOf[cases[i].Kind]
		want, err := decodeJSON([]byte(*text))
		if err != nil {
			t.Fatal(err)
		}
		sent, err := json.Marshal(m.send(m.flatten(body), body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeJSON(sent)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v: -az +tintype\n%s", body["id"], diff)
		}
	}
	t.Logf("%d updates compared", len(cases))
}

func TestUnknownFieldsAreShown(t *testing.T) {
	wire := map[string]any{"id": "x", "etag": "e", "properties": map[string]any{"snapshotAccessState": "Available", "LastOwnershipUpdateTime": "t"}}
	shown := snapshotModel.show(wire)
	for name, want := range map[string]any{"etag": "e", "snapshotAccessState": "Available", "lastOwnershipUpdateTime": "t", "diskSizeGb": nil} {
		if got, ok := shown[name]; !ok || got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	back := snapshotModel.send(shown, wire)
	want := map[string]any{"etag": "e", "properties": map[string]any{"snapshotAccessState": "Available", "LastOwnershipUpdateTime": "t"}}
	if diff := cmp.Diff(want, back); diff != "" {
		t.Error(diff)
	}
}

func parseYAML(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("not YAML: %v\n%s", err, text)
	}
	return v
}
