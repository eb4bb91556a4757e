package vhost

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// anonInode is the file system of eventfds.
const anonInode = 0x09041934

// event makes a descriptor fit for use: an eventfd or a pipe, whose reads and writes return at once. That holds as long as the front
// end, which has the same open file, leaves it so.
func event(fd int) error {
	var fs unix.Statfs_t
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("vhost: an event: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		if err := unix.Fstatfs(fd, &fs); err != nil {
			return fmt.Errorf("vhost: an event: %w", err)
		}
		if uint32(fs.Type) != anonInode {
			return broken("an event that is neither an eventfd nor a pipe")
		}
	}
	return unix.SetNonblock(fd, true)
}

// await waits for an event that came from event, and takes it; it ends with an error when the file is closed. It never waits in a
// read, which closing would not end if the front end had made the file one that blocks.
func await(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var end error
	err = conn.Read(func(fd uintptr) bool {
		n, err := readNow(int(fd))
		if errors.Is(err, unix.EAGAIN) {
			return false
		}
		if end = err; err == nil && n == 0 {
			end = io.EOF
		}
		return true
	})
	return errors.Join(err, end)
}

// readNow reads what is there. Where the kernel knows of no read that does not block, it is asked first whether this one would.
func readNow(fd int) (n int, err error) {
	var b [8]byte
	for {
		n, err = unix.Preadv2(fd, [][]byte{b[:]}, -1, unix.RWF_NOWAIT)
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ESPIPE) {
			if !ready(fd, unix.POLLIN|unix.POLLHUP) {
				return 0, unix.EAGAIN
			}
			n, err = unix.Read(fd, b[:])
		}
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// ready tells whether one of events holds for a descriptor now.
func ready(fd int, events int16) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: events}}
	n, err := unix.Poll(p, 0)
	return err == nil && n == 1 && p[0].Revents&events != 0
}

// signal adds to an event; one that is full has been seen by nobody yet, and is as good.
func signal(fd int) {
	if fd >= 0 && ready(fd, unix.POLLOUT) {
		_, _ = unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}
