package lsd

import (
	"log/slog"
	"sync"
	"time"

	"tintype/internal/block"
)

// Options tune a store; the zero value of each field means its default.
type Options struct {
	// SegmentSlots is the size of a segment file in blocks, its header included: 8 to 65536 (256 MiB, the default).
	SegmentSlots uint32
	// CheckpointBytes is the length of log after which a disk is checkpointed, 2 GiB.
	CheckpointBytes int64
	// SyncBytes is after how much log written a sync begins of itself, 64 MiB: a flush, and whatever else the file system
	// writes in order behind it, would wait for all that was left.
	SyncBytes int64
	// MaxDirtyLeaves is how many changed leaves a disk keeps before writes wait for a checkpoint, 262,144.
	MaxDirtyLeaves int
	// MaxLeaves is how many leaves all disks together keep in memory when they are clean, 524,288.
	MaxLeaves int
	// IdleSeal is after how long without a write the tail of a log is handed to the operating system, 3 ms; negative
	// never does it. It makes nothing durable.
	IdleSeal time.Duration
	// Reserve is how much of the file system writes leave free, so that checkpoints and deletes go on when it is full,
	// 256 MiB; negative reserves nothing.
	Reserve int64
	// Log is told of what fails where no caller waits; nil drops it.
	Log *slog.Logger
	// Now is the clock of reports and of what limits the log; nil stands still.
	Now func() time.Time
	// StepBlocks is how many blocks compaction moves in one step, between which checkpoints come, 1020.
	StepBlocks int
	// Keys are the keys that wrap the disks' keys. A store opened with them encrypts what it writes; nil writes blocks as they
	// are, and opens no store that holds encrypted ones.
	Keys *KeyRing
	// Zones are the folders of zones 1, 2 and 3, or none. A store that has zones does not open without them.
	Zones []string
	// Manual leaves checkpoints and reclaiming to calls of Checkpoint and Reclaim.
	Manual bool
}

func (o Options) withDefaults() Options {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
		*v = max(*v, 0)
	}
	def(&o.CheckpointBytes, 2<<30)
	def(&o.Reserve, 256<<20)
	def(&o.SyncBytes, 64<<20)
	if o.SegmentSlots == 0 {
		o.SegmentSlots = 1 << slotBits
	}
	o.SegmentSlots = min(max(o.SegmentSlots, 8), 1<<slotBits)
	if o.MaxDirtyLeaves == 0 {
		o.MaxDirtyLeaves = 1 << 18
	}
	if o.MaxLeaves == 0 {
		o.MaxLeaves = 1 << 19
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
