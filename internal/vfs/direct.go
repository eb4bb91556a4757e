package vfs

// DirectBlock is what WriteDirect wants its offset, its length and its bytes' place in memory to be multiples of.
const DirectBlock = 4096

// Direct is a File that can be written past its system's memory: what is brought in once, and is not read again soon, then takes
// neither the room of what is, nor a copy.
type Direct interface {
	File

	// WriteDirect is WriteAt that waits for media. It promises no more: what it wrote is durable after a sync. While it is under way
	// nobody else may write to the file by WriteAt. Where the system cannot do it, it is WriteAt.
	WriteDirect(p []byte, off int64) (int, error)
}

// WriteDirect writes p by f's WriteDirect, if it has one.
func WriteDirect(f File, p []byte, off int64) (int, error) {
	if d, ok := f.(Direct); ok {
		return d.WriteDirect(p, off)
	}
	return f.WriteAt(p, off)
}
