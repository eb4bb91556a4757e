package lsd

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
)

// scrubber reads in the background what nobody has read for long, so that damage is met while there are still copies of what
// it hit. It goes through the page versions of one lineage after the other, reads every block that they refer to once, and
// holds no lock while it does; checkpoints, reclaiming and compaction go on under it.
//
// Its place is kept coarsely: after a restart it reads a little again.
type scrubber struct {
	store *Store
	bell  chan struct{} // asks for a pass
	stop  context.CancelFunc
	done  chan struct{}
	one   sync.Mutex // a pass

	mu      sync.Mutex
	rec     scrubRecord
	pages   []badPages          // of the pass: whose versions cannot be read
	headers []position          // of the pass: where a header of a segment or chunk is not whole
	seen    map[uint32]*slotSet // of the pass: blocks that several lineages refer to
	top     map[uint32]uint32   // of the pass: the last live slot met in each segment
}

// keyScrub holds the scrub's place and what its last pass found: S -> scrubRecord.
const keyScrub = 'S'

// scrubRecord is where a pass is, and what is known of the last one.
type scrubRecord struct {
	V       int           `json:"v"`
	Running bool          `json:"running,omitempty"`
	Begun   time.Time     `json:"begun"`
	Lineage uint64        `json:"lineage,omitempty"`
	Page    uint32        `json:"page,omitempty"`
	Bytes   int64         `json:"bytes"`
	Last    ScrubPass     `json:"last"`
	Bad     []badRecord   `json:"bad,omitempty"`
	Lost    []lostVersion `json:"lost,omitempty"`
}

// badRecord is a damaged block that was met.
type badRecord struct {
	Segment uint32 `json:"segment"`
	Slot    uint32 `json:"slot"`
	Block   uint64 `json:"block"`
	Cause   string `json:"cause"`
}

// ScrubPass is a whole pass.
type ScrubPass struct {
	Begun time.Time `json:"begun"`
	Ended time.Time `json:"ended"`
	Bytes int64     `json:"bytes"`
}

// ScrubReport is what the scrub does and has found.
type ScrubReport struct {
	Rate     int64      `json:"bytesPerSecond"` // 0: only when asked
	Running  bool       `json:"running"`
	Begun    time.Time  `json:"begun"` // of the pass under way
	Bytes    int64      `json:"bytes"` // that it has read
	Last     *ScrubPass `json:"last,omitempty"`
	Damages  []Damage   `json:"damages"`  // met by the scrub or by readers, and not gone since
	Restored int64      `json:"restored"` // index entries that were missing, made again since the start
}

const (
	// scrubBatch is how much is read between two rests.
	scrubBatch = 1 << 20
	// scrubSave is after how much the place is kept.
	scrubSave = 64 << 20
	// mostKept bounds the damaged blocks that outlive a restart.
	mostKept = 4096
)

func newScrubber(s *Store) *scrubber {
	return &scrubber{
		store: s, bell: make(chan struct{}, 1), done: make(chan struct{}),
		seen: map[uint32]*slotSet{}, top: map[uint32]uint32{},
	}
}

// load reads what was kept.
func (c *scrubber) load() error {
	err := c.store.get([]byte{keyScrub}, &c.rec)
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return err
	}
	for _, b := range c.rec.Bad {
		c.store.damages.remember(badBlock{pos: at(b.Segment, b.Slot), lba: b.Block, cause: b.Cause})
	}
	c.store.lost.set(c.rec.Lost)
	return nil
}

// start begins the work in the background.
func (c *scrubber) start() {
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	go func() {
		defer close(c.done)
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		for {
			if c.due() {
				c.store.troubles.set("scrub", notStopped(ctx, c.pass(ctx, c.store.opt.ScrubRate)))
			}
			select {
			case <-ctx.Done():
				return
			case <-c.bell:
				c.begin()
			case <-tick.C:
			}
		}
	}()
}

func notStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// end stops it and waits.
func (c *scrubber) end() {
	if c.stop != nil {
		c.stop()
		<-c.done
	}
}

