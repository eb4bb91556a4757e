package demo

import (
	"io/fs"
	"syscall"
)

// storage is how many bytes a file takes on its own disk.
func storage(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}
