package lsd

import (
	"errors"
	"fmt"
	"io"

	"tintype/internal/block"
)

// errGaps says of a log that something in it is missing, and that what came behind that is there.
var errGaps = errors.New("the log was followed over chunks that are missing")

// overGaps scans a log once more that has lost chunks which were durable, and goes on behind them: where the metadata is older than the
// segments, their headers may lie in holes, because nothing in them was needed any more.
func (c *logScan) overGaps(damage error) (*logScan, error) {
	r := c.d.checkpointed
	again := &logScan{d: c.d, seq: r.NextSeq, prev: r.PrevSum, durable: c.durable, sought: c.durable}
	err := again.run()
	if len(again.chunks) <= len(c.chunks) || err != nil && !errors.Is(err, block.ErrDamaged) {
		return c, damage
	}
	return again, fmt.Errorf("%w: %w", errGaps, damage)
}

// behindGap looks, slot by slot, for the next chunk of the log in a segment that comes later than the one that is missing. None is no
// error.
func (c *logScan) behindGap(seg *segment, slot uint32) (uint32, *chunkHeader, error) {
	for ; slot < seg.used; slot++ {
		h, err := c.d.store.readChunk(seg, slot, func(h *chunkHeader) bool {
			return h.seq >= c.seq && h.lineage == c.d.lin.id && h.incarnation == seg.incarnation
		})
		if err == nil {
			return slot, h, nil
		}
		if !errors.Is(err, errNoChunk) && !errors.Is(err, io.EOF) {
			return slot, nil, err
		}
	}
	return slot, nil, nil
}
