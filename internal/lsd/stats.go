package lsd

import (
	"fmt"

	"tintype/internal/block"
)

// Stats is what a store holds, in bytes, and what it does. Counts of work are since the start.
type Stats struct {
	Live        int64 `json:"liveBytes"`        // blocks that a volume needs
	Dead        int64 `json:"deadBytes"`        // the rest of the segments: superseded blocks, headers, what is reserved ahead
	Reclaimable int64 `json:"reclaimableBytes"` // of the dead, what compaction can give back now
	Physical    int64 `json:"physicalBytes"`    // segment files, and metadata
	Recycled    int64 `json:"recycledBytes"`    // of the dead, files kept to be written again
	Punched     int64 `json:"punchedBytes"`     // holes in segment files, which take nothing any more
	Metadata    int64 `json:"metadataBytes"`
	Segments    int   `json:"segments"`
	Map         int64 `json:"mapMemoryBytes"` // what the maps of disks take of memory

	Left  int64 `json:"leftBytes"`        // of the file system, what writes may still take before anything is cleaned
	Total int64 `json:"fileSystemBytes"`  // its size
	Waits int64 `json:"writesThatWaited"` // for cleaning, because there was no room at all; not those that were only slowed

	Written       int64   `json:"writtenBytes"`       // by clients
	DeviceWritten int64   `json:"deviceWrittenBytes"` // logs, moved blocks and metadata
	Amplification float64 `json:"writeAmplification"` // the one by the other; 0 before the first write
	Moved         int64   `json:"movedBytes"`         // by compaction
	Ordered       int64   `json:"orderedBytes"`       // moved to lie in order

	Reclaiming string `json:"reclaiming"` // what is being done about dead space

	Damaged  int64       `json:"damagedBlocks"`      // met by reads since the start
	Key      string      `json:"key,omitempty"`      // id of the key that protects the disks' keys; none: nothing is encrypted
	Failures []Failure   `json:"failures,omitempty"` // of work in the background
	Zones    []ZoneStats `json:"zones,omitempty"`
	Healed   int64       `json:"healedBytes,omitempty"` // in bad copies, rewritten from a good one since the start
}

// Stats tells what the store holds as of the last checkpoints. It takes a moment only, however large the store.
func (s *Store) Stats() Stats {
	var st Stats
	t := s.segments
	t.mu.Lock()
	for _, seg := range t.segs {
		st.Segments++
		st.Live += seg.live * block.BlockSize
		st.Punched += seg.holes.given() * block.BlockSize
		st.Physical += max(seg.allocated, int64(seg.used)*block.BlockSize)
	}
	t.mu.Unlock()
	st.Recycled = t.spareBytes()
	st.Physical += st.Recycled - st.Punched
	st.Dead = st.Physical - st.Live
	for _, d := range s.disks() {
		d.mu.Lock()
		st.Map += d.leaves.bytes() + int64(d.nfrozen)*frozenBytes
		d.mu.Unlock()
	}
	st.Reclaimable = s.reclaimable.Load() * block.BlockSize
	m := s.db.Metrics()
	st.Metadata = int64(m.DiskSpaceUsage())
	st.Physical += st.Metadata
	st.Left, st.Total = s.room.left.Load(), s.room.total.Load()
	st.Waits = s.room.waits.Load()
	st.Written = s.written.Load() * block.BlockSize
	st.Moved = s.movedBlocks.Load() * block.BlockSize
	st.Ordered = s.orderedBlocks.Load() * block.BlockSize
	st.DeviceWritten = s.segmentBytes.Load() + int64(m.WAL.BytesWritten)
	for _, l := range m.Levels {
		st.DeviceWritten += int64(l.TableBytesFlushed + l.TableBytesCompacted + l.BlobBytesFlushed + l.BlobBytesCompacted)
	}
	if st.Written > 0 {
		st.Amplification = float64(st.DeviceWritten) / float64(st.Written)
	}
	st.Reclaiming = s.doing()
	st.Damaged = s.damages.count()
	st.Failures = s.troubles.list()
	st.Key = s.keys.current()
	if st.Zones = s.zoneStats(); st.Zones != nil {
		st.Healed = s.zones.mended()
	}
	return st
}

// What reclaiming does.
const (
	doingNothing = iota
	doingCheckpoint
	doingReclaim
	doingCompact
	doingOrder
	doingPunch
)

// doing says what the keeper is at.
func (s *Store) doing() string {
	switch s.activity.Load() {
	case doingCheckpoint:
		return "checkpoint"
	case doingReclaim:
		return "dropping versions that nobody needs"
	case doingCompact:
		return fmt.Sprintf("compacting segment %d", s.emptying.Load())
	case doingPunch:
		return fmt.Sprintf("giving back what is dead in segment %d", s.emptying.Load())
	case doingOrder:
		return "putting data in order"
	}
	tidied := s.tidied.Load() // before changes, which may be more by now, but never less
	switch {
	case s.full.Load():
		return "paused: the store is full, and there is nothing to clean"
	case s.changes.Load() != tidied:
		return "idle"
	}
	return "idle: complete"
}
