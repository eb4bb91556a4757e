package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	testSub    = "/subscriptions/11111111-1111-1111-1111-111111111111"
	testScope  = testSub + "/resourceGroups/rg"
	testSchema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
)

func testEnvironment() Environment {
	return Environment{
		Subscription: map[string]any{"id": testSub, "subscriptionId": testSub[15:], "displayName": "Sub"},
		Group:        map[string]any{"id": testScope, "name": "rg", "location": "westus2", "tags": map[string]any{"a": "b"}},
		Deployment:   map[string]any{"name": "dep"},
		Scope:        testScope, Now: time.Date(2026, 11, 22, 14, 5, 6, 123_000_000, time.UTC),
		NewGUID: func() string { return "22222222-2222-2222-2222-222222222222" },
	}
}

// world is a runtime with the resources that it was given.
type world map[string]map[string]any

func (w world) Reference(id, version string) (map[string]any, error) {
	if r, ok := w[strings.ToLower(id)]; ok {
		return r, nil
	}
	return nil, fmt.Errorf("there is no %s at %s", id, version)
}

func (w world) List(function, id, _ string, body any) (any, error) {
	return map[string]any{"called": function, "on": id, "with": body}, nil
}

// bound reads a template from sections, with the schema and version added.
func bound(t testing.TB, sections string, given map[string]any) (*Instance, error) {
	t.Helper()
	text := `{"$schema":"` + testSchema + `","contentVersion":"1.0.0.0",` + sections + `}`
	tm, err := Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	return tm.Bind(given, testEnvironment())
}

