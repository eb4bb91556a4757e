package template

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestNoSlowTemplates evaluates templates that were made to take minutes: each ends within the work that an instance may do, whatever its
// functions, loops and resources multiply.
func TestNoSlowTemplates(t *testing.T) {
	const disk = `"type":"Microsoft.Compute/disks","apiVersion":"2023-04-02"`
	const many = `"variables":{"r":"[range(0,10000)]",` +
		`"o":"[toObject(variables('r'),lambda('x',format('k{0}',lambdaVariables('x'))))]"},`
	value := func(expression string) string {
		return many + `"resources":[],"outputs":{"v":{"type":"int","value":"[length(string(` + expression + `))]"}}`
	}
	each := func(body string) string {
		return value("map(variables('r'),lambda('x',map(variables('r'),lambda('y'," + body + "))))")
	}
	long := strings.Repeat("x", 24000)
	loops := func(input string) string {
		return `"resources":[],"outputs":{"o":{"type":"array","copy":{"count":800,"input":{"copy":[{"name":"a","count":800,"input":` + input + `}]}}}}`
	}
	for name, sections := range map[string]string{
		"missing key":         each("contains(variables('o'),'y')"),
		"key in other case":   each("variables('o').K9999"),
		"objects merged":      each("length(union(variables('o'),toObject(variables('r'),lambda('z',format('m{0}',lambdaVariables('z'))))))"),
		"sorted":              each("length(sort(variables('r'),lambda('a','b',less(lambdaVariables('b'),lambdaVariables('a')))))"),
		"doubled":             doubled(40),
		"expressions in loop": loops(`"[length('` + long + `')]"`),
		"names in loop":       loops(`{"[toLower('` + long + `')]":1}`),
		"loops in loops":      loops(`{"copy":[{"name":"b","count":800,"input":"[copyIndex('a')]"}]}`),
		// What each resource asks of its variables is asked again when it is deployed.
		"resources": `"variables":{"n":"[length(string(map(range(0,9000),lambda('x',add(lambdaVariables('x'),1)))))]"},` +
			`"resources":[{` + disk + `,"name":"[concat('d',copyIndex())]","copy":{"name":"c","count":800},` +
			`"properties":{"n":"[variables('n')]","y":"[reference(resourceId('Microsoft.Compute/disks','e'),'2023-04-02').y]"}}]`,
	} {
		t.Run(name, func(t *testing.T) {
			if err := evaluateAll(t, sections); !errors.Is(err, errTooMuch) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// evaluateAll does with a template what its deployment does.
func evaluateAll(t *testing.T, sections string) error {
	in, err := bound(t, sections, nil)
	if err != nil {
		return err
	}
	w := world{strings.ToLower(testScope + "/providers/Microsoft.Compute/disks/e"): {"properties": map[string]any{"y": "z"}}}
	for _, r := range in.Resources() {
		if _, err := r.Body(w); err != nil {
			return err
		}
	}
	_, err = in.Outputs(w)
	return err
}

// doubled has each variable be the one before twice.
func doubled(n int) string {
	all := []string{`"v0":"x"`}
	for i := range n {
		all = append(all, fmt.Sprintf(`"v%d":"[createArray(variables('v%d'),variables('v%d'))]"`, i+1, i, i))
	}
	return `"variables":{` + strings.Join(all, ",") + fmt.Sprintf(`},"resources":[],"outputs":{"o":{"type":"string","value":"[string(variables('v%d'))]"}}`, n)
}
