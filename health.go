package tintype

import (
	"time"

	"github.com/google/uuid"
)

// Damage is a part of a disk or snapshot that cannot be read as it was written.
type Damage struct {
	Resource ResourceID // zero where no disk or snapshot has the volume (any more)
	Volume   uuid.UUID  // in the store
	Off, Len int64      // bytes of the disk or snapshot
	Cause    string
}

// Scrub is what the scrub does, which reads in the background what nobody has read for long.
type Scrub struct {
	Rate     int64 // bytes a second; 0: only when asked
	Running  bool
	Begun    time.Time // of the pass under way
	Bytes    int64     // that it has read
	Last     ScrubPass // zero before the first has ended
	Restored int64     // pieces of metadata that were missing and could be made again
}

// ScrubPass is one reading of everything.
type ScrubPass struct {
	Begun, Ended time.Time
	Bytes        int64
}
