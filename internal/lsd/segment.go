package lsd

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"

	"tintype/internal/block"
)

// segment is one file of a disk's log.
type segment struct {
	segmentHeader

	cipher atomic.Pointer[segmentCipher] // once it was needed

	salvaged bool // the header in the file is damaged; set at the start, guarded as fresh is
	fresh    bool // its directory entry is not synced yet; guarded by the owning disk's mutex, as even is

	even uint32 // slots at the front that were written before, if with zeroes: a sync of them changes no metadata

	// The rest is guarded by the table's mutex.
	file      *copies // nil when it is missing
	allocated int64   // bytes reserved in the file; changed for its log, or by the mover, by one at a time
	used      uint32  // slots, once the log has left it
	live      int64   // blocks that page versions in Pebble refer to
	pins      int     // readers and the log's writer
	births    []birth // of kindMoved, by slot
	stuck     bool    // compaction cannot move it
	counted   uint32  // slots that the pacer has been told are room again
	holes     holes
	liveWas   int64 // when it was last looked whether the segment lies still
	gone      bool  // removed from the table; the file is closed with the last pin
}

// segmentTable knows every segment of the store.
type segmentTable struct {
	shelf   *shelf
	slots   uint32
	reserve int64
	extend  func(next uint32) (limit uint32, err error) // makes numbers below limit usable, durably

	mu    sync.Mutex
	segs  map[uint32]*segment
	next  uint32
	limit uint32

	keep   int // how many spares at most
	spares []spare
}

var errSegmentGone = errors.New("segment is missing")

// scan finds the segments that exist. A file without a whole header was being made when the power went; nothing was
// acknowledged from it, so it is removed.
func (t *segmentTable) scan() error {
	all, err := t.shelf.list()
	if err != nil {
		return err
	}
	for _, where := range all {
		if err := t.scanOne(where); err != nil {
			return err
		}
		t.next = max(t.next, where.number+1)
	}
	return nil
}

func (t *segmentTable) scanOne(where *found) error {
	n := where.number
	f, err := t.shelf.open(where)
	if err != nil || f.none() {
		return err
	}
	size, err := f.Size()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	var h segmentHeader
	buf := make([]byte, block.BlockSize)
	err = f.readGood(buf, 0, func() (err error) {
		h, err = decodeSegment(buf, n)
		return err
	})
	salvaged := errors.Is(err, block.ErrDamaged) || errors.Is(err, io.EOF)
	if salvaged {
		h, err = salvageHeader(f, n)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	t.segs[n] = &segment{segmentHeader: h, file: f, salvaged: salvaged, allocated: size, used: uint32(size / block.BlockSize)}
	return nil
}

// salvageHeader puts a damaged header together from the first chunk, which says whose log it is. Without a chunk there is
// nothing that anybody could miss.
func salvageHeader(f *copies, n uint32) (segmentHeader, error) {
	var c *chunkHeader
	buf := make([]byte, block.BlockSize)
	err := f.readGood(buf, block.BlockSize, func() (err error) {
		c, err = chunkAt(buf, at(n, 1))
		return err
	})
	if errors.Is(err, errNoChunk) || errors.Is(err, io.EOF) {
		return segmentHeader{number: n}, nil
	}
	if err != nil {
		return segmentHeader{}, err
	}
	h := segmentHeader{number: n, scheme: c.scheme, incarnation: c.incarnation, lineage: c.lineage, firstSeq: c.seq}
	if c.seq == 0 {
		h.kind = kindMoved
	}
	return h, nil
}

// create makes the next segment for a disk's log, local or zonal, pinned, with its header written but nothing synced.
func (t *segmentTable) create(h segmentHeader, zonal bool) (*segment, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next >= t.limit {
		limit, err := t.extend(t.next)
		if err != nil {
			return nil, err
		}
		t.limit = limit
	}
	h.number = t.next
	t.next++ // also when it fails: another may have the next by then
	f, had, err := t.newFile(h.number, zonal)
	if err != nil {
		return nil, spaceError(err)
	}
	buf := make([]byte, block.BlockSize)
	h.encode(buf)
	if zonal { // a zone that is full is not out, and a write cannot say so
		err = f.Allocate(0, block.BlockSize)
	}
	if err == nil {
		_, err = f.WriteAt(buf, 0)
	}
	if err != nil {
		return nil, errors.Join(spaceError(err), f.Close(), t.shelf.remove(h.number))
	}
	s := &segment{segmentHeader: h, file: f, fresh: true, even: had.even, pins: 1, allocated: max(had.size, block.BlockSize)}
	t.segs[h.number] = s
	return s, nil
}

// allocateStep is how far ahead a segment's file is reserved at first; the step doubles with the file up to
// allocateMost, so that a small disk costs little.
const (
	allocateStep = 4 << 20
	allocateMost = 64 << 20
)

// What space is reserved for, by how much of the reserve it leaves alone, in quarters.
const (
	fullReserve = 4
	forBlocks   = 3 // they are slowed before they get to it
	forHoles    = 2 // a guest that trims makes room
	forMoved    = 1 // and so does compaction
)

// ensure reserves the first n bytes of a segment, or fails with block.ErrNoSpace.
func (t *segmentTable) ensure(s *segment, n int64, quarters int64) error {
	if n <= t.reserved(s) {
		return nil
	}
	err := t.reserveFor(s, n, quarters)
	if !isFull(err) {
		return err
	}
	some, dropped := t.dropSpares()
	if dropped != nil || !some {
		return errors.Join(err, dropped)
	}
	return t.reserveFor(s, n, quarters)
}

// reserveFor is ensure with what is free. As that gets less, less is reserved ahead.
func (t *segmentTable) reserveFor(s *segment, n int64, quarters int64) error {
	whole := int64(t.slots) * block.BlockSize
	f := t.file(s)
	space, err := t.shelf.space(f.isZonal())
	if err != nil {
		return err
	}
	free := space.Free - t.reserve*quarters/fullReserve
	has := t.reserved(s)
	step := min(max(has, allocateStep), allocateMost, free/16)
	for _, want := range []int64{min(has+step, whole), n} {
		want = max(want, n)
		if want <= has { // nothing is free, and nothing is needed
			return nil
		}
		if free < want-has {
			continue
		}
		err := f.Allocate(has, want-has)
		if err == nil {
			t.mu.Lock()
			defer t.mu.Unlock()
			s.allocated = want
			return nil
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
	}
	return fmt.Errorf("reserve %d bytes of segment %d: %w", n, s.number, block.ErrNoSpace)
}

// reserved is how many bytes of a segment are reserved.
func (t *segmentTable) reserved(s *segment) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.allocated
}

func spaceError(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w: %w", block.ErrNoSpace, err)
	}
	return err
}

