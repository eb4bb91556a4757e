// Package vfs is the only door to files: everything the engine keeps goes
// through an [FS], so that the same code runs on the operating system ([OS]),
// on a simulated disk that loses power (crashfs) and on one that fails
// (faultfs).
//
// Names are slash separated paths, handed to the operating system as they are.
// Errors are those of package os: errors.Is works with fs.ErrNotExist,
// fs.ErrExist, fs.ErrClosed, syscall.ENOSPC and syscall.EIO.
package vfs

import (
	"errors"
	"io"
	"time"
)

// ErrLocked is returned by FS.Lock when the lock is already held.
var ErrLocked = errors.New("vfs: lock is held by another process or owner")

// FS is a file system. It is safe for concurrent use.
//
// Nothing done to a directory is durable before SyncDir of that directory
// returns nil, and nothing written to a file before Sync or SyncData of a handle
// of that file returns nil. After a failed sync what it covered is in doubt for
// ever: a later sync that succeeds proves nothing about it.
type FS interface {
	// Create makes a new empty file, or empties the one that exists, and opens
	// it for reading and writing.
	Create(name string) (File, error)
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// OpenReadWrite opens an existing file for reading and writing, and fails
	// with fs.ErrNotExist where there is none.
	OpenReadWrite(name string) (File, error)
	// Remove removes a file or an empty directory. Open handles stay usable.
	Remove(name string) error
	// RemoveAll removes name and everything below it; a name that does not exist
	// is no error.
	RemoveAll(name string) error
	// Rename gives a file or directory a new name, replacing a file that has it.
	// A crash leaves the old or the new state, never neither.
	Rename(oldname, newname string) error
	// Link gives a file a further name, which must not exist.
	Link(oldname, newname string) error
	// MkdirAll makes a directory and those above it that are missing. Each one's
	// entry is made durable by SyncDir of its own parent.
	MkdirAll(name string) error
	// List returns the base names of a directory's entries, sorted.
	List(dir string) ([]string, error)
	// Stat describes a file or directory.
	Stat(name string) (Info, error)
	// SyncDir makes creations, removals and renames in dir durable.
	SyncDir(dir string) error
	// Lock takes an exclusive advisory lock on the file name, creating it where
	// it is missing. It fails at once with ErrLocked when the lock is held, by
	// this process or another. Closing the result, or the end of the process,
	// gives it back; the file stays.
	Lock(name string) (io.Closer, error)
	// Space tells how much room the file system that holds dir has.
	Space(dir string) (Space, error)
}

// File is an open file. It is safe for concurrent use, except for Close; every
// method but Close fails with fs.ErrClosed after it.
type File interface {
	// ReadAt returns io.EOF when it reads fewer bytes than asked because the
	// file ends. Ranges never written read as zeroes.
	io.ReaderAt
	// WriteAt extends the file as needed. When it fails part of p may have been
	// written.
	io.WriterAt
	io.Closer
	// Size is the file's length in bytes.
	Size() (int64, error)
	// Sync makes the file's data and metadata durable, but not the directory
	// entry that leads to it: that takes SyncDir.
	Sync() error
	// SyncData is Sync without metadata that reading does not need, such as
	// times. A changed size is included.
	SyncData() error
	// Truncate sets the size in bytes; what is new reads as zeroes.
	Truncate(size int64) error
	// Allocate reserves room for n bytes from off on, extending the file where
	// they end behind it; what is new reads as zeroes. It fails with
	// syscall.ENOSPC when there is no room. Where the file system cannot reserve
	// it only extends.
	Allocate(off, n int64) error
	// Punch gives the room of n bytes from off on back; they read as zeroes and
	// the size stays. Until a sync a crash may leave any of it as it was. Where
	// the file system cannot it fails with errors.ErrUnsupported, and changes
	// nothing.
	Punch(off, n int64) error
}

// Info describes a file or directory.
type Info struct {
	Name    string    // base name
	Size    int64     // bytes
	IsDir   bool      //
	ModTime time.Time // of the last change, where the file system keeps it; else zero
}

// Space is the room in a file system, in bytes.
type Space struct {
	Free  int64 // what this process can still use
	Total int64
}
