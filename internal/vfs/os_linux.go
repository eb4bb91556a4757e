package vfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func fdatasync(fd int) error { return unix.Fdatasync(fd) }

func fallocate(fd int, off, n int64) error { return unix.Fallocate(fd, 0, off, n) }

func punchHole(fd int, off, n int64) error {
	return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}

// lockFile uses flock(2), which unlike fcntl(2)'s locks excludes a second open
// of the file by the same process too.
func lockFile(f *os.File) error {
	err := osFile{f}.call("flock", func(fd int) error {
		return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	})
	if errors.Is(err, unix.EWOULDBLOCK) {
		return &fs.PathError{Op: "lock", Path: f.Name(), Err: ErrLocked}
	}
	return err
}

func space(dir string) (Space, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(dir, &st)
		if err == nil {
			break
		}
		if !interrupted(err) {
			return Space{}, err
		}
	}
	unit := st.Frsize
	if unit == 0 { // Old kernels leave it out; the two are equal then.
		unit = st.Bsize
	}
	return Space{Free: int64(st.Bavail) * unit, Total: int64(st.Blocks) * unit}, nil
}

func notSupported(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS)
}

func interrupted(err error) bool { return errors.Is(err, syscall.EINTR) }

// ReadCached is preadv2(2) with RWF_NOWAIT; a file system that does not know the flag caches nothing, for all that a caller
// can tell. Since Linux 5.9 the call begins to read what it does not find, and says EAGAIN.
func (f osFile) ReadCached(p []byte, off int64) (done, begun bool) {
	if off < 0 {
		return false, false
	}
	n := 0
	err := f.call("preadv2", func(fd int) (err error) {
		n, err = unix.Preadv2(fd, [][]byte{p}, off, unix.RWF_NOWAIT)
		return err
	})
	return err == nil && n == len(p), errors.Is(err, unix.EAGAIN) || err == nil && n > 0
}

// Advise is posix_fadvise(2); what it cannot begin is read later, so its error is of no use to anybody.
func (f osFile) Advise(off, n int64) {
	_ = f.call("fadvise", func(fd int) error { return unix.Fadvise(fd, off, n, unix.FADV_WILLNEED) })
}

// BeginWrite is sync_file_range(2); what it cannot begin a sync writes, so its error is of no use to anybody.
func (f osFile) BeginWrite(off, n int64) {
	_ = f.call("sync_file_range", func(fd int) error { return unix.SyncFileRange(fd, off, n, unix.SYNC_FILE_RANGE_WRITE) })
}

// Forget is posix_fadvise(2), which passes over pages that are not on the media yet. Unlike a wait of sync_file_range(2) it takes no error of a
// write from the sync that is to tell of it.
func (f osFile) Forget(off, n int64) {
	_ = f.call("fadvise", func(fd int) error { return unix.Fadvise(fd, off, n, unix.FADV_DONTNEED) })
}
