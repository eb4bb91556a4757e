package vfs

import (
	"cmp"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Modes of what OS makes: nobody but the server's own user reads the disks.
const (
	fileMode = 0o600
	dirMode  = 0o700
)

// OS returns the operating system's file system.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) Create(name string) (File, error) {
	return openOS(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (osFS) Open(name string) (File, error) { return openOS(name, os.O_RDONLY) }

func (osFS) OpenReadWrite(name string) (File, error) { return openOS(name, os.O_RDWR) }

func openOS(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, fileMode)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Remove(name string) error { return os.Remove(name) }

func (osFS) RemoveAll(name string) error { return os.RemoveAll(name) }

func (osFS) Rename(oldname, newname string) error { return os.Rename(oldname, newname) }

func (osFS) Link(oldname, newname string) error { return os.Link(oldname, newname) }

func (osFS) MkdirAll(name string) error { return os.MkdirAll(name, dirMode) }

func (osFS) List(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	if err := cmp.Or(err, f.Close()); err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

func (osFS) Stat(name string) (Info, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	return Info{Name: fi.Name(), Size: fi.Size(), IsDir: fi.IsDir(), ModTime: fi.ModTime()}, nil
}

func (osFS) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return cmp.Or(f.Sync(), f.Close())
}

func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		f.Close() // The lock's failure is the one to tell of.
		return nil, err
	}
	return f, nil
}

func (osFS) Space(dir string) (Space, error) {
	s, err := space(dir)
	if err != nil {
		return Space{}, &fs.PathError{Op: "statfs", Path: filepath.Clean(dir), Err: err}
	}
	return s, nil
}

// osFile keeps the *os.File, not its descriptor: the file would be closed under
// a descriptor when nothing else refers to it.
type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

func (f osFile) SyncData() error {
	return f.call("fdatasync", fdatasync)
}

func (f osFile) Allocate(off, n int64) error {
	if err := CheckRange("allocate", f.Name(), off, n); err != nil || n == 0 {
		return err
	}
	err := f.call("fallocate", func(fd int) error { return fallocate(fd, off, n) })
	if !notSupported(err) {
		return err
	}
	size, err := f.Size()
	if err != nil || size >= off+n {
		return err
	}
	return f.Truncate(off + n)
}

func (f osFile) Punch(off, n int64) error {
	if err := CheckRange("punch", f.Name(), off, n); err != nil || n == 0 {
		return err
	}
	return f.call("fallocate", func(fd int) error { return punchHole(fd, off, n) })
}

// call runs a system call on the file's descriptor, which stays open meanwhile,
// again as long as a signal interrupts it.
func (f osFile) call(op string, sys func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return &fs.PathError{Op: op, Path: f.Name(), Err: err}
	}
	var failed error
	if conn.Control(func(fd uintptr) {
		for failed = sys(int(fd)); interrupted(failed); failed = sys(int(fd)) {
		}
	}) != nil {
		failed = fs.ErrClosed // The one cause there is.
	}
	if failed != nil {
		return &fs.PathError{Op: op, Path: f.Name(), Err: failed}
	}
	return nil
}
