package main

import "syscall"

// pageCache is how much of what was read the kernel can be expected to keep: half of the memory there is, or nothing when it
// does not say.
func pageCache() int64 {
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit) / 2
}
