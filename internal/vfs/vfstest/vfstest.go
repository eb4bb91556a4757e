// Package vfstest is the suite that every vfs.FS passes.
package vfstest

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tintype/internal/vfs"
)

// Run tries the contract of vfs.FS in dir, an empty directory of fsys.
func Run(t *testing.T, fsys vfs.FS, dir string) {
	t.Helper()
	for name, test := range map[string]func(*suite){
		"bytes":     (*suite).bytes,
		"sizes":     (*suite).sizes,
		"rooms":     (*suite).rooms,
		"modes":     (*suite).modes,
		"names":     (*suite).names,
		"renames":   (*suite).renames,
		"trees":     (*suite).trees,
		"unlinked":  (*suite).unlinked,
		"locks":     (*suite).locks,
		"space":     (*suite).space,
		"ranges":    (*suite).ranges,
		"replacing": (*suite).replacing,
	} {
		t.Run(name, func(t *testing.T) {
			s := &suite{T: t, fs: fsys, dir: path.Join(dir, name)}
			s.ok(fsys.MkdirAll(s.dir))
			test(s)
		})
	}
}

type suite struct {
	*testing.T
	fs  vfs.FS
	dir string
}

func (s *suite) path(name string) string { return path.Join(s.dir, name) }

func (s *suite) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) is(err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Fatalf("got error %v, want %v", err, want)
	}
}

func (s *suite) equal(got, want any) {
	s.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		s.Fatalf("-want +got:\n%s", diff)
	}
}

func (s *suite) fails(err error) {
	s.Helper()
	if err == nil {
		s.Fatal("got no error")
	}
}

// create makes a file that holds data.
func (s *suite) create(name, data string) vfs.File {
	s.Helper()
	f, err := s.fs.Create(s.path(name))
	s.ok(err)
	s.write(f, data, 0)
	return f
}

func (s *suite) write(f vfs.File, data string, off int64) {
	s.Helper()
	n, err := f.WriteAt([]byte(data), off)
	s.ok(err)
	s.equal(n, len(data))
}

func (s *suite) content(f vfs.File) string {
	s.Helper()
	size, err := f.Size()
	s.ok(err)
	data := make([]byte, size)
	_, err = f.ReadAt(data, 0)
	s.ok(err)
	return string(data)
}

// holds checks a file by its name.
func (s *suite) holds(name, want string) {
	s.Helper()
	f, err := s.fs.Open(s.path(name))
	s.ok(err)
	s.equal(s.content(f), want)
	s.ok(f.Close())
}

func (s *suite) list(want ...string) {
	s.Helper()
	got, err := s.fs.List(s.dir)
	s.ok(err)
	if len(got)+len(want) > 0 {
		s.equal(got, want)
	}
}

func (s *suite) bytes() {
	f := s.create("f", "hello")
	s.write(f, "LL", 2)
	s.write(f, "far", 10_000)
	buf := make([]byte, 8)
	n, err := f.ReadAt(buf, 0)
	s.ok(err)
	s.equal(string(buf[:n]), "heLLo\x00\x00\x00")
	n, err = f.ReadAt(buf, 10_000)
	s.is(err, io.EOF)
	s.equal(string(buf[:n]), "far")
	n, err = f.ReadAt(buf, 20_000)
	s.is(err, io.EOF)
	s.equal(n, 0)
	s.ok(f.Sync())
	s.ok(f.SyncData())
	s.ok(f.Close())
	s.is(f.Close(), fs.ErrClosed)
	_, err = f.ReadAt(buf, 0)
	s.is(err, fs.ErrClosed)
	_, err = f.WriteAt(buf, 0)
	s.is(err, fs.ErrClosed)
	_, err = f.Size()
	s.is(err, fs.ErrClosed)
	for _, call := range []func() error{f.Sync, f.SyncData, func() error { return f.Allocate(0, 1) }} {
		s.is(call(), fs.ErrClosed)
	}
}

