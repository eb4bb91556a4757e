package lsd

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sync"
	"syscall"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// keyTable holds the keys of all lineages, and keeps them wrapped in two files beside the segments. They are no part of
// Pebble's, so that a damaged Pebble takes no key along, and so that it is known which key is missing before anything is opened.
type keyTable struct {
	fs  vfs.FS
	dir string

	file  sync.Mutex // one change of the files at a time
	stale bool       // the files are not what lines says: the next change writes them anew

	mu    sync.Mutex
	ring  *KeyRing // nil: nothing is encrypted
	keys  map[uint64]dataKey
	lines map[uint64]keyLine
}

// loadKeys reads the keys of the store in dir. It changes nothing. A *KeyError says that keys are missing.
func loadKeys(fs vfs.FS, dir string, ring *KeyRing) (*keyTable, error) {
	t := &keyTable{fs: fs, dir: dir, ring: ring, keys: map[uint64]dataKey{}, lines: map[uint64]keyLine{}}
	found, same, err := readKeyFiles(fs, dir)
	if err != nil {
		return nil, err
	}
	t.stale = !same
	missing := map[string]struct{}{}
	for _, lineage := range slices.Sorted(maps.Keys(found)) {
		if err := t.unlock(lineage, found[lineage], missing); err != nil {
			return nil, err
		}
	}
	if len(missing) > 0 {
		return nil, &KeyError{Needed: slices.Sorted(maps.Keys(missing)), Given: ring.ids()}
	}
	return t, nil
}

// unlock unwraps a lineage's key from the first of its lines whose key is there.
func (t *keyTable) unlock(lineage uint64, lines []keyLine, missing map[string]struct{}) error {
	var failed error
	for _, l := range lines {
		k, ok := t.ring.find(l.id)
		if !ok {
			continue
		}
		key, err := k.unwrap(lineage, l.wrapped)
		if err == nil {
			t.keys[lineage], t.lines[lineage] = key, l
			return nil
		}
		failed = fmt.Errorf("lineage %d: %w: %w", lineage, err, block.ErrDamaged)
	}
	if failed == nil {
		missing[lines[0].id] = struct{}{}
	}
	return failed
}

// NeededKeys lists the ids of the keys without which the store in dir cannot be opened: none for one that is new, or holds
// nothing that is encrypted. While keys are being changed there may be two, either of which is enough.
func NeededKeys(fs vfs.FS, dir string) ([]string, error) {
	found, _, err := readKeyFiles(fs, dir)
	ids := map[string]struct{}{}
	for _, lines := range found {
		for _, l := range lines {
			ids[l.id] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(ids)), err
}

// readKeyFiles reads both files and joins what holds in them, by lineage. same tells that both are whole and equal.
func readKeyFiles(fs vfs.FS, dir string) (found map[uint64][]keyLine, same bool, err error) {
	found, same = map[uint64][]keyLine{}, true
	var texts [][]byte
	for _, name := range []string{keyFileName, keyFileCopy} {
		text, err := readWhole(fs, path.Join(dir, name))
		if err != nil {
			return nil, false, err
		}
		texts = append(texts, text)
		lines, whole, err := parseKeyFile(text)
		if err != nil {
			return nil, false, err
		}
		same = same && whole
		for _, l := range lines {
			found[l.lineage] = append(found[l.lineage], l)
		}
	}
	return found, same && bytes.Equal(texts[0], texts[1]), nil
}

// readWhole returns a file's bytes, none where there is no file.
func readWhole(fsys vfs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err == nil && size > maxKeyFile {
		err = fmt.Errorf("%s has %d bytes", name, size)
	}
	if err != nil || size == 0 {
		return nil, errors.Join(err, f.Close())
	}
	p := make([]byte, size)
	_, err = f.ReadAt(p, 0)
	return p, errors.Join(err, f.Close())
}

func (t *keyTable) encrypts() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ring != nil
}

// current is the id of the key that wraps what is new, or nothing.
func (t *keyTable) current() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ring == nil {
		return ""
	}
	return t.ring.Current.ID()
}

func (t *keyTable) get(lineage uint64) (dataKey, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.keys[lineage]
	return k, ok
}

