package crashfs

import (
	"maps"
	"math"
	"slices"
)

// node is a file or a directory, under any number of names.
type node struct {
	id      uint64 // from the name it was created under
	links   int    // names, of those that the living machine sees
	handles int

	entries map[string]*node // a directory's, as the machine sees it; nil: a file
	durable map[string]*node // a directory's, as they are on the disk

	content // a file's
}

func newDir(id uint64) *node {
	return &node{id: id, entries: map[string]*node{}, durable: map[string]*node{}}
}

func newFile(id uint64) *node {
	return &node{id: id, content: content{
		pages: map[int64]*page{}, taken: map[int64]uint64{},
	}}
}

func (n *node) isDir() bool { return n.entries != nil }

// cut makes n and all below it what the disk has.
func (n *node) cut(lot uint64, done map[*node]bool) {
	if done[n] {
		return
	}
	done[n] = true
	if !n.isDir() {
		n.content.cut(mix(lot, n.id))
		return
	}
	n.entries = maps.Clone(n.durable)
	for _, child := range n.entries {
		child.cut(lot, done)
	}
}

// forgetHandles counts names and room anew, below n.
func (n *node) forgetHandles(done map[*node]bool, used *int64) {
	for _, child := range n.entries {
		if done[child] {
			child.links++
			continue
		}
		done[child] = true
		child.links, child.handles = 1, 0
		*used += child.content.room()
		child.forgetHandles(done, used)
	}
}

// A change of directories is kept or lost as one.
type change struct {
	entries []entry
	after   bool // Kept only when all earlier ones are.
}

// entry says that name in dir means node now; nil: nothing.
type entry struct {
	dir  *node
	name string
	node *node
}

func (c change) apply() {
	for _, e := range c.entries {
		if e.node == nil {
			delete(e.dir.durable, e.name)
		} else {
			e.dir.durable[e.name] = e.node
		}
	}
}

// dirs returns the directories that c changes, each once.
func (c change) dirs() []*node {
	var dirs []*node
	for _, e := range c.entries {
		if !slices.Contains(dirs, e.dir) {
			dirs = append(dirs, e.dir)
		}
	}
	return dirs
}

func (c change) any(test func(entry) bool) bool {
	for _, e := range c.entries {
		if test(e) {
			return true
		}
	}
	return false
}

// set makes changes that the machine sees at once.
func (d *disk) set(c change) {
	for _, e := range c.entries { // New names first: a renamed file keeps its room.
		if e.node != nil {
			e.node.links++
		}
	}
	for _, e := range c.entries {
		if was := e.dir.entries[e.name]; was != nil {
			was.links--
			d.release(was)
		}
		if e.node == nil {
			delete(e.dir.entries, e.name)
		} else {
			e.dir.entries[e.name] = e.node
		}
	}
	d.pending = append(d.pending, c)
}

// release frees the room of a file that has no name and no handle.
func (d *disk) release(n *node) {
	if n.links == 0 && n.handles == 0 {
		d.used -= n.content.room()
	}
}

// syncDir applies the pending changes in dir, and those that precede them.
func (d *disk) syncDir(dir *node) {
	needed := map[*node]bool{dir: true}
	apply := make([]bool, len(d.pending))
	all := false
	for i := len(d.pending) - 1; i >= 0; i-- {
		c := d.pending[i]
		apply[i] = all || c.any(func(e entry) bool { return needed[e.dir] })
		if !apply[i] {
			continue
		}
		all = all || c.after
		for _, e := range c.entries {
			needed[e.dir] = true
		}
	}
	kept := d.pending[:0:0]
	for i, c := range d.pending {
		if apply[i] {
			c.apply()
		} else {
			kept = append(kept, c)
		}
	}
	d.pending = kept
}

// cutDirectories decides which pending changes reached the disk. Either it draws
// one length for all, or one for each directory.
func (d *disk) cutDirectories(lot uint64) {
	lot = mix(lot, math.MaxUint64)
	lengths := map[*node]int{}
	for _, c := range d.pending {
		for _, dir := range c.dirs() {
			lengths[dir]++
		}
	}
	for dir, n := range lengths {
		lengths[dir] = int(mix(lot, dir.id) % uint64(n+1))
	}
	prefix := int(mix(lot) % uint64(len(d.pending)+1))
	together := lot&1 == 0
	lost := map[*node]bool{}
	for i, c := range d.pending {
		keep := !together || i < prefix
		for _, dir := range c.dirs() {
			lengths[dir]--
			keep = keep && !lost[dir] && (together || lengths[dir] >= 0)
		}
		if keep && !(c.after && len(lost) > 0) {
			c.apply()
			continue
		}
		for _, dir := range c.dirs() {
			lost[dir] = true
		}
	}
	d.pending = nil
}
