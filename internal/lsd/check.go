package lsd

import (
	"context"
	"errors"
	"fmt"
	"math/bits"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
)

// Report is what Check found.
type Report struct {
	Volumes     int      `json:"volumes"`
	Versions    int64    `json:"versions"`
	Differences int64    `json:"differences"` // versions that say what is other than in an older one
	Segments    int      `json:"segments"`
	Blocks      int64    `json:"blocks"`           // distinct blocks that versions refer to, all of them read
	Locked      int64    `json:"locked,omitempty"` // of them, those that could not be read: their key is not there
	Problems    []string `json:"problems"`
	Damages     []Damage `json:"damages,omitempty"` // which of the volumes' data is lost
}

// Clean tells that nothing is wrong.
func (r *Report) Clean() bool { return len(r.Problems) == 0 }

// maxProblems bounds a report of a store that is damaged through and through.
const maxProblems = 1000

func (r *Report) add(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Check walks everything that the store has and recomputes every count from nothing: each version must be seen by one
// node and be indexed, each block it refers to must be there and have its checksum, and the live counts and used sizes
// must be what the versions say. Checkpoints and changes of names wait meanwhile; reads and writes go on. The error is
// of the check itself; what it found is in the report.
func (s *Store) Check(ctx context.Context) (Report, error) {
	if err := s.requests.enter(); err != nil {
		return Report{}, err
	}
	defer s.requests.leave()
	s.names.Lock()
	defer s.names.Unlock()
	s.commits.Lock()
	defer s.commits.Unlock()
	c := &checker{store: s, ctx: ctx, slots: map[uint32]*slotSet{}, used: map[*node]int64{}}
	for _, d := range s.disks() {
		if err := errors.Join(d.damaged, s.checkpointLocked(d)); err != nil && !errors.Is(err, block.ErrLocked) {
			c.report.add("disk %s: %v", d.lin.headID, err)
		}
	}
	err := errors.Join(s.endReclaiming(), c.run())
	c.report.Damages = s.damageOfBlocks(c.bad)
	for _, p := range c.unread {
		c.report.Damages = append(c.report.Damages, s.damageOfPages(p, causeVersions))
	}
	for _, id := range c.lost {
		c.report.Damages = append(c.report.Damages, s.damageOfPages(badPages{id.lineage, id.page, id.page}, causeLost))
	}
	c.report.Damages = append(c.report.Damages, s.lostLogs()...)
	return c.report, err
}

// slotSet is a set of slots of one segment.
type slotSet [1 << slotBits / 64]uint64

func (s *slotSet) add(slot uint16) (added bool) {
	w, b := slot/64, uint64(1)<<(slot%64)
	added = s[w]&b == 0
	s[w] |= b
	return added
}

func (s *slotSet) has(slot uint16) bool { return s[slot/64]&(1<<(slot%64)) != 0 }

func (s *slotSet) count() (n int64) {
	for _, w := range s {
		n += int64(bits.OnesCount64(w))
	}
	return n
}

type checker struct {
	store  *Store
	ctx    context.Context
	report Report
	it     *pebble.Iterator
	owners map[uint64][]ownedEpochs // by lineage
	nodes  []*node                  // parents before kids
	up     map[*node]*node
	slots  map[uint32]*slotSet
	used   map[*node]int64 // blocks more than the parent node has
	heads  map[*node]int64 // used of heads as of their checkpoint

	tallies map[*node]*tally
	starts  map[*node][]position
	bad     []badBlock
	unread  []badPages
	lost    []versionID
}

// ownedEpochs says that the versions of epochs (lo, hi] of a lineage belong to a node.
type ownedEpochs struct {
	piece
	n     *node
	start position
}

func (c *checker) run() error {
	it, err := c.store.db.NewIter(nil)
	if err != nil {
		return err
	}
	c.it = it
	c.tree()
	err = c.versions()
	if err == nil {
		err = c.index()
	}
	if len(c.unread) > 0 {
		c.report.add("live counts and used sizes cannot be compared: page versions are unreadable")
	} else {
		c.counts()
		c.sizes()
		err = errors.Join(err, c.tally())
	}
	return errors.Join(err, closeIterator(it))
}

// tree lists all nodes and what they own.
func (c *checker) tree() {
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	c.report.Volumes = len(s.volumes)
	c.tallies, c.starts = map[*node]*tally{}, map[*node][]position{}
	c.owners, c.up, c.heads = map[uint64][]ownedEpochs{}, map[*node]*node{}, map[*node]int64{}
	for _, l := range s.lineages {
		c.nodes = append(c.nodes, l.nodes...)
		if !l.drained {
			h := l.headNode()
			h.lin, h.size = l, l.size
			c.nodes = append(c.nodes, h)
			c.heads[h] = l.disk.Load().checkpointed.Used
		}
	}
	for _, n := range c.nodes {
		pieces, start := n.owns()
		for _, p := range pieces {
			c.owners[p.lineage] = append(c.owners[p.lineage], ownedEpochs{p, n, start})
		}
		c.up[n] = n.parent()
	}
}

func (c *checker) owner(id versionID) (ownedEpochs, bool) {
	for _, o := range c.owners[id.lineage] {
		if id.epoch > o.lo && id.epoch <= o.hi {
			return o, true
		}
	}
	return ownedEpochs{}, false
}

// versions walks all page versions. The next one is sought after each, because looking up its parent's moves the
// iterator. What Pebble cannot read is told of and passed over.
func (c *checker) versions() error {
	var last versionID
	var lastOwner *node
	ok := c.it.SeekGE([]byte{keyVersion})
	for {
		if !ok {
			err := c.it.Error()
			if err == nil {
				return nil
			}
			if ok, last, err = c.pass(last, err); !ok {
				return err
			}
			continue
		}
		id, isVersion := parseVersionKey(c.it.Key())
		if !isVersion {
			return nil
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
		c.report.Versions++
		v, err := c.read(id)
		o, owned := c.owner(id)
		switch {
		case err != nil:
			c.unreadable(badPages{id.lineage, id.page, id.page}, err)
		case !owned:
			c.report.add("lineage %d page %d epoch %d: no volume sees this version", id.lineage, id.page, id.epoch)
		case o.n == lastOwner && id.page == last.page && id.lineage == last.lineage:
			c.report.add("lineage %d page %d epoch %d: superseded but still there", id.lineage, id.page, id.epoch)
		default:
			if err := c.version(id, &v, o); err != nil {
				return err
			}
		}
		last, lastOwner = id, o.n
		ok = c.it.SeekGE(append(last.key(), 0))
	}
}

func (c *checker) unreadable(bad badPages, err error) {
	c.unread = append(c.unread, bad)
	c.report.add("lineage %d pages %d to %d: %v", bad.lineage, bad.first, bad.last, metaError(err))
}

// pass moves behind what Pebble cannot read after a version, if that is damage.
func (c *checker) pass(last versionID, err error) (bool, versionID, error) {
	if metaError(err) == err {
		return false, last, err
	}
	for {
		if !c.store.hasLineage(last.lineage) {
			next, ok := c.store.lineageAfter(last.lineage)
			if !ok {
				return false, last, nil
			}
			last = versionID{lineage: next}
		}
		bad, next, done := nextReadable(c.it, last)
		c.unreadable(bad, err)
		if !done {
			return c.it.SeekGE(next.key()), last, nil
		}
		last = versionID{lineage: last.lineage + 1}
	}
}

// read reads a version, and checks how far below it the whole page is on which it is based.
func (c *checker) read(id versionID) (content, error) {
	v, err := storedAt(c.it)
	if err != nil || v.whole {
		return v.content, err
	}
	c.report.Differences++
	base, steps, err := baseAt(c.it)
	if err != nil {
		return content{}, err
	}
	if steps > mostDifferences {
		c.report.add("lineage %d page %d epoch %d: %d differences to one page", id.lineage, id.page, id.epoch, steps)
	}
	return v.over(&base)
}

// version checks one: its blocks, and how it changes the used size against what the owner's parent sees.
func (c *checker) version(id versionID, v *content, o ownedEpochs) error {
	c.blocks(id, v, o)
	was := content{}
	if p := c.up[o.n]; p != nil {
		var err error
		was, err = lookupDurable(c.it, p.lin, p.epoch, id.page, nil, content{})
		if errors.Is(err, block.ErrDamaged) {
			return nil // the walk comes to it by itself
		}
		if err != nil {
			return err
		}
	}
	for i, e := range was.each() {
		if c.store.segments.bornSince(e, o.start) {
			c.report.add("lineage %d page %d epoch %d: block %d is older than the epoch that it is in", id.lineage, id.page, id.epoch, i)
		}
	}
	for i, e := range v.each() {
		if !c.store.segments.bornSince(e, o.start) && !was.has(i, e.pos()) {
			c.report.add("lineage %d page %d epoch %d: block %d is inherited from nowhere", id.lineage, id.page, id.epoch, i)
		}
	}
	c.used[o.n] += int64(v.count() - was.count())
	c.tallied(o, &was, v)
	return nil
}

// blocks reads every block that was not met before and checks it.
func (c *checker) blocks(id versionID, v *content, o ownedEpochs) {
	buf := make([]byte, block.BlockSize)
	for i, e := range v.each() {
		set := c.slots[e.seg]
		if set == nil {
			set = new(slotSet)
			c.slots[e.seg] = set
		}
		if !set.add(e.slot) {
			continue
		}
		c.report.Blocks++
		w := want{lba: uint64(id.page)*leafBlocks + uint64(i), e: e, n: block.BlockSize}
		pins, err := c.store.pinAll(nil, []want{w})
		if err == nil {
			err = c.store.fetch(buf, []want{w}, pins, nil)
		}
		if err = errors.Join(err, c.store.unpinAll(pins)); errors.Is(err, block.ErrLocked) {
			c.report.Locked++
		} else if err != nil {
			c.report.add("%s: %v", c.name(o.n), err)
			var b *blockError
			if errors.As(err, &b) {
				c.bad = append(c.bad, b.badBlock)
			}
		}
	}
}

// name says which volume a node is, as well as it can.
func (c *checker) name(n *node) string {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	if n.epoch == headEpoch {
		return fmt.Sprintf("disk %s", n.lin.headID)
	}
	for _, v := range c.store.volumes {
		if v.node == n {
			return fmt.Sprintf("snapshot %s", v.id)
		}
	}
	return fmt.Sprintf("lineage %d epoch %d", n.lin.id, n.epoch)
}

// index checks that the index names the versions and nothing else.
func (c *checker) index() error {
	var n int64
	err := c.store.each(keyIndex, func(key, _ []byte) error {
		n++
		id, ok := parseIndexKey(key)
		if !ok {
			c.report.add("index: key %x", key)
			return nil
		}
		at, ok, err := seekVersion(c.it, id.lineage, id.page, id.epoch)
		if errors.Is(err, block.ErrDamaged) {
			return nil // the walk has come to it by itself
		}
		if err == nil && (!ok || at != id) {
			c.lost = append(c.lost, id)
			c.report.add("lineage %d page %d epoch %d: indexed but not there", id.lineage, id.page, id.epoch)
		}
		return err
	})
	switch {
	case errors.Is(err, block.ErrDamaged):
		c.report.add("the index cannot be read: %v", err)
		return nil
	case n != c.report.Versions && len(c.unread) == 0:
		c.report.add("%d versions, %d in the index", c.report.Versions, n)
	}
	return err
}

// counts compares the live counts of segments with the blocks that versions refer to.
func (c *checker) counts() {
	t := c.store.segments
	t.mu.Lock()
	defer t.mu.Unlock()
	c.report.Segments = len(t.segs)
	for n, s := range t.segs {
		var found int64
		if set := c.slots[n]; set != nil {
			found = set.count()
		}
		if found != s.live {
			c.report.add("segment %d: %d blocks are live, its count says %d", n, found, s.live)
		}
		c.holes(s)
	}
	for n := range c.slots {
		if t.segs[n] == nil {
			c.report.add("segment %d is missing", n)
		}
	}
}

// holes looks for blocks that are needed and were given back.
func (c *checker) holes(s *segment) {
	set := c.slots[s.number]
	for _, o := range s.holes.all {
		for slot := o.from; slot < o.to && set != nil; slot++ {
			if set.has(uint16(slot)) {
				c.report.add("segment %d: the block in slot %d is needed, but in a hole", s.number, slot)
			}
		}
	}
}

// sizes compares used sizes with the versions.
func (c *checker) sizes() {
	for _, n := range c.nodes {
		if n.epoch == headEpoch && !n.lin.head {
			continue // deleted: its last changes need not be versions any more
		}
		found, whole := int64(0), true
		for m := n; m != nil; m = c.up[m] {
			found += c.used[m]
			// Ended after the checkpoint above: a snapshot under way, or one of a disk whose log waits for its key.
			d := m.lin.disk.Load()
			whole = whole && (d == nil || m.epoch == headEpoch || m.seq < d.checkpointed.NextSeq)
		}
		if !whole {
			continue
		}
		says, isHead := c.heads[n]
		if !isHead {
			says = n.used
		}
		if found != says {
			c.report.add("%s: %d blocks are used, its size says %d", c.name(n), found, says)
		}
	}
}