// make draws a lineage's key. It is durable, in both files, when make returns nil; before, nothing is encrypted with it.
func (t *keyTable) make(lineage uint64) error {
	t.file.Lock()
	defer t.file.Unlock()
	if _, ok := t.get(lineage); ok {
		return nil
	}
	var key dataKey
	rand.Read(key[:]) // never fails: it ends the program instead
	t.mu.Lock()
	ring, lines := t.ring, maps.Clone(t.lines)
	t.mu.Unlock()
	l, err := newKeyLine(ring.Current, lineage, &key)
	if err != nil {
		return err
	}
	lines[lineage] = l
	if t.stale {
		err = t.rewrite(lines)
	} else {
		err = t.append(l)
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys[lineage], t.lines[lineage] = key, l
	return nil
}

func newKeyLine(k Key, lineage uint64, key *dataKey) (keyLine, error) {
	wrapped, err := k.wrap(lineage, key)
	return keyLine{lineage: lineage, id: k.ID(), wrapped: wrapped}, err
}

// append adds a line to both files. After a failure their ends are in doubt, and the next change writes them anew. The caller
// holds t.file, as it does for rewrite.
func (t *keyTable) append(l keyLine) error {
	t.stale = true
	for _, name := range []string{keyFileName, keyFileCopy} {
		f, err := t.fs.OpenReadWrite(path.Join(t.dir, name))
		if err != nil {
			return err
		}
		size, err := f.Size()
		if err == nil {
			_, err = f.WriteAt([]byte(l.String()), size)
		}
		if err == nil {
			err = f.SyncData()
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	t.stale = false
	return nil
}

// rewrite replaces both files, one after the other, each as a whole.
func (t *keyTable) rewrite(lines map[uint64]keyLine) error {
	t.stale = true
	text := []byte(keyFileFirst + "\n")
	for _, l := range slices.SortedFunc(maps.Values(lines), func(a, b keyLine) int { return cmp.Compare(a.lineage, b.lineage) }) {
		text = append(text, l.String()...)
	}
	for _, name := range []string{keyFileName, keyFileCopy} {
		if err := replaceFile(t.fs, path.Join(t.dir, name), text); err != nil {
			return err
		}
	}
	t.stale = false
	return nil
}

const keyTrouble = "files of keys"

// tidyKeys brings the files of keys up to date. A store that has lost both is not opened: it would seem to be damaged all over.
func (s *Store) tidyKeys() error {
	sealed, needed := map[uint64]bool{}, 0
	for _, seg := range s.segments.segs {
		if seg.scheme == schemeNone || sealed[seg.lineage] {
			continue
		}
		sealed[seg.lineage] = true
		if s.lineages[seg.lineage] != nil { // a zone that was away may have kept segments of others
			needed++
		}
	}
	if needed > 0 && len(s.keys.keys) == 0 {
		return fmt.Errorf("%s and %s are missing, and %d disks are encrypted: %w", keyFileName, keyFileCopy, needed, block.ErrDamaged)
	}
	err := s.keys.tidy(func(lineage uint64) bool { return sealed[lineage] || s.lineages[lineage] != nil })
	if errors.Is(err, syscall.ENOSPC) { // a full store has to open, so that something can be deleted
		s.troubles.set(keyTrouble, spaceError(err))
		return nil
	}
	return err
}

// tidy brings the files up to date at a start: damaged lines are written again from the other file, keys of lineages that
// nothing needs are dropped, and what another key wrapped is wrapped by the current one.
func (t *keyTable) tidy(needed func(lineage uint64) bool) error {
	t.file.Lock()
	defer t.file.Unlock()
	if len(t.lines) == 0 {
		return nil
	}
	lines := maps.Clone(t.lines)
	maps.DeleteFunc(lines, func(lineage uint64, _ keyLine) bool { return !needed(lineage) })
	return t.rewrap(KeyRing{Current: t.ring.Current}, lines)
}

// rewrap wraps the keys of lines by ring's current key. The caller holds t.file.
func (t *keyTable) rewrap(ring KeyRing, lines map[uint64]keyLine) error {
	id := ring.Current.ID()
	keys, changed := map[uint64]dataKey{}, t.stale || len(lines) != len(t.lines)
	for lineage, l := range lines {
		key, _ := t.get(lineage)
		keys[lineage] = key
		if l.id == id {
			continue
		}
		changed = true
		l, err := newKeyLine(ring.Current, lineage, &key)
		if err != nil {
			return err
		}
		lines[lineage] = l
	}
	if changed {
		if err := t.rewrite(lines); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ring, t.keys, t.lines = &ring, keys, lines
	return nil
}

var errPlainStore = errors.New("the store was opened without keys")

// Rewrap wraps the key of every disk by the current key of a ring; no block is written again. When it returns nil the store
// needs no other key any more. After an error, or a crash, it may need the keys that it was opened with or the new one: keep
// both until Rewrap has succeeded. Open does the same of itself, but does not fail where only space is missing.
func (s *Store) Rewrap(ring KeyRing) error {
	if err := s.requests.enter(); err != nil {
		return err
	}
	defer s.requests.leave()
	t := s.keys
	t.file.Lock()
	defer t.file.Unlock()
	if !t.encrypts() {
		return errPlainStore
	}
	t.mu.Lock()
	lines := maps.Clone(t.lines)
	t.mu.Unlock()
	if len(lines) == 0 { // there need be no file
		t.mu.Lock()
		defer t.mu.Unlock()
		t.ring = &ring
		return nil
	}
	if err := t.rewrap(ring, lines); err != nil {
		return spaceError(err)
	}
	s.troubles.set(keyTrouble, nil)
	return nil
}
