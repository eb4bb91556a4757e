package lsd

import "tintype/internal/block"

// stream recognizes long writes one behind another: a file that is copied, a disk that is filled. Short writes between them, of a
// file system's journal, neither belong to it nor end it.
type stream struct {
	end  uint64 // of the last long write
	long int    // such writes in a row
}

// note is told of each write, in blocks, and tells whether it belongs to a stream. Many writes are under way at once, in any order.
func (s *stream) note(lba uint64, n int) bool {
	if n < leafBlocks {
		return false
	}
	const reach = streamReach / block.BlockSize
	if d := int64(lba - s.end); d > reach || d < -reach {
		s.long = 0
	}
	s.long++
	s.end = lba + uint64(n)
	return s.long > streamReads
}
