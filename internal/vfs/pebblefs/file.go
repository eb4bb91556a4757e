package pebblefs

import (
	"errors"
	"io"
	"io/fs"
	"path"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"tintype/internal/vfs"
)

// file adds a position, for Read and Write, which Pebble does not call at once.
type file struct {
	vfs.File
	name    string
	pos     int64
	between func() // of a table, or nil
}

func (f *file) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (f *file) Write(p []byte) (int, error) {
	if f.between != nil {
		f.between()
	}
	n, err := f.WriteAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

// Preallocate does nothing, which it may: Pebble's own leaves the size as it is,
// Allocate does not.
func (f *file) Preallocate(int64, int64) error { return nil }

func (f *file) Stat() (pebblevfs.FileInfo, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	return info{vfs.Info{Name: path.Base(f.name), Size: size}}, nil
}

// SyncTo makes everything durable, and says so.
func (f *file) SyncTo(int64) (fullSync bool, err error) {
	if err := f.SyncData(); err != nil {
		return false, err
	}
	return true, nil
}

func (f *file) Prefetch(int64, int64) error { return nil }

func (f *file) Fd() uintptr { return pebblevfs.InvalidFd }

// dir is a directory opened to sync it.
type dir struct {
	fs     vfs.FS
	name   string
	closed bool
}

func (d *dir) Sync() error {
	if d.closed {
		return d.refuse("sync", fs.ErrClosed)
	}
	return d.fs.SyncDir(d.name)
}

func (d *dir) SyncData() error { return d.Sync() }

func (d *dir) SyncTo(int64) (fullSync bool, err error) { return false, nil }

func (d *dir) Close() error {
	if d.closed {
		return d.refuse("close", fs.ErrClosed)
	}
	d.closed = true
	return nil
}

func (d *dir) Stat() (pebblevfs.FileInfo, error) {
	in, err := d.fs.Stat(d.name)
	if err != nil {
		return nil, err
	}
	return info{in}, nil
}

func (d *dir) Preallocate(int64, int64) error { return nil }

func (d *dir) Prefetch(int64, int64) error { return nil }

func (d *dir) Fd() uintptr { return pebblevfs.InvalidFd }

func (d *dir) Read([]byte) (int, error) { return 0, d.refuse("read", errors.ErrUnsupported) }

func (d *dir) ReadAt([]byte, int64) (int, error) { return 0, d.refuse("read", errors.ErrUnsupported) }

func (d *dir) Write([]byte) (int, error) { return 0, d.refuse("write", errors.ErrUnsupported) }

func (d *dir) WriteAt([]byte, int64) (int, error) { return 0, d.refuse("write", errors.ErrUnsupported) }

func (d *dir) refuse(op string, why error) error {
	return &fs.PathError{Op: op, Path: d.name, Err: why}
}
