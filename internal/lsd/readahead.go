package lsd

import (
	"sync"

	"tintype/internal/block"
)

const (
	// streamReach is how far a read may begin from the end of the one before and still belong to one stream: many are under way
	// at once, in any order.
	streamReach = 16 << 20
	// streamReads in a row make a stream.
	streamReads = 8
	// windowSlots is how much of a segment is brought in around a block that a stream wants, 64 KiB.
	windowSlots = 16
	// maxWindows is how many windows a stream remembers.
	maxWindows = 1 << 16
)

// readAhead knows whether a disk is read in order. What was written at random lies in order nowhere, so the kernel cannot read
// ahead of such a stream; but what lies around a block that it wants belongs, for the most part, to the same disk, and comes
// up later in the stream. That pays only where all of the disk stays in memory.
type readAhead struct {
	mu      sync.Mutex
	end     int64                 // of the last read
	reads   int                   // in a row, of a disk that fits into memory
	ordered int                   // in a row, whether it fits or not
	windows map[position]struct{} // that were asked for, by their first slots

	fits     bool                  // as of the last read
	gathered map[position]struct{} // stretches, while it fits, by their first slots

	high   int64         // the furthest end in the stream
	next   int64         // where to look next for what the stream will want
	recent []position    // stretches that were gathered last, by their first slots
	scout  chan struct{} // closed when whoever looks ahead is through; nil: nobody does
}

// note is told of each read; fits says that all that the disk has fits into memory.
func (a *readAhead) note(off int64, n int, fits bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := off - a.end
	long := n >= pageBytes && d <= streamReach && d >= -streamReach
	a.fits = fits
	if !long {
		a.ordered, a.high, a.next = 0, 0, 0
	}
	if !long || !fits {
		a.reads, a.windows, a.gathered = 0, nil, nil
	}
	a.reads++
	a.ordered++
	a.end = off + int64(n)
	a.high = max(a.high, a.end)
}

// around returns the windows around a run of blocks that have to be asked for, or the run itself where there is no stream.
func (a *readAhead) around(first position, n int) (from position, slots int) {
	if a == nil {
		return first, n
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.reads < streamReads {
		return first, n
	}
	if a.windows == nil || len(a.windows) > maxWindows {
		a.windows = map[position]struct{}{}
	}
	from, end := first/windowSlots*windowSlots, first+position(n)
	for ; from < end; from += windowSlots {
		if _, asked := a.windows[from]; !asked {
			break
		}
	}
	for w := from; w < end; w += windowSlots {
		a.windows[w] = struct{}{}
		slots += windowSlots
	}
	return from, slots
}

// advise has the segments of wants brought into memory, all at once, and for a stream what lies around them.
func (s *Store) advise(wants []want, pins []*segment, ahead *readAhead) {
	for i := 0; i < len(wants); {
		n := neighbours(wants[i:])
		if from, slots := ahead.around(wants[i].e.pos(), n); slots > 0 {
			s.segments.file(pins[i]).advise(int64(from.slot())*block.BlockSize, int64(slots)*block.BlockSize)
		}
		i += n
	}
}
