package lsd

import "tintype/internal/block"

const (
	// passingReach is how many chunks written in bulk are on their way to the media before the first of them is taken to have arrived, 32 MiB.
	passingReach = 32
	// mostPassing is how many are kept track of. Media so slow that there are more gets the rest as it gets everything else.
	mostPassing = 2 * passingReach
)

// passing is what was written in bulk lately. Nobody is going to read it soon, and there is much of it; so it is sent to the media at once, and
// does not stay in the system's memory. That keeps what is read there, and writes the next chunks into the same few pages: fresh ones
// cost several times as much.
type passing struct {
	parts []passingPart // the oldest first
	begun int           // of them, are on their way
	busy  bool          // a goroutine takes care of them
}

type passingPart struct {
	file   *copies
	off, n int64
}

// pass has a chunk that was written in bulk leave the system's memory, or returns false if there are too many. The caller holds d.mu.
func (d *disk) pass(c *chunk) bool {
	p := &d.log.passing
	if len(p.parts) >= mostPassing || d.store.opt.Manual {
		return false
	}
	p.parts = append(p.parts, passingPart{
		file: d.store.segments.file(c.seg), off: int64(c.slot) * block.BlockSize, n: int64(c.slots()) * block.BlockSize,
	})
	if !p.busy {
		p.busy = true
		go d.letPass()
	}
	return true
}

// letPass does for what is passing what there is to be done by now. It stops at no error: what fails here is met by the next sync.
func (d *disk) letPass() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for do := d.log.passing.next(); do != nil; do = d.log.passing.next() {
		d.mu.Unlock()
		do()
		d.mu.Lock()
	}
	d.log.passing.busy = false
}

// next is what is to be done next, nil if nothing is for now.
func (p *passing) next() func() {
	switch {
	case p.begun < len(p.parts):
		part := p.parts[p.begun]
		p.begun++
		return func() { part.file.beginWrite(part.off, part.n) }
	case p.begun > passingReach:
		part := p.parts[0]
		p.parts[0] = passingPart{}
		p.parts, p.begun = p.parts[1:], p.begun-1
		return func() { part.file.forget(part.off, part.n) }
	}
	return nil
}
