package vfs

// Cached is a File whose system keeps some of it in memory. It is how a caller finds out that reading would not wait, and
// has several ranges brought in at once when it would.
type Cached interface {
	File

	// ReadCached fills p from off and is done when that waits for no media. When it is not done p may hold anything; begun says
	// that the system has begun to bring the range in.
	ReadCached(p []byte, off int64) (done, begun bool)

	// Advise begins to bring n bytes from off on into memory, and waits for nothing.
	Advise(off, n int64)

	// Gather begins to bring n bytes from off on into memory in pieces as large as the system has them, and perhaps what lies behind
	// them. It may wait for media. off is a multiple of GatherBytes; what is in memory already costs next to nothing.
	Gather(off, n int64)
}

// GatherBytes is how much of a file is best gathered at once.
const GatherBytes = 2 << 20

// Lazy is a File whose system writes to the media when it sees fit.
type Lazy interface {
	File

	// BeginWrite begins to write n bytes from off on to the media; it promises nothing, and a sync that comes later finds less
	// to do.
	BeginWrite(off, n int64)

	// Forget gives back the memory that keeps n bytes from off on, as far as they are on the media. It waits for nothing.
	Forget(off, n int64)
}
