package main

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// TestTokenKeyAge: a key that is too old is replaced by a start, and its tokens stay good.
func TestTokenKeyAge(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	old := s.token(t)
	if code := s.stop(); code != 0 {
		t.Fatal(code)
	}
	s = start(t, dir, "--token-key-age", "1ns")
	for end := time.Now().Add(time.Minute); s.tokenKeys(t) != 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d keys are shown, want the old one and the new one", s.tokenKeys(t))
		}
	}
	for which, token := range map[string]string{"old": old, "new": s.token(t)} {
		if code, body := s.call(t, token, "GET", "/subscriptions?api-version=2020-01-01", ""); code != http.StatusOK {
			t.Errorf("the %s token: %d %s", which, code, body)
		}
	}
}

func (s *running) tokenKeys(t *testing.T) int {
	t.Helper()
	r, err := s.client.Get(s.url + "/adfs/discovery/keys")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var set struct{ Keys []json.RawMessage }
	if err := json.NewDecoder(r.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	return len(set.Keys)
}
