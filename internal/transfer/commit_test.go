package transfer

import (
	"os"
	"path/filepath"
	"testing"
)

// TestNothingIsDoneAfterAFailedSync has a sync fail: what it covered is in doubt, and no later commit may say that it is done.
func TestNothingIsDoneAfterAFailedSync(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "journal")
	j, err := openJournal(name, "key", 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.begin(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "part"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	read, write, err := os.Pipe() // which cannot be synced
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	d := &download{file: f, journal: j}
	wrote := func(from, to int64) (err error) {
		for i := from; i < to && err == nil; i++ {
			d.wrote(i, []span{{i * chunkSize, (i + 1) * chunkSize}})
			err = d.commit(commitEvery)
		}
		return err
	}
	if err := wrote(0, 2*commitEvery+1); err != nil {
		t.Fatal(err)
	}
	d.file = write
	if err := wrote(2*commitEvery+1, 500); err == nil {
		t.Fatal("a pipe was synced")
	}
	d.file = f
	if err := wrote(500, 700); err != nil {
		t.Fatal(err)
	}
	if err := d.commit(1); err != nil {
		t.Fatal(err)
	}
	if err := j.close(false); err != nil {
		t.Fatal(err)
	}
	if j, err = openJournal(name, "key", 1000); err != nil {
		t.Fatal(err)
	}
	defer j.close(true)
	for i := range int64(1000) {
		if got, want := j.done.has(i), i < 2*commitEvery; got != want {
			t.Fatalf("chunk %d is done: %v, want %v", i, got, want)
		}
	}
}
