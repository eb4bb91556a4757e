package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// matcher compares answers. It remembers which recorded id stands for which of ours.
type matcher struct {
	ids map[string]string // recorded → ours
	rev map[string]string // ours → recorded
}

func newMatcher() *matcher { return &matcher{ids: map[string]string{}, rev: map[string]string{}} }

// bind notes that the recorded id stands for ours, unless either stands for another already.
func (m *matcher) bind(rec, got string) bool {
	a, ok := m.ids[rec]
	b, back := m.rev[got]
	if ok || back {
		return a == got && b == rec
	}
	m.ids[rec], m.rev[got] = got, rec
	return true
}

// translate replaces recorded ids by ours.
func (m *matcher) translate(s string) string {
	own := func(id string) string {
		if own, ok := m.ids[id]; ok {
			return own
		}
		return id
	}
	return versionRE.ReplaceAllStringFunc(guidRE.ReplaceAllStringFunc(s, own), own)
}

// compare lists what differs between the recorded answer and ours.
func (m *matcher) compare(e exchange, got answer) (diffs []string) {
	if got.status != e.Status {
		return []string{fmt.Sprintf("status: %d, recorded %d: %s", got.status, e.Status, show(got.body))}
	}
	for _, name := range comparedHeaders {
		if name == "content-type" && e.ResponseBody == nil {
			continue // Azure names one at times where there is nothing to be of it
		}
		rec, own := e.ResponseHeaders[name], got.header.Get(name)
		diffs = append(diffs, m.strings("header "+name, rec, own)...)
	}
	return append(diffs, m.values(e, "", e.ResponseBody, got.body)...)
}

func (m *matcher) values(e exchange, at string, rec, got any) []string {
	switch r := rec.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			return m.objects(e, at, r, g)
		}
	case []any:
		if g, ok := got.([]any); ok && len(r) == len(g) {
			var diffs []string
			for i := range r {
				diffs = append(diffs, m.values(e, at, r[i], g[i])...)
			}
			return diffs
		}
	case string:
		if g, ok := got.(string); ok {
			return m.strings(at, r, g)
		}
	}
	if reflect.DeepEqual(rec, got) || sameProgress(at, rec, got) || bothSeconds(at, rec, got) {
		return nil
	}
	return []string{fmt.Sprintf("%s: %s, recorded %s", at, show(got), show(rec))}
}

func (m *matcher) objects(e exchange, at string, rec, got map[string]any) (diffs []string) {
	keys := slices.Collect(maps.Keys(rec))
	for k := range got {
		if _, ok := rec[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		path := strings.TrimPrefix(at+"."+k, ".")
		r, inRec := rec[k]
		g, inGot := got[k]
		switch {
		case inRec && inGot:
			diffs = append(diffs, m.values(e, path, r, g)...)
		case mayLack(e, path):
		case inRec:
			diffs = append(diffs, fmt.Sprintf("%s: absent, recorded %s", path, show(r)))
		default:
			diffs = append(diffs, fmt.Sprintf("%s: %s, recorded nothing", path, show(g)))
		}
	}
	return diffs
}

func (m *matcher) strings(at, rec, got string) []string {
	if rec == got {
		return nil
	}
	if rec != "" && got != "" {
		for _, r := range rules {
			if r.at.MatchString(at) && r.match(m, rec, got) {
				return nil
			}
		}
	}
	return []string{fmt.Sprintf("%s: %q, recorded %q", at, got, rec)}
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
