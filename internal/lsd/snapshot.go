package lsd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"

	"tintype/internal/block"
)

func sortDisks(d []*disk) {
	slices.SortFunc(d, func(a, b *disk) int { return cmp.Compare(a.lin.id, b.lin.id) })
}

// cutting is a snapshot or clone under way: its source, held, and the frozen epoch that it becomes.
type cutting struct {
	source *volume
	target *volume
	node   *node
}

// Snapshot makes snapshots of disks, or of snapshots, all at one moment between two writes: a write that returned before
// the call is in, one that begins after it returns is not, and if a later write to any of the disks is in, so is every
// earlier one. When it returns nil the snapshots are durable and never change; otherwise none of them exists. It costs
// one sync of each log and one commit, whatever the size.
func (s *Store) Snapshot(cuts ...block.Cut) error {
	if err := s.requests.enter(); err != nil {
		return err
	}
	defer s.requests.leave()
	if s.zones == nil && slices.ContainsFunc(cuts, func(c block.Cut) bool { return c.Redundancy == block.Zonal }) {
		return block.ErrNoZones
	}
	list, err := s.beginCuts(cuts)
	if err != nil {
		return err
	}
	if err := s.cut(list); err != nil {
		s.endCuts(list, err)
		return err
	}
	s.names.Lock()
	defer s.names.Unlock()
	targets := make([]*volume, len(list))
	s.mu.Lock()
	for i, c := range list {
		targets[i] = c.target
		c.target.lin, c.target.node = c.node.lin, c.node
		c.target.inheritKey(c.source)
	}
	s.mu.Unlock()
	err = s.settle(targets, func(b *pebble.Batch) error {
		for _, c := range list {
			if err := errors.Join(putVolume(b, c.target), c.node.put(b)); err != nil {
				return err
			}
		}
		return nil
	})
	s.endCuts(list, err)
	return err
}

func (n *node) put(b *pebble.Batch) error {
	return putRecord(b, epochKey(n.lin.id, n.epoch), epochRecord{V: recordVersion, Cut: n.cut, Seq: n.seq, Size: n.size, Used: n.used})
}

// beginCuts claims the new ids and holds the sources, all or none.
func (s *Store) beginCuts(cuts []block.Cut) (list []*cutting, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range cuts {
		cut := &cutting{}
		list = append(list, cut)
		if cut.source, err = s.holdLocked(c.Source); err != nil {
			break
		}
		if cut.source.locked.Load() {
			err = fmt.Errorf("volume %s: %w", c.Source, block.ErrLocked)
			break
		}
		if cut.target, err = s.claimLocked(c.Snapshot, block.KindSnapshot); err != nil {
			break
		}
		cut.target.redundancy = c.Redundancy
	}
	if err == nil {
		return list, nil
	}
	for _, c := range list {
		if c.source != nil {
			c.source.open--
		}
		if c.target != nil {
			delete(s.volumes, c.target.id)
		}
	}
	return nil, err
}

// endCuts lets the sources go. After a failure the targets' ids are free again, and their epochs are left to reclaiming.
func (s *Store) endCuts(list []*cutting, failed error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range list {
		c.source.open--
		if failed == nil {
			c.node.known = true
			continue
		}
		if c.target != nil {
			delete(s.volumes, c.target.id)
		}
		if c.node != nil {
			c.node.names--
			s.suspects[c.node] = struct{}{}
		}
	}
}

// cut gives each cutting its node: a snapshot's own, or for a disk the epoch that ends now. All disks are stopped at
// once for the time it takes to end their tails; then their logs are synced.
func (s *Store) cut(list []*cutting) error {
	var disks []*disk
	for _, c := range list {
		if c.source.kind == block.KindDisk {
			disks = append(disks, c.source.lin.disk.Load())
		}
	}
	sortDisks(disks)
	disks = slices.Compact(disks)
	for _, d := range disks {
		d.mu.Lock()
	}
	err := s.cutLocked(list, disks)
	for _, d := range disks {
		d.mu.Unlock()
	}
	if err != nil {
		return err
	}
	if len(disks) == 1 {
		return disks[0].flush()
	}
	var g errgroup.Group
	for _, d := range disks {
		g.Go(d.flush)
	}
	return g.Wait()
}

func (s *Store) cutLocked(list []*cutting, disks []*disk) error {
	for _, d := range disks {
		if d.failed != nil {
			return d.failed
		}
	}
	ended := map[*lineage]*node{}
	for _, d := range disks {
		ended[d.lin] = d.endEpoch()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range ended {
		n.lin.addNode(n)
	}
	for _, c := range list {
		if c.node = c.source.node; c.source.kind == block.KindDisk {
			c.node = ended[c.source.lin]
		}
		c.node.names++
	}
	return nil
}

// inheritKey puts a new volume under the key of its source. The caller holds s.names and s.mu.
func (v *volume) inheritKey(from *volume) {
	v.key = from.key
	v.locked.Store(from.locked.Load())
}

// endEpoch freezes the disk's epoch and begins the next. The caller holds d.mu.
func (d *disk) endEpoch() *node {
	d.seal()
	n := &node{lin: d.lin, epoch: d.epoch, cut: d.endOfLog(), seq: d.log.nextSeq - 1, size: d.size, used: d.used}
	d.epoch++
	return n
}

// Clone makes a disk that begins as a copy of a disk or snapshot, at least as large. It is ready at once and shares the
// source's blocks; the source may be deleted at any time.
func (s *Store) Clone(id, source block.ID, size int64) error {
	if err := s.requests.enter(); err != nil {
		return err
	}
	defer s.requests.leave()
	if err := checkSize(size); err != nil {
		return err
	}
	v, err := s.claim(id, block.KindDisk)
	if err != nil {
		return err
	}
	src, err := s.holdOpen(source)
	if err != nil {
		s.unclaim(v)
		return err
	}
	c := &cutting{source: src, target: v}
	list := []*cutting{c}
	if err := s.cut(list); err != nil {
		s.endCuts(list, err)
		return err
	}
	if size < c.node.size {
		err := fmt.Errorf("%w: %d, the source has %d", block.ErrBadSize, size, c.node.size)
		s.endCuts(list, err)
		return err
	}
	s.names.Lock()
	defer s.names.Unlock()
	l := s.newLineage(c.node.lin, c.node.epoch, id, size)
	s.begins(v, l, src)
	d := l.disk.Load()
	d.used = c.node.used
	d.checkpointed.Used = c.node.used
	err = s.settle([]*volume{v}, func(b *pebble.Batch) error {
		return errors.Join(s.putDisk(b, v, l), c.node.put(b))
	})
	if err == nil { // from now on the clone itself keeps the epoch
		s.mu.Lock()
		c.node.names--
		s.suspects[c.node] = struct{}{}
		s.mu.Unlock()
	}
	s.endCuts(list, err)
	return err
}

func (s *Store) unclaim(v *volume) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.volumes, v.id)
}
