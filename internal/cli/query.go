package cli

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/jmespath-community/go-jmespath"
	"github.com/jmespath-community/go-jmespath/pkg/parsing"
)

// query is a compiled --query. A nil query passes everything through.
type query struct {
	compiled jmespath.JMESPath
	// orders are the key orders of the query's multiselect hashes: columns and tab
	// separated values come in the order in which they were written.
	orders [][]string
}

// row is an object whose keys have an order.
type row []cell

type cell struct {
	name  string
	value any
}

func compileQuery(text string) (*query, error) {
	if text == "" {
		return nil, nil
	}
	compiled, err := jmespath.Compile(text)
	if err != nil {
		text = quoteLiterals(text)
		compiled, err = jmespath.Compile(text)
	}
	if err != nil {
		return nil, usagef("argument --query: invalid jmespath_type value: '%s'", text)
	}
	ast, err := jmespath.NewParser().Parse(text)
	if err != nil {
		return nil, err
	}
	return &query{compiled: compiled, orders: hashOrders(ast)}, nil
}

// quoteLiterals allows what Python's JMESPath still does, and az's documentation
// uses: a literal that is not JSON is a string (`westus`).
func quoteLiterals(text string) string {
	parts := strings.Split(text, "`")
	if len(parts)%2 == 0 {
		return text
	}
	for i := 1; i < len(parts); i += 2 {
		if !json.Valid([]byte(parts[i])) {
			parts[i] = strconv.Quote(strings.TrimLeft(parts[i], " "))
		}
	}
	return strings.Join(parts, "`")
}

func hashOrders(node parsing.ASTNode) [][]string {
	var orders [][]string
	if node.NodeType == parsing.ASTMultiSelectHash {
		var keys []string
		for _, child := range node.Children {
			if name, ok := child.Value.(string); ok {
				keys = append(keys, name)
			}
		}
		orders = append(orders, keys)
	}
	for _, child := range node.Children {
		orders = append(orders, hashOrders(child)...)
	}
	return orders
}

// apply runs the query over a result.
func (q *query) apply(v any) (any, error) {
	if q == nil {
		return v, nil
	}
	found, err := q.compiled.Search(toFloats(v))
	if err != nil {
		return nil, usagef("Invalid jmespath query supplied for `--query`: %s\n"+
			"To learn more about --query, please visit: 'https://docs.microsoft.com/cli/azure/query-azure-cli'", err)
	}
	if !printable(found) {
		return nil, usagef("Invalid jmespath query supplied for `--query`: its result is no value")
	}
	return fromFloats(found), nil
}

// printable says whether a query's result is made of JSON's types: it may also be a
// function (&expression), or a number that is none (1/0).
func printable(v any) bool {
	switch v := v.(type) {
	case nil, bool, string:
		return true
	case float64:
		return !math.IsNaN(v) && !math.IsInf(v, 0)
	case []any:
		return !slices.ContainsFunc(v, func(item any) bool { return !printable(item) })
	case map[string]any:
		for _, item := range v {
			if !printable(item) {
				return false
			}
		}
		return true
	default:
		return false
	}
}

// order arranges the keys of o: as written in the query where o comes from a
// multiselect hash, else by name.
func (q *query) order(o map[string]any) []string {
	if keys := q.written(o); keys != nil {
		return keys
	}
	keys := make([]string, 0, len(o))
	for k := range o {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// written returns the keys of o in the order of the multiselect hash that o comes
// from, or nil.
func (q *query) written(o map[string]any) []string {
	if q == nil {
		return nil
	}
	for _, keys := range q.orders {
		if sameKeys(o, keys) {
			return keys
		}
	}
	return nil
}

func sameKeys(o map[string]any, keys []string) bool {
	if len(o) != len(keys) {
		return false
	}
	for _, k := range keys {
		if _, ok := o[k]; !ok {
			return false
		}
	}
	return true
}

// toFloats gives JMESPath the numbers it computes with.
func toFloats(v any) any {
	return mapNumbers(v, func(v any) any {
		if n, ok := v.(json.Number); ok {
			if f, err := n.Float64(); err == nil {
				return f
			}
		}
		return v
	})
}

// fromFloats brings numbers back to the digits that a person expects.
func fromFloats(v any) any {
	return mapNumbers(v, func(v any) any {
		f, ok := v.(float64)
		if !ok {
			return v
		}
		if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return json.Number(strconv.FormatInt(int64(f), 10))
		}
		return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
	})
}

func mapNumbers(v any, convert func(any) any) any {
	switch v := v.(type) {
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = mapNumbers(item, convert)
		}
		return items
	case map[string]any:
		o := make(map[string]any, len(v))
		for k, item := range v {
			o[k] = mapNumbers(item, convert)
		}
		return o
	default:
		return convert(v)
	}
}
