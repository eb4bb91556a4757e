package tintype

// Sizes of a disk or snapshot in bytes, exact. Used counts the blocks that hold data.
type Sizes struct {
	Used        int64
	Provisioned int64
}
