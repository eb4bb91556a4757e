package e2e

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDamage flips one bit of a stopped server's data. The scrub finds it and names the disk and the snapshots that share the
// block, with its place; readers of it get an error, of all else their data; and once it is written anew the disk is sound.
func TestDamage(t *testing.T) {
	data := t.TempDir()
	server := launch(t, data)
	term := open(t, server)
	term.must("tintype group create -g g -l westus2")
	term.must("tintype disk create -g g -n d --size-gb 1")
	guest := dial(t, term.must("tintype disk attach -g g -n d --host h"))
	content := make([]byte, 8*mib)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range content {
		content[i] = byte(rng.Uint32())
	}
	if _, err := guest.WriteAt(content, 16*mib); err != nil {
		t.Fatal(err)
	}
	guest.Close()
	term.must("tintype snapshot create -g g -n monday --source d")
	if got := term.must("tintype store damage -o json"); got != "[]" {
		t.Errorf("a new store is damaged: %s", got)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	flip(t, filepath.Join(data, "engine"))

	term = open(t, start(t, data))
	list := scrubbed(t, term)
	if len(list) != 2 || list[0].Offset != list[1].Offset || list[0].Length != 4096 {
		t.Fatalf("damage: %+v", list)
	}
	at := list[0].Offset
	for i, id := range []string{"/disks/d", "/snapshots/monday"} {
		if !strings.HasSuffix(list[i].ID, id) || at < 16*mib || at >= 24*mib || list[i].Cause != "checksum" {
			t.Errorf("damage: %+v", list[i])
		}
	}
	if got := term.must("tintype snapshot damage -g g -n monday --query [].offset -o tsv"); got != strings.TrimSpace(got) || got == "" {
		t.Errorf("damage of the snapshot: %q", got)
	}
	guest = dial(t, term.must("tintype disk attach -g g -n d --host h"))
	defer guest.Close()
	b := make([]byte, 4096)
	if _, err := guest.ReadAt(b, at); err == nil {
		t.Error("the damaged block was read")
	}
	for off := int64(16 * mib); off < 24*mib; off += 4096 {
		if off == at {
			continue
		}
		if _, err := guest.ReadAt(b, off); err != nil || !bytes.Equal(b, content[off-16*mib:][:4096]) {
			t.Fatalf("block at %d: %v", off, err)
		}
	}
	if _, err := guest.WriteAt(content[at-16*mib:][:4096], at); err != nil {
		t.Fatal(err)
	}
	if list = scrubbed(t, term); len(list) != 1 || !strings.HasSuffix(list[0].ID, "/snapshots/monday") {
		t.Errorf("after the block was written anew: %+v", list)
	}
	term.must("tintype snapshot delete -g g -n monday")
	if list = scrubbed(t, term); len(list) != 0 {
		t.Errorf("after the snapshot was deleted: %+v", list)
	}
}

// damaged is a line of store damage.
type damaged struct {
	ID             string
	Offset, Length int64
	Cause          string
}

// scrubbed has the scrub read everything, and gives what is damaged.
func scrubbed(t *testing.T, term *terminal) (list []damaged) {
	t.Helper()
	asked := time.Now()
	term.must("tintype store scrub --start")
	for deadline := asked.Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		begun, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(term.must("tintype store scrub --query last.begun -o tsv")))
		if err == nil && begun.After(asked) { // and not a pass of the store's own, or the one before
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the scrub does not end")
		}
	}
	if err := json.Unmarshal([]byte(term.must("tintype store damage -o json")), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// flip turns one bit in the middle of the longest file of a folder.
func flip(t *testing.T, dir string) {
	t.Helper()
	var longest string
	var size int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			longest, size = path, info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(longest, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	for _, do := range []func([]byte, int64) (int, error){f.ReadAt, func(b []byte, at int64) (int, error) {
		b[0] ^= 4
		return f.WriteAt(b, at)
	}} {
		if _, err := do(b, 4*mib+1000); err != nil {
			t.Fatal(err)
		}
	}
}
