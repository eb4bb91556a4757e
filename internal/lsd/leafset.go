package lsd

// dirLeaves is how many leaves a directory holds: 1 GiB of a disk.
const dirLeaves = 4096

type leafDir struct {
	leaves [dirLeaves]*leaf
	n      int
}

// What a leaf takes of memory, at most: itself, its place in a directory and 64 entries; and what a frozen version takes with its
// place in the lists of those.
const (
	entryBytes  = 12
	emptyLeaf   = 72
	leafBytes   = emptyLeaf + leafBlocks*entryBytes
	frozenBytes = 160 + leafBlocks*entryBytes
	dirBytes    = dirLeaves*8 + 8
)

// leafSet holds the leaves of one disk that are in memory, in directories so that a large empty range costs nothing to
// walk over.
type leafSet struct {
	dirs []*leafDir
	n    int
	ents int    // mapped blocks in all leaves
	used int    // directories
	hand uint32 // the directory that evictSome looks at next
}

// bytes is what the leaves take of memory.
func (s *leafSet) bytes() int64 {
	return int64(s.n)*emptyLeaf + int64(s.ents)*entryBytes + int64(s.used)*dirBytes
}

// resize makes room for pages [0, pages).
func (s *leafSet) resize(pages uint32) {
	want := int((uint64(pages) + dirLeaves - 1) / dirLeaves)
	for len(s.dirs) < want {
		s.dirs = append(s.dirs, nil)
	}
}

func (s *leafSet) get(page uint32) *leaf {
	if d := s.dirs[page/dirLeaves]; d != nil {
		return d.leaves[page%dirLeaves]
	}
	return nil
}

// find is get for a page that may lie behind the end.
func (s *leafSet) find(page uint32) *leaf {
	if int(page/dirLeaves) >= len(s.dirs) {
		return nil
	}
	return s.get(page)
}

func (s *leafSet) put(page uint32, l *leaf) {
	d := s.dirs[page/dirLeaves]
	if d == nil {
		d = new(leafDir)
		s.used++
		s.dirs[page/dirLeaves] = d
	}
	if d.leaves[page%dirLeaves] == nil {
		d.n++
		s.n++
		s.ents += l.count()
	}
	d.leaves[page%dirLeaves] = l
}

func (s *leafSet) drop(page uint32) {
	d := s.dirs[page/dirLeaves]
	if d == nil || d.leaves[page%dirLeaves] == nil {
		return
	}
	s.ents -= d.leaves[page%dirLeaves].count()
	d.leaves[page%dirLeaves] = nil
	d.n--
	s.n--
	if d.n == 0 {
		s.dirs[page/dirLeaves] = nil
		s.used--
	}
}

// each calls f for the leaves of pages [lo, hi] that are in memory, in order, until it returns false.
func (s *leafSet) each(lo, hi uint32, f func(uint32, *leaf) bool) {
	for i := lo / dirLeaves; int(i) < len(s.dirs) && i <= hi/dirLeaves; i++ {
		d := s.dirs[i]
		if d == nil {
			continue
		}
		for j, l := range d.leaves {
			page := i*dirLeaves + uint32(j)
			if l == nil || page < lo || page > hi {
				continue
			}
			if !f(page, l) {
				return
			}
		}
	}
}
