package lsd

import "errors"

// ground is what Pebble has below a new version of a page.
type ground struct {
	own   *content // the version that the new one supersedes, or nil
	ownID versionID
	was   content // what the page was before, own or inherited
	base  *stored // the last whole page of the lineage that stays, or nil
	depth int     // how many differences to it stay
}

// ground reads it. An owner has at most one version of a page; where it is of the disk's own lineage it is the newest there.
func (w *versionWriter) ground(page uint32, o owner) (g ground, err error) {
	id, ok, err := seekVersion(w.it, w.lin.id, page, headEpoch)
	if err != nil {
		return g, err
	}
	switch ok = ok && id.lineage == w.lin.id && id.page == page; {
	case !ok: // but in a lineage that this one continues, if nothing else does
		id, ok, err := find(w.it, o.pieces[1:], page)
		if err != nil {
			return g, err
		}
		if !ok {
			g.was, err = w.inherited(page)
			return g, err
		}
		g.was, err = versionAt(w.it)
		g.own, g.ownID = &g.was, id
		return g, err
	case id.epoch <= o.pieces[0].lo:
		g.was, err = w.floor(&g)
		return g, err
	}
	g.ownID = id
	v, err := storedAt(w.it)
	if err != nil {
		return g, err
	}
	if !v.whole {
		g.was, err = w.floor(&g)
		g.own = &g.was
		g.depth-- // that was the one that goes
		return g, err
	}
	g.was, g.own = v.content, &v.content
	if w.it.Next() {
		if below, ok := parseVersionKey(w.it.Key()); ok && below.lineage == id.lineage && below.page == page {
			_, err = w.floor(&g)
		}
	}
	return g, errors.Join(err, metaError(w.it.Error()))
}

// inherited is what a clone began with: what it continues may still have that in memory.
func (w *versionWriter) inherited(page uint32) (content, error) {
	l, epoch := w.lin.parent, w.lin.parentEpoch
	if l == nil {
		return content{}, nil
	}
	c, lin := inMemory(l, epoch, page)
	if lin == l {
		return c, nil
	}
	return lookupDurable(w.it, l, epoch, page, lin, c)
}

// floor reads the version at the iterator, and finds what it is based on.
func (w *versionWriter) floor(g *ground) (content, error) {
	v, err := storedAt(w.it)
	if err != nil {
		return content{}, err
	}
	g.base, g.depth = &v, 0
	if !v.whole {
		base, steps, err := baseAt(w.it)
		if err != nil {
			return content{}, err
		}
		g.base, g.depth = &base, steps
	}
	return v.over(g.base)
}
