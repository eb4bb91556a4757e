// Package block says what a block device and a volume are, and nothing about how one is kept.
//
// Doors (nbd, blob) read and write through [Device]; stores (lsd, and later rbd) implement it. The two sides never
// meet anywhere else.
package block

import "io"

// Device is one volume opened for I/O: a disk, or a snapshot, which is read-only. All methods may be called by many
// goroutines at once. Offsets and lengths are bytes and need no alignment; a range that does not lie inside
// [0, Size) is refused with [ErrOutOfRange] and nothing is done.
type Device interface {
	// ReadAt fills p from off. It returns len(p) and nil, or an error: a short read does not exist. What was never
	// written, or was trimmed, reads as zeroes. A block whose bytes fail their checksum is [ErrDamaged], never data.
	io.ReaderAt

	// WriteAt accepts p at off. When it returns nil the bytes are visible to every later read; they are durable after
	// the next Flush that returns nil. A crash before that keeps a prefix of the writes in the order of acceptance.
	io.WriterAt

	// Flush makes every write that returned before the call durable. After one failed Flush the device is read-only:
	// all later writes and flushes fail.
	Flush() error

	// Trim says that the range's content is no longer wanted. Whole blocks inside it read as zeroes afterwards and
	// cost no space; the ragged edges may keep their bytes.
	Trim(off, n int64) error

	// WriteZeroes makes the whole range, edges included, read as zeroes, and frees the whole blocks in it.
	WriteZeroes(off, n int64) error

	// Extents calls yield for consecutive ranges that together cover [off, off+n), in order, until it returns false.
	// Neighbouring extents may be alike. An extent without data reads as zeroes.
	Extents(off, n int64, yield func(Extent) bool) error

	// Size is the provisioned size in bytes, a multiple of 512. A disk's may grow while it is open.
	Size() int64

	// ReadOnly tells that WriteAt, Trim and WriteZeroes always fail with [ErrReadOnly].
	ReadOnly() bool

	// Close gives the handle back. It does not flush.
	Close() error
}

// Extent is a range of a device and whether data is mapped there.
type Extent struct {
	Off, Len int64
	Data     bool
}

// Comparer is a Device whose store can tell what differs between it and another of its volumes.
type Comparer interface {
	Device

	// Compare yields the ranges of [off, off+n) whose blocks are not those of older, in order and joined, until yield
	// returns false. Data says that the range has data here; without, it had data in older and reads as zeroes here. A
	// block written again with equal bytes may count as changed. ErrUnrelated says that the two have no history in common
	// or are not of one store.
	Compare(older Device, off, n int64, yield func(Extent) bool) error
}

// Bulk is a Device that is told what will not be read again soon: an image that is brought in.
type Bulk interface {
	Device

	// WriteBulk is WriteAt that keeps what it writes out of memory where it can, so that what is read stays there.
	WriteBulk(p []byte, off int64) (int, error)
}

// WriteBulk writes p by d's WriteBulk, if it has one.
func WriteBulk(d Device, p []byte, off int64) (int, error) {
	if b, ok := d.(Bulk); ok {
		return b.WriteBulk(p, off)
	}
	return d.WriteAt(p, off)
}

// Settler is a Device that keeps accepted writes in the process's own memory for a moment. A door that tells a client of a
// write calls Settle first, once for all that it is about to tell.
type Settler interface {
	// Settle hands every write that returned before the call to the operating system, so that the end of this process
	// alone cannot take it back. A client that reconnects afterwards relies on that: it flushes what it was told had been
	// written before. A power cut may still take back what was not flushed.
	Settle() error
}
