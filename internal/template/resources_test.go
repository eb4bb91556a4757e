package template

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shape is what a template is to make, in order: name and what each depends on.
func shape(in *Instance) [][]string {
	var out [][]string
	for _, r := range in.Resources() {
		row := []string{strings.TrimPrefix(r.ID, testScope+"/providers/")}
		for _, on := range r.Depends {
			row = append(row, on.Name)
		}
		out = append(out, row)
	}
	return out
}

const disk = `"type":"Microsoft.Compute/disks","apiVersion":"2023-04-02"`

func TestResources(t *testing.T) {
	for _, c := range []struct {
		name, sections string
		want           [][]string
	}{
		{
			"a reference is a dependency",
			`"resources":[{` + disk + `,"name":"b","properties":{"x":"[concat('a',reference('a').diskState)]"}},{` + disk + `,"name":"a"}]`,
			[][]string{{"Microsoft.Compute/disks/a"}, {"Microsoft.Compute/disks/b", "a"}},
		},
		{
			"by id, by type and name, by loop",
			`"resources":[
				{"type":"Microsoft.Compute/snapshots","apiVersion":"1","name":"s","dependsOn":["[resourceId('Microsoft.Compute/disks','a')]","Microsoft.Compute/disks/b","more"]},
				{` + disk + `,"name":"[concat('m',copyIndex(1))]","copy":{"name":"more","count":2}},{` + disk + `,"name":"a"},{` + disk + `,"name":"b"}]`,
			[][]string{
				{"Microsoft.Compute/disks/a"},
				{"Microsoft.Compute/disks/b"},
				{"Microsoft.Compute/disks/m1"},
				{"Microsoft.Compute/disks/m2"},
				{"Microsoft.Compute/snapshots/s", "a", "b", "m1", "m2"},
			},
		},
		{
			"serial",
			`"resources":[{` + disk + `,"name":"[format('d{0}',copyIndex())]","copy":{"name":"l","count":5,"mode":"Serial","batchSize":2}}]`,
			[][]string{
				{"Microsoft.Compute/disks/d0"},
				{"Microsoft.Compute/disks/d1"},
				{"Microsoft.Compute/disks/d2", "d0", "d1"},
				{"Microsoft.Compute/disks/d3", "d0", "d1"},
				{"Microsoft.Compute/disks/d4", "d2", "d3"},
			},
		},
		{
			"conditions and children",
			`"resources":[{` + disk + `,"name":"no","condition":"[equals(1,2)]"},
				{"type":"A.B/c","apiVersion":"1","name":"p","dependsOn":["no"],"resources":[{"type":"d","apiVersion":"1","name":"k"}]}]`,
			[][]string{{"A.B/c/p"}, {"A.B/c/p/d/k", "p"}},
		},
		{
			"symbolic names",
			`"languageVersion":"2.0","resources":{
				"old":{"existing":true,` + disk + `,"name":"old"},
				"snap":{"type":"Microsoft.Compute/snapshots","apiVersion":"1","name":"s","dependsOn":["disks"],
					"properties":{"creationData":{"sourceResourceId":"[resourceInfo('old').id]"},"n":"[reference('old').n]","m":"[references('disks')]"}},
				"disks":{"copy":{"name":"disks","count":"[length(range(0,2))]"},` + disk + `,"name":"[format('d{0}',copyIndex())]"}}`,
			[][]string{{"Microsoft.Compute/disks/d0"}, {"Microsoft.Compute/disks/d1"}, {"Microsoft.Compute/snapshots/s", "d0", "d1"}},
		},
		{
			"extensions and scopes",
			`"resources":[{` + disk + `,"name":"d"},
				{"type":"Microsoft.Authorization/locks","apiVersion":"1","name":"l","scope":"Microsoft.Compute/disks/d","dependsOn":["d"]},
				{"type":"Microsoft.Compute/disks/providers/locks","apiVersion":"1","name":"d/Microsoft.Authorization/m"}]`,
			[][]string{
				{"Microsoft.Compute/disks/d"},
				{"Microsoft.Compute/disks/d/providers/Microsoft.Authorization/locks/l", "d"},
				{"Microsoft.Compute/disks/d/providers/Microsoft.Authorization/locks/m"},
			},
		},
	} {
		in, err := bound(t, c.sections, nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, shape(in)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestBadTemplates(t *testing.T) {
	for _, c := range []struct{ sections, want string }{
		{`"resources":[{` + disk + `,"name":"a","dependsOn":["b"]},{` + disk + `,"name":"b","dependsOn":["a"]}]`, "Circular dependency"},
		{`"resources":[{` + disk + `,"name":"a","tags":{"x":"[reference('a').y]"},"dependsOn":["a"]}]`, "Circular dependency"},
		{`"resources":[{` + disk + `,"name":"a"},{` + disk + `,"name":"A"}]`, "defined multiple times"},
		{`"resources":[{` + disk + `,"name":"a","dependsOn":["z"]}]`, "'z' is not defined in the template"},
		{`"resources":[{` + disk + `,"name":"a/b"}]`, "incorrect segment lengths"},
		{`"resources":[{"type":"A.B/c","name":"a"}]`, "has no 'apiVersion'"},
		{`"resources":[{` + disk + `,"name":"[reference('x').y]"}]`, "not expected at this location"},
		{`"resources":[{` + disk + `,"name":"x","copy":{"name":"c","count":801}}]`, "from 0 to 800"},
		{`"resources":[{` + disk + `,"name":"[concat('x',copyIndex())]","copy":{"name":"c","count":800}},{` + disk + `,"name":"y"}]`, "exceeds the limit"},
		{`"resources":{"a":{}}`, "languageVersion"},
		{`"resources":[],"nonsense":1`, "Could not find member 'nonsense'"},
		{`"resources":[],"variables":{"a":"[variables('b')]","b":"[variables('a')]"},"outputs":{"o":{"type":"string","value":"[variables('a')]"}}`, "refers to itself"},
		{`"resources":[],"outputs":{"o":{"type":"int","value":"x"}}`, "Expected 'Integer'. Actual 'String'"},
		{`"parameters":{"p":{"type":"strin","defaultValue":"x"}},"resources":[]`, "which is not valid"},
	} {
		if _, err := bound(t, c.sections, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.sections, err, c.want)
		}
	}
	for text, want := range map[string]string{
		`[]`: "must be a JSON object", `{`: "not valid JSON", `{"contentVersion":"1","resources":[]}`: "'$schema'",
		`{"$schema":"http://example.org/x","contentVersion":"1","resources":[]}`: "not supported", `{"$schema":"` + testSchema + `","resources":[]}`: "contentVersion",
		`{"$schema":"` + testSchema + `","contentVersion":"1"}`: "'resources' property is missing",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestBodiesAndOutputs(t *testing.T) {
	in, err := bound(t, `"variables":{"tags":{"[concat('k','ey')]":"[[text]"}},
		"resources":[
			{`+disk+`,"name":"a","location":"[resourceGroup().location]","tags":"[variables('tags')]","comments":"c","copy":{"name":"n","count":1},
				"properties":{"copy":[{"name":"luns","count":2,"input":{"lun":"[copyIndex('luns')]"}}],"of":"[reference(resourceId('Microsoft.Compute/disks','z'),'1').size]"}},
			{"type":"Microsoft.Resources/deployments","apiVersion":"1","name":"in","properties":{"mode":"Incremental","expressionEvaluationOptions":{"scope":"inner"},
				"parameters":{"p":{"value":"[resourceGroup().name]"}},"template":{"x":"[parameters('p')]"}}},
			{"type":"Microsoft.Resources/deployments","apiVersion":"1","name":"out","properties":{"mode":"Incremental","template":{"x":"[resourceGroup().name]","y":"[[z]"}}}],
		"outputs":{"many":{"type":"array","copy":{"count":2,"input":"[copyIndex()]"}},"size":{"type":"int","value":"[reference(resourceId('Microsoft.Compute/disks','z'),'1').size]"},
			"none":{"condition":false,"type":"string","value":"x"}}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	z := world{strings.ToLower(testScope + "/providers/Microsoft.Compute/disks/z"): {"properties": map[string]any{"size": int64(7)}}}
	luns := []any{map[string]any{"lun": int64(0)}, map[string]any{"lun": int64(1)}}
	tags := map[string]any{"key": "[text]"}
	for i, want := range []map[string]any{
		{"location": "westus2", "tags": tags, "properties": map[string]any{"luns": luns, "of": int64(7)}},
		{"properties": map[string]any{"mode": "Incremental", "parameters": map[string]any{"p": map[string]any{"value": "rg"}}, "template": map[string]any{"x": "[parameters('p')]"}}},
		{"properties": map[string]any{"mode": "Incremental", "template": map[string]any{"x": "rg", "y": "[[z]"}}},
	} {
		got, err := in.Resources()[i].Body(z)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
	}
	early, err := in.Resources()[0].Body(nil)
	want := map[string]any{"luns": luns, "of": "[reference(resourceId('Microsoft.Compute/disks','z'),'1').size]"}
	if diff := cmp.Diff(want, early["properties"]); err != nil || diff != "" {
		t.Error(err, diff)
	}
	out, err := in.Outputs(z)
	if diff := cmp.Diff(map[string]Value{"many": {"array", []any{int64(0), int64(1)}}, "size": {"int", int64(7)}}, out); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// FuzzTemplate requires that no document makes the language panic, hang, or fail without a sentence.
func FuzzTemplate(f *testing.F) {
	f.Add(`"resources":[{`+disk+`,"name":"[concat('a',copyIndex())]","copy":{"name":"c","count":3}}],"outputs":{"o":{"type":"array","copy":{"count":2,"input":"[copyIndex()]"}}}`, "[format('{0:D2}',1)]")
	f.Add(`"variables":{"v":"[createObject('a',range(0,9))]"},"resources":[]`, "[map(createArray(1),lambda('x',lambdaVariables('x')))]")
	f.Add(`"resources":[],"parameters":{"p":{"type":"string","defaultValue":"[utcNow('yyyy')]"}}`, "[dateTimeAdd('2020-01-01','P1Y')]")
	f.Fuzz(func(t *testing.T, sections, expression string) {
		in, err := bound(t, sections, nil)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
			return
		}
		for _, r := range in.Resources() {
			_, _ = r.Body(world{})
		}
		_, _ = in.Outputs(world{})
		e := in.evaluator(modeRun)
		e.runtime = world{}
		_, _ = e.text(expression)
	})
}