// due tells whether a pass is to go on, or a new one to begin.
func (c *scrubber) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rec.Running {
		return true
	}
	opt := c.store.opt
	return opt.ScrubRate > 0 && (c.rec.Begun.IsZero() || opt.Now().Sub(c.rec.Begun) >= opt.ScrubEvery)
}

// begin starts a pass at the beginning unless one is under way.
func (c *scrubber) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.rec.Running {
		c.rec.Running, c.rec.Begun = true, c.store.opt.Now()
		c.rec.Lineage, c.rec.Page, c.rec.Bytes = 0, 0, 0
		c.pages, c.headers, c.seen, c.top = nil, nil, map[uint32]*slotSet{}, map[uint32]uint32{}
		c.store.damages.nextPass()
		c.store.unread.clear()
	}
}

// StartScrub begins a pass at the scrub's rate, unless one is under way, and does not wait for it.
func (s *Store) StartScrub() {
	select {
	case s.scrub.bell <- struct{}{}:
	default:
	}
}

// Scrub goes through the whole store, or the rest of the pass that is under way, as fast as it can.
func (s *Store) Scrub(ctx context.Context) error {
	if err := s.requests.enter(); err != nil {
		return err
	}
	defer s.requests.leave()
	return s.scrub.pass(ctx, 0)
}

// ScrubReport tells what the scrub does and what damage is known.
func (s *Store) ScrubReport() ScrubReport {
	c := s.scrub
	c.mu.Lock()
	r := ScrubReport{
		Rate: s.opt.ScrubRate, Running: c.rec.Running, Begun: c.rec.Begun, Bytes: c.rec.Bytes, Restored: s.lost.restored.Load(),
	}
	if !c.rec.Last.Ended.IsZero() || c.rec.Last.Bytes > 0 {
		last := c.rec.Last
		r.Last = &last
	}
	pages, headers := slices.Clone(c.pages), slices.Clone(c.headers)
	c.mu.Unlock()
	r.Damages = s.damageOfBlocks(s.damages.list())
	for _, p := range pages {
		r.Damages = append(r.Damages, s.damageOfPages(p, causeVersions))
	}
	for _, l := range s.lost.list() {
		r.Damages = append(r.Damages, s.damageOfPages(badPages{l.Lineage, l.Page, l.Page}, causeLost))
	}
	for _, p := range headers {
		r.Damages = append(r.Damages, Damage{Segment: p.seg(), Slot: p.slot(), Cause: causeHeader})
	}
	r.Damages = append(r.Damages, s.lostLogs()...)
	return r
}

// pass goes on with the pass under way, or begins one, to its end.
func (c *scrubber) pass(ctx context.Context, rate int64) error {
	c.one.Lock()
	defer c.one.Unlock()
	c.begin()
	unsaved := int64(0)
	for {
		n, more, err := c.step()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if unsaved += n; unsaved > scrubSave {
			if err := c.save(); err != nil {
				return err
			}
			unsaved = 0
		}
		if err := pause(ctx, n, rate); err != nil {
			return errors.Join(err, c.save())
		}
	}
	if err := c.headersOf(ctx, rate); err != nil {
		return err
	}
	// What was read so far are blocks; this are the headers as well, and the logs that are not counted yet.
	if err := c.store.mendAll(func(n int64) error { return pause(ctx, n, rate) }, true); err != nil {
		return err
	}
	c.store.lost.forget(func(v lostVersion) bool { return !c.store.hasLineage(v.Lineage) })
	c.finish()
	return c.save()
}

// pause rests as long as n bytes take at a rate.
func pause(ctx context.Context, n, rate int64) error {
	if rate <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (c *scrubber) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Last = ScrubPass{Begun: c.rec.Begun, Ended: c.store.opt.Now(), Bytes: c.rec.Bytes}
	c.rec.Running, c.rec.Lineage, c.rec.Page = false, 0, 0
	c.seen, c.top = map[uint32]*slotSet{}, map[uint32]uint32{}
	c.store.damages.endPass()
}

