package lsd

import (
	"errors"
	"fmt"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

const (
	// littleSync is what a sync has to write at most to count as little.
	littleSync = 64 << 10
	// littleSyncs in a row mean that a guest flushes each little write.
	littleSyncs = 4
	// evenSlots is how much of a log is written ahead of it then, 2 MiB: some 250 flushes of a block each.
	evenSlots = 512
)

// evenOut writes zeroes ahead of a log that is synced little by little. Space that is reserved only costs every sync a commit of
// the file system's own journal, which takes as long as the sync itself; what was written before costs none. Only syncOnce
// calls it, with the segments that it is about to sync. The caller holds d.mu, which is released during the write; meanwhile
// no chunk goes to the segment, so none can be overwritten.
func (d *disk) evenOut(segs map[*segment]struct{}) error {
	l := &d.log
	s := l.seg
	if _, written := segs[s]; s == nil || !written || l.little < littleSyncs || s.even >= l.slot+evenSlots/8 {
		return nil
	}
	from := max(s.even, l.slot) // sealed chunks end before it
	to := min(from+evenSlots, uint32(d.store.segments.reserved(s)/block.BlockSize))
	if to <= from {
		return nil
	}
	if _, err := d.store.segments.pin(s.number); err != nil {
		return err
	}
	l.evening, s.even = s, to
	d.mu.Unlock()
	err := vfs.WriteZeroes(d.store.segments.file(s), int64(from)*block.BlockSize, int64(to-from)*block.BlockSize)
	err = errors.Join(err, d.store.segments.unpin(s))
	d.mu.Lock()
	l.evening = nil
	d.cond.Broadcast()
	if err != nil {
		return fmt.Errorf("write ahead in segment %d: %w", s.number, err)
	}
	return nil
}