// leave notes how many slots of a segment its writer has used.
func (t *segmentTable) leave(s *segment, used uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.used = used
}

// usedBytes is the part of the file that is used, for all that is known.
func (s *segment) usedBytes(t *segmentTable) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int64(s.used) * block.BlockSize
}

// truncate gives back what was reserved in a segment behind the slots that are used.
func (t *segmentTable) truncate(s *segment, used uint32) error {
	size := int64(used) * block.BlockSize
	if err := t.file(s).Truncate(size); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.allocated, s.used = size, min(s.used, used)
	return nil
}

func (t *segmentTable) file(s *segment) *copies {
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.file
}

// pin keeps a segment's file open until unpin.
//
// errSegmentGone may mean that compaction has moved the block since its address was read.
func (t *segmentTable) pin(n uint32) (*segment, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.segs[n]
	if s == nil || s.file == nil {
		return nil, fmt.Errorf("segment %d: %w: %w", n, errSegmentGone, block.ErrDamaged)
	}
	s.pins++
	return s, nil
}

func (t *segmentTable) unpin(s *segment) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.pins--
	return s.closeGone()
}

func (s *segment) closeGone() error {
	if !s.gone || s.pins > 0 || s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return f.Close()
}

// count adds to the live counts what a checkpoint or a reclaim has made durable.
func (t *segmentTable) count(delta map[uint32]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, d := range delta {
		if s := t.segs[n]; s != nil {
			s.live += d
		}
	}
}

func (t *segmentTable) liveAfter(n uint32, delta int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.segs[n]; s != nil {
		return s.live + delta
	}
	return delta
}

// remove deletes the segments, or keeps their files for new ones, for which dead returns true. Readers that have one pinned keep reading it.
// It returns their numbers, and how many of their slots nobody had counted as room yet.
func (t *segmentTable) remove(dead func(*segment) bool) (removed []uint32, slots int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, s := range t.segs {
		if s.live != 0 || !dead(s) {
			continue
		}
		if !t.keepSpare(s) {
			if err := t.shelf.remove(n); err != nil {
				return removed, slots, err
			}
		}
		delete(t.segs, n)
		s.gone = true
		slots += int64(s.used - min(s.counted, s.used))
		if err := s.closeGone(); err != nil {
			return removed, slots, err
		}
		removed = append(removed, n)
	}
	return removed, slots, nil
}

// counts notes that slots of a segment are room again.
func (t *segmentTable) counts(s *segment, slots uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.counted += slots
}

// of returns the segments of a lineage's log numbered from first on, in order.
func (t *segmentTable) of(lineage uint64, first uint32) []*segment {
	t.mu.Lock()
	defer t.mu.Unlock()
	var own []*segment
	for n := range t.segs {
		if s := t.segs[n]; s.kind == kindLog && s.lineage == lineage && n >= first {
			own = append(own, s)
		}
	}
	sortSegments(own)
	return own
}

func (t *segmentTable) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var err error
	for _, s := range t.spares {
		err = errors.Join(err, s.file.Close())
	}
	t.spares = nil
	for _, s := range t.segs {
		s.gone, s.pins = true, 0
		err = errors.Join(err, s.closeGone())
	}
	return err
}
