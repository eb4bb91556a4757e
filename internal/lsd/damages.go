package lsd

import (
	"cmp"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tintype/internal/block"
)

// Causes of damage.
const (
	causeChecksum = "checksum"           // the bytes are not those that were written
	causeMissing  = "segment is missing" // the file is gone
	causeShort    = "segment is cut off" // the file ends before the block
	causeRead     = "cannot be read"     // the file system says no
)

// badBlock is a block that could not be read as it was written.
type badBlock struct {
	pos   position
	lba   uint64
	cause string
	pass  uint64 // of the scrub in which it was last met
}

// mostDamages bounds how many damaged blocks are remembered; what lies beyond is counted. It is a good gigabyte.
const mostDamages = 1 << 18

// loggedDamages is how many damaged blocks a minute are logged one by one.
const loggedDamages = 20

// damages remembers the damaged blocks that were met, by whoever read them: each is logged once, and a flood of them is not.
type damages struct {
	log *slog.Logger
	now func() time.Time

	mu     sync.Mutex
	pass   uint64 // of the scrub
	bad    map[position]badBlock
	beyond int64 // met when bad was full
	begun  time.Time
	logged int // since begun
	silent int // not logged since begun
}

func newDamages(log *slog.Logger, now func() time.Time) *damages {
	return &damages{log: log, now: now, bad: map[position]badBlock{}}
}

// met notes a damaged block.
func (d *damages) met(err *blockError) {
	b := err.badBlock
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.put(b) {
		return
	}
	if now := d.now(); now.Sub(d.begun) >= time.Minute {
		if d.silent > 0 {
			d.log.Error("more damaged blocks were met than are logged", "blocks", d.silent)
		}
		d.begun, d.logged, d.silent = now, 0, 0
	}
	if d.logged++; d.logged > loggedDamages {
		d.silent++
		return
	}
	d.log.Error("damaged block", "block", b.lba, "segment", b.pos.seg(), "slot", b.pos.slot(), "error", err.err)
}

// put keeps a damaged block and tells whether it is new. The caller holds d.mu.
func (d *damages) put(b badBlock) bool {
	b.pass = d.pass
	was, known := d.bad[b.pos]
	if !known && len(d.bad) >= mostDamages {
		d.beyond++
		return false
	}
	d.bad[b.pos] = b
	return !known || was.cause != b.cause
}

// remember notes a damaged block that was met before this start, without a word.
func (d *damages) remember(b badBlock) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.put(b)
}

// nextPass begins a pass of the scrub.
func (d *damages) nextPass() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pass++
	d.beyond = 0
}

// endPass forgets what the pass, and readers meanwhile, have not met again: it was rewritten, deleted, moved or healed.
func (d *damages) endPass() {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.bad, func(_ position, b badBlock) bool { return b.pass != d.pass })
}

// unreadable remembers which lookups met damage in Pebble. Pebble looks for the flipped bit each time, which takes up to seconds.
type unreadable struct {
	any atomic.Bool
	mu  sync.Mutex
	all map[versionID]error
}

// mostUnreadable bounds them; those beyond are looked up each time.
const mostUnreadable = 1 << 16

func (u *unreadable) known(id versionID) error {
	if !u.any.Load() {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.all[id]
}

func (u *unreadable) note(id versionID, err error) {
	if !errors.Is(err, block.ErrDamaged) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all == nil {
		u.all = map[versionID]error{}
	}
	if len(u.all) < mostUnreadable {
		u.all[id] = err
		u.any.Store(true)
	}
}

// clear lets all be looked up again.
func (u *unreadable) clear() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all = nil
	u.any.Store(false)
}

// metGone notes a block whose segment is not there.
func (d *damages) metGone(err error) {
	var gone *blockError
	if errors.As(err, &gone) {
		d.met(gone)
	}
}

// count is how many damaged blocks are known.
func (d *damages) count() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return int64(len(d.bad)) + d.beyond
}

// list is all of them, in the order of their places.
func (d *damages) list() []badBlock {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.SortedFunc(maps.Values(d.bad), func(a, b badBlock) int { return cmp.Compare(a.pos, b.pos) })
}

// passes counts those begun since the start.
func (d *damages) passes() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pass
}
