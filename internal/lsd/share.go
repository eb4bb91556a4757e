package lsd

import (
	"errors"
	"slices"
	"sort"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
)

// Share tells what of a volume's data is its own: what was born since the snapshot before it, and what the store would get
// back if it alone were deleted. Both are exact, in bytes. The disks involved are checkpointed first.
func (s *Store) Share(id block.ID) (block.Share, error) {
	var share block.Share
	err := s.weigh([]block.ID{id}, func(w *weighing) error {
		born, err := w.born(w.of[0])
		if err != nil {
			return err
		}
		freed, err := w.freed()
		share = block.Share{Incremental: born * block.BlockSize, Exclusive: freed * block.BlockSize}
		return err
	})
	return share, err
}

// Freed tells how many bytes the store would get back if exactly these volumes were deleted together, exactly. What earlier
// deletes are still to give back does not count. The disks involved are checkpointed first.
func (s *Store) Freed(ids ...block.ID) (int64, error) {
	var freed int64
	err := s.weigh(ids, func(w *weighing) error {
		n, err := w.freed()
		freed = n * block.BlockSize
		return err
	})
	return freed, err
}

// weighing counts blocks in the versions of related nodes, as Pebble has them.
type weighing struct {
	store *Store
	of    []*kin // the volumes in question, in order
	all   []*kin // all nodes of the families that they belong to, each parent before its kids
	drops map[*kin]int
	it    *pebble.Iterator
}

// weigh calls f when what the volumes' disks have in memory is in Pebble, without a commit in between.
func (s *Store) weigh(ids []block.ID, f func(*weighing) error) error {
	if err := s.requests.enter(); err != nil {
		return err
	}
	defer s.requests.leave()
	s.commits.Lock()
	defer s.commits.Unlock()
	volumes, err := s.find(ids)
	if err != nil {
		return err
	}
	w := &weighing{store: s}
	w.place(volumes)
	for _, d := range w.undurable() {
		if err := s.checkpointLocked(d); err != nil {
			return err
		}
	}
	w.place(volumes) // epochs may have ended since; they continue what the disks were when they were checkpointed
	it, err := s.iterate(keyVersion)
	if err != nil {
		return err
	}
	w.it = it
	return errors.Join(f(w), it.Close())
}

// find looks volumes up, each once. They may be deleted at any time, but while the caller holds s.commits nothing is
// reclaimed.
func (s *Store) find(ids []block.ID) ([]*volume, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*volume
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			continue
		}
		v, err := s.holdLocked(id)
		if err != nil {
			return nil, err
		}
		v.open--
		all = append(all, v)
	}
	return all, nil
}

// undurable lists the disks that may have in memory what counts: changes in the epochs of the nodes that would go, and of
// those that continue them. The caller holds s.commits.
func (w *weighing) undurable() []*disk {
	var near []*kin
	for _, k := range w.of {
		near = append(near, w.path(k)...)
	}
	for _, g := range w.groups() {
		if len(g.in) > 0 {
			near = append(near, slices.Concat(g.all, g.out)...)
		}
	}
	s := w.store
	s.mu.Lock()
	defer s.mu.Unlock()
	var disks []*disk
	for _, k := range near {
		for _, p := range k.pieces {
			if d := s.lineages[p.lineage].disk.Load(); d != nil && p.hi >= d.checkpointed.Epoch {
				disks = append(disks, d)
			}
		}
	}
	sortDisks(disks)
	return slices.Compact(disks)
}

// place finds the volumes' nodes in their families.
func (w *weighing) place(volumes []*volume) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.of, w.all, w.drops = nil, nil, map[*kin]int{}
	at := map[point]*kin{}
	for _, v := range volumes {
		if at[v.point()] == nil {
			family := v.lin.family()
			w.all = append(w.all, family...)
			for _, k := range family {
				at[point{k.n.lin, k.n.epoch}] = k
			}
		}
		k := at[v.point()]
		w.of = append(w.of, k)
		w.drops[k]++
	}
}

// path leads from behind the snapshot before a node to the node.
func (w *weighing) path(k *kin) []*kin {
	path := []*kin{k}
	for k = k.up; k != nil && k.names == 0; k = k.up {
		path = append([]*kin{k}, path...)
	}
	return path
}

// born counts the blocks of a node that the snapshot before it did not have.
func (w *weighing) born(k *kin) (int64, error) {
	return w.along(group{all: w.path(k), in: []*kin{k}})
}

