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

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// keyTable holds the keys of all lineages, and keeps them wrapped in two files beside the segments. They are no part of
// Pebble's, so that a damaged Pebble takes no key along, and so that it is known which key is missing before anything is opened.
//
// A lineage's key is wrapped once for each key that a volume is under which reads the lineage: any of them opens it.
type keyTable struct {
	fs  vfs.FS
	dir string

	file  sync.Mutex // one change of the files at a time
	stale bool       // the files are not what lines says: the next change writes them anew

	mu        sync.Mutex
	ring      *KeyRing       // nil: nothing is encrypted
	customers map[string]Key // by id
	keys      map[uint64]dataKey
	lines     map[uint64][]keyLine // the platform's first, then by id
}

// loadKeys reads the keys of the store in dir. It changes nothing. A *KeyError says that keys of the platform are missing.
func loadKeys(fs vfs.FS, dir string, ring *KeyRing) (*keyTable, error) {
	t := &keyTable{fs: fs, dir: dir, ring: ring, customers: map[string]Key{}, keys: map[uint64]dataKey{}, lines: map[uint64][]keyLine{}}
	if ring != nil {
		for _, k := range ring.Customers {
			t.customers[k.ID()] = k
		}
	}
	found, same, err := readKeyFiles(fs, dir)
	if err != nil {
		return nil, err
	}
	t.stale = !same
	missing := map[string]struct{}{}
	for _, lineage := range slices.Sorted(maps.Keys(found)) {
		if err := t.load(lineage, found[lineage], missing); err != nil {
			return nil, err
		}
	}
	if len(missing) > 0 {
		return nil, &KeyError{Needed: slices.Sorted(maps.Keys(missing)), Given: ring.ids()}
	}
	return t, nil
}

// find returns the key with a line's id. The caller holds t.mu, or has the table for itself.
func (t *keyTable) find(l keyLine) (Key, bool) {
	if l.customer {
		k, ok := t.customers[l.id]
		return k, ok
	}
	return t.ring.find(l.id)
}

// load takes over a lineage's lines and unwraps its key. Of the platform's lines, which are two when a change of its key was
// interrupted, the first that opens is enough; of a customer's there is one for each key.
func (t *keyTable) load(lineage uint64, found []keyLine, missing map[string]struct{}) error {
	var kept []keyLine
	var failed error
	for _, l := range found {
		at := slices.IndexFunc(kept, func(k keyLine) bool { return k.customer == l.customer && (!l.customer || k.id == l.id) })
		if at >= 0 && t.opens(kept[at]) == nil {
			continue
		}
		err := t.opens(l)
		switch {
		case err != nil && !errors.Is(err, block.ErrLocked):
			failed = err
		case at < 0:
			kept = append(kept, l)
		case err == nil:
			kept[at] = l
		}
	}
	for _, l := range kept {
		if k, ok := t.find(l); ok {
			t.keys[lineage], _ = k.unwrap(lineage, l.wrapped)
		} else if !l.customer || t.ring == nil {
			missing[l.id] = struct{}{}
		}
	}
	if len(kept) == 0 {
		return failed
	}
	slices.SortFunc(kept, compareLines)
	t.lines[lineage] = kept
	return nil
}

// opens tells whether a line's key is there, ErrLocked where not, and opens it.
func (t *keyTable) opens(l keyLine) error {
	k, ok := t.find(l)
	if !ok {
		return block.ErrLocked
	}
	if _, err := k.unwrap(l.lineage, l.wrapped); err != nil {
		return fmt.Errorf("lineage %d: %w: %w", l.lineage, err, block.ErrDamaged)
	}
	return nil
}

func compareLines(a, b keyLine) int {
	return cmp.Or(cmp.Compare(a.lineage, b.lineage), -cmp.Compare(a.owner(), b.owner()), cmp.Compare(a.id, b.id))
}

// NeededKeys lists the ids of the platform's keys without which the store in dir cannot be opened: none for one that is new, or
// holds nothing that they encrypt. While keys are being changed there may be two, either of which is enough.
func NeededKeys(fs vfs.FS, dir string) ([]string, error) {
	found, _, err := readKeyFiles(fs, dir)
	ids := map[string]struct{}{}
	for _, lines := range found {
		for _, l := range lines {
			if !l.customer {
				ids[l.id] = struct{}{}
			}
		}
	}
	return slices.Sorted(maps.Keys(ids)), err
}

// readKeyFiles reads both files and joins what holds in them, by lineage. same tells that both are whole and equal.
func readKeyFiles(fs vfs.FS, dir string) (found map[uint64][]keyLine, same bool, err error) {
	found, same = map[uint64][]keyLine{}, true
	var texts [][]byte
	var strange []error // of another version; where the other file is whole, damage looks like one
	sound := false
	for _, name := range []string{keyFileName, keyFileCopy} {
		text, err := readWhole(fs, path.Join(dir, name))
		if err != nil {
			return nil, false, err
		}
		texts = append(texts, text)
		lines, whole, err := parseKeyFile(text)
		if err != nil {
			strange = append(strange, err)
		}
		same, sound = same && whole, sound || whole
		for _, l := range lines {
			found[l.lineage] = append(found[l.lineage], l)
		}
	}
	if len(strange) > 0 && !sound {
		return nil, false, strange[0]
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

// make draws a lineage's key, for volumes under the keys that wants says. It is durable, in both files, when make returns nil;
// before, nothing is encrypted with it.
func (t *keyTable) make(lineage uint64, wants func() keySet) error {
	t.file.Lock()
	defer t.file.Unlock()
	if _, ok := t.get(lineage); ok {
		return nil
	}
	var key dataKey
	rand.Read(key[:]) // never fails: it ends the program instead
	want := wants()
	t.mu.Lock()
	lines, err := t.wrapFor(t.ring, lineage, nil, want, &key)
	all := maps.Clone(t.lines)
	t.mu.Unlock()
	if err == nil && len(lines) == 0 {
		err = block.ErrLocked
	}
	if err != nil {
		return err
	}
	all[lineage] = lines
	if t.stale {
		err = t.rewrite(all)
	} else {
		err = t.append(lines)
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys[lineage], t.lines[lineage] = key, lines
	return nil
}

func newKeyLine(k Key, lineage uint64, customer bool, key *dataKey) (keyLine, error) {
	wrapped, err := k.wrap(lineage, key)
	return keyLine{lineage: lineage, customer: customer, id: k.ID(), wrapped: wrapped}, err
}

// append adds lines to both files. After a failure their ends are in doubt, and the next change writes them anew. The caller
// holds t.file, as it does for rewrite.
func (t *keyTable) append(lines []keyLine) error {
	t.stale = true
	text := ""
	for _, l := range lines {
		text += l.String()
	}
	for _, name := range []string{keyFileName, keyFileCopy} {
		f, err := t.fs.OpenReadWrite(path.Join(t.dir, name))
		if err != nil {
			return err
		}
		size, err := f.Size()
		if err == nil {
			_, err = f.WriteAt([]byte(text), size)
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
func (t *keyTable) rewrite(lines map[uint64][]keyLine) error {
	t.stale = true
	text := []byte(keyFileFirst + "\n")
	for _, lineage := range slices.Sorted(maps.Keys(lines)) {
		for _, l := range lines[lineage] {
			text = append(text, l.String()...)
		}
	}
	for _, name := range []string{keyFileName, keyFileCopy} {
		if err := replaceFile(t.fs, path.Join(t.dir, name), text); err != nil {
			return err
		}
	}
	t.stale = false
	return nil
}
