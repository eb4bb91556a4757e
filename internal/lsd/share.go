package lsd

import (
	"errors"

	"tintype/internal/block"
)

// Share tells what of a volume's data is its own: what was born since the snapshot before it, and what the store would get
// back if it alone were deleted. Both are exact, in bytes. The cost grows with what changed since the snapshot before;
// the disks involved are checkpointed first.
func (s *Store) Share(id block.ID) (block.Share, error) {
	if err := s.requests.enter(); err != nil {
		return block.Share{}, err
	}
	defer s.requests.leave()
	s.commits.Lock()
	defer s.commits.Unlock()
	v, err := s.hold(id)
	if err != nil {
		return block.Share{}, err
	}
	defer s.letGo(v)
	n := v.node
	if n == nil {
		n = v.lin.headNode()
	}
	for _, l := range s.around(n) {
		if d := l.disk.Load(); d != nil {
			if err := s.checkpointLocked(d); err != nil {
				return block.Share{}, err
			}
		}
	}
	return s.share(n)
}

// around lists the lineages whose disks may still have in memory what counts: the node's own, and those that continue it.
func (s *Store) around(n *node) []*lineage {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []*lineage{n.lin}
	near := n.kids()
	if p := n.parent(); p != nil {
		near = append(append(near, p), p.kids()...)
	}
	for _, k := range near {
		all = append(all, k.lin)
	}
	return all
}

// share adds up the versions that a node owns. A deleted node's blocks come back unless a kid has them; when that leaves
// its parent with one kid and no name, the parent is merged as well.
func (s *Store) share(n *node) (block.Share, error) {
	s.mu.Lock()
	pieces, start := n.owns()
	kids, parent := n.kids(), n.parent()
	var parentPieces, sibling []piece
	var parentStart position
	if parent != nil && len(kids) == 0 && parent.names == 0 {
		if others := dropKid(parent.kids(), n); len(others) == 1 {
			parentPieces, parentStart = parent.owns()
			sibling, _ = others[0].owns()
		}
	}
	var kid []piece
	if len(kids) == 1 {
		kid, _ = kids[0].owns()
	}
	alone := n.names <= 1 && len(kids) < 2
	s.mu.Unlock()

	born, freed, err := s.weigh(pieces, start, kid)
	if err != nil || !alone {
		return block.Share{Incremental: born * block.BlockSize}, err
	}
	if sibling != nil {
		_, more, err := s.weigh(parentPieces, parentStart, sibling)
		if err != nil {
			return block.Share{}, err
		}
		freed += more
	}
	return block.Share{Incremental: born * block.BlockSize, Exclusive: freed * block.BlockSize}, nil
}

func dropKid(kids []*node, n *node) []*node {
	var others []*node
	for _, k := range kids {
		if k.lin != n.lin || k.epoch != n.epoch {
			others = append(others, k)
		}
	}
	return others
}

// weigh counts in the versions of pieces the blocks born there, and how many of them nothing would hold if the versions
// went to a kid, or, without one, away.
func (s *Store) weigh(pieces []piece, start position, kid []piece) (born, freed int64, err error) {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return 0, 0, err
	}
	r := &reclaimer{store: s, pieces: pieces, start: start, kid: kid, it: it}
	err = r.each(func(id versionID) error {
		old, next, keep, err := r.pair(id)
		if err != nil {
			return err
		}
		for i, e := range old.each() {
			if !s.segments.bornSince(e, start) {
				continue
			}
			born++
			if !keep && (next == nil || !next.has(i, e.pos())) {
				freed++
			}
		}
		return nil
	})
	return born, freed, errors.Join(err, it.Close())
}
