package lsd

import (
	"runtime"
	"slices"
	"sync"

	"tintype/internal/block"
)

// disk is the head of a lineage: the one place where writes go. Every change of its map happens under mu, in log order.
type disk struct {
	store *Store
	lin   *lineage

	mu      sync.Mutex
	cond    *sync.Cond // of mu
	log     diskLog
	leaves  leafSet
	loading map[uint32]struct{}  // pages on their way into leaves
	loads   int                  // of pages, since the disk was opened
	frozen  map[uint32][]*frozen // versions that no checkpoint has made durable, by page, oldest first
	froze   map[uint64][]*frozen // the same by generation
	nfrozen int
	changed []uint32 // pages of leaves dirty in this generation
	leaving []uint32 // and in the last, while a checkpoint collects them
	epoch   uint64
	gen     uint64 // checkpoint generation
	used    int64  // mapped blocks
	size    int64  // bytes
	rotate  bool   // the next checkpoint ends the log's segment, so that replay begins behind all that exists
	failed  error
	ahead   readAhead
	damaged error // the log has a hole, or its end could not be found without the key; guarded by commits, and by the store's mu

	// checkpointed is where the log stood at the last checkpoint. The store's commit mutex guards it.
	checkpointed checkpointRecord
}

func newDisk(s *Store, l *lineage, size int64) *disk {
	d := &disk{
		store: s, lin: l, size: size, epoch: 1, gen: 1,
		loading: map[uint32]struct{}{},
		frozen:  map[uint32][]*frozen{},
		froze:   map[uint64][]*frozen{},
	}
	d.cond = sync.NewCond(&d.mu)
	d.log.unsynced = map[*segment]struct{}{}
	d.log.nextSeq = 1
	d.leaves.resize(pagesOf(size))
	return d
}

func pagesOf(size int64) uint32 {
	const pageBytes = leafBlocks * block.BlockSize
	return uint32((size + pageBytes - 1) / pageBytes)
}

// leaf returns the leaf of a page, reading it in when it is not in memory. The caller holds d.mu. When held is false
// the mutex was released in between: what the caller saw before may have changed.
func (d *disk) leaf(page uint32) (l *leaf, held bool, err error) {
	held = true
	for {
		if l := d.leaves.get(page); l != nil {
			l.used = true
			return l, held, nil
		}
		held = false
		if _, busy := d.loading[page]; busy {
			d.cond.Wait()
			continue
		}
		if err := d.load(page); err != nil {
			return nil, false, err
		}
	}
}

// load brings a page into memory, and those around it that nobody has asked for yet. The caller holds d.mu, which is released
// during the read; nobody else can change the pages meanwhile, because a change needs its leaf.
func (d *disk) load(page uint32) error {
	pages := d.around(page)
	for _, p := range pages {
		d.loading[p] = struct{}{}
	}
	defer func() {
		for _, p := range pages {
			delete(d.loading, p)
		}
		d.cond.Broadcast()
	}()
	found, err := d.lookupSteady(pages)
	if err != nil {
		return err
	}
	for i, c := range found {
		d.leaves.put(pages[i], &leaf{content: c, used: i == 0, shared: true})
		d.store.leafLoaded(d)
	}
	return nil
}

const (
	// loadTogether is how many pages are looked up at once, 8 MiB of a disk: setting out to look one up costs more than the next.
	loadTogether = 32
	// loadAlone is how many of a disk's first pages come alone: what only looks at a disk's beginning waits for no more.
	loadAlone = 8
)

// around is a page, and behind it those of its surroundings that may be brought into memory with it: fewer where a lookup has
// many lineages to go through, and none where memory is short or lookups meet damage. The caller holds d.mu.
func (d *disk) around(page uint32) []uint32 {
	pages := []uint32{page}
	if d.loads++; d.loads <= loadAlone || d.store.leaves.Load() > int64(d.store.opt.MaxLeaves/2) || d.store.unread.any.Load() {
		return pages
	}
	n := uint32(loadTogether)
	for a := d.lin.parent; a != nil && n > 1; a = a.parent {
		n /= 2
	}
	for p := page / n * n; p < min(page/n*n+n, pagesOf(d.size)); p++ {
		if _, busy := d.loading[p]; p != page && !busy && d.leaves.get(p) == nil {
			pages = append(pages, p)
		}
	}
	return pages
}

// lookupSteady is a lookup that no compaction came in between of. The caller holds d.mu, which is released during it.
func (d *disk) lookupSteady(pages []uint32) ([]content, error) {
	for {
		moves := d.store.moves.Load()
		d.mu.Unlock()
		found, err := d.store.lookupPages(d.lin, headEpoch, pages)
		d.mu.Lock()
		if err != nil || d.store.moves.Load() == moves {
			return found, err
		}
	}
}

