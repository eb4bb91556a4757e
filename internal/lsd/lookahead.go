package lsd

import (
	"slices"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

const (
	// lookReach is how far ahead of a stream's reads the map is looked at.
	lookReach = 32 << 20
	// stretchSlots is how much of a segment is gathered at once.
	stretchSlots = vfs.GatherBytes / block.BlockSize
	// maxStretches is in how many stretches a page of the map may lie that counts as written in order.
	maxStretches = 4
	// recentStretches is how many stretches a stream remembers: a page lies where the one before it does, for the most part.
	recentStretches = 16
	// lookPages is for how many pages at a time the map is looked at, while nobody else has the disk's mutex.
	lookPages = 8
	// gatherAtMost is how many times as much as the stream is about to want may be gathered for it, where not all of it stays in memory:
	// of what was written in pieces in any order, each stretch has a little, and is gone again when the next of them is wanted.
	gatherAtMost = 2
)

// lookAhead gathers, in a goroutine, what a stream of reads is about to want, as far as it was written in order: the kernel cannot do that by
// itself, which sees reads of several workers in any order, over files in which the disk's data only lies as it was written.
func (h *handle) lookAhead() {
	d := h.disk
	if d.store.opt.Manual || !d.ahead.begin() {
		return
	}
	if d.store.requests.enter() != nil {
		d.ahead.ended()
		return
	}
	go func() {
		defer d.store.requests.leave()
		defer d.ahead.ended()
		if h.closed.Load() { // Close may have found nobody to wait for
			return
		}
		d.gather(d.ahead.claim(d.sizeNow()))
	}()
}

// begin tells a caller that it is the one to look ahead, until ended.
func (a *readAhead) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.scout != nil || a.ordered < streamReads || a.next >= a.high+lookReach/2 {
		return false
	}
	a.scout = make(chan struct{})
	return true
}

func (a *readAhead) ended() {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.scout)
	a.scout = nil
}

// settle waits for whoever looks ahead.
func (a *readAhead) settle() {
	a.mu.Lock()
	scout := a.scout
	a.mu.Unlock()
	if scout != nil {
		<-scout
	}
}

// claim is the part of the disk that a stream has come near to, up to its reach.
func (a *readAhead) claim(size int64) (from, to int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	from = max(a.next, a.high/pageBytes*pageBytes)
	to = min(a.high+lookReach, size)
	a.next = max(from, to)
	return from, to
}

// gather gathers the stretches in which a part of the disk lies. What fails here is met by the read that needs it.
func (d *disk) gather(from, to int64) {
	all := d.stretchesOf(from, to)
	if int64(len(all))*vfs.GatherBytes > gatherAtMost*(to-from) && !d.ahead.stays() {
		return
	}
	d.ahead.remember(all)
	for i := 0; i < len(all); {
		n := 1
		for i+n < len(all) && all[i+n] == all[i]+position(n*stretchSlots) && all[i+n].seg() == all[i].seg() {
			n++
		}
		if seg, err := d.store.segments.pin(all[i].seg()); err == nil {
			d.store.segments.file(seg).gather(int64(all[i].slot())*block.BlockSize, int64(n)*vfs.GatherBytes)
			_ = d.store.segments.unpin(seg) // closing a file that is gone: nothing is lost by it
		}
		i += n
	}
}

// stretchesOf lists the stretches in which a part of the disk lies, each once, but for those that were gathered before.
func (d *disk) stretchesOf(from, to int64) (all []position) {
	listed := map[position]struct{}{}
	for from < to {
		until := min(to, from+lookPages*pageBytes)
		d.mu.Lock()
		for ; from < until; from += pageBytes {
			l, _, err := d.leaf(uint32(from / pageBytes))
			if err != nil {
				d.mu.Unlock()
				return all
			}
			for _, first := range stretches(l.ents) {
				if _, is := listed[first]; !is && !d.ahead.recalls(first) {
					listed[first] = struct{}{}
					all = append(all, first)
				}
			}
		}
		d.mu.Unlock()
		d.store.breathe()
	}
	return all
}

// stretches lists where the stretches of a page begin, nothing if it is scattered.
func stretches(ents []entry) []position {
	var firsts []position
	for _, e := range ents {
		first := at(e.seg, uint32(e.slot)/stretchSlots*stretchSlots)
		if slices.Contains(firsts, first) {
			continue
		}
		if len(firsts) == maxStretches {
			return nil
		}
		firsts = append(firsts, first)
	}
	return firsts
}

// stays tells that what is gathered stays in memory until it is wanted.
func (a *readAhead) stays() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fits
}

// recalls tells whether a stretch was gathered before.
func (a *readAhead) recalls(first position) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, is := a.gathered[first]
	return is || slices.Contains(a.recent, first)
}

// remember notes what is gathered. Of a disk that fits into memory nothing is gathered twice in a stream: where other disks need that memory
// too, it would go in vain again and again.
func (a *readAhead) remember(all []position) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.recent = append(a.recent, all...)
	a.recent = slices.Delete(a.recent, 0, max(len(a.recent)-recentStretches, 0))
	if !a.fits {
		return
	}
	if a.gathered == nil || len(a.gathered) > maxWindows {
		a.gathered = map[position]struct{}{}
	}
	for _, first := range all {
		a.gathered[first] = struct{}{}
	}
}
