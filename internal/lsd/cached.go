package lsd

import (
	"tintype/internal/block"
	"tintype/internal/vfs"
)

// ReadCached fills p from off and is done when that waits for no media: the map and the blocks are in memory, and the blocks are
// what was written. When it is not done p may hold anything; ReadAt then knows why. Begun says that the map was at hand and that
// the blocks are on their way into memory.
func (h *handle) ReadCached(p []byte, off int64) (done, begun bool) {
	if h.store.requests.enter() != nil {
		return false, false
	}
	defer h.store.requests.leave()
	if h.begin(off, int64(len(p))) != nil {
		return false, false
	}
	return h.readCached(p, off)
}

func (d *disk) readCached(p []byte, off int64) (done, begun bool) {
	done, begun = true, true
	for len(p) > 0 && begun {
		n := min(len(p), int(pageBytes-off%pageBytes))
		got, on := d.readPageCached(p[:n], off)
		done, begun = done && got, on
		p, off = p[n:], off+int64(n)
	}
	return done, begun
}

func (d *disk) readPageCached(p []byte, off int64) (done, begun bool) {
	d.mu.Lock()
	l := d.leaves.get(uint32(off / pageBytes))
	if l == nil {
		d.mu.Unlock()
		return false, false
	}
	l.used = true
	wants := d.wants(make([]want, 0, len(p)/block.BlockSize+2), l, p, 0, off)
	pins, err := d.store.pinAll(nil, wants)
	d.mu.Unlock()
	if err == nil {
		done, begun = d.store.fetchCached(p, wants, pins)
	}
	return d.store.unpinAll(pins) == nil && done, begun
}

// fetchCached is fetch for what the file system has in memory. The rest it begins to bring in.
func (s *Store) fetchCached(p []byte, wants []want, pins []*segment) (done, begun bool) {
	done, begun = true, true
	for i := 0; i < len(wants); {
		n := neighbours(wants[i:])
		if wants[i].n != block.BlockSize {
			return false, false
		}
		got, on := s.cachedRun(runOf(p, wants[i:i+n]), wants[i:i+n], pins[i])
		done, begun = done && got, begun && (got || on)
		i += n
	}
	return done, begun
}

// runOf is the part of a buffer in which neighbours belong.
func runOf(p []byte, run []want) []byte {
	return p[run[0].dst : run[0].dst+len(run)*block.BlockSize]
}

// cachedRun reads blocks that lie one behind another, if that waits for nothing and they are good.
func (s *Store) cachedRun(p []byte, run []want, seg *segment) (good, begun bool) {
	err := s.withStored(p, run, seg, func(p []byte, off int64, check func() error) error {
		good, begun = s.segments.file(seg).readCached(p, off)
		good = good && check() == nil
		return nil
	})
	return good && err == nil, begun
}

// readCached fills p from the best copy, if that waits for nothing.
func (c *copies) readCached(p []byte, off int64) (done, begun bool) {
	f, ok := c.best()
	if !ok {
		return false, false
	}
	return f.ReadCached(p, off)
}

func (c *copies) advise(off, n int64) {
	if f, ok := c.best(); ok {
		f.Advise(off, n)
	}
}

// gatherPiece is how much is gathered in one go: each has the time of one operation on a zone.
const gatherPiece = 2 * vfs.GatherBytes

func (c *copies) gather(off, n int64) {
	for ; n > 0; off, n = off+gatherPiece, n-gatherPiece {
		f, ok := c.best()
		if !ok {
			return
		}
		f.Gather(off, min(n, gatherPiece))
	}
}

// best is the copy that is read first, if its file system has a memory.
func (c *copies) best() (vfs.Cached, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	file := c.local
	if file == nil {
		all := c.sources()
		if len(all) == 0 {
			return nil, false
		}
		file = all[0].file
	}
	f, ok := file.(vfs.Cached)
	return f, ok
}
