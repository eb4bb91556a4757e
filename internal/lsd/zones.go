package lsd

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// zoneCount is how many zones a store has, if it has any, and enough how many of them must hold what is acknowledged: any two
// that are left have it between them.
const (
	zoneCount = 3
	enough    = 2
)

// zones are the folders that keep copies, and what is known of each. A store has three, or none.
type zones struct {
	fs  vfs.FS
	dir string // the store's own folder
	log *slog.Logger
	all []*zone

	mu       sync.Mutex
	unsaved  bool                // the record does not say all that happened
	starting bool                // segments from floor on may be written to, whichever they are
	floor    uint32              //
	writing  map[uint32]struct{} // zonal segments that are not complete
	record   zonesRecord         // as last written, or read at the start
	healed   int64               // bytes rewritten from a good copy
}

// zone is one folder. Its life is odd while it is in, and goes up by one whenever it goes or comes: a file opened in an
// earlier life is not used any more.
type zone struct {
	name string
	dir  string
	life atomic.Uint64

	solid atomic.Bool // no holes can be punched there

	// Guarded by the mutex of zones.
	whole  bool   // it has missed nothing, or has caught up
	since  uint32 // where not whole: segments numbered below are whole all the same
	seen   uint64 // counter of the last record that it was in
	lost   bool   // it was whole before the start and is not there
	reason error  // why it is out
}

var errZoneOut = errors.New("zone is out")

func (z *zone) in() bool { return z.life.Load()%2 == 1 }

func (z *zone) segments() string { return path.Join(z.dir, "segments") }

// usable tells whether a file opened in a life of the zone is one to work with.
func (z *zone) usable(life uint64) bool { return life%2 == 1 && z.life.Load() == life }

// fail takes a zone out after an error on a file of one of its lives. What is acknowledged from here on does without it.
func (s *zones) fail(z *zone, life uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLocked(z, life, err)
}

func (s *zones) failLocked(z *zone, life uint64, err error) {
	if !z.usable(life) {
		return
	}
	s.unsaved = true
	z.life.Add(1)
	since := z.since
	if z.whole {
		since = ^uint32(0)
	}
	for n := range s.writing {
		since = min(since, n)
	}
	if s.starting {
		since = min(since, s.floor)
	}
	z.whole, z.since, z.reason = false, since, err
	s.log.Error("zone is out", "zone", z.name, "folder", z.dir, "error", err)
}

// save makes durable which zones are in, in every folder that is, if that has changed. A flush that a zone has missed must
// not be acknowledged before: whoever opens the store next has to know whom not to believe.
func (s *zones) save() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saveLocked()
}

func (s *zones) saveLocked() error {
	for s.unsaved {
		s.unsaved = false
		r := s.record
		r.Zone, r.Zones = "", nil
		r.Counter++
		for _, z := range s.all {
			if z.in() {
				z.seen = r.Counter
			}
			r.Zones = append(r.Zones, zoneState{Zone: z.name, Whole: z.whole, Since: z.since, Seen: z.seen})
		}
		if err := writeZones(s.fs, s.dir, r); err != nil {
			s.unsaved = true
			return fmt.Errorf("note which zones are in: %w", err)
		}
		s.record = r
		for _, z := range s.all {
			life := z.life.Load()
			if life%2 == 0 {
				continue
			}
			r.Zone = z.name
			if err := writeZones(s.fs, z.dir, r); err != nil {
				s.failLocked(z, life, err)
			}
		}
	}
	return nil
}

// began and completed frame the time in which a zonal segment is written to.
func (s *zones) began(n uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing[n] = struct{}{}
}

func (s *zones) completed(n uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.writing, n)
}

func (s *zones) noteHealed(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.healed += int64(n)
}

func (s *zones) mended() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.healed
}

// allWhole tells that no zone is out or has missed anything; true where there are none.
func (s *zones) allWhole() bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.all, func(z *zone) bool { return !z.whole || !z.in() })
}

func (s *zones) isBehind(z *zone) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !z.whole
}

// trusted tells whether a copy that lies in a zone when it comes, or at the start, can be taken for whole.
func (s *zones) trusted(z *zone, n uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return z.whole || n < z.since
}

// newZones begins with what the folders say. dirs are those of zones 1, 2 and 3, or none.
func newZones(fsys vfs.FS, dir string, dirs []string, log *slog.Logger) (*zones, error) {
	own, err := readZones(fsys, dir)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, block.ErrDamaged):
		return nil, err
	case len(dirs) == 0 && errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case len(dirs) == 0:
		return nil, fmt.Errorf("the store has zones: their folders must be named")
	case len(dirs) != zoneCount:
		return nil, fmt.Errorf("%d zones: there are %d, or none", len(dirs), zoneCount)
	}
	names, failed := fsys.List(path.Join(dir, "meta"))
	if failed != nil {
		return nil, failed
	}
	unknown := errors.Is(err, fs.ErrNotExist) && len(names) > 0
	s := &zones{fs: fsys, dir: dir, log: log, writing: map[uint32]struct{}{}, starting: true, record: own}
	found := make([]zonesRecord, zoneCount)
	for i, d := range dirs {
		z := &zone{name: fmt.Sprint(i + 1), dir: path.Clean(d)}
		s.all = append(s.all, z)
		found[i], z.reason = s.look(z)
		if found[i].Counter > s.record.Counter {
			s.record = found[i]
		}
	}
	if unknown && s.record.Store != uuid.Nil {
		return nil, fmt.Errorf("%s is a store without zones, and the folders are zones of store %s", dir, s.record.Store)
	}
	return s, s.begin(found)
}

