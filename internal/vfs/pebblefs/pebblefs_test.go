package pebblefs_test

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"tintype/internal/vfs"
	"tintype/internal/vfs/crashfs"
	"tintype/internal/vfs/pebblefs"
)

// TestOnOS runs a database that flushes and compacts on the real file system.
func TestOnOS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	options := func() *pebble.Options {
		return &pebble.Options{
			FS: pebblefs.New(vfs.OS()), Logger: loud{},
			MemTableSize: small, L0CompactionThreshold: 2,
		}
	}
	db, err := pebble.Open(dir, options())
	must(t, err)
	if _, err := pebble.Open(dir, options()); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("opened a second time: %v", err)
	}
	for n := uint64(1); n <= 200; n++ {
		_, err := commit(db, 7, n)
		must(t, err)
	}
	must(t, db.Compact(t.Context(), []byte("a"), []byte("z"), false))
	must(t, db.Close())
	db, err = pebble.Open(dir, options())
	must(t, err)
	check(t, db, 7, 200, 200)
	must(t, db.Close())
}

// TestAdapter holds the adapter to what Pebble's interface says beyond vfs.FS.
func TestAdapter(t *testing.T) {
	fsys := pebblefs.New(crashfs.New(1))
	create := func(name, data string) {
		t.Helper()
		f, err := fsys.Create(name, pebblevfs.WriteCategoryUnspecified)
		must(t, err)
		for _, half := range []string{data[:len(data)/2], data[len(data)/2:]} {
			_, err = f.Write([]byte(half))
			must(t, err)
		}
		full, err := f.SyncTo(1)
		must(t, err)
		if !full {
			t.Error("SyncTo made nothing durable")
		}
		must(t, f.Close())
	}
	holds := func(name, want string) {
		t.Helper()
		f, err := fsys.Open(name)
		must(t, err)
		got, err := io.ReadAll(f)
		must(t, err)
		info, err := f.Stat()
		must(t, err)
		if string(got) != want || info.Size() != int64(len(want)) || info.Name() != fsys.PathBase(name) {
			t.Errorf("%s holds %q, %d bytes", info.Name(), got, info.Size())
		}
		must(t, f.Close())
	}
	must(t, fsys.MkdirAll("d", 0o755))
	create("d/a", "first")
	must(t, fsys.Link("d/a", "d/b"))
	create("d/a", "second")
	holds("d/a", "second")
	holds("d/b", "first") // Another file than a is now.

	f, err := fsys.ReuseForWrite("d/a", "d/c", pebblevfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write([]byte("SEC"))
	must(t, err)
	must(t, f.Close())
	holds("d/c", "SECond")
	if _, err := fsys.Open("d/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the reused file kept its name: %v", err)
	}

	fsys.Shed(true)
	f, err = fsys.ReuseForWrite("d/c", "d/a", pebblevfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write([]byte("new"))
	must(t, err)
	must(t, f.Close())
	holds("d/a", "new")
	f, err = fsys.OpenReadWrite("d/new", pebblevfs.WriteCategoryUnspecified)
	must(t, err)
	must(t, f.Close())
	holds("d/new", "")

	usage, err := fsys.GetDiskUsage("d")
	must(t, err)
	if usage.UsedBytes != 2*4096 || usage.AvailBytes+usage.UsedBytes != usage.TotalBytes {
		t.Errorf("got %+v", usage)
	}
	if _, err := fsys.OpenDir("d/c"); err == nil {
		t.Error("opened a file as a directory")
	}
	info, err := fsys.Stat("d")
	must(t, err)
	if !info.IsDir() || !info.Mode().IsDir() {
		t.Errorf("%q is no directory", info.Name())
	}
}

// TestBetweenWritesOfTables counts calls while tables are written, and none for the log.
func TestBetweenWritesOfTables(t *testing.T) {
	fsys := pebblefs.New(crashfs.New(1))
	var calls atomic.Int64
	fsys.Between(func() { calls.Add(1) })
	must(t, fsys.MkdirAll("db", 0o700))
	db, err := openOn(fsys, loud{}, large)
	must(t, err)
	must(t, db.Set([]byte("key"), []byte("value"), pebble.Sync))
	if n := calls.Load(); n != 0 {
		t.Errorf("%d calls for a commit", n)
	}
	must(t, db.Flush())
	if calls.Load() == 0 {
		t.Error("no call for a table")
	}
	must(t, db.Close())
}
