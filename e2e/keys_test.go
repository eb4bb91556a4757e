package e2e

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tintype/internal/rig"
)

const needle = "PLAINTEXT NEEDLE"

// needles is a text that is found wherever a sector of it is.
func needles(n int) []byte { return bytes.Repeat([]byte(needle), n/len(needle)) }

// leaks looks for the text, as it is or shifted, in every file of a folder.
func leaks(t *testing.T, when, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		p, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files++
		if bytes.Contains(p, []byte(needle)) {
			t.Errorf("%s: the text is in %s", when, name)
		}
		return nil
	})
	if err != nil || files < 10 {
		t.Fatalf("%d files looked at: %v", files, err)
	}
}

// TestPlaintextNeverReachesTheDisk writes a text through NBD and through an upload, snapshots, clones, kills the server and
// starts it again, and looks for the text in all files of the data folder and the zones.
func TestPlaintextNeverReachesTheDisk(t *testing.T) {
	home := t.TempDir()
	data, args := filepath.Join(home, "data"), zoneArgs(filepath.Join(home, "zones"))
	s := launch(t, data, args...)
	a := newAPI(t, s)
	a.makeGroup("g")
	disk, snap, clone := a.id("g", "disks", "d"), a.id("g", "snapshots", "s"), a.id("g", "disks", "c")
	zrs := emptyDisk(1)
	zrs["sku"] = map[string]any{"name": "StandardSSD_ZRS"}
	a.must("PUT", versioned(disk), zrs)
	c := dial(t, a.attach(disk, false))
	if _, err := c.WriteAt(needles(1<<20), 1000); err != nil { // with ragged ends
		t.Fatal(err)
	}
	leaks(t, "after a write", home)
	a.must("PUT", versioned(snap), copyOf(disk))
	a.must("PUT", versioned(clone), copyOf(snap))
	cc := dial(t, a.attach(clone, false))
	for _, err := range []error{write(cc, needles(64<<10), 300<<10), cc.Flush(), write(c, needles(64<<10), 8<<20), c.Flush()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	upload := a.id("g", "disks", "up")
	a.must("PUT", versioned(upload), map[string]any{"location": "westus2", "properties": map[string]any{
		"creationData": map[string]any{"createOption": "Upload", "uploadSizeBytes": 20*mib + 512},
	}})
	sas := a.grant(upload, "Write", 600)
	a.putPage(sas, 4096, string(needles(512)), 201)
	leaks(t, "of snapshot, clone and upload", home)
	s.Kill()
	leaks(t, "after the kill", home)
	s = launch(t, data, args...)
	c = dial(t, newAPI(t, s).attach(clone, false))
	got := make([]byte, 64<<10)
	if _, err := c.ReadAt(got, 300<<10); err != nil || !bytes.Equal(got, needles(64<<10)) {
		t.Errorf("the clone after the restart: %v", err)
	}
	leaks(t, "after a restart", home)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	leaks(t, "after the end", home)
	if out, err := rig.Run(t.Context(), program(t), append([]string{"check", "--data", data}, args...)...); err != nil {
		t.Errorf("check: %v\n%s", err, out)
	}
	leaks(t, "after a check", home)
}

func write(w interface {
	WriteAt(p []byte, off int64) (int, error)
}, p []byte, off int64,
) error {
	_, err := w.WriteAt(p, off)
	return err
}

// TestKeys starts a server without its key, with another, and with keys from a file and a command, the way to which leads
// through both the old and the new one.
func TestKeys(t *testing.T) {
	dir := t.TempDir()
	data, keyFile, spare := filepath.Join(dir, "data"), filepath.Join(dir, "my.key"), filepath.Join(dir, "spare.key")
	platform := filepath.Join(data, "keys", "platform.key")
	s := launch(t, data)
	a := newAPI(t, s)
	a.makeGroup("g")
	disk := a.id("g", "disks", "d")
	a.must("PUT", versioned(disk), emptyDisk(1))
	if err := write(dial(t, a.attach(disk, false)), needles(4096), 0); err != nil {
		t.Fatal(err)
	}
	stop := func() {
		t.Helper()
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	rotate(t, s, platform)
	stop()
	move(t, platform, spare)
	refusedKey(t, data, "platform.key is missing")
	for name, text := range map[string]string{keyFile: strings.Repeat("0a", 32) + "\n", platform: strings.Repeat("0b", 32)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refusedKey(t, data, "is needed")
	if err := os.Remove(platform); err != nil {
		t.Fatal(err)
	}
	refusedKey(t, data, "is needed", "--key-file", keyFile)
	if err := os.Chmod(keyFile, 0o640); err != nil {
		t.Fatal(err)
	}
	refusedKey(t, data, "chmod 600", "--key-file", keyFile, "--old-key-file", spare)
	if err := os.Chmod(keyFile, 0o600); err != nil {
		t.Fatal(err)
	}
	s = launch(t, data, "--key-file", keyFile, "--old-key-file", spare)
	stop()
	refusedKey(t, data, "is needed", "--key-file", spare)
	s = launch(t, data, "--key-command", "cat "+keyFile)
	got := make([]byte, 4096)
	if _, err := dial(t, newAPI(t, s).attach(disk, false)).ReadAt(got, 0); err != nil || !bytes.Equal(got, needles(4096)) {
		t.Errorf("the disk, under another key: %v", err)
	}
	stop()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if out, err := rig.Run(ctx, program(t), "check", "--data", data, "--key-file", keyFile); err != nil {
		t.Errorf("check: %v\n%s", err, out)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// refusedKey starts a server, and a check, which must end and say the word.
func refusedKey(t *testing.T, data, word string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, command := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"check"}} {
		out, err := rig.Run(ctx, program(t), append(append(command, "--data", data), args...)...)
		if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), word) || strings.Contains(out, "ready") {
			t.Errorf("%s %v, which should say %q: %v\n%s", command[0], args, word, err, out)
		}
	}
}

// rotate replaces the platform key of a running server.
func rotate(t *testing.T, s *rig.Server, platform string) {
	t.Helper()
	before, err := os.ReadFile(platform)
	if err != nil {
		t.Fatal(err)
	}
	out := open(t, s).must("tintype store rotate-key --query key -o tsv")
	after, err := os.ReadFile(platform)
	if err != nil || bytes.Equal(before, after) {
		t.Errorf("rotate-key says %q, and the key is what it was: %v", out, err)
	}
	names, err := filepath.Glob(filepath.Join(s.Data, "keys", "*platform*"))
	if err != nil || len(names) != 1 {
		t.Errorf("left in keys: %v, %v", names, err)
	}
	if text, err := os.ReadFile(filepath.Join(s.Data, "engine", "data-keys")); err != nil || !strings.Contains(string(text), strings.TrimSpace(out)) {
		t.Errorf("the disks' keys are not under %s: %v\n%s", out, err, text)
	}
}
