package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// unreachable is what npm says where there is no registry to ask, or one that does not answer as it should.
var unreachable = regexp.MustCompile(`ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|EIDLETIMEOUT|` +
	`socket hang up|code E(403|407|408|429|5\d\d)\b`)

// TestJavaScript runs e2e/js/disks.mjs: upload, snapshot, restore, download and difference with Azure's JavaScript clients.
func TestJavaScript(t *testing.T) {
	need(t, "node", "npm", "qemu-io")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("js")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil && (unreachable.Match(out) || ctx.Err() != nil) {
		t.Skipf("npm's registry cannot be reached from here: %v\n%s", err, out)
	} else if err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	term := open(t, start(t, t.TempDir()))
	term.Set("TINTYPE", term.bin)
	term.must("node " + filepath.Join(dir, "disks.mjs"))
}
