// Package timedfs gives up operations on some folders that take too long, so that one that hangs (a network file system whose
// server is gone) becomes one that fails. What was given up goes on behind the caller's back, with bytes of its own, and may
// still happen: Pending tells, and until it tells of none the folder must not be trusted again; all else in it fails at once.
package timedfs

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tintype/internal/vfs"
)

// ErrHangs is the error of an operation that was given up.
var ErrHangs = errors.New("vfs: no answer in time")

// FS passes operations on to another file system. Those on names in the folders end in time. It is safe for concurrent use.
type FS struct {
	vfs.FS
	limit   time.Duration
	spare   func(folder string) bool
	folders []*folder
}

// folder is one that may hang.
type folder struct {
	path    string
	late    atomic.Int64 // operations that have had half of their time, or more
	pending atomic.Int64 // of those, the ones that were given up
}

// New makes operations on folders below inner end within limit, or a tenth later. Before one is given up, spare is asked whether
// that folder can be done without; if not, the operation is waited for, and spare asked again later.
func New(inner vfs.FS, folders []string, limit time.Duration, spare func(folder string) bool) *FS {
	f := &FS{FS: inner, limit: limit, spare: spare}
	for _, d := range folders {
		f.folders = append(f.folders, &folder{path: path.Clean(d)})
	}
	return f
}

// Pending tells how many operations in a folder were given up and have not ended.
func (f *FS) Pending(dir string) int64 {
	if d := f.in(dir); d != nil {
		return d.pending.Load()
	}
	return 0
}

// Late tells whether a folder has operations that have taken half of their time, or more.
func (f *FS) Late(dir string) bool {
	d := f.in(dir)
	return d != nil && d.late.Load() > 0
}

func (f *FS) in(name string) *folder {
	name = path.Clean(name)
	for _, d := range f.folders {
		if name == d.path || strings.HasPrefix(name, d.path+"/") {
			return d
		}
	}
	return nil
}

// steps is in how many parts an operation's time is waited for: a process that stood still meanwhile loses one of them, and gives
// nothing up that has ended.
const steps = 10

type outcome[T any] struct {
	value T
	err   error
}

// within does something, and gives it up when it takes too long. late is called with what comes of it then; it may be nil. While
// something that was given up is pending in the folder, nothing more is begun there.
func within[T any](f *FS, d *folder, op, name string, do func() (T, error), late func(T, error)) (T, error) {
	if d == nil {
		return do()
	}
	var none T
	if d.pending.Load() > 0 {
		return none, &fs.PathError{Op: op, Path: name, Err: ErrHangs}
	}
	done := make(chan outcome[T], 1)
	go func() {
		v, err := do()
		done <- outcome[T]{v, err}
	}()
	tick := time.NewTicker(max(f.limit/steps, time.Nanosecond))
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case r := <-done:
			if n > steps/2 {
				d.late.Add(-1)
			}
			return r.value, r.err
		case <-tick.C:
		}
		if n == steps/2 {
			d.late.Add(1)
		}
		if n >= steps && f.spare(d.path) {
			break
		}
	}
	d.pending.Add(1)
	go func() {
		r := <-done
		if late != nil {
			late(r.value, r.err)
		}
		d.late.Add(-1)
		d.pending.Add(-1)
	}()
	return none, &fs.PathError{Op: op, Path: name, Err: ErrHangs}
}

// try is within for what returns nothing.
func (f *FS) try(op, name string, do func() error) error {
	_, err := within(f, f.in(name), op, name, func() (struct{}, error) { return struct{}{}, do() }, nil)
	return err
}

func (f *FS) open(op, name string, do func(string) (vfs.File, error)) (vfs.File, error) {
	d := f.in(name)
	inner, err := within(f, d, op, name, func() (vfs.File, error) { return do(name) }, func(late vfs.File, err error) {
		if err == nil {
			_ = late.Close() // nobody has it
		}
	})
	if err != nil || d == nil {
		return inner, err
	}
	return &file{File: inner, fs: f, in: d, name: name}, nil
}

// Create implements vfs.FS.
func (f *FS) Create(name string) (vfs.File, error) { return f.open("create", name, f.FS.Create) }

// Open implements vfs.FS.
func (f *FS) Open(name string) (vfs.File, error) { return f.open("open", name, f.FS.Open) }

// OpenReadWrite implements vfs.FS.
func (f *FS) OpenReadWrite(name string) (vfs.File, error) {
	return f.open("open", name, f.FS.OpenReadWrite)
}

// Remove implements vfs.FS.
func (f *FS) Remove(name string) error {
	return f.try("remove", name, func() error { return f.FS.Remove(name) })
}

// RemoveAll implements vfs.FS.
func (f *FS) RemoveAll(name string) error {
	return f.try("remove", name, func() error { return f.FS.RemoveAll(name) })
}

// Rename implements vfs.FS. It is of the folder that the new name is in, or else the old one.
func (f *FS) Rename(oldname, newname string) error {
	return f.try("rename", f.either(newname, oldname), func() error { return f.FS.Rename(oldname, newname) })
}

// Link implements vfs.FS.
func (f *FS) Link(oldname, newname string) error {
	return f.try("link", f.either(newname, oldname), func() error { return f.FS.Link(oldname, newname) })
}

func (f *FS) either(first, second string) string {
	if f.in(first) == nil {
		return second
	}
	return first
}

// MkdirAll implements vfs.FS.
func (f *FS) MkdirAll(name string) error {
	return f.try("mkdir", name, func() error { return f.FS.MkdirAll(name) })
}

// List implements vfs.FS.
func (f *FS) List(dir string) ([]string, error) {
	return within(f, f.in(dir), "list", dir, func() ([]string, error) { return f.FS.List(dir) }, nil)
}

// Stat implements vfs.FS.
func (f *FS) Stat(name string) (vfs.Info, error) {
	return within(f, f.in(name), "stat", name, func() (vfs.Info, error) { return f.FS.Stat(name) }, nil)
}

// SyncDir implements vfs.FS.
func (f *FS) SyncDir(dir string) error {
	return f.try("sync", dir, func() error { return f.FS.SyncDir(dir) })
}

// Space implements vfs.FS.
func (f *FS) Space(dir string) (vfs.Space, error) {
	return within(f, f.in(dir), "statfs", dir, func() (vfs.Space, error) { return f.FS.Space(dir) }, nil)
}

// buffers are the bytes of reads and writes under way: the caller's are the caller's again when an operation is given up.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

func buffer(n int) *[]byte {
	b := buffers.Get().(*[]byte)
	if cap(*b) < n {
		*b = make([]byte, n)
	}
	*b = (*b)[:n]
	return b
}

// given tells that an operation was given up, and has the buffer still.
func given(err error) bool { return errors.Is(err, ErrHangs) }
