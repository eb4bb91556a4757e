package lsd

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"tintype/internal/vfs"
)

// Stray is a file, or a folder with all that is in it, that the store does not need.
type Stray struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	Why   string `json:"why"`
}

// Why a file is not needed.
const (
	strayDead    = "no disk or snapshot needs this segment any more: the next start removes it"
	strayNew     = "it was being written when the server ended"
	strayUnknown = "nothing of the store's is called that"
	// straySetAside is of the folder that mirror.restore leaves.
	straySetAside = "metadata that was damaged, set aside when a zone's copy of it took its place"
)

// metaNames are the names that Pebble gives. Which of its tables count it knows itself, and removes the others at each start.
var metaNames = regexp.MustCompile(`^(\d+\.(sst|log|blob)|MANIFEST-\d+|OPTIONS-\d+|marker\..*|CURRENT|LOCK)$`)

// Strays lists what lies in the store's folders, as they are in a file system, and is not needed: by path, nothing is deleted. The store
// may be a copy of them. Zones that are out are not looked at.
func (s *Store) Strays(fsys vfs.FS) ([]Stray, error) {
	l := &strayList{fs: fsys, segs: map[uint32]bool{}}
	t := s.segments
	t.mu.Lock()
	for n := range t.segs {
		l.segs[n] = true
	}
	for _, spare := range t.spares {
		l.segs[spare.number] = true
	}
	t.mu.Unlock()
	l.folder(s.dir)
	if s.zones != nil {
		for _, z := range s.zones.all {
			if z.in() {
				l.folder(z.dir)
			}
		}
	}
	slices.SortFunc(l.all, func(a, b Stray) int { return cmp.Compare(a.Path, b.Path) })
	return l.all, l.err
}

// strayList is what was found so far.
type strayList struct {
	fs   vfs.FS
	segs map[uint32]bool
	all  []Stray
	err  error
}

// folder looks through that of the store, or of a zone.
func (l *strayList) folder(dir string) {
	for _, name := range l.list(dir) {
		switch name {
		case "LOCK", "zones.json", keyFileName, keyFileCopy, sealName, rebuilding, "lost+found":
		case "segments":
			l.segments(path.Join(dir, name))
		case "meta":
			for _, file := range l.list(path.Join(dir, name)) {
				if !metaNames.MatchString(file) {
					l.add(path.Join(dir, name, file), whyUnknown(file))
				}
			}
		case "meta.bad":
			l.add(path.Join(dir, name), straySetAside)
		default:
			l.add(path.Join(dir, name), whyUnknown(name))
		}
	}
}

func (l *strayList) segments(dir string) {
	for _, name := range l.list(dir) {
		n, ok := segmentNumber(name)
		switch {
		case !ok:
			l.add(path.Join(dir, name), whyUnknown(name))
		case !l.segs[n]:
			l.add(path.Join(dir, name), strayDead)
		}
	}
}

func whyUnknown(name string) string {
	for _, unfinished := range []string{".new", partSuffix, ".dbtmp"} {
		if strings.HasSuffix(name, unfinished) {
			return strayNew
		}
	}
	return strayUnknown
}

func (l *strayList) list(dir string) []string {
	names, err := l.fs.List(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		l.err = errors.Join(l.err, err)
	}
	return names
}

func (l *strayList) add(name, why string) {
	l.all = append(l.all, Stray{Path: name, Bytes: l.size(name), Why: why})
}

// size is that of a file, or of what a folder holds as far as it may be looked at: it need not be the store's.
func (l *strayList) size(name string) int64 {
	info, err := l.fs.Stat(name)
	if err == nil && !info.IsDir {
		return info.Size
	}
	var names []string
	if err == nil {
		names, err = l.fs.List(name)
	}
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) {
		l.err = errors.Join(l.err, err)
	}
	sum := int64(0)
	for _, inside := range names {
		sum += l.size(path.Join(name, inside))
	}
	return sum
}
