package lsd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
	"tintype/internal/vfs"
	"tintype/internal/vfs/pebblefs"
	"tintype/internal/vfs/timedfs"
)

// Store keeps volumes in one folder: segments of data, and Pebble for everything that says what they mean. It is the
// only user of the folder (a lock sees to it) and is safe for concurrent use.
//
// Locks, in the order in which they are taken: names, commits, a disk's mutex (several in the order of their lineages),
// mu, inside the segment table, record.
type Store struct {
	fs          vfs.FS
	opt         Options
	dir         string
	lock        io.Closer
	sealing     bool // Close has come to its end
	db          *pebble.DB
	metaFiles   *pebblefs.FS // what db keeps its files in
	segments    *segmentTable
	keys        *keyTable
	zones       *zones      // nil: the store has none
	hangs       *timedfs.FS // nil: what hangs is waited for
	mirror      *mirror
	tender      tender
	buffers     *bufferPool
	requests    *gate
	troubles    *troubles
	damages     *damages
	lost        lostVersions
	unread      unreadable
	scrub       *scrubber
	incarnation uint64

	names       sync.Mutex // one change of volumes' names at a time
	commits     sync.Mutex // one checkpoint or reclaiming at a time
	keeper      keeper
	mover       mover                // guarded by commits
	reclaiming  *reclaimer           // guarded by commits; nil when no node is half gone
	inOrder     map[uint64]orderMark // by lineage; guarded by commits
	movedBlocks atomic.Int64

	orderedBlocks atomic.Int64

	room         room
	breath       breath
	leaves       atomic.Int64  // in memory, of all disks: as evict counted them last, and those loaded since
	activity     atomic.Int32  // what the keeper does
	emptying     atomic.Uint32 // the segment that compaction is at
	changes      atomic.Uint64 // how often something has changed that a rest may tidy up
	tidied       atomic.Uint64 // changes when the last rest began that came to its end
	metaBytes    atomic.Int64  // that Pebble takes, as of the last checkpoint
	unsaved      atomic.Int64  // page versions that checkpoints have still to write
	written      atomic.Int64  // blocks, by clients
	segmentBytes atomic.Int64  // written to segments
	sealed       atomic.Uint64 // chunks
	restedAt     uint64        // of them; the keeper's
	reclaimable  atomic.Int64  // slots that compaction could free, as of the last commit
	full         atomic.Bool   // the last write to need space found none
	moves        atomic.Uint64 // compactions committed, and holes; an address read before one may be old after it
	hollowing    sync.Mutex    // one look for holes at a time; taken before all others
	moving       atomic.Bool   // one is between its commit and the last map in memory that follows it

	record      sync.Mutex // one change of the store's record at a time
	nextSegment uint32     // guarded by record: segment numbers below it may have been used
	nextLineage atomic.Uint64

	mu       sync.Mutex
	volumes  map[block.ID]*volume
	lineages map[uint64]*lineage
	suspects map[*node]struct{}    // nodes that may be needed no more
	dying    map[*lineage]struct{} // deleted heads that are not drained
	closed   bool
}

// volume is a name: of a disk's head, or of a frozen epoch.
type volume struct {
	id      block.ID
	kind    block.Kind
	lin     *lineage
	node    *node // of a snapshot
	open    int   // handles, and operations that need it to stay
	pending bool  // on its way in or out: not to be seen

	redundancy block.Redundancy

	key    string      // id of the customer's key that it is under, or nothing; guarded by names, and by mu
	locked atomic.Bool // that key is not there: nothing of it is read or written
}

// Open opens the store in dir, making it if there is none, and brings every disk to the end of its log: when it returns,
// all that was acknowledged before is there. It fails with vfs.ErrLocked when another process has it.
func Open(fsys vfs.FS, dir string, opt Options) (*Store, error) {
	s := newStore(fsys, opt.withDefaults())
	s.timeZones()
	if err := s.open(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", dir, err), s.release())
	}
	s.keeper.start(s)
	s.tender.start(s)
	if !s.opt.Manual {
		s.scrub.start()
	}
	return s, nil
}

func newStore(fsys vfs.FS, opt Options) *Store {
	s := &Store{
		fs: fsys, opt: opt, buffers: newBufferPool(), requests: newGate(),
		volumes: map[block.ID]*volume{}, lineages: map[uint64]*lineage{},
		inOrder: map[uint64]orderMark{}, suspects: map[*node]struct{}{}, dying: map[*lineage]struct{}{},
		troubles: newTroubles(opt.Log), damages: newDamages(opt.Log, opt.Now),
	}
	s.breath.calm.Store(breathCalm) // nobody asks for anything before the store is open
	return s
}

