package lsd

import (
	"context"
	"errors"
	"maps"
	"slices"

	"tintype/internal/block"
)

// causeHeader is a header that is not whole. Blocks are read without it; compaction and salvage need it.
const causeHeader = "header of a segment or chunk"

// headersOf follows the headers of all segments in which something lives, up to the last block that does.
func (c *scrubber) headersOf(ctx context.Context, rate int64) error {
	c.mu.Lock()
	top := maps.Clone(c.top)
	c.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(top)) {
		seg, err := c.store.segments.pin(n)
		if err != nil {
			continue // gone since, or missing, which its blocks have told
		}
		read := c.headersIn(seg, top[n])
		if err := errors.Join(c.store.segments.unpin(seg), pause(ctx, read, rate)); err != nil {
			return err
		}
	}
	return nil
}

// headersIn follows the headers of one segment, and notes the first that is not whole.
func (c *scrubber) headersIn(seg *segment, top uint32) (read int64) {
	s := c.store
	buf := make([]byte, block.BlockSize)
	err := s.segments.file(seg).readGood(buf, 0, func() error {
		_, err := decodeSegment(buf, seg.number)
		return err
	})
	if err != nil {
		c.badHeader(at(seg.number, 0), err)
	}
	for slot := uint32(1); slot < top; slot = s.segments.over(seg, slot) {
		read += block.BlockSize
		h, err := s.readChunk(seg, slot, func(*chunkHeader) bool { return true })
		if err != nil {
			c.badHeader(at(seg.number, slot), err)
			break
		}
		slot += h.slots()
	}
	return read + block.BlockSize
}

func (c *scrubber) badHeader(p position, err error) {
	c.store.opt.Log.Error("damaged header", "segment", p.seg(), "slot", p.slot(), "error", err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.headers, p) {
		c.headers = append(c.headers, p)
	}
}
