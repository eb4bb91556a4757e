package lsd

import (
	"errors"
	"maps"
	"slices"
)

// hollow looks through a segment for long runs of slots that nobody needs. Which blocks live is not kept by place: the chunks' headers
// tell of which page a block was, and the versions of that page whether any refers to it. A run is long, so it is enough to ask for
// every so many slots at first, and closer only around those that are dead. What was dead once stays so; hence the versions
// are asked a few pages at a time.
type hollow struct {
	store  *Store
	seg    *segment // pinned
	least  uint32   // slots that are worth a hole
	stop   func() bool
	kinds  []slotKind
	pages  []uint32 // by slot, of blocks
	chunks []hole   // each a chunk, from its header on
	asked  map[uint32]struct{}
	lives  slotSet
}

// slotKind says what a slot is.
type slotKind byte

const (
	slotUnread slotKind = iota
	slotBlock
	slotHeader
	slotKept // a header that stays: of the first chunk, or one that tells salvage what was trimmed
	slotHole // it is in one already
)

const (
	// askPages is for how many pages versions are asked in one go, with the commit mutex held: a few milliseconds.
	askPages = 128
	// headersAtOnce is after how many headers it is looked whether a checkpoint is due.
	headersAtOnce = 256
)

// errLookStopped says that somebody needs the keeper for something else.
var errLookStopped = errors.New("the look for holes was stopped")

func (s *Store) newHollow(seg *segment, used uint32, stop func() bool) *hollow {
	return &hollow{
		store: s, seg: seg, least: s.opt.HoleBlocks, stop: stop, asked: map[uint32]struct{}{},
		kinds: make([]slotKind, used), pages: make([]uint32, used),
	}
}

// find returns all holes that the segment may have, those that it has included; nil where that cannot be told.
func (h *hollow) find() ([]hole, error) {
	if err := h.headers(); err != nil {
		return nil, err
	}
	for stride := h.least; ; stride = max(stride/2, 1) {
		for pages := range slices.Chunk(h.unknown(stride), askPages) {
			if err := errors.Join(h.ask(pages), h.pause()); err != nil {
				return nil, err
			}
		}
		if stride == 1 {
			return h.runs(), nil
		}
	}
}

// pause ends a look that is to stop, and has checkpoints that are due come between its steps.
func (h *hollow) pause() error {
	if h.stop() {
		return errLookStopped
	}
	return h.store.checkpointDue()
}

// headers follows the chunks' headers up to one that is not whole.
func (h *hollow) headers() error {
	t, used := h.store.segments, uint32(len(h.kinds))
	n := 0
	for slot := t.over(h.seg, 1); slot < used; slot = t.over(h.seg, slot) {
		c, err := h.store.readChunk(h.seg, slot, func(*chunkHeader) bool { return true })
		if errors.Is(err, errNoChunk) || err == nil && slot+c.slots() > used {
			break
		}
		if err != nil {
			return err
		}
		h.chunk(slot, c)
		slot += c.slots()
		if n++; n%headersAtOnce == 0 {
			if err := h.pause(); err != nil {
				return err
			}
		}
	}
	for _, o := range t.holesOf(h.seg).all {
		for slot := o.from; slot < min(o.to, used); slot++ {
			h.kinds[slot] = slotHole
		}
	}
	return nil
}

func (h *hollow) chunk(slot uint32, c *chunkHeader) {
	h.chunks = append(h.chunks, hole{slot, slot + c.slots()})
	h.kinds[slot] = slotHeader
	if slot < firstHole {
		h.kinds[slot] = slotKept
	}
	next := slot + 1
	for _, x := range c.extents {
		if x.kind == extentHole {
			h.kinds[slot] = slotKept
			continue
		}
		for i := range x.count {
			h.kinds[next], h.pages[next] = slotBlock, uint32((x.lba+uint64(i))/leafBlocks)
			next++
		}
	}
}

// unknown lists, in order, the pages to ask for next: of every so many slots in runs that are long enough as far as is known.
func (h *hollow) unknown(stride uint32) []uint32 {
	pages := map[uint32]struct{}{}
	h.eachRun(h.mayBeDead, func(run hole) {
		for slot := (run.from + stride - 1) / stride * stride; slot < run.to; slot += stride {
			if _, known := h.asked[h.pages[slot]]; h.kinds[slot] == slotBlock && !known {
				pages[h.pages[slot]] = struct{}{}
			}
		}
	})
	return slices.Sorted(maps.Keys(pages))
}

func (h *hollow) mayBeDead(slot uint32) bool {
	switch h.kinds[slot] {
	case slotBlock:
		return !h.lives.has(uint16(slot))
	case slotHeader, slotHole:
		return true
	}
	return false
}

// eachRun calls f for the longest runs of slots that a test likes, of those that are worth a hole, or have one already.
func (h *hollow) eachRun(test func(slot uint32) bool, f func(hole)) {
	run := hole{from: firstHole}
	for slot := uint32(firstHole); slot <= uint32(len(h.kinds)); slot++ {
		if slot < uint32(len(h.kinds)) && test(slot) {
			continue
		}
		if run.to = slot; run.to >= run.from+h.least || h.hasHole(run) {
			f(run)
		}
		run.from = slot + 1
	}
}

func (h *hollow) hasHole(run hole) bool {
	for slot := run.from; slot < run.to; slot++ {
		if h.kinds[slot] == slotHole {
			return true
		}
	}
	return false
}

// ask finds out which of the segment's blocks some versions of pages refer to.
func (h *hollow) ask(pages []uint32) error {
	s := h.store
	s.commits.Lock()
	defer s.commits.Unlock()
	if !s.knows(h.seg.lineage) {
		return errSegmentGone
	}
	c := compaction{store: s, lineage: h.seg.lineage, pages: pages}
	c.findLineages()
	err := c.eachVersion(func(_ versionID, v content) error {
		for _, e := range v.each() {
			if e.seg == h.seg.number {
				h.lives.add(e.slot)
			}
		}
		return nil
	})
	for _, page := range pages {
		h.asked[page] = struct{}{}
	}
	return err
}

// runs are the holes. Where the versions hold fewer blocks than the segment's count says, it may have none: something cannot be
// read.
func (h *hollow) runs() (all []hole) {
	var dead slotSet
	blocks, gone := int64(0), int64(0)
	for slot := range uint32(len(h.kinds)) {
		switch h.kinds[slot] {
		case slotHole:
			dead.add(uint16(slot))
		case slotBlock:
			blocks++
			if _, known := h.asked[h.pages[slot]]; known && !h.lives.has(uint16(slot)) {
				dead.add(uint16(slot))
				gone++
			}
		}
	}
	if gone > blocks-h.store.segments.liveAfter(h.seg.number, 0) {
		return nil
	}
	for _, c := range h.chunks {
		whole := h.kinds[c.from] == slotHeader
		for slot := c.from + 1; slot < c.to && whole; slot++ {
			whole = dead.has(uint16(slot))
		}
		if whole {
			dead.add(uint16(c.from))
		}
	}
	h.eachRun(func(slot uint32) bool { return dead.has(uint16(slot)) }, func(run hole) { all = append(all, run) })
	return all
}
