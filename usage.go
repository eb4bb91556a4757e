package tintype

// Sizes of a disk or snapshot in bytes, exact.
type Sizes struct {
	Used        int64 // blocks that hold data
	Incremental int64 // of these, those written since the snapshot before; of the first, all
	Exclusive   int64 // what the store would get back if it alone were deleted
	Provisioned int64
}
