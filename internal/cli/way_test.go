package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWayOfBlobs moves an image both ways: over the socket, also where blobs have hosts of their own, and over HTTPS where there is none.
func TestWayOfBlobs(t *testing.T) {
	const size = 24<<20 + 512
	raw := scatter(t, "disk.raw", size, 1, false)
	for _, c := range []struct {
		name, way string
		args      []string
	}{
		{"its own host", "over this machine's socket", nil},
		{"hosts of blobs", "over this machine's socket", []string{"--blob-domain", "localhost"}},
		{"no socket", "over HTTPS", []string{"--blob-domain", "localhost"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := startReal(t, c.args...)
			if c.way == "over HTTPS" {
				if err := os.Remove(filepath.Join(r.Client(), blobSocket)); err != nil {
					t.Fatal(err)
				}
			}
			out := filepath.Join(t.TempDir(), "out.raw")
			for _, line := range [][]string{
				{"disk", "create", "-g", "g", "-n", "d", "--file", raw},
				{"disk", "export", "-g", "g", "-n", "d", "--file", out},
			} {
				if _, notes, code := r.run(t, line...); code != 0 || !strings.Contains(notes, c.way) {
					t.Fatalf("%s: %d %s", line, code, notes)
				}
			}
			sameDisk(t, raw, out, 25<<20)
		})
	}
}
