package vfs

import (
	"io"
	"io/fs"
	"math"
	"syscall"
)

// CheckRange tells an implementation whether n bytes from off on can exist in a
// file: it returns EINVAL for what is negative and EFBIG for what overflows.
func CheckRange(op, name string, off, n int64) error {
	switch {
	case off < 0 || n < 0:
		return &fs.PathError{Op: op, Path: name, Err: syscall.EINVAL}
	case off > math.MaxInt64-n:
		return &fs.PathError{Op: op, Path: name, Err: syscall.EFBIG}
	}
	return nil
}

// WriteZeroes writes n zeroes from off on; nothing when n is not positive.
func WriteZeroes(w io.WriterAt, off, n int64) error {
	zeroes := make([]byte, min(max(n, 0), 1<<20))
	for n > 0 {
		wrote, err := w.WriteAt(zeroes[:min(n, int64(len(zeroes)))], off)
		if err != nil {
			return err
		}
		off, n = off+int64(wrote), n-int64(wrote)
	}
	return nil
}
