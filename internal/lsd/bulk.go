package lsd

// Chunks that hold nothing but writes in bulk go past the system's memory. To the system such a write and a usual one to the same file at the
// same time are a mistake of the program's, which it may report by failing a sync, where a page of its memory has a part of both. So
// the two never are under way together.

// mixes tells that a chunk has to wait for those of the other kind that are being written. Chunks are begun in order, so that its turn
// comes. The disk's mutex is held, here and below.
func (l *diskLog) mixes(c *chunk) bool {
	if c.bulk {
		return l.usual > 0
	}
	return l.bulk > 0
}

// underWay counts a write of a chunk, or with -1 its end.
func (l *diskLog) underWay(c *chunk, n int) {
	if c.bulk {
		l.bulk += n
	} else {
		l.usual += n
	}
}
