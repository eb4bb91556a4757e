package lsd

import "errors"

// ground is what Pebble has below a new version of a page.
type ground struct {
	own   *content // the version that the new one supersedes, or nil
	ownID versionID
	base  *content // the last whole page of the lineage that stays, or nil
	depth int      // how many differences to it stay
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
		if err != nil || !ok {
			return g, err
		}
		own, err := versionAt(w.it)
		g.own, g.ownID = &own, id
		return g, err
	case id.epoch <= o.pieces[0].lo:
		_, err = w.floor(&g)
		return g, err
	}
	g.ownID = id
	v, err := storedAt(w.it)
	if err != nil {
		return g, err
	}
	if !v.whole {
		own, err := w.floor(&g)
		g.own = &own
		g.depth-- // that was the one that goes
		return g, err
	}
	g.own = &v.content
	if w.it.Next() {
		if below, ok := parseVersionKey(w.it.Key()); ok && below.lineage == id.lineage && below.page == page {
			_, err = w.floor(&g)
		}
	}
	return g, errors.Join(err, metaError(w.it.Error()))
}

// floor reads the version at the iterator, and finds what it is based on.
func (w *versionWriter) floor(g *ground) (content, error) {
	v, err := storedAt(w.it)
	if err != nil {
		return content{}, err
	}
	g.base, g.depth = &v.content, 0
	if !v.whole {
		base, steps, err := baseAt(w.it)
		if err != nil {
			return content{}, err
		}
		g.base, g.depth = &base, steps
	}
	return v.over(g.base), nil
}