// look reads a zone's folder. A record of zero is that of a folder that is empty.
func (s *zones) look(z *zone) (zonesRecord, error) {
	r, err := readZones(s.fs, z.dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	names, err := s.fs.List(z.dir)
	if err != nil {
		return r, err
	}
	for _, name := range names {
		if name != "lost+found" && name != zonesFile+".new" {
			return r, fmt.Errorf("%s is not empty and does not say that it is a zone", z.dir)
		}
	}
	return r, nil
}

// begin decides which zones are in. An empty folder is taken for a new disk in place of an old one.
func (s *zones) begin(found []zonesRecord) error {
	fresh := s.record.Store == uuid.Nil
	if fresh {
		s.record.Store = uuid.New()
	}
	in, whole := 0, 0
	var why error
	for i, z := range s.all {
		r := found[i]
		if fresh && errors.Is(z.reason, fs.ErrNotExist) {
			z.reason = s.fs.MkdirAll(z.dir)
		}
		if z.reason == nil && r.Store != uuid.Nil && (r.Store != s.record.Store || r.Zone != z.name) {
			return fmt.Errorf("%s is zone %s of store %s, not zone %s of store %s", z.dir, r.Zone, r.Store, z.name, s.record.Store)
		}
		if z.reason == nil {
			z.reason = s.make(z)
		}
		if z.reason != nil {
			s.log.Error("zone is out", "zone", z.name, "folder", z.dir, "error", z.reason)
			why = errors.Join(why, fmt.Errorf("zone %s: %w", z.name, z.reason))
		} else {
			z.life.Store(1)
			in++
		}
		s.believe(z, r, fresh)
		if z.whole {
			whole++
		}
	}
	if in < enough {
		return fmt.Errorf("%d of %d zones are there, %d are needed: %w", in, zoneCount, enough, why)
	}
	if whole == 0 && in < zoneCount {
		return fmt.Errorf("the zones that are there have all missed something, and none that has it is: %w", why)
	}
	s.unsaved = true // the counter tells this opening from those before
	return s.save()
}

// make makes what a zone's folder must have, durably.
func (s *zones) make(z *zone) error {
	if err := s.fs.MkdirAll(z.segments()); err != nil {
		return err
	}
	return errors.Join(s.fs.SyncDir(path.Dir(z.dir)), s.fs.SyncDir(z.dir))
}

// believe settles what a zone's folder is worth: what the newest record says, unless the folder is older than it should be.
func (s *zones) believe(z *zone, r zonesRecord, fresh bool) {
	i := slices.IndexFunc(s.record.Zones, func(x zoneState) bool { return x.Zone == z.name })
	if fresh || i < 0 {
		z.whole = fresh && z.in()
		return
	}
	says := s.record.Zones[i]
	z.seen = says.Seen
	switch {
	case z.in() && stale(r, z):
	case says.Whole && !z.in():
		z.lost = true
	default:
		z.whole, z.since = says.Whole, says.Since
	}
}

// stale tells that a folder is older than when the zone was last in. A crash between the writing of two folders leaves one a
// step behind; nothing was acknowledged in between.
func stale(r zonesRecord, z *zone) bool { return r.Counter+1 < z.seen }

// setFloor says that segments below floor were complete when the store was last open.
func (s *zones) setFloor(floor uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floor = floor
	for _, z := range s.all {
		if z.lost {
			z.since = floor
		}
	}
}

// started says that from here on began and completed tell which segments are written to.
func (s *zones) started() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting = false
}

// comeBack looks whether a zone that is out can be used again. Its segments are caught up behind.
func (s *zones) comeBack(z *zone) error {
	r, err := readZones(s.fs, z.dir)
	if err == nil && (r.Store != s.storeID() || r.Zone != z.name) {
		err = fmt.Errorf("%s is zone %s of store %s, not zone %s of this one", z.dir, r.Zone, r.Store, z.name)
	}
	if err == nil {
		err = s.make(z)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		z.reason = err
		return nil
	}
	if stale(r, z) {
		z.since = 0
	}
	z.solid.Store(false) // it may be another file system now
	s.unsaved = true
	z.life.Add(1)
	z.reason = nil
	s.log.Info("zone is back", "zone", z.name, "folder", z.dir)
	return s.saveLocked()
}

func (s *zones) storeID() uuid.UUID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.Store
}

// probe finds out whether the folder of a zone that is in is still there. Files that are open would not tell.
func (s *zones) probe(z *zone) {
	life := z.life.Load()
	r, err := readZones(s.fs, z.dir)
	if err == nil && r.Store != s.storeID() {
		err = fmt.Errorf("%s belongs to store %s", z.dir, r.Store)
	}
	if err != nil {
		s.fail(z, life, err)
	}
}

// caughtUp says that a zone has all that it had missed.
func (s *zones) caughtUp(z *zone, life uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !z.usable(life) || z.whole {
		return nil
	}
	z.whole = true
	s.unsaved = true
	s.log.Info("zone has caught up", "zone", z.name)
	return s.saveLocked()
}

// completeBefore says that nothing will be written any more to the segments of a lineage's log before a position.
func (t *segmentTable) completeBefore(lineage uint64, pos position) {
	z := t.shelf.zones
	if z == nil {
		return
	}
	for _, n := range z.underWay() {
		t.mu.Lock()
		s := t.segs[n]
		done := s != nil && s.lineage == lineage && s.kind == kindLog && n < pos.seg()
		t.mu.Unlock()
		if done {
			z.completed(n)
		}
	}
}

func (s *zones) underWay() []uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.writing))
}
