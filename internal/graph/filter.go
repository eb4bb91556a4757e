package graph

import (
	"net/http"
	"regexp"
	"strings"

	"tintype"
)

// maxFilter bounds a $filter.
const maxFilter = 4096

// termRE is one term of a $filter: an equality, a prefix, or an equality with any of a list.
var termRE = regexp.MustCompile(`(?i)^\s*(?:([a-z]+)\s+eq\s+'((?:[^']|'')*)'|startswith\(\s*([a-z]+)\s*,\s*'((?:[^']|'')*)'\s*\)|` +
	`([a-z]+)/any\(\s*([a-z])\s*:\s*([a-z])\s+eq\s+'((?:[^']|'')*)'\s*\))\s*(?:(and|or)\s+(.*))?$`)

// facts are the properties of an object that a filter can ask for, by name in lower case.
type facts map[string][]string

// parseFilter reads the filters that az and its like send: terms joined by and, or by or.
func parseFilter(r *http.Request) (func(facts) bool, error) {
	text := r.URL.Query().Get("$filter")
	var terms []func(facts) bool
	joint := ""
	for rest := text; strings.TrimSpace(rest) != ""; {
		m := termRE.FindStringSubmatch(rest)
		if m == nil || len(text) > maxFilter || m[6] != m[7] {
			return nil, badFilter()
		}
		terms = append(terms, term(m))
		if m[9] != "" {
			if next := strings.ToLower(m[9]); joint == "" {
				joint = next
			} else if joint != next {
				return nil, badFilter()
			}
			if strings.TrimSpace(m[10]) == "" {
				return nil, badFilter()
			}
		}
		rest = m[10]
	}
	return func(f facts) bool {
		for _, t := range terms {
			if t(f) == (joint == "or") {
				return joint == "or"
			}
		}
		return joint != "or"
	}, nil
}

func term(m []string) func(facts) bool {
	name := strings.ToLower(m[1] + m[3] + m[5])
	value := strings.ToLower(strings.ReplaceAll(m[2]+m[4]+m[8], "''", "'"))
	prefix := m[3] != ""
	return func(f facts) bool {
		for _, v := range f[name] {
			v = strings.ToLower(v)
			if v == value || prefix && strings.HasPrefix(v, value) {
				return true
			}
		}
		return false
	}
}

func badFilter() error {
	return &tintype.Error{Kind: tintype.KindInvalid, Code: "Request_UnsupportedQuery", Message: "Unsupported or invalid query filter clause specified."}
}