func (s *Store) open(dir string) error {
	s.dir = dir
	segs, meta := path.Join(dir, "segments"), path.Join(dir, "meta")
	err := s.makeDirs(dir, segs, meta)
	if err != nil {
		return err
	}
	if s.lock, err = s.fs.Lock(path.Join(dir, "LOCK")); err != nil {
		return err
	}
	if s.zones, err = newZones(s.fs, dir, s.opt.Zones, s.opt.Log); err != nil {
		return err
	}
	metaFS := s.fs
	if s.zones != nil {
		s.mirror = newMirror(s.fs, dir, s.zones)
		metaFS = s.mirror
		if err := s.findMeta(meta); err != nil {
			return err
		}
	}
	if s.keys, err = loadKeys(metaFS, dir, s.opt.Keys); err != nil {
		return err
	}
	old, err := s.metaIsWhole(segs, meta)
	if err == nil {
		err = breakSeal(s.fs, dir)
	}
	if err != nil {
		return err
	}
	space, err := s.fs.Space(dir)
	if err != nil {
		return err
	}
	s.opt = s.opt.fitted(space.Total)
	if s.db, err = s.openMeta(metaFS, meta); err != nil {
		return err
	}
	if !old { // the first log was begun in an old format, which does not show holes
		err := s.db.Close()
		if s.db = nil; err == nil {
			s.db, err = s.openMeta(metaFS, meta)
		}
		if err != nil {
			return err
		}
	}
	s.segments = s.newTable(dir)
	if err := errors.Join(s.segments.scan(), s.room.init(s.segments.shelf.leastSpace, s.promised, s.opt.Reserve)); err != nil {
		return err
	}
	if err := s.loadMeta(); err != nil {
		return err
	}
	if err := s.tidyKeys(); err != nil {
		return err
	}
	s.lockVolumes()
	s.openZones()
	s.scrub = newScrubber(s)
	if err := s.scrub.load(); err != nil {
		return err
	}
	if err := s.recover(); err != nil {
		return err
	}
	return s.startZones()
}

// newTable makes the table of the segments of the store in dir, empty.
func (s *Store) newTable(dir string) *segmentTable {
	return &segmentTable{
		shelf: &shelf{fs: s.fs, dir: path.Join(dir, "segments"), zones: s.zones, serial: s.opt.Manual},
		slots: s.opt.SegmentSlots, reserve: s.opt.Reserve, keep: s.opt.Spares,
		extend: s.extendSegments, segs: map[uint32]*segment{},
	}
}

func (s *Store) makeDirs(dir, segs, meta string) error {
	for _, d := range []string{dir, segs, meta} {
		if err := s.fs.MkdirAll(d); err != nil {
			return err
		}
	}
	return errors.Join(s.fs.SyncDir(path.Dir(dir)), s.fs.SyncDir(dir))
}

// openMeta opens Pebble, also when some of its tables are missing or of another size than they were: what is in them is
// damaged then, and the rest is served. Without its manifest, or with a hole in its log, it does not open.
func (s *Store) openMeta(fsys vfs.FS, dir string) (db *pebble.DB, err error) {
	defer rescue(&err)
	s.metaFiles = pebblefs.New(fsys)
	s.metaFiles.Between(s.breathe)
	opt := pebbleOptions(s.metaFiles, s.troubles, s.opt.memTable())
	db, failed := pebble.Open(dir, opt)
	if failed != nil && s.mirror != nil && s.mirror.restore() == nil {
		opt = pebbleOptions(s.metaFiles, s.troubles, s.opt.memTable())
		db, failed = pebble.Open(dir, opt)
	}
	if failed == nil {
		return db, nil
	}
	opt = pebbleOptions(s.metaFiles, s.troubles, s.opt.memTable())
	opt.DisableConsistencyCheck = true
	if db, err = pebble.Open(dir, opt); err != nil {
		// What is no failure of the file system is what the files say. One that is not there belongs to it.
		var errno syscall.Errno
		failed = metaError(failed)
		said := !errors.As(failed, &errno) && !errors.Is(failed, vfs.ErrLocked) || errors.Is(failed, fs.ErrNotExist)
		if said && !errors.Is(failed, block.ErrDamaged) {
			failed = fmt.Errorf("%w: %w", block.ErrDamaged, failed)
		}
		return nil, fmt.Errorf("metadata %s: %w", dir, failed)
	}
	s.troubles.set("metadata tables", fmt.Errorf("%w: %w", block.ErrDamaged, failed))
	return db, nil
}

// metaIsWhole refuses a folder whose metadata has lost the file that Pebble begins with, or the middle of its log: Pebble would
// go on with nothing, or with what was before, on top of what is left. old is false where there was nothing yet: without tables
// and segments.
func (s *Store) metaIsWhole(segs, meta string) (old bool, err error) {
	names, err := s.fs.List(meta)
	if err != nil {
		return false, err
	}
	more, err := s.fs.List(segs)
	if err != nil {
		return false, err
	}
	for _, name := range slices.Concat(names, more) {
		if strings.HasPrefix(name, "marker.manifest.") {
			return true, errors.Join(manifestIsWhole(s.fs, meta, name), metaLogIsWhole(s.fs, meta))
		}
		old = old || strings.HasSuffix(name, segmentSuffix) || strings.HasSuffix(name, ".sst")
	}
	if old {
		return old, fmt.Errorf("metadata %s: no file says which manifest counts: %w", meta, block.ErrDamaged)
	}
	return old, nil
}