func (s *suite) sizes() {
	f := s.create("f", "0123456789")
	defer f.Close()
	s.ok(f.Truncate(4))
	s.ok(f.Truncate(6))
	s.equal(s.content(f), "0123\x00\x00")
	s.ok(f.Truncate(1 << 40))
	info, err := s.fs.Stat(s.path("f"))
	s.ok(err)
	s.equal(info, vfs.Info{Name: "f", Size: 1 << 40, ModTime: info.ModTime})
	s.ok(f.Truncate(0))
	s.equal(s.content(f), "")
}

func (s *suite) rooms() {
	f := s.create("f", "0123456789")
	defer f.Close()
	s.ok(f.Allocate(5, 7))
	s.equal(s.content(f), "0123456789\x00\x00")
	s.ok(f.Allocate(0, 3))
	s.ok(f.Allocate(0, 0))
	s.ok(f.Punch(2, 3))
	s.ok(f.Punch(9, 1<<20))
	s.ok(f.Punch(1<<30, 1))
	s.ok(f.Punch(0, 0))
	s.equal(s.content(f), "01\x00\x00\x005678\x00\x00\x00")

	big := make([]byte, 3*4096+100)
	for i := range big {
		big[i] = byte(i%251) + 1
	}
	s.write(f, string(big), 0)
	s.ok(f.Punch(1000, 10_000))
	clear(big[1000:11_000])
	s.equal(s.content(f), string(big))
}

func (s *suite) modes() {
	s.ok(s.create("f", "data").Close())
	_, err := s.fs.Open(s.path("g"))
	s.is(err, fs.ErrNotExist)
	_, err = s.fs.OpenReadWrite(s.path("g"))
	s.is(err, fs.ErrNotExist)
	_, err = s.fs.Create(s.path("d/f"))
	s.is(err, fs.ErrNotExist)
	f, err := s.fs.OpenReadWrite(s.path("f"))
	s.ok(err)
	s.write(f, "D", 0)
	s.ok(f.Close())
	f, err = s.fs.Open(s.path("f"))
	s.ok(err)
	defer f.Close()
	_, err = f.WriteAt([]byte("x"), 0)
	s.fails(err)
	s.fails(f.Truncate(0))
	s.fails(f.Allocate(0, 1))
	s.fails(f.Punch(0, 1))
	s.ok(f.Sync())
	s.equal(s.content(f), "Data")
}

func (s *suite) names() {
	s.list()
	s.ok(s.create("b", "b").Close())
	s.ok(s.create("a", "a").Close())
	s.ok(s.fs.Link(s.path("a"), s.path("c")))
	s.list("a", "b", "c")
	s.is(s.fs.Link(s.path("a"), s.path("b")), fs.ErrExist)
	s.is(s.fs.Link(s.path("x"), s.path("y")), fs.ErrNotExist)
	s.ok(s.fs.Remove(s.path("a")))
	s.is(s.fs.Remove(s.path("a")), fs.ErrNotExist)
	s.holds("c", "a")
	s.list("b", "c")
	s.ok(s.fs.SyncDir(s.dir))
	s.is(s.fs.SyncDir(s.path("x")), fs.ErrNotExist)
	_, err := s.fs.List(s.path("x"))
	s.is(err, fs.ErrNotExist)
	_, err = s.fs.List(s.path("b"))
	s.fails(err)
	_, err = s.fs.Stat(s.path("x"))
	s.is(err, fs.ErrNotExist)
	_, err = s.fs.Stat(s.path("b/x"))
	s.fails(err)
}

