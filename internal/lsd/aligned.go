package lsd

import (
	"unsafe"

	"tintype/internal/block"
)

// alignedBuffer makes a buffer that starts at a multiple of the block size in memory.
func alignedBuffer(n int) []byte {
	b := make([]byte, n+block.BlockSize)
	o := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (block.BlockSize - 1))
	return b[o : o+n : o+n]
}