// save keeps the place. It need not be durable.
func (c *scrubber) save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.V = recordVersion
	c.rec.Lost, c.rec.Bad = c.store.lost.list(), nil
	for _, b := range c.store.damages.list() {
		if len(c.rec.Bad) < mostKept {
			c.rec.Bad = append(c.rec.Bad, badRecord{b.pos.seg(), b.pos.slot(), b.lba, b.cause})
		}
	}
	b := c.store.db.NewBatch()
	if err := putRecord(b, []byte{keyScrub}, c.rec); err != nil {
		return errors.Join(err, b.Close())
	}
	return c.store.commitLazily(b)
}

// step reads the next batch of pages. more is false behind the last lineage.
func (c *scrubber) step() (n int64, more bool, err error) {
	c.mu.Lock()
	from := versionID{lineage: c.rec.Lineage, page: c.rec.Page, epoch: ^uint64(0)}
	c.mu.Unlock()
	s := c.store
	if !s.hasLineage(from.lineage) {
		next, ok := s.lineageAfter(from.lineage)
		if !ok {
			return 0, false, nil
		}
		from = versionID{lineage: next, epoch: ^uint64(0)}
	}
	b := &scrubBatchOf{scrub: c, lineage: from.lineage, shared: s.isRelated(from.lineage), moves: s.moves.Load()}
	if err := b.collect(from); err != nil {
		return 0, false, err
	}
	n = b.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Bytes += n
	c.rec.Lineage, c.rec.Page = from.lineage, b.next
	if b.ended {
		c.rec.Lineage, c.rec.Page = from.lineage+1, 0
	}
	c.pages = append(c.pages, b.bad...)
	return n + int64(b.versions)*64, true, nil
}

// scrubBatchOf is what one step looks at: some pages of a lineage.
type scrubBatchOf struct {
	scrub    *scrubber
	lineage  uint64
	shared   bool // with other lineages
	moves    uint64
	wants    []scrubWant
	versions int
	bad      []badPages
	next     uint32 // page
	ended    bool   // there is none behind in this lineage
}

// scrubWant is a block and a version that refers to it.
type scrubWant struct {
	want
	id versionID
}

// collect lists the blocks of the next pages, as they are at one moment, and checks that versions and index agree.
func (b *scrubBatchOf) collect(from versionID) error {
	s := b.scrub.store
	snap := s.db.NewSnapshot()
	defer snap.Close()
	it, err := snap.NewIter(&pebble.IterOptions{LowerBound: []byte{keyVersion}, UpperBound: []byte{keyVersion + 1}})
	if err != nil {
		return err
	}
	err = b.walk(snap, it, from)
	if err == nil && b.ended {
		err = s.findLost(snap, it, b.lineage)
	}
	return errors.Join(err, closeIterator(it))
}

func (b *scrubBatchOf) walk(snap *pebble.Snapshot, it *pebble.Iterator, from versionID) error {
	last, page := from, from.page
	met := map[position]struct{}{}
	ok := it.SeekGE(from.key())
	for {
		if !ok {
			err := it.Error()
			if err == nil || metaError(err) == err {
				b.ended = true
				return err
			}
			bad, next, done := nextReadable(it, last)
			b.bad = append(b.bad, bad)
			if b.ended = done || next.lineage != b.lineage; b.ended {
				return nil
			}
			last = next
			ok = it.SeekGE(next.key())
			continue
		}
		id, isVersion := parseVersionKey(it.Key())
		if !isVersion || id.lineage != b.lineage {
			b.ended = true
			return nil
		}
		if id.page != page {
			clear(met)
			if page = id.page; len(b.wants) >= scrubBatch/block.BlockSize || b.versions >= scrubBatch/64 {
				b.next = page
				return nil
			}
		}
		v, err := storedAt(it)
		if err != nil {
			b.bad = append(b.bad, badPages{id.lineage, id.page, id.page})
		}
		b.add(id, &v.content, met)
		if err := b.scrub.store.restoreIndex(snap, id); err != nil {
			return err
		}
		last = id
		ok = it.Next()
	}
}

