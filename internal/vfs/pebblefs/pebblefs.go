// Package pebblefs lets Pebble keep its files in a vfs.FS, so that it goes
// through the same crashes and failures as the rest of the engine.
//
// Pebble gets no file descriptor. So it does not reserve room for its logs ahead,
// which their recycling makes up for, and where it would ask the kernel to begin
// writing a table out every Options.BytesPerSync it waits for a sync instead: set
// that to several MiB.
package pebblefs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"sync/atomic"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"tintype/internal/vfs"
)

// New returns fsys as Pebble knows file systems.
func New(fsys vfs.FS) *FS { return &FS{fs: fsys} }

// FS is a vfs.FS as Pebble knows file systems.
type FS struct {
	fs   vfs.FS
	shed atomic.Bool

	between func()
}

var _ pebblevfs.FS = (*FS)(nil)

// Shed says whether a log that Pebble would write again gives its room back instead, when its turn comes: Pebble has no other way
// to let go of those that it keeps.
func (a *FS) Shed(on bool) { a.shed.Store(on) }

// Between has f called before each write to a table, so that it may hold up flushes and compactions. It must not be called once
// Pebble has the file system.
func (a *FS) Between(f func()) { a.between = f }

// Create makes a new file even where one exists, since Pebble counts on another
// name of that one to keep its content.
func (a *FS) Create(name string, _ pebblevfs.DiskWriteCategory) (pebblevfs.File, error) {
	if err := a.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return a.open(name, a.fs.Create)
}

func (a *FS) open(
	name string, open func(string) (vfs.File, error), opts ...pebblevfs.OpenOption,
) (pebblevfs.File, error) {
	inner, err := open(name)
	if err != nil {
		return nil, err
	}
	f := &file{File: inner, name: name}
	if path.Ext(name) == ".sst" {
		f.between = a.between
	}
	for _, opt := range opts {
		opt.Apply(f)
	}
	return f, nil
}

func (a *FS) Link(oldname, newname string) error { return a.fs.Link(oldname, newname) }

func (a *FS) Open(name string, opts ...pebblevfs.OpenOption) (pebblevfs.File, error) {
	return a.open(name, a.fs.Open, opts...)
}

// OpenReadWrite creates the file where it is missing.
func (a *FS) OpenReadWrite(
	name string, _ pebblevfs.DiskWriteCategory, opts ...pebblevfs.OpenOption,
) (pebblevfs.File, error) {
	f, err := a.open(name, a.fs.OpenReadWrite, opts...)
	if errors.Is(err, fs.ErrNotExist) {
		return a.open(name, a.fs.Create, opts...)
	}
	return f, err
}

func (a *FS) OpenDir(name string) (pebblevfs.File, error) {
	info, err := a.fs.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir {
		return nil, &fs.PathError{Op: "opendir", Path: name, Err: errors.ErrUnsupported}
	}
	return &dir{fs: a.fs, name: name}, nil
}

func (a *FS) Remove(name string) error { return a.fs.Remove(name) }

func (a *FS) RemoveAll(name string) error { return a.fs.RemoveAll(name) }

func (a *FS) Rename(oldname, newname string) error { return a.fs.Rename(oldname, newname) }

func (a *FS) ReuseForWrite(
	oldname, newname string, _ pebblevfs.DiskWriteCategory,
) (pebblevfs.File, error) {
	if a.shed.Load() {
		if err := a.fs.Remove(oldname); err != nil {
			return nil, err
		}
		return a.open(newname, a.fs.Create)
	}
	if err := a.fs.Rename(oldname, newname); err != nil {
		return nil, err
	}
	return a.open(newname, a.fs.OpenReadWrite)
}

// MkdirAll leaves the mode to the file system below.
func (a *FS) MkdirAll(dir string, _ os.FileMode) error { return a.fs.MkdirAll(dir) }

func (a *FS) Lock(name string) (io.Closer, error) { return a.fs.Lock(name) }

func (a *FS) List(dir string) ([]string, error) { return a.fs.List(dir) }

func (a *FS) Stat(name string) (pebblevfs.FileInfo, error) {
	in, err := a.fs.Stat(name)
	if err != nil {
		return nil, err
	}
	return info{in}, nil
}

func (a *FS) PathBase(name string) string { return path.Base(name) }

func (a *FS) PathJoin(elem ...string) string { return path.Join(elem...) }

func (a *FS) PathDir(name string) string { return path.Dir(name) }

func (a *FS) GetDiskUsage(name string) (pebblevfs.DiskUsage, error) {
	space, err := a.fs.Space(name)
	if err != nil {
		return pebblevfs.DiskUsage{}, err
	}
	return pebblevfs.DiskUsage{
		AvailBytes: uint64(space.Free),
		TotalBytes: uint64(space.Total),
		UsedBytes:  uint64(space.Total - space.Free),
	}, nil
}

// Unwrap returns nil: what is below is no file system of Pebble's.
func (a *FS) Unwrap() pebblevfs.FS { return nil }

// info is a vfs.Info as Pebble knows it.
type info struct{ vfs.Info }

func (i info) Name() string { return i.Info.Name }

func (i info) Size() int64 { return i.Info.Size }

func (i info) IsDir() bool { return i.Info.IsDir }

func (i info) ModTime() time.Time { return i.Info.ModTime }

func (i info) Mode() fs.FileMode {
	if i.Info.IsDir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}

func (i info) Sys() any { return nil }

func (i info) DeviceID() pebblevfs.DeviceID { return pebblevfs.DeviceID{} }
