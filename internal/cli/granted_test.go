package cli

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestExisting creates a snapshot twice, and wants to be told that the second time made nothing.
func TestExisting(t *testing.T) {
	r := startReal(t)
	r.must(t, "disk", "create", "-g", "g", "-n", "d", "--size-gb", "1")
	for i, want := range []bool{false, true} {
		_, stderr, code := r.run(t, "snapshot", "create", "-g", "g", "-n", "s", "--source", "d")
		if code != 0 || strings.Contains(stderr, "WARNING: a snapshot of this name has existed since") != want {
			t.Errorf("time %d: exit %d, %s", i, code, stderr)
		}
	}
}

// TestGrantsAreListed finds a grant in the list as long as it lasts.
func TestGrantsAreListed(t *testing.T) {
	r := startReal(t)
	r.must(t, "disk", "create", "-g", "g", "-n", "d", "--size-gb", "1")
	r.must(t, "snapshot", "create", "-g", "g", "-n", "s", "--source", "d")
	r.must(t, "snapshot", "export", "-g", "g", "-n", "s", "--file", filepath.Join(t.TempDir(), "s.vhd"))
	if got := r.must(t, "store", "grants", "-o", "json"); got != "[]" {
		t.Errorf("after an export: %s", got)
	}
	r.must(t, "snapshot", "grant-access", "-g", "g", "-n", "s", "--duration-in-seconds", "600")
	line := r.must(t, "store", "grants", "--query", "[0].[access,readBytes]", "-o", "tsv")
	if !strings.HasPrefix(line, "Read") || !strings.HasSuffix(line, "0") {
		t.Errorf("a grant that was not used: %q", line)
	}
}
