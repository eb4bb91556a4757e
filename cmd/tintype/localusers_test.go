package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestIdentityFlags refuses what would give tokens to others than the operator means.
func TestIdentityFlags(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for name, flags := range map[string][]string{
		"need each other":              {"--identity-listen", "127.0.0.1:0"},
		"need each other ":             {"--identity-user", "root"},
		"other machines may reach it":  {"--identity-listen", "0.0.0.0:0", "--identity-user", "root"},
		"other machines may reach it ": {"--identity-listen", "192.0.2.1:80", "--identity-user", "root"},
		"unknown user":                 {"--identity-listen", "127.0.0.1:0", "--identity-user", "no-such-user"},
		"stands for every user":        {"--identity-listen", "127.0.0.1:0", "--identity-user", "65534"},
		"stands for every user ":       {"--identity-listen", "127.0.0.1:0", "--identity-user", "4294967295"},
		"there is another one":         {"--identity-listen", "127.0.0.1:0", "--identity-user", "12345,12345"},
	} {
		args := append([]string{"serve", "--data", dir, "--listen", "127.0.0.1:0"}, flags...)
		if code, _, errs := run(t, args...); code == 0 || !strings.Contains(errs, strings.TrimSpace(name)) {
			t.Errorf("%v: %d %s", flags, code, errs)
		}
	}
}
