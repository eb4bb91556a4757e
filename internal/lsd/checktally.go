package lsd

import (
	"encoding/binary"
	"errors"

	"tintype/internal/block"
)

// tallied counts for a version what a tally would: the step from what the node above sees.
func (c *checker) tallied(o ownedEpochs, was, now *content) {
	if c.tallies[o.n] == nil {
		c.store.mu.Lock()
		c.tallies[o.n], c.starts[o.n] = newTally(), o.n.starts()
		c.store.mu.Unlock()
	}
	c.tallies[o.n].change(c.store.segments, was, now, c.starts[o.n])
}

// tally compares the tallies with the versions, span by span.
func (c *checker) tally() error {
	says := map[*node]*tally{}
	err := c.store.each(keyTally, func(key, value []byte) error {
		if len(key) != 17 {
			c.report.add("record %q is no tally", key)
			return nil
		}
		lineage, epoch := binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint64(key[9:])
		o, owned := c.owner(versionID{lineage: lineage, epoch: epoch})
		t, err := decodeTally(value)
		switch {
		case err != nil:
			c.report.add("lineage %d epoch %d: %v", lineage, epoch, err)
		case !owned:
			c.report.add("lineage %d epoch %d: a tally that belongs to no volume", lineage, epoch)
		case says[o.n] == nil:
			says[o.n] = t
		default:
			says[o.n].add(t)
		}
		return nil
	})
	if errors.Is(err, block.ErrDamaged) {
		c.report.add("the tallies cannot be read: %v", err)
		return nil
	}
	for _, n := range c.nodes {
		c.compareTally(n, says[n], c.tallies[n])
	}
	return err
}

func (c *checker) compareTally(n *node, says, found *tally) {
	if says == nil {
		says = newTally()
	}
	if found == nil {
		found = newTally()
	}
	c.store.mu.Lock()
	starts := n.starts()
	c.store.mu.Unlock()
	says.settle(starts[len(starts)-1])
	left := newTally()
	left.born = says.born - found.born
	for p, died := range says.died {
		left.died[spanOf(starts, p)] += died
	}
	for p, died := range found.died {
		left.died[p] -= died
	}
	if left.born != 0 {
		c.report.add("%s: %d blocks are new, its tally says %d", c.name(n), found.born, says.born)
	}
	for p, died := range left.died {
		if died != 0 {
			c.report.add("%s: %d blocks more than its tally says, of those born since %d:%d, are gone", c.name(n), -died, p.seg(), p.slot())
		}
	}
}
