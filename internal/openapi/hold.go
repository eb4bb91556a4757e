package openapi

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
)

// Hold gives h with every answer held to the description: one that is not as described fails the test. Where there is no
// description, and in fuzz tests and benchmarks, it is h itself.
func (f Folder) Hold(t testing.TB, h http.Handler) http.Handler {
	t.Helper()
	if _, ok := t.(*testing.T); !ok {
		return h
	}
	s, err := f.Find()
	if errors.Is(err, ErrAbsent) {
		t.Log(err)
		return h
	}
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		a := Answer{Method: r.Method, Target: r.URL.RequestURI(), Status: rec.Code, Header: rec.Header()}
		if rec.Body.Len() > 0 {
			if err := json.Unmarshal(rec.Body.Bytes(), &a.Body); err != nil {
				t.Errorf("%s %s: %d is no JSON: %q", a.Method, a.Target, a.Status, rec.Body)
			}
		}
		for _, bad := range s.Check(a) {
			t.Errorf("%s %s: %d is not as described: %s", a.Method, a.Target, a.Status, bad)
		}
		for name, values := range rec.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes()) // the test's own reader is on the other side
	})
}

// HoldFile holds the answers that a server wrote with --record to the description. The last line may be cut short: servers
// are killed.
func (f Folder) HoldFile(t testing.TB, file string) {
	t.Helper()
	s, err := f.Find()
	if errors.Is(err, ErrAbsent) {
		t.Log(err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	count, bad, err := s.checkFile(file)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d answers were held to Azure's description", count)
	slices.Sort(bad)
	for _, b := range slices.Compact(bad) {
		t.Error(b)
	}
}

func (s *Spec) checkFile(file string) (count int, bad []string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text[:bytes.LastIndexByte(text, '\n')+1]))
	lines.Buffer(nil, len(text)+1)
	for lines.Scan() {
		var a Answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return count, bad, fmt.Errorf("%s: %w", file, err)
		}
		count++
		for _, b := range s.Check(a) {
			bad = append(bad, fmt.Sprintf("%s %s: %d is not as described: %s", a.Method, a.Target, a.Status, b))
		}
	}
	return count, bad, lines.Err()
}
