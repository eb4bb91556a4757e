package cli

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestWayOfBlobs moves an image both ways: over the socket where signed URLs lead to the server's own host, over HTTPS where blobs
// have hosts of their own.
func TestWayOfBlobs(t *testing.T) {
	const size = 24<<20 + 512
	raw := scatter(t, "disk.raw", size, 1, false)
	for way, args := range map[string][]string{"over this machine's socket": nil, "over HTTPS": {"--blob-domain", "localhost"}} {
		t.Run(way, func(t *testing.T) {
			r := startReal(t, args...)
			out := filepath.Join(t.TempDir(), "out.raw")
			for _, line := range [][]string{
				{"disk", "create", "-g", "g", "-n", "d", "--file", raw},
				{"disk", "export", "-g", "g", "-n", "d", "--file", out},
			} {
				if _, notes, code := r.run(t, line...); code != 0 || !strings.Contains(notes, way) {
					t.Fatalf("%s: %d %s", line, code, notes)
				}
			}
			sameDisk(t, raw, out, 25<<20)
		})
	}
}
