package lsd

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
)

// birth says that the blocks from a slot on count as born at a position: what compaction moved keeps its place in the
// order of a volume's history.
type birth struct {
	slot uint32
	pos  position
}

// A step of compaction keeps the births of the blocks that it wrote under b segment(4) first slot(4); the value is the slot
// behind the last (4), then for each birth slot (4) and position (8), little endian. It is committed with the versions that
// point at the blocks.
const (
	keyBirths = 'b'
	birthSize = 12
)

func birthsKey(segment, slot uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte{keyBirths}, segment), slot)
}

func appendBirths(dst []byte, end uint32, births []birth) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, end)
	for _, b := range births {
		dst = le.AppendUint64(le.AppendUint32(dst, b.slot), uint64(b.pos))
	}
	return dst
}

// decodeBirths reads a step's record. Its births go up, within the slots that it covers.
func decodeBirths(key, value []byte) (segment, end uint32, births []birth, err error) {
	if len(key) != 9 || len(value) < 4 || (len(value)-4)%birthSize != 0 {
		return 0, 0, nil, fmt.Errorf("record %q: %w", key, block.ErrDamaged)
	}
	le := binary.LittleEndian
	segment, end = binary.BigEndian.Uint32(key[1:]), le.Uint32(value)
	last := binary.BigEndian.Uint32(key[5:])
	for p := value[4:]; len(p) > 0; p = p[birthSize:] {
		b := birth{slot: le.Uint32(p), pos: position(le.Uint64(p[4:]))}
		if b.slot <= last || b.slot >= end || end > 1<<slotBits {
			return 0, 0, nil, fmt.Errorf("record %q: birth at slot %d of %d: %w", key, b.slot, end, block.ErrDamaged)
		}
		last = b.slot
		births = append(births, b)
	}
	return segment, end, births, nil
}

// dropBirths adds to a batch that a segment's births go.
func dropBirths(b *pebble.Batch, segment uint32) error {
	return b.DeleteRange(birthsKey(segment, 0), birthsKey(segment+1, 0), nil)
}

// addBirths notes what a step wrote, up to the slot end.
func (t *segmentTable) addBirths(s *segment, end uint32, births []birth) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.used = max(s.used, end)
	for _, b := range births {
		if n := len(s.births); n == 0 || s.births[n-1].pos != b.pos {
			s.births = append(s.births, b)
		}
	}
}

// born is where a block stands in the order of its volume's history: its position, or for a moved one that of its birth, which
// may be after its position: a segment that moved blocks fill stays open while logs go on.
func (t *segmentTable) born(e entry) position {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.segs[e.seg]
	if s == nil || s.kind == kindLog {
		return e.pos()
	}
	i, found := slices.BinarySearchFunc(s.births, uint32(e.slot), func(b birth, slot uint32) int { return cmp.Compare(b.slot, slot) })
	if found {
		return s.births[i].pos
	}
	if i == 0 {
		return 0
	}
	return s.births[i-1].pos
}

// bornSince tells whether a block was born at or after a position.
func (t *segmentTable) bornSince(e entry, start position) bool {
	return t.born(e) >= start
}

// loadBirths reads the births of moved blocks, and cuts off what a crash left behind the last step of each segment. Records of
// segments that are gone are dropped.
func (s *Store) loadBirths() error {
	used, gone := map[*segment]uint32{}, map[uint32]struct{}{}
	err := s.each(keyBirths, func(key, value []byte) error {
		n, end, births, err := decodeBirths(key, value)
		if err != nil {
			return err
		}
		seg := s.segments.segs[n]
		if seg == nil {
			gone[n] = struct{}{}
			return nil
		}
		s.segments.addBirths(seg, end, births)
		used[seg] = end
		return nil
	})
	b := s.db.NewBatch()
	for n := range gone {
		err = errors.Join(err, dropBirths(b, n))
	}
	if err = errors.Join(err, b.Commit(pebble.NoSync)); err != nil {
		return err
	}
	for seg, end := range used {
		if seg.kind == kindMoved && seg.file != nil && int64(end)*block.BlockSize < seg.allocated {
			s.segments.leave(seg, end)
			if err := errors.Join(s.bringAll([]*segment{seg}), s.segments.truncate(seg, end)); err != nil {
				return err
			}
		}
	}
	return nil
}
