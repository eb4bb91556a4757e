// Package faultfs makes the operations of a file system fail on demand, so that
// a test can fail each of them in turn:
//
//	for n := 0; ; n++ {
//		fsys := faultfs.New(crashfs.New(seed))
//		fault := fsys.Inject(faultfs.Fault{Kinds: faultfs.Changes, N: n, Err: syscall.EIO})
//		err := work(fsys)
//		if fault.Hits() == 0 {
//			break // The work has n such operations, and succeeded.
//		}
//		// err must tell, and nothing be damaged.
//	}
package faultfs

import (
	"io"
	"io/fs"
	"sync"

	"tintype/internal/vfs"
)

// Kind is a set of kinds of operations.
type Kind uint

// The kinds, a bit each, named after methods of vfs.FS and, from Read on, of
// vfs.File.
const (
	Create Kind = 1 << iota
	Open        // FS.Open and FS.OpenReadWrite
	Remove      // FS.Remove and FS.RemoveAll
	Rename
	Link
	Mkdir
	List
	Stat
	SyncDir
	Lock
	Space
	Read
	Write
	Size
	Sync // File.Sync and File.SyncData
	Truncate
	Allocate
	Punch
	Close // of files, not of locks; the file is closed all the same

	// Changes are the operations that change something, or make it durable.
	Changes = Create | Remove | Rename | Link | Mkdir | SyncDir |
		Write | Sync | Truncate | Allocate | Punch
	// All are all operations.
	All = Close<<1 - 1
)

// Op is one operation.
type Op struct {
	Kind Kind
	Name string // the file's, or the first of two
}

// Fault says which operation fails, and how.
type Fault struct {
	Kinds  Kind
	Name   func(name string) bool // only operations on such names; nil: on all
	N      int                    // passes over the first N of them
	Sticky bool                   // all later ones fail too
	// Do is called before the operation, without a lock: it may sleep, wait or
	// cut the power.
	Do func(Op)
	// Err is the operation's error, wrapped in a *fs.PathError; nil lets it pass.
	// What fails has no effect, but for Short; where the file below has a method
	// FailSync(), a Sync that fails calls it.
	Err error
	// Short writes the first half of what a Write was given.
	Short bool
}

// FS passes operations on to another file system, except for faults. It is safe
// for concurrent use if that is.
type FS struct {
	inner vfs.FS

	mu     sync.Mutex
	faults []*Injected
	counts map[Kind]int
}

var _ vfs.FS = (*FS)(nil)

// New returns a file system without faults.
func New(inner vfs.FS) *FS { return &FS{inner: inner, counts: map[Kind]int{}} }

// Injected is a fault at work.
type Injected struct {
	fault Fault
	fs    *FS
	seen  int
	hits  int
}

// Inject puts a fault to work, also for files that are open. It begins to count
// now. Where several hit one operation the first injected decides.
func (f *FS) Inject(fault Fault) *Injected {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := &Injected{fault: fault, fs: f}
	f.faults = append(f.faults, in)
	return in
}

// Clear removes all faults.
func (f *FS) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// Count returns how many operations of such kinds there were since New, those
// that failed included.
func (f *FS) Count(kinds Kind) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	total := 0
	for kind, n := range f.counts {
		if kind&kinds != 0 {
			total += n
		}
	}
	return total
}

// Hits returns how many operations the fault hit.
func (in *Injected) Hits() int {
	in.fs.mu.Lock()
	defer in.fs.mu.Unlock()
	return in.hits
}

// Inner returns the file system below.
func (f *FS) Inner() vfs.FS { return f.inner }

// next counts an operation and returns the fault that hits it.
func (f *FS) next(op Op) (hit Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[op.Kind]++
	found := false
	for _, in := range f.faults {
		if in.fault.Kinds&op.Kind == 0 || in.fault.Name != nil && !in.fault.Name(op.Name) {
			continue
		}
		n := in.seen
		in.seen++
		if !found && (n == in.fault.N || n > in.fault.N && in.fault.Sticky) {
			in.hits++
			hit, found = in.fault, true
		}
	}
	return hit
}

// before runs what a fault does and returns its error.
func (f *FS) before(kind Kind, op, name string) (Fault, error) {
	hit := f.next(Op{kind, name})
	if hit.Do != nil {
		hit.Do(Op{kind, name})
	}
	if hit.Err != nil {
		return hit, &fs.PathError{Op: op, Path: name, Err: hit.Err}
	}
	return hit, nil
}

// call is an operation without a result.
func (f *FS) call(kind Kind, op, name string, work func() error) error {
	if _, err := f.before(kind, op, name); err != nil {
		return err
	}
	return work()
}

// ask is an operation with a result.
func ask[T any](f *FS, kind Kind, op, name string, work func() (T, error)) (out T, err error) {
	if _, err := f.before(kind, op, name); err != nil {
		return out, err
	}
	return work()
}

func (f *FS) open(kind Kind, op, name string, open func(string) (vfs.File, error)) (vfs.File, error) {
	return ask(f, kind, op, name, func() (vfs.File, error) {
		inner, err := open(name)
		if err != nil {
			return nil, err
		}
		return &file{fs: f, inner: inner, name: name}, nil
	})
}

// Create implements vfs.FS, as all below do.
func (f *FS) Create(name string) (vfs.File, error) {
	return f.open(Create, "create", name, f.inner.Create)
}

func (f *FS) Open(name string) (vfs.File, error) {
	return f.open(Open, "open", name, f.inner.Open)
}

func (f *FS) OpenReadWrite(name string) (vfs.File, error) {
	return f.open(Open, "open", name, f.inner.OpenReadWrite)
}

func (f *FS) Remove(name string) error {
	return f.call(Remove, "remove", name, func() error { return f.inner.Remove(name) })
}

func (f *FS) RemoveAll(name string) error {
	return f.call(Remove, "removeall", name, func() error { return f.inner.RemoveAll(name) })
}

func (f *FS) Rename(oldname, newname string) error {
	return f.call(Rename, "rename", oldname, func() error { return f.inner.Rename(oldname, newname) })
}

func (f *FS) Link(oldname, newname string) error {
	return f.call(Link, "link", oldname, func() error { return f.inner.Link(oldname, newname) })
}

func (f *FS) MkdirAll(name string) error {
	return f.call(Mkdir, "mkdir", name, func() error { return f.inner.MkdirAll(name) })
}

func (f *FS) List(dir string) ([]string, error) {
	return ask(f, List, "list", dir, func() ([]string, error) { return f.inner.List(dir) })
}

func (f *FS) Stat(name string) (vfs.Info, error) {
	return ask(f, Stat, "stat", name, func() (vfs.Info, error) { return f.inner.Stat(name) })
}

func (f *FS) SyncDir(dir string) error {
	return f.call(SyncDir, "syncdir", dir, func() error { return f.inner.SyncDir(dir) })
}

func (f *FS) Lock(name string) (io.Closer, error) {
	return ask(f, Lock, "lock", name, func() (io.Closer, error) { return f.inner.Lock(name) })
}

func (f *FS) Space(dir string) (vfs.Space, error) {
	return ask(f, Space, "space", dir, func() (vfs.Space, error) { return f.inner.Space(dir) })
}