// commitLazily commits a batch without waiting for it to be durable.
func (s *Store) commitLazily(b *pebble.Batch) (err error) {
	defer rescue(&err)
	return spaceError(b.Commit(pebble.NoSync))
}

// closeIterator closes an iterator, which repeats the last error that it met: damage has been told where it was met.
func closeIterator(it *pebble.Iterator) error {
	if err := it.Close(); metaError(err) == err {
		return err
	}
	return nil
}

// metaError says of what Pebble finds damaged in its own files that it is damage.
func metaError(err error) error {
	if err == nil || !pebble.IsCorruptionError(err) || errors.Is(err, block.ErrDamaged) {
		return err
	}
	return fmt.Errorf("metadata: %w: %w", block.ErrDamaged, err)
}

// pebbleOptions has Pebble tell of what fails in it. A damaged block of its own is an error for those who need the block, not
// the end of the process, which is what Pebble does of itself.
func pebbleOptions(files *pebblefs.FS, told *troubles, memTable uint64) *pebble.Options {
	work := newMetaWork()
	o := &pebble.Options{
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				work.failed()
				told.set("metadata", spaceError(err))
			},
			CompactionEnd: func(i pebble.CompactionInfo) {
				if i.Err == nil {
					work.succeeded()
				}
			},
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				told.set("metadata file "+path.Base(i.Path), fmt.Errorf("%w: %w", block.ErrDamaged, i.Details))
			},
			FlushEnd: func(i pebble.FlushInfo) {
				if i.Err == nil {
					told.set("metadata", nil)
				}
			},
		},
		FS:                 files,
		FormatMajorVersion: pebble.FormatValueSeparation,
		Logger:             pebbleLogger{},
		CacheSize:          64 << 20, // of maps that are read again: neighbours of a page, indexes
		MemTableSize:       memTable,
		BytesPerSync:       8 << 20,
		// A large checkpoint fills several; a change of names that comes behind it must not wait until they are written out.
		MemTableStopWritesThreshold: 4,
	}
	o.Experimental.CompactionScheduler = work
	o.EnsureDefaults()
	return o
}

// pebbleLogger turns Pebble's fatal errors into panics that commit recovers; its chatter is dropped.
type pebbleLogger struct{}

type fatalError struct{ error }

func (pebbleLogger) Infof(string, ...any)  {}
func (pebbleLogger) Errorf(string, ...any) {}
func (pebbleLogger) Fatalf(format string, args ...any) {
	panic(fatalError{fmt.Errorf(format, args...)})
}

// rescue turns Pebble's fatal error into an ordinary one.
func rescue(err *error) {
	switch r := recover().(type) {
	case nil:
	case fatalError:
		*err = r.error
	default:
		panic(r)
	}
}

// commit makes a batch durable.
func (s *Store) commit(b *pebble.Batch) (err error) {
	defer rescue(&err)
	s.breath.waited.Add(1)
	defer s.breath.waited.Add(-1)
	return spaceError(b.Commit(pebble.Sync))
}

// Close waits for the requests that are under way, checkpoints every disk and gives the folder back. Whatever comes later,
// through handles that are still open too, fails with block.ErrClosed. It must not be called from within a request.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	s.scrub.end()
	s.requests.close()
	s.tender.stop()
	s.room.pacer.stop()
	s.keeper.stop() // after them: a write may wait for a checkpoint
	for _, d := range s.disks() {
		d.mu.Lock()
		d.rotate = d.rotate || d.log.seg != nil
		d.mu.Unlock()
	}
	err := errors.Join(s.Checkpoint(), s.stopMoving())
	_, dropped := s.segments.dropSpares()
	for _, d := range s.disks() {
		d.close()
	}
	s.sealing = true
	return errors.Join(err, dropped, s.release())
}

// close stops a disk after its last checkpoint.
func (d *disk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.log.timer != nil {
		d.log.timer.Stop()
	}
	for d.log.writers > 0 || d.log.syncing || d.log.ahead.busy {
		d.cond.Wait()
	}
	d.fail(block.ErrClosed)
}

// closeMeta closes Pebble, which panics when a full disk has left it with files in use. All that was committed is durable, so
// that is an error like any other, and the folder is given back.
func (s *Store) closeMeta() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("close metadata: %v", r)
		}
	}()
	return s.db.Close()
}

func (s *Store) release() error {
	var err error
	if s.segments != nil {
		err = errors.Join(err, s.segments.close())
	}
	if s.db != nil {
		failed := s.closeMeta()
		if failed == nil && s.sealing {
			s.troubles.set("seal of the metadata", sealMeta(s.fs, s.dir)) // a store does well without
		}
		err = errors.Join(err, failed)
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// disks lists the disks in memory, in the order of their lineages.
func (s *Store) disks() []*disk {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*disk
	for _, l := range s.lineages {
		if d := l.disk.Load(); d != nil {
			all = append(all, d)
		}
	}
	sortDisks(all)
	return all
}
