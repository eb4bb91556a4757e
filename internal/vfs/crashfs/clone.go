package crashfs

import (
	"maps"
	"slices"
)

// clone copies a disk with its page cache. Blocks are shared, so it costs a few
// words a page.
func (d *disk) clone() *disk {
	c := cloner{}
	out := *d
	out.root = c.node(d.root)
	out.created = maps.Clone(d.created)
	out.locks = map[*node]bool{}
	out.pending = make([]change, len(d.pending))
	for i, p := range d.pending {
		out.pending[i].after = p.after
		for _, e := range p.entries {
			e.dir, e.node = c.node(e.dir), c.node(e.node)
			out.pending[i].entries = append(out.pending[i].entries, e)
		}
	}
	return &out
}

// cloner maps what exists to its copy.
type cloner map[*node]*node

func (c cloner) node(n *node) *node {
	if n == nil {
		return nil
	}
	if out := c[n]; out != nil {
		return out
	}
	out := &node{id: n.id, links: n.links, handles: n.handles}
	c[n] = out
	if n.isDir() {
		out.entries, out.durable = c.entries(n.entries), c.entries(n.durable)
	} else {
		out.content = n.content.clone()
	}
	return out
}

func (c cloner) entries(in map[string]*node) map[string]*node {
	out := make(map[string]*node, len(in))
	for name, n := range in {
		out[name] = c.node(n)
	}
	return out
}

func (c *content) clone() content {
	out := *c
	out.dirty, out.doubt = slices.Clone(c.dirty), slices.Clone(c.doubt)
	out.taken = maps.Clone(c.taken)
	out.pages = make(map[int64]*page, len(c.pages))
	copies := make([]page, len(c.pages))
	for index, pg := range c.pages {
		pg.now.share()
		pg.disk.share()
		copies[0] = *pg
		out.pages[index], copies = &copies[0], copies[1:]
	}
	return out
}

// share marks a block as never to be changed; one that is already may be in use
// under another disk's lock, and is left alone.
func (b *block) share() {
	if b != nil && !b.shared {
		b.shared = true
	}
}
