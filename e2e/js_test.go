package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// unreachable is what npm says where there is no registry to ask.
var unreachable = regexp.MustCompile(`ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENETUNREACH`)

// TestJavaScript runs e2e/js/disks.mjs: upload, snapshot, restore, download and difference with Azure's JavaScript clients.
func TestJavaScript(t *testing.T) {
	need(t, "node", "npm", "qemu-io")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("js")); err != nil {
		t.Fatal(err)
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil && unreachable.Match(out) {
		t.Skipf("npm's registry cannot be reached from here: %v\n%s", err, out)
	} else if err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	term := open(t, start(t, t.TempDir()))
	term.Set("TINTYPE", term.bin)
	term.must("node " + filepath.Join(dir, "disks.mjs"))
}
