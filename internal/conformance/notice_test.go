package conformance

import (
	"fmt"
	"net/http"
	"testing"
)

// TestNoticesChanges takes every recorded answer for ours, alters it in one place after the other, and wants each noticed.
func TestNoticesChanges(t *testing.T) {
	altered := 0
	for _, rec := range loadAll(t) {
		for i, e := range rec.exchanges {
			if !isOurs(e.what.kind) {
				continue
			}
			own := answer{status: e.Status, header: http.Header{}, body: e.ResponseBody}
			for _, h := range comparedHeaders {
				if v := e.ResponseHeaders[h]; v != "" {
					own.header.Set(h, v)
				}
			}
			if diffs := newMatcher().compare(e, own); len(diffs) > 0 {
				t.Fatalf("%s %d: an answer differs from itself: %v", rec.name, i, diffs)
			}
			for at, body := range alterations("", e.ResponseBody) {
				altered++
				own.body = body
				if len(newMatcher().compare(e, own)) == 0 {
					t.Errorf("%s %d: %s was altered, and nobody noticed", rec.name, i, at)
				}
			}
		}
	}
	if altered < 10_000 {
		t.Errorf("only %d alterations", altered)
	}
}

// alterations gives copies of v, each with one value altered, by what was.
func alterations(at string, v any) map[string]any {
	out := map[string]any{}
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			for inner, changed := range alterations(at+"."+k, x) {
				copied := map[string]any{}
				for key, value := range v {
					copied[key] = value
				}
				copied[k] = changed
				out[inner] = copied
			}
		}
		added := map[string]any{"surprise": true}
		for key, value := range v {
			added[key] = value
		}
		out[at+" with a key more"] = added
	case []any:
		out[at+" with an element more"] = append(append([]any{}, v...), "surprise")
		for i := range v {
			for inner, changed := range alterations(fmt.Sprintf("%s[%d]", at, i), v[i]) {
				copied := append([]any{}, v...)
				copied[i] = changed
				out[inner] = copied
			}
		}
	default:
		out[at] = "altered"
	}
	return out
}
