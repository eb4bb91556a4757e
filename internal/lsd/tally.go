package lsd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
)

// keyTally holds what the versions of one epoch changed in the number of blocks: t lineage(8) epoch(8) -> tally.
const keyTally = 't'

// tally says how many blocks came with the versions of an epoch, and how many of those before are no longer held since, by
// the span of history in which they were born. Spans are named by the position at which they begin: that of a node. When the
// node is taken out of the tree, what began there has its place within the node that takes over, so that tallies of others
// need no change. From the tallies of a line of nodes follows what any part of it holds alone, without a look at versions.
type tally struct {
	born int64
	died map[position]int64
}

func newTally() *tally { return &tally{died: map[position]int64{}} }

func (t *tally) add(o *tally) {
	t.born += o.born
	for p, n := range o.died {
		t.died[p] += n
	}
}

// settle takes what was born and died in the same node, the one that begins at start, out of the tally.
func (t *tally) settle(start position) {
	for p, n := range t.died {
		if p >= start {
			t.born -= n
			delete(t.died, p)
		}
	}
}

// change counts the step from one content of a page to the next, in the last of the nodes that begin at starts.
func (t *tally) change(table *segmentTable, was, now *content, starts []position) {
	for i, e := range now.each() {
		if !was.has(i, e.pos()) {
			t.born++
		}
	}
	for i, e := range was.each() {
		if now.has(i, e.pos()) {
			continue
		}
		if span := spanOf(starts, table.born(e)); span == starts[len(starts)-1] {
			t.born--
		} else {
			t.died[span]++
		}
	}
}

// spanOf finds where the span of history begins that a position lies in.
func spanOf(starts []position, p position) position {
	i, found := slices.BinarySearch(starts, p)
	if !found && i > 0 {
		i--
	}
	return starts[i]
}

// starts lists where a node and those above it begin, oldest first. The caller holds the store's mutex.
func (n *node) starts() []position {
	var all []position
	for ; n != nil; n = n.parent() {
		_, start := n.owns()
		all = append(all, start)
	}
	slices.Reverse(all)
	return all
}

func tallyKey(lineage, epoch uint64) []byte {
	return binary.BigEndian.AppendUint64(idKey(keyTally, lineage), epoch)
}

const tallyForm = 1

func appendTally(dst []byte, t *tally) []byte {
	dst = binary.AppendVarint(append(dst, tallyForm), t.born)
	last := position(0)
	for _, p := range slices.Sorted(maps.Keys(t.died)) {
		if t.died[p] == 0 {
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(p-last))
		dst = binary.AppendVarint(dst, t.died[p])
		last = p
	}
	return dst
}

func decodeTally(p []byte) (*tally, error) {
	if len(p) == 0 || p[0] != tallyForm {
		return nil, fmt.Errorf("tally: unknown form: %w", block.ErrDamaged)
	}
	t := newTally()
	n := 0
	if t.born, n = binary.Varint(p[1:]); n <= 0 {
		return nil, errShortTally
	}
	last := uint64(0)
	for p = p[1+n:]; len(p) > 0; {
		step, n := binary.Uvarint(p)
		if n <= 0 || last+step < last {
			return nil, errShortTally
		}
		last, p = last+step, p[n:]
		died, n := binary.Varint(p)
		if n <= 0 || died == 0 {
			return nil, errShortTally
		}
		if _, twice := t.died[position(last)]; twice {
			return nil, errShortTally
		}
		t.died[position(last)], p = died, p[n:]
	}
	return t, nil
}

var errShortTally = fmt.Errorf("tally: not whole: %w", block.ErrDamaged)

// eachTally calls f for the tallies of the epochs of a piece.
func (s *Store) eachTally(p piece, f func(epoch uint64, t *tally) error) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: tallyKey(p.lineage, p.lo+1), UpperBound: tallyKey(p.lineage, p.hi+1)})
	if err != nil {
		return metaError(err)
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var value []byte
		if value, err = it.ValueAndErr(); err != nil {
			break
		}
		var t *tally
		if t, err = decodeTally(value); err == nil {
			err = f(binary.BigEndian.Uint64(it.Key()[9:]), t)
		}
	}
	return metaError(errors.Join(err, closeIterator(it)))
}

// tallyOf sums up what a node's epochs say.
func (s *Store) tallyOf(pieces []piece) (*tally, error) {
	sum := newTally()
	for _, p := range pieces {
		err := s.eachTally(p, func(_ uint64, t *tally) error {
			sum.add(t)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return sum, nil
}

// putTallies adds to the tallies of a lineage's epochs. One that cannot be read stays as it is: sizes that need it are told to
// be damaged then, and a checkpoint must not fail for them.
func (s *Store) putTallies(b *pebble.Batch, lineage uint64, more map[uint64]*tally) error {
	for epoch, t := range more {
		sum := newTally()
		err := s.eachTally(piece{lineage, epoch - 1, epoch}, func(_ uint64, was *tally) error {
			sum.add(was)
			return nil
		})
		if errors.Is(err, block.ErrDamaged) {
			s.troubles.set("sizes", err)
			continue
		}
		if err != nil {
			return err
		}
		sum.add(t)
		if err := b.Set(tallyKey(lineage, epoch), appendTally(nil, sum), nil); err != nil {
			return err
		}
	}
	return nil
}

// foldTallies makes one tally a lineage of those in the epochs of a node that begins at start.
func (s *Store) foldTallies(b *pebble.Batch, pieces []piece, start position) error {
	sums, epochs := map[uint64]*tally{}, map[uint64][]uint64{}
	for _, p := range pieces {
		if sums[p.lineage] == nil {
			sums[p.lineage] = newTally()
		}
		err := s.eachTally(p, func(epoch uint64, t *tally) error {
			sums[p.lineage].add(t)
			epochs[p.lineage] = append(epochs[p.lineage], epoch)
			return nil
		})
		if errors.Is(err, block.ErrDamaged) {
			s.troubles.set("sizes", err)
			return nil
		}
		if err != nil {
			return err
		}
	}
	var err error
	for lineage, all := range epochs {
		for _, epoch := range all {
			err = errors.Join(err, b.Delete(tallyKey(lineage, epoch), nil))
		}
		sums[lineage].settle(start)
		err = errors.Join(err, b.Set(tallyKey(lineage, slices.Max(all)), appendTally(nil, sums[lineage]), nil))
	}
	return err
}

// dropTallies removes those of a node that goes with all that was born in it.
func (s *Store) dropTallies(b *pebble.Batch, pieces []piece) error {
	for _, p := range pieces {
		if err := b.DeleteRange(tallyKey(p.lineage, p.lo+1), tallyKey(p.lineage, p.hi+1), nil); err != nil {
			return err
		}
	}
	return nil
}
