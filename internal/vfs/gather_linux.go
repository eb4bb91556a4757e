package vfs

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Gather goes by way of a map of the range for which huge pages are asked: a page of it that is missing has the kernel bring in that
// huge page and the next as one piece of memory each, where the file system can (ext4 since Linux 6.16, XFS since 5.18), and elsewhere in
// small pages. What fadvise(2) brings in is small pages always, and with those a virtual disk was half as fast. Nothing reads from the map,
// so a bad sector is no signal; what cannot be brought in is met by whoever reads it.
func (f osFile) Gather(off, n int64) {
	if CheckRange("gather", f.Name(), off, n) != nil || n == 0 || off%GatherBytes != 0 {
		return
	}
	_ = f.call("mmap", func(fd int) error {
		m, err := unix.Mmap(fd, off, int(n), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		gatherMap(fd, off, m)
		return unix.Munmap(m)
	})
}

func gatherMap(fd int, off int64, m []byte) {
	if allResident(m) {
		return
	}
	err := unix.Madvise(m, unix.MADV_HUGEPAGE)
	if err == nil {
		err = unix.Madvise(m, unix.MADV_POPULATE_READ)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // kernels before 5.14, or without huge pages
		_ = unix.Fadvise(fd, off, int64(len(m)), unix.FADV_WILLNEED)
	}
}

// allResident looks at one page in each huge page, and at the last.
func allResident(m []byte) bool {
	for i := 0; i < len(m); i += GatherBytes {
		if !resident(m[i : i+1]) {
			return false
		}
	}
	return resident(m[len(m)-1:])
}

// resident tells whether the page in which b is mapped is in memory; on doubt it is not.
func resident(b []byte) bool {
	var in [1]byte
	page := uintptr(unsafe.Pointer(&b[0])) &^ uintptr(unix.Getpagesize()-1)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, page, 1, uintptr(unsafe.Pointer(&in[0])))
	return errno == 0 && in[0]&1 == 1
}
