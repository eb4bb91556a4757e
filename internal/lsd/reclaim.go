package lsd

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
)

// keyReclaim holds the node whose versions are being dropped, when that takes more than one commit: r -> lineage, epoch.
// After a crash it is finished before anything else, because the counts are right only at its end.
const keyReclaim = 'r'

// reclaimRecord names a node under reclaiming.
type reclaimRecord struct {
	V       int    `json:"v"`
	Lineage uint64 `json:"lineage"`
	Epoch   uint64 `json:"epoch"`
}

// Reclaim frees what no volume needs any more, until nothing is left to free. A deleted disk that failed keeps what it has
// until the next start, holds nothing else up, and is told of at the end.
func (s *Store) Reclaim() error { return s.reclaimUntil(func() bool { return false }) }

// reclaimUntil is Reclaim as far as it gets until stop says so, which is asked between two steps.
func (s *Store) reclaimUntil(stop func() bool) error {
	for !stop() {
		if more, err := s.ReclaimSome(); !more || err != nil {
			return err
		}
	}
	return nil
}

// ReclaimSome is one step of Reclaim, a few dozen milliseconds, and tells whether there may be more to do. Checkpoints and
// compaction come between steps.
func (s *Store) ReclaimSome() (more bool, err error) {
	defer s.at(doingReclaim)()
	s.commits.Lock()
	defer s.commits.Unlock()
	return s.reclaimStep()
}

// reclaimStep goes on with the node that is being reclaimed, or begins with another. The caller holds s.commits.
func (s *Store) reclaimStep() (more bool, err error) {
	r := s.reclaiming
	if r == nil {
		n, err := s.nextDead()
		if n == nil {
			return false, err
		}
		r = s.newReclaimer(n)
	}
	if err := r.step(); err != nil {
		return false, err
	}
	return true, s.removeDead()
}

// endReclaiming brings what has been begun to its end. The caller holds s.commits.
func (s *Store) endReclaiming() error {
	for s.reclaiming != nil {
		if err := s.reclaiming.step(); err != nil {
			return err
		}
	}
	return nil
}

