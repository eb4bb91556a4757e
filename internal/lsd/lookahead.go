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
	var firsts []position
	var pins []*segment
	d.mu.Lock()
	for off := from; off < to; off += pageBytes {
		l, _, err := d.leaf(uint32(off / pageBytes))
		if err != nil {
			break
		}
		for _, first := range stretches(l.ents) {
			if d.ahead.recall(first) {
				continue
			}
			if seg, err := d.store.segments.pin(first.seg()); err == nil {
				firsts, pins = append(firsts, first), append(pins, seg)
			}
		}
	}
	d.mu.Unlock()
	for i := 0; i < len(pins); {
		n := 1
		for i+n < len(pins) && firsts[i+n] == firsts[i]+position(n*stretchSlots) && pins[i+n] == pins[i] {
			n++
		}
		d.store.segments.file(pins[i]).gather(int64(firsts[i].slot())*block.BlockSize, int64(n)*vfs.GatherBytes)
		i += n
	}
	for _, seg := range pins {
		_ = d.store.segments.unpin(seg) // closing a file that is gone: nothing is lost by it
	}
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

// recall tells whether a stretch was gathered just before, and remembers it.
func (a *readAhead) recall(first position) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if slices.Contains(a.recent, first) {
		return true
	}
	if len(a.recent) == recentStretches {
		a.recent = slices.Delete(a.recent, 0, 1)
	}
	a.recent = append(a.recent, first)
	return false
}
