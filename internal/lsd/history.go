package lsd

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// history reads the versions of one page after the other in the epochs of some nodes, each version once.
type history struct {
	it    *pebble.Iterator
	spans map[uint64]piece // by lineage, from the oldest epoch needed to the newest
	found map[uint64][]versionAtEpoch
	raw   []stored
	seen  map[*content]struct{}
}

type versionAtEpoch struct {
	epoch uint64
	content
}

func newHistory(it *pebble.Iterator) *history {
	return &history{it: it, spans: map[uint64]piece{}, found: map[uint64][]versionAtEpoch{}, seen: map[*content]struct{}{}}
}

// cover adds pieces to what is read.
func (h *history) cover(pieces []piece) {
	for _, p := range pieces {
		if was, ok := h.spans[p.lineage]; ok {
			p.lo, p.hi = min(p.lo, was.lo), max(p.hi, was.hi)
		}
		h.spans[p.lineage] = p
	}
}

// load reads the versions of a page.
func (h *history) load(page uint32) error {
	for lineage, p := range h.spans {
		list, err := h.read(h.found[lineage][:0], versionID{lineage, p.hi, page}, p.lo)
		if err != nil {
			return err
		}
		h.found[lineage] = list
	}
	return metaError(h.it.Error())
}

// read adds the versions of a page from an epoch down to those after lo, and whole what they are based on.
func (h *history) read(list []versionAtEpoch, from versionID, lo uint64) ([]versionAtEpoch, error) {
	open := 0 // the first of the differences whose whole page has not come yet
	h.raw = h.raw[:0]
	for ok := h.it.SeekGE(from.key()); ok; ok = h.it.Next() {
		id, is := parseVersionKey(h.it.Key())
		if !is || id.lineage != from.lineage || id.page != from.page || id.epoch <= lo && open == len(h.raw) {
			break
		}
		v, err := storedAt(h.it)
		if err != nil {
			return list, err
		}
		h.raw = append(h.raw, v)
		if id.epoch > lo {
			list = append(list, versionAtEpoch{epoch: id.epoch})
		}
		for ; v.whole && open < len(h.raw); open++ {
			if open < len(list) {
				if list[open].content, err = h.raw[open].over(&v); err != nil {
					return list, err
				}
			}
		}
	}
	if open < len(h.raw) {
		return list, fmt.Errorf("lineage %d page %d: %w", from.lineage, from.page, errNoBase)
	}
	return list, metaError(h.it.Error())
}

// own is a node's own version of the page, or nil.
func (h *history) own(k *kin) *content {
	for _, p := range k.pieces {
		list := h.found[p.lineage]
		for i := range list { // newest first
			if list[i].epoch <= p.hi {
				if list[i].epoch > p.lo {
					return &list[i].content
				}
				break
			}
		}
	}
	return nil
}

// views yields what nodes see of the page, each content once, as far as it was written in top or in what continues it.
func (h *history) views(nodes []*kin, top *kin) []*content {
	clear(h.seen)
	var all []*content
	for _, k := range nodes {
		for ; k != nil && k != top.up; k = k.up {
			c := h.own(k)
			if c == nil {
				continue
			}
			if _, ok := h.seen[c]; !ok {
				h.seen[c] = struct{}{}
				all = append(all, c)
			}
			break
		}
	}
	return all
}
