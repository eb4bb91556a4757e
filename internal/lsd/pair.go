package lsd

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// pagePair is what two points have of some pages, as of one moment: what is in memory, and an iterator of the rest.
type pagePair struct {
	store  *Store
	points [2]point
	pages  []uint32
	memory [2][]remembered
	it     *pebble.Iterator
}

// remembered is what memory has of a page at a point: the content, and the lineage of which it is; nil where it has nothing.
type remembered struct {
	lin *lineage
	content
}

// pairAt takes hold of two points. No compaction may come in between, which changes the places of blocks that did not change.
func (s *Store) pairAt(a, b point, pages []uint32) (*pagePair, error) {
	p := &pagePair{store: s, points: [2]point{a, b}, pages: pages}
	moves := s.moves.Load()
	err := p.take(s)
	if err == nil && (s.moving.Load() || s.moves.Load() != moves) {
		s.commits.Lock()
		defer s.commits.Unlock()
		err = errors.Join(p.it.Close(), p.take(s))
	}
	return p, err
}

// take reads memory first and asks Pebble after it: what leaves memory is there by then.
func (p *pagePair) take(s *Store) (err error) {
	for i, x := range p.points {
		p.memory[i] = make([]remembered, len(p.pages))
		for _, up := range x.line() {
			if d := up.lin.disk.Load(); d != nil {
				d.remember(p.memory[i], p.pages, up)
			}
		}
	}
	p.it, err = s.iterate(keyVersion)
	return err
}

// remember notes what memory has of pages, where none of those that continue the lineage had anything.
func (d *disk) remember(all []remembered, pages []uint32, x point) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.changed)+len(d.leaving)+d.nfrozen == 0 {
		return
	}
	for i, page := range pages {
		if all[i].lin != nil {
			continue
		}
		if c, ok := d.memoryLocked(page, x.epoch); ok {
			all[i] = remembered{x.lin, c}
		}
	}
}

// at reads the page with an index at both points.
func (p *pagePair) at(i int) (was, now content, err error) {
	older, newer := &p.memory[0][i], &p.memory[1][i]
	a, b := p.points[0], p.points[1]
	if !p.store.lost.any.Load() && older.lin == nil && newer.lin == nil && a.lin == b.lin && a.epoch <= b.epoch {
		was, now, found, err := p.along(p.pages[i])
		if err != nil || found {
			return was, now, err
		}
	}
	if now, err = p.single(newer, b, p.pages[i]); err == nil {
		was, err = p.single(older, a, p.pages[i])
	}
	return was, now, err
}

func (p *pagePair) single(m *remembered, x point, page uint32) (content, error) {
	if m.lin == x.lin {
		return m.content, nil
	}
	if p.store.lost.any.Load() {
		if err := p.store.notHidden(p.it, x.lin, x.epoch, page, m.lin); err != nil {
			return content{}, err
		}
	}
	return lookupDurable(p.it, x.lin, x.epoch, page, m.lin, m.content)
}

// fewSteps is how many keys are walked over before a seek, which costs about as much.
const fewSteps = 12

// along reads both versions on one way down the lineage. Found tells that both are there, and not too far apart.
func (p *pagePair) along(page uint32) (was, now content, found bool, err error) {
	lineage := p.points[0].lin.id
	if !p.advance(versionKey(lineage, page, p.points[1].epoch)) {
		return was, now, false, p.it.Error()
	}
	var open [2]*stored // what waits for the whole page that it is based on
	to := [2]*content{&was, &now}
	begun := [2]bool{}
	for range mostDifferences + fewSteps {
		id, ok := parseVersionKey(p.it.Key())
		if !ok || id.lineage != lineage || id.page != page {
			return was, now, false, nil
		}
		v, err := storedAt(p.it)
		if err != nil {
			return was, now, false, err
		}
		for j := range begun {
			if !begun[j] && id.epoch <= p.points[j].epoch {
				begun[j], open[j] = true, &v
			}
			if open[j] != nil && v.whole {
				if *to[j], err = open[j].over(&v); err != nil {
					return was, now, false, err
				}
				open[j] = nil
			}
		}
		if begun[0] && open[0] == nil && open[1] == nil {
			return was, now, true, nil
		}
		if !p.it.Next() {
			break
		}
	}
	return was, now, false, p.it.Error()
}

// advance moves to the first version at or after a key.
func (p *pagePair) advance(key []byte) bool {
	if p.it.Valid() && bytes.Compare(p.it.Key(), key) < 0 {
		for range fewSteps {
			if !p.it.Next() || bytes.Compare(p.it.Key(), key) >= 0 {
				return p.it.Valid()
			}
		}
	}
	return p.it.SeekGE(key)
}