// add lists the blocks of a version that were not met: in the page, or where clones share blocks, in the pass.
func (b *scrubBatchOf) add(id versionID, v *content, met map[position]struct{}) {
	b.versions++
	for i, e := range v.each() {
		if _, ok := met[e.pos()]; ok {
			continue
		}
		met[e.pos()] = struct{}{}
		b.scrub.lives(e)
		if b.shared && !b.scrub.first(e) {
			continue
		}
		w := want{lba: uint64(id.page)*leafBlocks + uint64(i), e: e, n: block.BlockSize}
		b.wants = append(b.wants, scrubWant{w, id})
	}
}

// lives notes how far a segment is in use.
func (c *scrubber) lives(e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.top[e.seg] = max(c.top[e.seg], uint32(e.slot))
}

// first notes a block that several lineages may refer to, and tells whether it had not been.
func (c *scrubber) first(e entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	set := c.seen[e.seg]
	if set == nil {
		set = new(slotSet)
		c.seen[e.seg] = set
	}
	return set.add(e.slot)
}

// read reads the blocks in the order in which they lie, neighbours at once.
func (b *scrubBatchOf) read() int64 {
	slices.SortFunc(b.wants, func(x, y scrubWant) int { return cmp.Compare(x.e.pos(), y.e.pos()) })
	buf := make([]byte, leafBlocks*block.BlockSize)
	for rest := b.wants; len(rest) > 0; {
		n := 1
		for n < len(rest) && n < leafBlocks && rest[n].e.pos() == rest[0].e.pos()+position(n) && rest[n].e.seg == rest[0].e.seg {
			n++
		}
		b.scrub.store.verify(buf[:n*block.BlockSize], rest[:n], b.moves)
		rest = rest[n:]
	}
	return int64(len(b.wants)) * block.BlockSize
}

// verify reads neighbours that were looked up after a count of moves. A bad one is noted where it is met. Where their segment is gone
// they were moved or freed since they were looked up, unless the version still says that they are there.
func (s *Store) verify(buf []byte, blocks []scrubWant, moves uint64) {
	seg, err := s.segments.pin(blocks[0].e.seg)
	if err != nil {
		for _, b := range blocks {
			if s.stillSays(b) {
				s.damages.met(&blockError{badBlock{pos: b.e.pos(), lba: b.lba, cause: causeMissing}, err})
			}
		}
		return
	}
	if s.moves.Load() == moves {
		s.verifyIn(buf, blocks, seg)
	} else { // before it was pinned: there may be holes now
		for i := range blocks {
			if s.stillSays(blocks[i]) {
				s.verifyIn(buf[:block.BlockSize], blocks[i:i+1], seg)
			}
		}
	}
	s.troubles.set("scrub", s.segments.unpin(seg))
}

// verifyIn reads neighbours. Of a segment that is kept in zones every copy is read, and the bad ones are made good.
func (s *Store) verifyIn(buf []byte, blocks []scrubWant, seg *segment) {
	wants, crcs := make([]want, len(blocks)), make([]uint32, len(blocks))
	for i, b := range blocks {
		wants[i], crcs[i] = b.want, b.e.crc
	}
	if f := s.segments.file(seg); f.isZonal() {
		if cipher, err := s.cipherOf(seg); err == nil {
			if ok, err := f.wholeBlocks(buf, uint32(wants[0].e.slot), crcs, cipher); ok && err == nil {
				return
			}
		}
	}
	if err := s.fetchRun(buf, wants, seg); err != nil && len(wants) > 1 {
		for i := range wants {
			_ = s.fetchRun(buf[:block.BlockSize], wants[i:i+1], seg) // each bad one is noted
		}
	}
}

// stillSays looks up once more whether a version refers to a block, and tells whether it still does.
func (s *Store) stillSays(b scrubWant) bool {
	it, err := s.iterate(keyVersion)
	if err != nil {
		return false
	}
	defer func() { s.troubles.set("scrub", closeIterator(it)) }()
	id, ok, err := seekVersion(it, b.id.lineage, b.id.page, b.id.epoch)
	if err != nil || !ok || id != b.id {
		return false
	}
	v, err := storedAt(it)
	return err == nil && v.has(uint(b.lba%leafBlocks), b.e.pos())
}
