package cli

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// formatTable prints rows under headings. With columns, those; else every scalar
// that is not null, id, type or etag.
func formatTable(v any, q *query, columns func(map[string]any) row) (string, error) {
	items, ok := v.([]any)
	if !ok {
		items = []any{v}
	}
	rows := make([]row, len(items))
	for i, item := range items {
		rows[i] = tableRow(item, q, columns)
	}
	if len(rows) == 0 || (len(rows) == 1 && len(rows[0]) == 0) {
		return "\n", nil
	}
	text := layout(rows)
	if strings.TrimSpace(text) == "" {
		return "", errNoTable
	}
	return text, nil
}

func tableRow(item any, q *query, columns func(map[string]any) row) row {
	switch item := item.(type) {
	case map[string]any:
		var all row
		if columns != nil {
			all = columns(item)
		} else {
			for _, k := range tableOrder(item, q) {
				all = append(all, cell{k, item[k]})
			}
		}
		return scalars(all)
	case []any:
		out := make(row, len(item))
		for i, value := range item {
			out[i] = cell{"Column" + strconv.Itoa(i+1), value}
		}
		return out
	default:
		return row{{"Result", item}}
	}
}

// tableOrder is the order of columns: by name without a query, under a query as
// written there, or that of the model where the query passes objects through.
func tableOrder(o map[string]any, q *query) []string {
	if q == nil || q.written(o) != nil {
		return q.order(o)
	}
	for _, m := range shownWhole {
		if keys := m.order(o); keys != nil {
			return keys
		}
	}
	return q.order(o)
}

func scalars(all row) row {
	var out row
	for _, c := range all {
		switch c.value.(type) {
		case nil, []any, map[string]any:
			continue
		}
		if c.name == "id" || c.name == "type" || c.name == "etag" || c.name == "" {
			continue
		}
		out = append(out, cell{strings.ToUpper(c.name[:1]) + c.name[1:], c.value})
	}
	return out
}

// layout draws headings, a rule, and the rows, columns two spaces apart.
func layout(rows []row) string {
	var names []string
	width := map[string]int{}
	texts := make([]map[string]string, len(rows))
	for i, r := range rows {
		texts[i] = map[string]string{}
		for _, c := range r {
			if _, seen := width[c.name]; !seen {
				names = append(names, c.name)
				width[c.name] = utf8.RuneCountInString(c.name) + 2
			}
			text := cellText(c.value)
			texts[i][c.name] = text
			width[c.name] = max(width[c.name], utf8.RuneCountInString(text))
		}
	}
	var b strings.Builder
	line := func(text func(name string) string) {
		var parts []string
		for _, name := range names {
			t := text(name)
			parts = append(parts, t+strings.Repeat(" ", max(0, width[name]-utf8.RuneCountInString(t))))
		}
		b.WriteString(strings.TrimRight(strings.Join(parts, "  "), " "))
		b.WriteByte('\n')
	}
	line(func(name string) string { return name })
	line(func(name string) string { return strings.Repeat("-", width[name]) })
	for _, t := range texts {
		line(func(name string) string { return t[name] })
	}
	return b.String()
}

// cellText is one value on one line.
func cellText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any, map[string]any:
		return pythonLiteral(v)
	default:
		return strings.TrimSpace(strings.ReplaceAll(pythonText(v), "\n", " "))
	}
}

// pythonLiteral is a value as Python writes it in a program.
func pythonLiteral(v any) string {
	switch v := v.(type) {
	case []any:
		words := make([]string, len(v))
		for i, item := range v {
			words[i] = pythonLiteral(item)
		}
		return "[" + strings.Join(words, ", ") + "]"
	case map[string]any:
		var words []string
		for _, k := range (*query)(nil).order(v) {
			words = append(words, pythonLiteral(k)+": "+pythonLiteral(v[k]))
		}
		return "{" + strings.Join(words, ", ") + "}"
	case string:
		quote := "'"
		if strings.Contains(v, "'") && !strings.Contains(v, `"`) {
			quote = `"`
		}
		escaped := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, quote, `\`+quote).Replace(v)
		return quote + escaped + quote
	default:
		return pythonText(v)
	}
}

// diskColumns are az's columns of a disk.
func diskColumns(d map[string]any) row {
	sku, _ := d["sku"].(map[string]any)
	zones := " "
	if list, ok := d["zones"].([]any); ok && len(list) > 0 {
		words := make([]string, len(list))
		for i, z := range list {
			words[i] = pythonText(z)
		}
		zones = strings.Join(words, " ")
	}
	return row{
		{"Name", d["name"]},
		{"ResourceGroup", d["resourceGroup"]},
		{"Location", d["location"]},
		{"Zones", zones},
		{"Sku", sku["name"]},
		{"OsType", d["osType"]},
		{"SizeGb", d["diskSizeGb"]},
		{"ProvisioningState", d["provisioningState"]},
	}
}

// snapshotColumns are az's columns of a snapshot: every field that az knows.
func snapshotColumns(s map[string]any) row {
	columns := row{{"resourceGroup", s["resourceGroup"]}}
	for _, f := range snapshotModel.fields {
		columns = append(columns, cell{f.shown, s[f.shown]})
	}
	slices.SortFunc(columns, func(a, b cell) int { return strings.Compare(a.name, b.name) })
	return columns
}

// groupColumns are az's columns of a group.
func groupColumns(g map[string]any) row {
	properties, _ := g["properties"].(map[string]any)
	return row{{"Name", g["name"]}, {"Location", g["location"]}, {"Status", properties["provisioningState"]}}
}