// touch prepares a leaf for a change: what a snapshot or a running checkpoint still needs of it is frozen first. The
// caller holds d.mu.
func (d *disk) touch(page uint32, l *leaf) {
	if l.dirty && (l.epoch != d.epoch || l.gen != d.gen) {
		d.freeze(page, l)
	}
	if !l.dirty || l.gen != d.gen {
		d.changed = append(d.changed, page)
		d.store.unsaved.Add(1)
	}
	l.own()
	l.dirty, l.epoch, l.gen = true, d.epoch, d.gen
}

// freeze keeps a dirty leaf's content as a version of its epoch. The caller holds d.mu.
func (d *disk) freeze(page uint32, l *leaf) {
	f := &frozen{content: l.content, page: page, epoch: l.epoch, gen: l.gen}
	d.frozen[page] = append(d.frozen[page], f)
	d.froze[l.gen] = append(d.froze[l.gen], f)
	d.nfrozen++
	d.store.unsaved.Add(1)
	l.shared = true
}

// memory returns the newest version of a page, at or before an epoch, that no checkpoint has made durable.
func (d *disk) memory(page uint32, epoch uint64) (content, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.memoryLocked(page, epoch)
}

func (d *disk) memoryLocked(page uint32, epoch uint64) (content, bool) {
	if int(page/dirLeaves) < len(d.leaves.dirs) {
		if l := d.leaves.get(page); l != nil && l.dirty && l.epoch <= epoch {
			return l.clone(), true
		}
	}
	versions := d.frozen[page]
	for i := len(versions) - 1; i >= 0; i-- {
		if versions[i].epoch <= epoch {
			return versions[i].content, true
		}
	}
	return content{}, false
}

// dropFrozen forgets versions that a checkpoint has made durable, a few at a time so that writes go on.
func (d *disk) dropFrozen(versions []*frozen) {
	for some := range slices.Chunk(versions, breathLeaves) {
		d.mu.Lock()
		for _, f := range some {
			d.dropVersion(f)
		}
		d.cond.Broadcast()
		d.mu.Unlock()
		runtime.Gosched() // or this takes the mutex again before those who wait for it
	}
}

func (d *disk) dropVersion(f *frozen) {
	if l := d.leaves.find(f.page); l != nil && !l.dirty && l.inOrder() {
		d.leaves.drop(f.page)
	}
	all := d.frozen[f.page]
	if i := slices.Index(all, f); i >= 0 {
		d.nfrozen--
		d.store.unsaved.Add(-1)
		if all = slices.Delete(all, i, i+1); len(all) > 0 {
			d.frozen[f.page] = all
		} else {
			delete(d.frozen, f.page)
		}
	}
}

// evict drops clean leaves that were not used since the last call, until at most keep are left or all were looked at.
func (d *disk) evict(keep int) (left int) {
	for dir := uint32(0); ; dir++ {
		d.mu.Lock()
		if left = d.leaves.n; int(dir) >= len(d.leaves.dirs) || left <= keep {
			d.mu.Unlock()
			return left
		}
		d.evictDir(dir)
		d.mu.Unlock()
		runtime.Gosched() // or this takes the mutex again before those who wait for it
	}
}

// evictSome drops the clean leaves of one directory that were not used since it was looked at last. The caller holds d.mu.
func (d *disk) evictSome() {
	s := &d.leaves
	for range s.dirs {
		dir := s.hand % uint32(len(s.dirs))
		s.hand = dir + 1
		if s.dirs[dir] != nil {
			d.evictDir(dir)
			return
		}
	}
}

func (d *disk) evictDir(dir uint32) {
	var cold []uint32
	d.leaves.each(dir*dirLeaves, dir*dirLeaves+dirLeaves-1, func(page uint32, l *leaf) bool {
		if !l.dirty && !l.used {
			cold = append(cold, page)
		}
		l.used = false
		return true
	})
	for _, page := range cold {
		d.leaves.drop(page)
	}
}

// settle hands everything placed so far to the operating system. Those who wait at the same time share chunks: what is
// placed while one is written goes into the next.
func (d *disk) settle() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &d.log
	seq := l.nextSeq - 1
	if l.tail != nil && len(l.tail.extents) > 0 {
		seq = l.nextSeq
	}
	for l.written < seq && d.failed == nil {
		if l.nextSeq <= seq && len(l.flying) <= 1 {
			d.seal()
		}
		if len(l.pending) > 0 {
			d.writePending()
			continue
		}
		if l.written < seq && d.failed == nil {
			d.cond.Wait()
		}
	}
	return d.failed
}

// flush makes every write that returned before durable.
func (d *disk) flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return d.failed
	}
	return d.flushLocked()
}