// evaluated is the value of one expression, as JSON, with some parameters and variables around.
func evaluated(t testing.TB, expression string) (string, error) {
	t.Helper()
	quoted, err := json.Marshal(expression)
	if err != nil {
		t.Fatal(err)
	}
	in, err := bound(t, `"parameters":{"list":{"type":"array","defaultValue":[3,1,2]},
		"o":{"type":"object","defaultValue":{"Key":"v","n":{"x":1}}},"now":{"type":"string","defaultValue":"[utcNow('u')]"}},
		"variables":{"copy":[{"name":"squares","count":3,"input":"[mul(copyIndex('squares'),copyIndex('squares'))]"}],
			"who":"me","chain":"[concat(variables('who'),'!')]"},
		"functions":[{"namespace":"my","members":{"twice":{"parameters":[{"name":"s","type":"string"}],
			"output":{"type":"string","value":"[concat(parameters('s'),parameters('s'))]"}}}}],
		"resources":[],"outputs":{}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := in.evaluator(modeRun)
	e.runtime = world{
		strings.ToLower(testScope + "/providers/Microsoft.Compute/disks/d"): {
			"id": "x", "location": "westus2", "properties": map[string]any{"diskSizeGB": int64(4)},
		},
	}
	var v any
	if err := json.Unmarshal(quoted, &v); err != nil {
		t.Fatal(err)
	}
	out, err := e.tree(v, "", false)
	if err != nil {
		return "", err
	}
	b, err := Encode(out)
	return string(b), err
}

func TestFunctions(t *testing.T) {
	for expression, want := range map[string]string{
		// Published pairs; see uniqueString.
		"[uniqueString('tyeth')]":           `"zcztcwvu6iyg6"`,
		"[uniqueString('test')]":            `"rbgf3xv4ufgzg"`,
		"[uniqueString('hello', 'world')]":  `"a7wkljktk6wne"`,
		"[uniqueString('foo','bar','baz')]": `"xzi4ioaxtmth4"`,
		"[uniqueString('/subscriptions/3c7f956b-55ee-4686-9d30-da1eb631dc59/resourceGroups/rg-devopsshieldek010dev')]": `"fd63l2gacbtca"`,

		"plain": `"plain"`, "[[not an expression]": `"[not an expression]"`, "[open": `"[open"`, "[ 'a' ]": `"a"`, "['it''s']": `"it's"`, "[-5]": `-5`,
		"[concat('a', 1, true())]": `"a1True"`, "[concat(createArray(1),parameters('list'))]": `[1,3,1,2]`,
		"[format('{0}-{1:D3}-{2,4}{{}}', 'a', 7, 'b')]": `"a-007-   b{}"`, "[format('{0:X4}|{0:0000}', 255)]": `"00FF|0255"`,
		"[string(parameters('o'))]": `"{\"Key\":\"v\",\"n\":{\"x\":1}}"`,
		"[parameters('O').KEY]":     `"v"`, "[parameters('o')['n'].x]": `1`, "[parameters('list')[1]]": `1`, "[variables('CHAIN')]": `"me!"`,
		"[variables('squares')]": `[0,1,4]`, "[my.twice('ab')]": `"abab"`, "[parameters('now')]": `"2026-11-22 14:05:06Z"`,
		"[if(equals(1,1),'yes',json('{'))]": `"yes"`, "[and(false(),json('{'))]": `false`, "[or(false(),true())]": `true`, "[not(bool('True'))]": `false`,
		"[less(1,2)]": `true`, "[greaterOrEquals('b','a')]": `true`, "[coalesce(null(),'x')]": `"x"`, "[equals('a','A')]": `false`,
		"[equals(json('{\"A\":1}'),json('{\"a\":1}'))]": `true`,
		"[int('42')]": `42`, "[add(1,2)]": `3`, "[sub(1,2)]": `-1`, "[mul(3,4)]": `12`, "[div(7,2)]": `3`, "[mod(7,2)]": `1`, "[min(3,1,2)]": `1`,
		"[max(parameters('list'))]": `3`, "[range(2,3)]": `[2,3,4]`, "[float('1.5')]": `1.5`,
		"[empty('')]": `true`, "[length(parameters('o'))]": `2`, "[first('abc')]": `"a"`, "[last(parameters('list'))]": `2`, "[take('abc',2)]": `"ab"`,
		"[skip(parameters('list'),2)]": `[2]`, "[take(parameters('list'),99)]": `[3,1,2]`, "[flatten(createArray(createArray(1),2))]": `[1,2]`,
		"[contains('abc','b')]": `true`, "[contains(parameters('o'),'key')]": `true`, "[contains(parameters('list'),4)]": `false`,
		"[union(createArray(1,2),createArray(2,3))]":                             `[1,2,3]`,
		"[union(parameters('o'),createObject('KEY',1,'n',createObject('y',2)))]": `{"Key":1,"n":{"x":1,"y":2}}`,
		"[intersection(createArray(1,2,3),createArray(3,2))]":                    `[2,3]`, "[shallowMerge(createArray(createObject('a',1),createObject('A',2)))]": `{"a":2}`,
		"[indexOf('aBc','b')]": `1`, "[lastIndexOf('abab','B')]": `3`, "[indexOf(parameters('list'),2)]": `2`,
		"[split('a,b;c',createArray(',',';'))]": `["a","b","c"]`, "[join(parameters('list'),'-')]": `"3-1-2"`, "[replace('aXbX','X','')]": `"ab"`,
		"[toUpper('a')]": `"A"`, "[trim(' a ')]": `"a"`, "[substring('abcd',1,2)]": `"bc"`, "[startsWith('Abc','aB')]": `true`, "[endsWith('abC','c')]": `true`,
		"[padLeft(5,3,'0')]": `"005"`, "[base64('a')]": `"YQ=="`, "[base64ToString('YQ==')]": `"a"`, "[base64ToJson('eyJhIjoxfQ==').a]": `1`,
		"[uriComponent('a b/c')]": `"a%20b%2Fc"`, "[uri('http://h/a/','b.json')]": `"http://h/a/b.json"`, "[uri('http://h/a','b.json')]": `"http://h/b.json"`,
		"[dataUri('a')]": `"data:text/plain;charset=utf-8;base64,YQ=="`, "[dataUriToString(dataUri('a'))]": `"a"`,
		"[dateTimeAdd('2020-04-07 14:53:14Z','P3Y')]": `"2023-04-07T14:53:14Z"`, "[dateTimeAdd('2020-04-07 14:53:14Z','-P9D')]": `"2020-03-29T14:53:14Z"`,
		"[dateTimeAdd('2020-04-07 14:53:14Z','PT1H','yyyy/MM/dd HH')]": `"2020/04/07 15"`, "[dateTimeFromEpoch(1683040573)]": `"2023-05-02T15:16:13Z"`,
		"[dateTimeToEpoch('2023-05-02T15:16:13Z')]": `1683040573`,
		"[items(createObject('b',1,'a',2))]":        `[{"key":"a","value":2},{"key":"b","value":1}]`, "[objectKeys(parameters('o'))]": `["Key","n"]`,
		"[tryGet(parameters('o'),'n','x')]": `1`, "[tryGet(parameters('o'),'no','x')]": `null`, "[tryGet(parameters('list'),9)]": `null`,
		"[map(parameters('list'),lambda('x',mul(lambdaVariables('x'),2)))]":                                               `[6,2,4]`,
		"[map(parameters('list'),lambda('x','i',add(lambdaVariables('x'),lambdaVariables('i'))))]":                        `[3,2,4]`,
		"[filter(parameters('list'),lambda('x',greater(lambdaVariables('x'),1)))]":                                        `[3,2]`,
		"[reduce(parameters('list'),0,lambda('a','b',add(lambdaVariables('a'),lambdaVariables('b'))))]":                   `6`,
		"[sort(parameters('list'),lambda('a','b',less(lambdaVariables('a'),lambdaVariables('b'))))]":                      `[1,2,3]`,
		"[toObject(parameters('list'),lambda('x',string(lambdaVariables('x'))),lambda('x',add(lambdaVariables('x'),1)))]": `{"1":2,"2":3,"3":4}`,
		"[map(range(0,2),lambda('x',map(range(0,2),lambda('y',add(lambdaVariables('x'),lambdaVariables('y'))))))]":        `[[0,1],[1,2]]`,
		"[cidrSubnet('10.144.0.0/20',24,1)]": `"10.144.1.0/24"`, "[cidrHost('10.144.3.0/24',0)]": `"10.144.3.1"`, "[parseCidr('10.144.0.0/20').lastUsable]": `"10.144.15.254"`,

		"[resourceId('Microsoft.Compute/disks','d')]":                                         `"` + testScope + `/providers/Microsoft.Compute/disks/d"`,
		"[resourceId('other','Microsoft.A/b/c','x','y')]":                                     `"` + testSub + `/resourceGroups/other/providers/Microsoft.A/b/x/c/y"`,
		"[subscriptionResourceId('Microsoft.A/b','x')]":                                       `"` + testSub + `/providers/Microsoft.A/b/x"`,
		"[extensionResourceId('/a/b','Microsoft.A/locks','l')]":                               `"/a/b/providers/Microsoft.A/locks/l"`,
		"[resourceGroup().location]":                                                          `"westus2"`,
		"[subscription().subscriptionId]":                                                     `"` + testSub[15:] + `"`,
		"[reference(resourceId('Microsoft.Compute/disks','d'),'2023-04-02').diskSizeGB]":      `4`,
		"[reference(resourceId('Microsoft.Compute/disks','d'),'2023-04-02','Full').location]": `"westus2"`,
		"[listKeys(resourceId('Microsoft.Compute/disks','d'),'2023-04-02').called]":           `"listKeys"`,
		"[guid('a')]": `"3703365d-5a9f-59b4-bca7-b9681389e4c1"`, "[guid('a','b')]": `"2d796349-8c7e-55ec-9624-54ece82ed031"`,
	} {
		got, err := evaluated(t, expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
		} else if got != want {
			t.Errorf("%s is %s, want %s", expression, got, want)
		}
	}
}

func TestBadExpressions(t *testing.T) {
	for expression, want := range map[string]string{
		"[]": "expected a function", "['a]": "expected a quote", "[foo()]": "'foo' is not valid", "[concat('a'": "", "[concat()]": "0' arguments",
		"[parameters('x')]": "'x' is not found", "[variables('x')]": "'x' is not found", "[parameters('o').zz]": "doesn't exist",
		"[parameters('list')[9]]": "out of bounds", "[div(1,0)]": "division by zero", "[int('x')]": "not a whole number", "[copyIndex()]": "not expected",
		"[utcNow()]": "only allowed", "[newGuid()]": "only allowed", "[add(9223372036854775807,1)]": "out of range", "[fail('no')]": "no",
		"[lambda('x',1)]": "lambda", "[reference('nothing')]": "could not be found", "[padLeft('a',99999999)]": "too many steps",
		"[resourceId('Microsoft.Compute/disks')]": "", "[" + strings.Repeat("concat(", 200) + "'a'" + strings.Repeat(")", 200) + "]": "nested deeper",
		"[my.twice('a','b')]": "takes '1'", "[map(range(0,10000),lambda('x',map(range(0,10000),lambda('y',1))))]": "too many steps",
		"[reduce(range(0,60),'ab',lambda('a','b',concat(lambdaVariables('a'),lambdaVariables('a'))))]": "too many steps",
	} {
		got, err := evaluated(t, expression)
		if want == "" && (err != nil || got == `"`+expression+`"`) {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v (%.80s), want an error with %q", expression, err, got, want)
		}
	}
}

// TestBillionLaughs has a few variables stand for a value that no memory holds.
func TestBillionLaughs(t *testing.T) {
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, `"v%d":["[variables('v%d')]","[variables('v%d')]"],`, i, i+1, i+1)
	}
	in, err := bound(t, `"variables":{`+b.String()+`"v60":"x"},"resources":[],"outputs":{"o":{"type":"array","value":"[variables('v0')]"}}`, nil)
	if err == nil {
		_, err = in.Outputs(world{})
	}
	if !errors.Is(err, errTooMuch) {
		t.Errorf("got %v", err)
	}
}

func TestParameters(t *testing.T) {
	const sections = `"parameters":{
		"sku":{"type":"string","allowedValues":["a","b"],"defaultValue":"a"},
		"n":{"type":"int","minValue":1,"maxValue":3,"defaultValue":"[length(parameters('z'))]"},
		"z":{"type":"string","defaultValue":"xy","minLength":2,"maxLength":3},
		"secret":{"type":"secureString","defaultValue":"s","allowedValues":["s"]},
		"needed":{"type":"bool"},"list":{"type":"array","defaultValue":[],"maxLength":1}},"resources":[]`
	value := func(v any) map[string]any { return map[string]any{"value": v} }
	in, err := bound(t, sections, map[string]any{"NEEDED": value(true)})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Value{
		"sku": {"string", "a"}, "n": {"int", int64(2)}, "z": {"string", "xy"}, "secret": {"secureString", "s"}, "needed": {"bool", true},
		"list": {"array", []any{}},
	}
	if diff := cmp.Diff(want, in.Parameters()); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		name string
		v    any
		want string
	}{
		{"sku", "c", "allowed value(s): 'a,b'"},
		{"n", int64(4), "less than or equal to '3'"},
		{"n", int64(0), "greater than or equal to '1'"},
		{"n", "4", "Expected 'Integer'. Actual 'String'"},
		{"z", "x", "length of the value"},
		{"other", "x", "not present in the original template"},
		{"secret", "hunter2", "'***'"},
		{"list", []any{int64(1), int64(2)}, "length"},
	} {
		_, err := bound(t, sections, map[string]any{"needed": value(true), c.name: value(c.v)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%v: %v, want %q", c.name, c.v, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the secret is in the error: %v", err)
		}
	}
	if _, err := bound(t, sections, nil); err == nil || !strings.Contains(err.Error(), "'needed' is not provided") {
		t.Errorf("a missing parameter: %v", err)
	}
}
