package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// outputFormats are az's, in az's order.
var outputFormats = []string{"json", "jsonc", "yaml", "yamlc", "table", "tsv", "none"}

// printResult writes a command's result. Nothing is written for nil.
func printResult(env Env, result any, format string, q *query, columns func(map[string]any) row) error {
	if result == nil {
		return nil
	}
	if list, ok := result.([]map[string]any); ok {
		result = widen(list)
	}
	result, err := q.apply(result)
	if err != nil || result == nil {
		return err
	}
	var text string
	switch format {
	case "json", "jsonc":
		text, err = formatJSON(result)
		if format == "jsonc" && env.StdoutTTY {
			text = colourJSON(text)
		}
	case "yaml", "yamlc":
		text, err = formatYAML(result)
	case "table":
		if q != nil {
			columns = nil
		}
		text, err = formatTable(result, q, columns)
	case "tsv":
		text = formatTSV(result, q)
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(env.Stdout, text)
	return err
}

func widen(list []map[string]any) []any {
	items := make([]any, len(list))
	for i := range list {
		items[i] = list[i]
	}
	return items
}

// formatJSON prints keys in order, indented by two, as az does.
func formatJSON(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.String(), err
}

// colourJSON paints the keys of indented JSON.
func colourJSON(text string) string {
	const blue, plain = "\x1b[94m", "\x1b[39;49;00m"
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		body := strings.TrimLeft(line, " ")
		end := strings.Index(body, `": `)
		if !strings.HasPrefix(body, `"`) || end < 0 {
			continue
		}
		indent := line[:len(line)-len(body)]
		lines[i] = indent + blue + body[:end+1] + plain + body[end+1:]
	}
	return strings.Join(lines, "")
}

func formatYAML(v any) (string, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(yamlNumbers(v)); err != nil {
		return "", err
	}
	return b.String(), e.Close()
}

// yamlNumbers turns decoded numbers, which are strings to Go, back into numbers.
func yamlNumbers(v any) any {
	return mapNumbers(v, func(v any) any {
		n, ok := v.(json.Number)
		if !ok {
			return v
		}
		if i, err := n.Int64(); err == nil {
			return i
		}
		if f, err := n.Float64(); err == nil {
			if strings.HasSuffix(n.String(), ".0") {
				return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: n.String()}
			}
			return f
		}
		return n.String()
	})
}

// formatTSV prints one line an item: values by key, lists as their length, objects
// as nothing, null as None.
func formatTSV(v any, q *query) string {
	items, ok := v.([]any)
	if !ok {
		items = []any{v}
	}
	var b strings.Builder
	for _, item := range items {
		switch item := item.(type) {
		case map[string]any:
			for i, k := range q.order(item) {
				if i > 0 {
					b.WriteByte('\t')
				}
				b.WriteString(tsvValue(item[k]))
			}
		case []any:
			for i, value := range item {
				if i > 0 {
					b.WriteByte('\t')
				}
				b.WriteString(tsvValue(value))
			}
		case bool:
			b.WriteString(strconv.FormatBool(item))
		default:
			b.WriteString(tsvValue(item))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func tsvValue(v any) string {
	switch v := v.(type) {
	case []any:
		return strconv.Itoa(len(v))
	case map[string]any:
		return ""
	default:
		return pythonText(v)
	}
}

// pythonText is a scalar in Python's words, which az prints.
func pythonText(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case json.Number:
		return v.String()
	case string:
		return v
	default:
		return ""
	}
}

const errNoTable = azText("Table output unavailable. Use the --query option to specify an appropriate query. " +
	"Use --debug for more info.")
