package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestRecord reads what --record wrote: every answer of the API, for the owner's eyes, and nothing that opens a door.
func TestRecord(t *testing.T) {
	s := start(t, t.TempDir())
	token := s.token(t)
	s.makeDisk(t, token, "d")
	url := s.grantURL(t, token, s.group("g")+"/providers/Microsoft.Compute/disks/d")
	if code, _ := s.call(t, token, "GET", "/subscriptions", ""); code != 400 {
		t.Errorf("without a version: %d", code)
	}
	info, err := os.Stat(s.answers)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
	text, err := os.ReadFile(s.answers)
	if err != nil {
		t.Fatal(err)
	}
	_, signature, _ := strings.Cut(url, "sig=")
	for what, secret := range map[string]string{"a token": token, "a password": s.cred.Password, "a signature": signature} {
		if secret == "" || strings.Contains(string(text), secret) {
			t.Errorf("the record holds %s: %q", what, secret)
		}
	}
	var last recorded
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Method != "GET" || last.URI != "/subscriptions" ||
		last.Status != 400 || last.Headers.Get("x-ms-request-id") == "" || !strings.Contains(string(last.Body), "MissingApiVersionParameter") {
		t.Errorf("%v %+v", err, last)
	}
	if len(lines) < 4 || !strings.Contains(string(text), "sig=REDACTED") {
		t.Errorf("%d lines: %s", len(lines), text)
	}
}
