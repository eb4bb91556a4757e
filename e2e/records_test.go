package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tintype/internal/rig"
	"tintype/internal/witness"
)

// TestDataFolderLost loses the whole data folder, but for the key kept apart from it, and starts anew from the zones and a
// copy of the records that is older than the last disk. What the copy names must be there, every acknowledged write of it.
func TestDataFolderLost(t *testing.T) {
	parent, zones, copies := t.TempDir(), t.TempDir(), t.TempDir()
	data := filepath.Join(parent, "data")
	args := append(zoneArgs(zones), "--records-copy", copies)
	s := launch(t, data, args...)
	a := newAPI(t, s)
	a.makeGroup("g")
	disk, later := a.id("g", "disks", "d"), a.id("g", "disks", "later")
	zrs := emptyDisk(1)
	zrs["sku"] = map[string]any{"name": "StandardSSD_ZRS"}
	a.must("PUT", versioned(disk), zrs)
	uri := a.attach(disk, false)
	c := dial(t, uri)
	log, err := witness.Begin(c, witness.Linear(512*mib, killRegion), killStreams, killSeed)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	stop := load(t, log, uri)
	time.Sleep(300 * time.Millisecond)
	waitCopy(t, copies)
	s.Kill()
	stop()
	old := t.TempDir() // as if the copy had stood still from here on
	if err := os.CopyFS(filepath.Join(old, "copy"), os.DirFS(copies)); err != nil {
		t.Fatal(err)
	}

	s = launch(t, data, args...)
	a = newAPI(t, s)
	a.must("PUT", versioned(later), zrs)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	key, err := os.ReadFile(filepath.Join(data, "keys", "platform.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}

	out, err := rig.Run(t.Context(), program(t), append([]string{"serve", "--listen", "127.0.0.1:0", "--data", data}, args...)...)
	if err == nil || !strings.Contains(string(out)+err.Error(), "copies of a server's records") {
		t.Fatalf("a new data folder beside a copy of the lost one's records: %v\n%s", err, out)
	}
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(data, os.DirFS(filepath.Join(old, "copy"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(data, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "keys", "platform.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	s = launch(t, data, args...)
	a = newAPI(t, s)
	verifyZoned(t, a, disk, log)
	if r := a.send("GET", versioned(later), nil); r.status != 404 {
		t.Errorf("a disk that the copy does not know: %d %s", r.status, r.body)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	out, err = rig.Run(t.Context(), program(t), append([]string{"check", "--data", data}, zoneArgs(zones)...)...)
	if err == nil || strings.Count(string(out)+err.Error(), "on no record") != 1 {
		t.Errorf("check, where one disk has lost its name: %v\n%s", err, out)
	}
}

// waitCopy waits until a copy made after now holds the disk: two databases' pauses at most.
func waitCopy(t *testing.T, dir string) {
	t.Helper()
	began := time.Now()
	for end := began.Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if info, err := os.Stat(filepath.Join(dir, "catalog.db")); err == nil && info.ModTime().After(began) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the records are not copied")
		}
	}
}
