package lsd

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
)

// lostVersion is a page version that the index names and that is not there.
type lostVersion struct {
	Lineage uint64 `json:"lineage"`
	Epoch   uint64 `json:"epoch"`
	Page    uint32 `json:"page"`
}

// lostVersions are those that are known. What they hid is older data: it is not shown in their place.
type lostVersions struct {
	any      atomic.Bool
	restored atomic.Int64 // index entries that were missing and were made again

	mu  sync.Mutex
	all map[lostVersion]struct{}
}

func (l *lostVersions) set(all []lostVersion) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = map[lostVersion]struct{}{}
	for _, v := range all {
		l.all[v] = struct{}{}
	}
	l.any.Store(len(l.all) > 0)
}

func (l *lostVersions) add(v lostVersion) (added bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[lostVersion]struct{}{}
	}
	_, known := l.all[v]
	l.all[v] = struct{}{}
	l.any.Store(true)
	return !known
}

// forget drops what nobody needs any more.
func (l *lostVersions) forget(gone func(lostVersion) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.all, func(v lostVersion, _ struct{}) bool { return gone(v) })
	l.any.Store(len(l.all) > 0)
}

func (l *lostVersions) list() []lostVersion {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []lostVersion
	for v := range l.all {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b lostVersion) int {
		return cmp.Or(cmp.Compare(a.Lineage, b.Lineage), cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Page, b.Page))
	})
	return all
}

// hides tells whether a version of the page was lost that is newer than one epoch and not newer than another.
func (l *lostVersions) hides(lineage uint64, page uint32, newer, upTo uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for v := range l.all {
		if v.Lineage == lineage && v.Page == page && v.Epoch > newer && v.Epoch <= upTo {
			return true
		}
	}
	return false
}

var errLost = fmt.Errorf("%s: %w", causeLost, block.ErrDamaged)

// notHidden walks the line as lookupDurable does, and is an error when a version that is lost would have come first.
func (s *Store) notHidden(it *pebble.Iterator, l *lineage, epoch uint64, page uint32, stop *lineage) error {
	for a, e := l, epoch; a != nil && a != stop; a, e = a.parent, a.parentEpoch {
		id, ok, err := seekVersion(it, a.id, page, e)
		if err != nil {
			return err
		}
		found := ok && id.lineage == a.id && id.page == page
		newer := uint64(0)
		if found {
			newer = id.epoch
		}
		if s.lost.hides(a.id, page, newer, e) {
			return fmt.Errorf("lineage %d page %d: %w", a.id, page, errLost)
		}
		if found {
			return nil
		}
	}
	return nil
}

// restoreIndex makes the index entry of a version that has none: without it the version would never be freed, and not be told
// of as a difference.
func (s *Store) restoreIndex(snap *pebble.Snapshot, id versionID) error {
	has := func(get func([]byte) ([]byte, interface{ Close() error }, error), key []byte) (bool, error) {
		_, closer, err := get(key)
		if err == nil {
			return true, closer.Close()
		}
		if errors.Is(err, pebble.ErrNotFound) {
			return false, nil
		}
		if metaError(err) != err {
			return true, nil // damaged: nothing is known, and the check tells of it
		}
		return false, err
	}
	inSnap := func(k []byte) ([]byte, interface{ Close() error }, error) { return snap.Get(k) }
	if ok, err := has(inSnap, id.index()); ok || err != nil {
		return err
	}
	s.commits.Lock() // so that no version comes or goes
	defer s.commits.Unlock()
	now := func(k []byte) ([]byte, interface{ Close() error }, error) { return s.db.Get(k) }
	version, err := has(now, id.key())
	if err != nil || !version {
		return err
	}
	if indexed, err := has(now, id.index()); indexed || err != nil {
		return err
	}
	s.opt.Log.Error("a page version was not in the index, and is again", "lineage", id.lineage, "page", id.page, "epoch", id.epoch)
	s.lost.restored.Add(1)
	b := s.db.NewBatch()
	if err := b.Set(id.index(), nil, nil); err != nil {
		return errors.Join(err, b.Close())
	}
	return s.commitLazily(b)
}

// findAllLost looks for versions that are lost in all lineages.
func (s *Store) findAllLost() error {
	snap := s.db.NewSnapshot()
	defer snap.Close()
	it, err := snap.NewIter(nil)
	if err != nil {
		return err
	}
	for id, ok := s.lineageAfter(0); ok && err == nil; id, ok = s.lineageAfter(id) {
		err = s.findLost(snap, it, id)
	}
	return errors.Join(err, closeIterator(it))
}

// findLost looks for versions of a lineage that the index names and that are not there.
func (s *Store) findLost(snap *pebble.Snapshot, versions *pebble.Iterator, lineage uint64) error {
	it, err := snap.NewIter(&pebble.IterOptions{
		LowerBound: versionID{lineage: lineage}.index(), UpperBound: versionID{lineage: lineage + 1}.index(),
	})
	if err != nil {
		return err
	}
	missing := map[lostVersion]struct{}{}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		id, isIndex := parseIndexKey(it.Key())
		if !isIndex {
			continue
		}
		var found versionID
		found, ok, err = seekVersion(versions, id.lineage, id.page, id.epoch)
		if errors.Is(err, block.ErrDamaged) {
			err = nil // unreadable, not lost
			continue
		}
		if err == nil && (!ok || found != id) {
			v := lostVersion{Lineage: id.lineage, Epoch: id.epoch, Page: id.page}
			missing[v] = struct{}{}
			s.isLost(v)
		}
	}
	if err = errors.Join(err, closeIterator(it)); err == nil {
		s.lost.forget(func(v lostVersion) bool {
			_, still := missing[v]
			return v.Lineage == lineage && !still
		})
	}
	return err
}

// isLost notes a lost version, and drops what memory has of the page: it may be what the version hid.
func (s *Store) isLost(v lostVersion) {
	if !s.lost.add(v) {
		return
	}
	s.opt.Log.Error(causeLost, "lineage", v.Lineage, "page", v.Page, "epoch", v.Epoch)
	for _, d := range s.disks() {
		d.mu.Lock()
		if l := d.peek(v.Page); l != nil && !l.dirty {
			d.leaves.drop(v.Page)
		}
		d.mu.Unlock()
	}
}

// peek returns the leaf of a page that is in memory, or nil. The caller holds d.mu.
func (d *disk) peek(page uint32) *leaf {
	if int(page/dirLeaves) >= len(d.leaves.dirs) {
		return nil
	}
	return d.leaves.get(page)
}