func (s *suite) renames() {
	s.ok(s.create("a", "a").Close())
	s.ok(s.create("b", "b").Close())
	s.ok(s.fs.MkdirAll(s.path("d/e")))
	s.ok(s.fs.Rename(s.path("a"), s.path("a")))
	s.ok(s.fs.Rename(s.path("a"), s.path("b")))
	s.list("b", "d")
	s.holds("b", "a")
	s.is(s.fs.Rename(s.path("a"), s.path("c")), fs.ErrNotExist)
	s.is(s.fs.Rename(s.path("b"), s.path("x/c")), fs.ErrNotExist)
	s.ok(s.fs.Rename(s.path("b"), s.path("d/e/c")))
	s.ok(s.fs.Rename(s.path("d"), s.path("z")))
	s.holds("z/e/c", "a")
	s.fails(s.fs.Rename(s.path("z"), s.path("z/e/z")))
	s.fails(s.fs.Rename(s.path("z/e/c"), s.path("z/e")))
	s.fails(s.fs.Rename(s.path("z/e"), s.path("z/e/c")))
	s.list("z")
}

func (s *suite) trees() {
	s.ok(s.fs.MkdirAll(s.path("a/b/c")))
	s.ok(s.fs.MkdirAll(s.path("a/b/c/")))
	s.ok(s.create("a/b/f", "x").Close())
	s.fails(s.fs.MkdirAll(s.path("a/b/f")))
	s.fails(s.fs.MkdirAll(s.path("a/b/f/g")))
	s.fails(s.fs.Remove(s.path("a")))
	_, err := s.fs.Create(s.path("a"))
	s.fails(err)
	info, err := s.fs.Stat(s.path("a/b"))
	s.ok(err)
	s.equal(info.IsDir, true)
	s.ok(s.fs.Remove(s.path("a/b/c")))
	s.ok(s.fs.RemoveAll(s.path("a")))
	s.ok(s.fs.RemoveAll(s.path("a")))
	s.list()
}

func (s *suite) unlinked() {
	f := s.create("f", "kept")
	s.ok(s.fs.Remove(s.path("f")))
	g := s.create("f", "new")
	s.write(f, "K", 0)
	s.equal(s.content(f), "Kept")
	s.equal(s.content(g), "new")
	s.ok(f.Sync())
	s.ok(f.Close())
	s.ok(g.Close())
}

func (s *suite) locks() {
	lock, err := s.fs.Lock(s.path("LOCK"))
	s.ok(err)
	_, err = s.fs.Lock(s.path("LOCK"))
	s.is(err, vfs.ErrLocked)
	other, err := s.fs.Lock(s.path("OTHER"))
	s.ok(err)
	s.ok(lock.Close())
	lock, err = s.fs.Lock(s.path("LOCK"))
	s.ok(err)
	s.ok(lock.Close())
	s.ok(other.Close())
	s.list("LOCK", "OTHER")
}

func (s *suite) space() {
	space, err := s.fs.Space(s.dir)
	s.ok(err)
	if space.Free <= 0 || space.Total < space.Free {
		s.Fatalf("got %+v", space)
	}
	_, err = s.fs.Space(s.path("x"))
	s.is(err, fs.ErrNotExist)
}

func (s *suite) ranges() {
	f := s.create("f", "data")
	defer f.Close()
	_, err := f.ReadAt(make([]byte, 1), -1)
	s.fails(err)
	_, err = f.WriteAt(make([]byte, 1), -1)
	s.fails(err)
	_, err = f.WriteAt(make([]byte, 2), math.MaxInt64)
	s.fails(err)
	s.fails(f.Truncate(-1))
	s.fails(f.Allocate(-1, 1))
	s.fails(f.Allocate(0, -1))
	s.fails(f.Allocate(math.MaxInt64, 2))
	s.fails(f.Punch(-1, 1))
	s.fails(f.Punch(0, -1))
	s.fails(f.Punch(math.MaxInt64, 2))
	s.equal(s.content(f), "data")
}

func (s *suite) replacing() {
	f := s.create("f", "long content")
	g := s.create("f", "new")
	s.equal(s.content(f), "new") // Create empties; it makes no second file.
	s.ok(f.Close())
	s.ok(g.Close())
}