// nextDead finds a node to reclaim: a deleted disk's head first, its last versions written out for the snapshots that
// need them, then an epoch that no snapshot names and that at most one other node continues. The error is of heads that it
// passed over.
func (s *Store) nextDead() (*node, error) {
	s.mu.Lock()
	dying := slices.Collect(maps.Keys(s.dying))
	s.mu.Unlock()
	var failed error
	for _, l := range dying {
		if err := s.checkpointLocked(l.disk.Load()); err != nil {
			failed = errors.Join(failed, err)
		} else if !s.mourned(l) {
			return l.headNode(), nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.suspects {
		if n.names == 0 && n.lin.nodeAt(n.epoch) == n && len(n.kids()) < 2 {
			return n, failed
		}
		delete(s.suspects, n)
	}
	return nil, failed
}

// mourned tells whether a snapshot or clone needs what a damaged disk's log has lost. The disk has to stay then: it is what
// knows that they are damaged.
func (s *Store) mourned(l *lineage) bool {
	d := l.disk.Load()
	if d.damaged == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lost := func(n *node) bool { return n.epoch >= d.checkpointed.Epoch && n.seq >= d.checkpointed.NextSeq }
	return slices.ContainsFunc(l.nodes, lost) ||
		slices.ContainsFunc(l.children, func(c *lineage) bool {
			n := l.nodeAt(c.parentEpoch)
			return c.parentEpoch >= d.checkpointed.Epoch && (n == nil || lost(n))
		})
}

// reclaimer takes a node out of the tree, step by step. Without a kid all versions that it owns go; with one, those that the
// kid has a newer version of, and the rest become the kid's. What is between two steps is in Store.reclaiming: checkpoints take the
// node for gone already, and do for the pages that they write what is left to do.
type reclaimer struct {
	store  *Store
	n      *node
	pieces []piece
	start  position
	at     cursor
	marked bool // the reclaim record is in Pebble

	// Of one step.
	kid    []piece // of the only kid; nil without one
	it     *pebble.Iterator
	b      *pebble.Batch
	counts ledger
}

// cursor is how far a reclaimer has come.
type cursor struct {
	piece int
	from  versionID // in the piece; zero at its beginning
}

func (s *Store) newReclaimer(n *node) *reclaimer {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &reclaimer{store: s, n: n}
	r.pieces, r.start = n.owns()
	return r
}

// step looks at the next versions, and ends with the node when there are no more.
func (r *reclaimer) step() error {
	was := r.at
	whole := false
	err := r.doing(func() (err error) {
		whole, err = r.run()
		return err
	})
	switch {
	case err != nil:
	case whole:
		err = r.finish()
	default:
		err = r.flush()
	}
	if err != nil {
		r.at = was
	}
	return err
}

// doing calls f with what a step needs; the batch stays open when it succeeds.
func (r *reclaimer) doing(f func() error) error {
	s := r.store
	s.mu.Lock()
	r.kid = nil
	if kids := r.n.kids(); len(kids) == 1 {
		r.kid, _ = kids[0].owns()
	}
	s.mu.Unlock()
	it, err := s.db.NewIter(nil)
	if err != nil {
		return err
	}
	r.it, r.b, r.counts = it, s.db.NewBatch(), ledger{}
	if err := errors.Join(f(), closeIterator(it)); err != nil {
		return errors.Join(err, r.b.Close())
	}
	return nil
}

// run looks at as many versions as a step may, in the order of the index, and tells whether they were the last.
func (r *reclaimer) run() (whole bool, err error) {
	left := r.store.opt.StepVersions
	for r.at.piece < len(r.pieces) {
		p := r.pieces[r.at.piece]
		from := r.at.from
		if from == (versionID{}) {
			from = versionID{lineage: p.lineage, epoch: p.lo + 1}
		}
		ids, err := r.list(from, p, left)
		if errors.Is(err, block.ErrDamaged) {
			r.leave(err)
		} else if err != nil {
			return false, err
		}
		for _, id := range ids {
			if err := r.one(id); err != nil {
				return false, err
			}
		}
		if left -= len(ids); left > 0 {
			r.at = cursor{piece: r.at.piece + 1}
			continue
		}
		r.at.from = ids[len(ids)-1]
		r.at.from.page++
		return false, nil
	}
	return true, nil
}

// one drops a version of the node's, unless it is to become the kid's.
func (r *reclaimer) one(id versionID) error {
	c, err := r.pair(id)
	if errors.Is(err, block.ErrDamaged) {
		r.leave(err)
		return nil
	}
	if err != nil || c.keep {
		return err
	}
	r.counts.free(r.store.segments, &c.old, c.next, r.start)
	return r.drop(id, c)
}

// leave passes over what cannot be read. Its space does not come back, and nothing is freed that somebody may need; all else
// goes on.
func (r *reclaimer) leave(err error) { r.store.troubles.set("reclaiming", err) }

// list returns the next versions of a piece, and no more than most.
func (r *reclaimer) list(from versionID, p piece, most int) ([]versionID, error) {
	var ids []versionID
	for ok := r.it.SeekGE(from.index()); ok && len(ids) < most; ok = r.it.Next() {
		id, ok := parseIndexKey(r.it.Key())
		if !ok || id.lineage != p.lineage || id.epoch > p.hi {
			break
		}
		ids = append(ids, id)
	}
	return ids, metaError(r.it.Error())
}

// couple is a version of the node and the kid's of the same page.
type couple struct {
	old  content
	next *content // nil without a kid
	keep bool     // the kid has none of its own: the version is to be kept, for it

	// base tells that the kid's version, which is nextID, is a difference to the old one.
	base   bool
	nextID versionID
}

// pair reads a version and the kid's.
func (r *reclaimer) pair(id versionID) (c couple, err error) {
	if r.kid != nil {
		nextID, ok, err := find(r.it, r.kid, id.page)
		if err != nil {
			return c, err
		}
		if c.keep = !ok; ok {
			next, based, err := r.read()
			if err != nil {
				return c, err
			}
			c.next, c.nextID, c.base = &next, nextID, based == id
		}
	}
	_, ok, err := seekVersion(r.it, id.lineage, id.page, id.epoch)
	if err != nil || !ok {
		return c, errors.Join(err, errVersionLost)
	}
	c.old, err = versionAt(r.it)
	return c, err
}

// read reads the version at the iterator, and tells on which it is based.
func (r *reclaimer) read() (content, versionID, error) {
	c, err := versionAt(r.it)
	if err != nil {
		return c, versionID{}, err
	}
	based, _ := parseVersionKey(r.it.Key())
	return c, based, nil
}

// drop takes a version out of the batch's store. One that is based on it becomes a whole page; those after that one are
// based on it from then on: no block lies again where it once lay, and of what is unmapped each difference says so.
func (r *reclaimer) drop(id versionID, c couple) error {
	if c.base {
		whole := stored{content: *c.next, whole: true}
		if err := r.b.Set(c.nextID.key(), appendVersion(nil, &whole), nil); err != nil {
			return err
		}
	}
	return dropVersion(r.b, id)
}

var errVersionLost = fmt.Errorf("a version is in the index but not in the map: %w", block.ErrDamaged)

// flush commits what has been dropped so far. From then on the node is half gone.
func (r *reclaimer) flush() error {
	s := r.store
	rec := reclaimRecord{V: recordVersion, Lineage: r.n.lin.id, Epoch: r.n.epoch}
	err := errors.Join(s.putCounts(r.b, r.counts), putRecord(r.b, []byte{keyReclaim}, rec))
	if err == nil {
		err = s.commit(r.b)
	}
	if err != nil {
		return err
	}
	r.marked = true
	s.reclaiming = r
	s.segments.count(r.counts)
	return nil
}

// finish commits the rest and takes the node out of the tree, with lineages that nothing needs any more.
func (r *reclaimer) finish() error {
	s, l := r.store, r.n.lin
	err := errors.Join(s.putCounts(r.b, r.counts), r.tallies())
	if r.marked {
		err = errors.Join(err, r.b.Delete([]byte{keyReclaim}, nil))
	}
	s.mu.Lock()
	parent := r.n.parent()
	if r.n.epoch == headEpoch {
		rec := l.record()
		rec.Drained = true
		err = errors.Join(err, putRecord(r.b, idKey(keyLineage, l.id), rec), r.b.Delete(idKey(keyCheckpoint, l.id), nil))
	} else {
		err = errors.Join(err, r.b.Delete(epochKey(l.id, r.n.epoch), nil))
	}
	s.mu.Unlock()
	if err == nil {
		err = s.commit(r.b)
	}
	if err != nil {
		return err
	}
	s.reclaiming = nil
	s.segments.count(r.counts)
	if r.n.epoch == headEpoch {
		d := l.disk.Load()
		s.troubles.drop(d.name())
		err = s.leaveLog(d)
	}
	return errors.Join(err, s.forget(r.n, parent))
}

// tallies gives the node's to the kid, whose epochs are then those of both.
func (r *reclaimer) tallies() error {
	if r.kid == nil {
		return r.store.dropTallies(r.b, r.pieces)
	}
	return r.store.foldTallies(r.b, slices.Concat(r.pieces, r.kid), r.start)
}

// leaveLog gives up the last segment of a drained disk's log, and what was reserved in it: snapshots may keep the rest.
func (s *Store) leaveLog(d *disk) error {
	d.mu.Lock()
	if d.log.timer != nil {
		d.log.timer.Stop()
	}
	d.awaitAhead()
	err := d.dropAhead()
	seg := d.log.seg
	if d.log.seg = nil; seg != nil {
		s.segments.leave(seg, d.log.slot)
	}
	s.unsaved.Add(-int64(d.backlog()))
	d.mu.Unlock()
	return errors.Join(err, s.trimSegment(seg))
}

// forget takes a reclaimed node out of memory.
func (s *Store) forget(n, parent *node) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := n.lin
	if parent != nil {
		s.suspects[parent] = struct{}{}
	}
	if n.epoch == headEpoch {
		l.drained = true
		delete(s.dying, l)
		l.disk.Store(nil)
	} else {
		l.dropNode(n)
		delete(s.suspects, n)
	}
	return s.forgetLineages(l)
}

// forgetLineages removes a lineage that nothing needs, and then its parent if that was the last need for it. The caller
// holds s.mu.
func (s *Store) forgetLineages(l *lineage) error {
	for l != nil && l.empty() {
		if err := s.db.Delete(idKey(keyLineage, l.id), pebble.NoSync); err != nil {
			return err
		}
		delete(s.lineages, l.id)
		p := l.parent
		if p != nil {
			for i, c := range p.children {
				if c == l {
					p.children = append(p.children[:i], p.children[i+1:]...)
					break
				}
			}
			if n := p.before(l.parentEpoch + 1); n != nil {
				s.suspects[n] = struct{}{}
			}
		}
		l = p
	}
	return nil
}