// group is a part of a family: nodes connected with one another, the first of them on top. What counts is held by one of
// those in, which belong to the group, and by none of those out, which belong to it or are kids of its nodes.
type group struct{ all, in, out []*kin }

// groups are the parts that would go with the volumes: in is what is needed now and would not be without them, out is what
// would stay.
func (w *weighing) groups() []group {
	before := staying(w.all, func(k *kin) bool { return k.names > 0 })
	after := staying(w.all, func(k *kin) bool { return k.names > w.drops[k] })
	var groups []group
	for _, part := range parts(w.all, after) {
		g := group{all: part}
		for _, k := range part {
			if before[k] {
				g.in = append(g.in, k)
			}
			for _, kid := range k.kids {
				if after[kid] {
					g.out = append(g.out, kid)
				}
			}
		}
		groups = append(groups, g)
	}
	return groups
}

// line tells that the group does not branch.
func (g *group) line() bool {
	return !slices.ContainsFunc(g.all, func(k *kin) bool { return len(k.kids) > 1 })
}

// along counts from tallies what count counts in versions, where the group is a line: each block was born in one of its nodes
// and, unless it is still held at the end, died in a later one or in the one behind it.
func (w *weighing) along(g group) (int64, error) {
	if len(g.in) == 0 {
		return 0, nil
	}
	starts := make([]position, len(g.all))
	upTo := make([]int, len(g.all)+1) // how many of those in are before a node
	alive := make([]int64, len(g.all))
	for i, k := range g.all {
		starts[i] = k.start
		upTo[i+1] = upTo[i]
		if slices.Contains(g.in, k) {
			upTo[i+1]++
		}
	}
	var total int64
	for j, k := range slices.Concat(g.all, g.out) {
		t, err := w.store.tallyOf(k.pieces)
		if err != nil {
			return 0, err
		}
		if j < len(alive) {
			alive[j] = t.born
		}
		for p, n := range t.died {
			// The last that begins there: those before it, cut at the same place, are empty.
			i := sort.Search(len(starts), func(i int) bool { return starts[i] > p }) - 1
			if i < 0 { // older than the group
				continue
			}
			alive[i] -= n
			if upTo[j] > upTo[min(i, j)] {
				total += n
			}
		}
	}
	if len(g.out) > 0 {
		return total, nil
	}
	for i, n := range alive {
		if upTo[len(g.all)] > upTo[i] {
			total += n
		}
	}
	return total, nil
}

// freed counts the blocks that only what goes with the volumes holds.
func (w *weighing) freed() (int64, error) {
	var total int64
	for _, g := range w.groups() {
		count := w.count
		if g.line() {
			count = w.along
		}
		n, err := count(g)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// count counts the blocks that were born in a group, that one of those in holds and none of those out.
func (w *weighing) count(g group) (int64, error) {
	if len(g.in) == 0 {
		return 0, nil
	}
	pages, err := w.pages(g.all)
	if err != nil {
		return 0, err
	}
	top := g.all[0]
	h := newHistory(w.it)
	for _, k := range slices.Concat(g.all, g.out) {
		h.cover(k.pieces)
	}
	var n int64
	type place struct {
		i   uint
		pos position
	}
	held := map[place]struct{}{}
	for _, page := range pages {
		if err := h.load(page); err != nil {
			return 0, err
		}
		clear(held)
		for _, c := range h.views(g.in, top) {
			for i, e := range c.each() {
				if w.store.segments.bornSince(e, top.start) {
					held[place{i, e.pos()}] = struct{}{}
				}
			}
		}
		for _, c := range h.views(g.out, top) {
			for i, e := range c.each() {
				delete(held, place{i, e.pos()})
			}
		}
		n += int64(len(held))
	}
	return n, nil
}

// pages lists, in order, those of which one of the nodes has a version of its own.
func (w *weighing) pages(nodes []*kin) ([]uint32, error) {
	var pages []uint32
	it, err := w.store.iterate(keyIndex)
	if err != nil {
		return nil, err
	}
	for _, k := range nodes {
		for _, p := range k.pieces {
			if pages, err = indexedPages(it, pages, p, 0, ^uint32(0)); err != nil {
				return nil, errors.Join(err, it.Close())
			}
		}
	}
	slices.Sort(pages)
	return slices.Compact(pages), it.Close()
}
