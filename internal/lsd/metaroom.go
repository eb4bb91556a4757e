package lsd

import (
	"time"

	"tintype/internal/block"
)

const (
	// metaLogPart is how much of what a store holds Pebble's logs may take at rest, and leastMetaLogs what they always may.
	metaLogPart   = 0.01
	leastMetaLogs = 1 << 20
	// metaLogsKept is more than the number of logs that Pebble keeps to write them again.
	metaLogsKept = 8
	// shedPatience is how long a store at rest waits for Pebble to write out what it has in memory.
	shedPatience = 5 * time.Second
)

// shedMetaLogs gives back the room of the logs that Pebble keeps to be written again, when they are large beside the store: one goes
// whenever a new one is begun.
func (s *Store) shedMetaLogs() error {
	s.metaFiles.Shed(true)
	defer s.metaFiles.Shed(false)
	for range metaLogsKept {
		if s.metaLogs() <= s.allowedMetaLogs() || s.keeper.busy() {
			return nil
		}
		flushed, err := s.db.AsyncFlush()
		if err != nil {
			return metaError(err)
		}
		select {
		case <-flushed:
		case <-time.After(shedPatience): // it goes on trying; what keeps it from it is told of by itself
			return nil
		}
	}
	return nil
}

// metaLogs is how many bytes Pebble's logs take, those kept to be written again included.
func (s *Store) metaLogs() int64 {
	m := s.db.Metrics()
	return int64(m.WAL.ObsoletePhysicalSize + max(m.WAL.PhysicalSize, m.WAL.Size))
}

func (s *Store) allowedMetaLogs() int64 {
	t := s.segments
	t.mu.Lock()
	defer t.mu.Unlock()
	var live int64
	for _, seg := range t.segs {
		live += seg.live * block.BlockSize
	}
	return max(int64(float64(live)*metaLogPart), leastMetaLogs)
}
