package lsd

import (
	"errors"

	"tintype/internal/block"
)

// A checkpoint takes a node that is half reclaimed for gone: what it writes for the node that continues it supersedes what either of
// them has. Where both have a version of a page, the older has to go first.

// takes tells that a node is the one that is being taken out of the tree.
func (r *reclaimer) takes(n *node) bool { return r != nil && r.n == n }

// leaves says what a node will own when the one above it that is being reclaimed is gone. The caller holds s.mu.
func (r *reclaimer) leaves(n *node) (pieces []piece, start position) {
	pieces, start = n.owns()
	if r == nil || n.parent() != r.n {
		return pieces, start
	}
	below := r.pieces
	if last := &pieces[len(pieces)-1]; last.lineage == below[0].lineage && last.lo == below[0].hi {
		last.lo = below[0].lo
		below = below[1:]
	}
	return append(pieces, below...), r.start
}

// settlePages does for the pages that a checkpoint is to write what is left to do of reclaiming. The caller holds s.commits.
func (s *Store) settlePages(versions []*frozen) error {
	r := s.reclaiming
	if r == nil || len(versions) == 0 || r.n.epoch == headEpoch {
		return nil
	}
	err := r.doing(func() error {
		for i, f := range versions {
			if i > 0 && versions[i-1].page == f.page {
				continue
			}
			id, ok, err := find(r.it, r.pieces, f.page)
			if errors.Is(err, block.ErrDamaged) {
				r.leave(err)
				continue
			}
			if err == nil && ok {
				err = r.one(id)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || r.b.Empty() {
		return err
	}
	return r.flush()
}
