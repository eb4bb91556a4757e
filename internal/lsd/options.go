package lsd

import (
	"log/slog"
	"sync"
	"time"

	"tintype/internal/block"
)

// Options tune a store; the zero value of each field means its default.
type Options struct {
	// SegmentSlots is the size of a segment file in blocks, its header included: 8 to 65536 (256 MiB). The default is a 1024th of
	// the file system, so that there is always room to empty one into another.
	SegmentSlots uint32
	// CheckpointBytes is the length of log after which a disk is checkpointed: a 32nd of the file system, 2 GiB at most.
	CheckpointBytes int64
	// SyncBytes is after how much log written a sync begins of itself, 64 MiB: a flush, and whatever else the file system
	// writes in order behind it, would wait for all that was left.
	SyncBytes int64
	// MapMemory is what the maps of disks may take of memory, 1 GiB: a quarter of it for what a checkpoint has still to write of a
	// disk, the rest for leaves. A leaf that is not in memory is read from Pebble when it is needed.
	MapMemory int64
	// MaxDirtyLeaves is how many changed leaves a disk keeps before writes wait for a checkpoint; MapMemory says how many.
	MaxDirtyLeaves int
	// MaxLeaves is how many leaves all disks together keep in memory when they are clean; MapMemory says how many.
	MaxLeaves int
	// IdleSeal is after how long without a write the tail of a log is handed to the operating system, 3 ms; negative
	// never does it. It makes nothing durable.
	IdleSeal time.Duration
	// Reserve is how much of the file system writes leave free, so that checkpoints and deletes go on when it is full,
	// a 128th of the file system between 32 and 512 MiB; negative reserves nothing.
	Reserve int64
	// Overhead is how much dead space, as a part of the live, is left alone while there is room: 0.25 is a quarter. Zero adapts:
	// from as much as the live in a file system with room to a quarter in a full one.
	Overhead float64
	// AsWritten leaves data in the order in which it was written: a store at rest puts none in order.
	AsWritten bool
	// IdleAfter is after how long without writes the store is tightened, 15 s; negative never does it.
	IdleAfter time.Duration
	// Spares is how many files of dead segments are kept to be written again, 4; negative keeps none. They go when the store is
	// tightened, and when their room is needed.
	Spares int
	// Memory is how many bytes of what it has read the operating system can be expected to keep. A disk with less data than that
	// has more read than was asked for, when it is read in order and was written at random; 0 never does.
	Memory int64
	// Log is told of what fails where no caller waits; nil drops it.
	Log *slog.Logger
	// Now is the clock of reports and of what limits the log; nil stands still.
	Now func() time.Time
	// HoleBlocks is how long a run of dead blocks has to be for its room to be given back by itself, 64 (256 KiB).
	HoleBlocks uint32
	// StepBlocks is how many blocks compaction moves in one step, between which checkpoints come, 1020.
	StepBlocks int
	// StepVersions is how many page versions reclaiming looks at in one step, 2048: few enough that another commit, which has to
	// wait for it in Pebble's log, waits for milliseconds.
	StepVersions int
	// Keys are the keys that wrap the disks' keys. A store opened with them encrypts what it writes; nil writes blocks as they
	// are, and opens no store that holds encrypted ones.
	Keys *KeyRing
	// Zones are the folders of zones 1, 2 and 3, or none. A store that has zones does not open without them.
	Zones []string
	// ZoneTimeout is after how long a zone's folder that does not answer counts as gone, if the other two are there, 10 s;
	// negative waits for ever.
	ZoneTimeout time.Duration
	// ScrubRate is how many bytes a second the scrub in the background reads; 0 begins no pass that nobody asks for.
	ScrubRate int64
	// ScrubEvery is the time from the beginning of one pass to that of the next, a week.
	ScrubEvery time.Duration
	// salvage opens a store for getting out what is left: a log with a hole is replayed up to it, and its disk opens.
	salvage  bool
	overGaps bool // with metadata that is older than the logs: what is behind a gap in one counts
	// Manual leaves checkpoints and reclaiming to calls of Checkpoint and Reclaim.
	Manual bool
}

// fitted sets what depends on the size of the file system.
func (o Options) fitted(total int64) Options {
	orDefault(&o.CheckpointBytes, min(max(total/32, 64<<20), 2<<30))
	orDefault(&o.Reserve, min(max(total/128, 32<<20), 512<<20))
	if o.SegmentSlots == 0 {
		o.SegmentSlots = uint32(min(max(total/1024, 4<<20), 256<<20) / block.BlockSize)
	}
	o.SegmentSlots = min(max(o.SegmentSlots, 8), 1<<slotBits)
	return o
}

// memTable is how much Pebble keeps in memory before it writes a table: it must fit into what is reserved for it.
func (o Options) memTable() uint64 {
	if o.Reserve == 0 {
		return 32 << 20
	}
	return uint64(min(max(o.Reserve/8, 4<<20), 32<<20))
}

func orDefault(v *int64, d int64) {
	if *v == 0 {
		*v = d
	}
	*v = max(*v, 0)
}

func (o Options) withDefaults() Options {
	orDefault(&o.SyncBytes, 64<<20)
	if o.Spares == 0 {
		o.Spares = 4
	}
	if o.IdleAfter == 0 {
		o.IdleAfter = 15 * time.Second
	}
	orDefault(&o.MapMemory, 1<<30)
	if o.MaxDirtyLeaves == 0 {
		o.MaxDirtyLeaves = int(max(o.MapMemory/4/frozenBytes, 1024))
	}
	if o.MaxLeaves == 0 {
		o.MaxLeaves = int(max(o.MapMemory/4*3/leafBytes, 1024))
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = func() time.Time { return time.Time{} }
	}
	if o.StepBlocks <= 0 {
		o.StepBlocks = 4 * maxChunkBlocks
	}
	if o.HoleBlocks == 0 {
		o.HoleBlocks = 64
	}
	if o.StepVersions <= 0 {
		o.StepVersions = 2048
	}
	if o.ZoneTimeout == 0 {
		o.ZoneTimeout = 10 * time.Second
	}
	if o.ScrubEvery == 0 {
		o.ScrubEvery = 7 * 24 * time.Hour
	}
	if o.IdleSeal == 0 {
		o.IdleSeal = 3 * time.Millisecond
	}
	return o
}

// bufferPool holds chunk buffers. Their blocks are aligned to the block size in memory.
type bufferPool struct{ pool sync.Pool }

func newBufferPool() *bufferPool {
	p := &bufferPool{}
	p.pool.New = func() any {
		b := alignedBuffer(chunkSlots * block.BlockSize)
		return &b
	}
	return p
}

func (p *bufferPool) get() []byte  { return *p.pool.Get().(*[]byte) }
func (p *bufferPool) put(b []byte) { p.pool.Put(&b) }
