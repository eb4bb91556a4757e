package lsd

import "github.com/cockroachdb/pebble/v2"

// history reads the versions of one page after the other in the epochs of some nodes, each version once.
type history struct {
	it    *pebble.Iterator
	spans map[uint64]piece // by lineage, from the oldest epoch needed to the newest
	found map[uint64][]versionAtEpoch
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
		list := h.found[lineage][:0]
		for ok := h.it.SeekGE(versionKey(lineage, page, p.hi)); ok; ok = h.it.Next() {
			id, is := parseVersionKey(h.it.Key())
			if !is || id.lineage != lineage || id.page != page || id.epoch <= p.lo {
				break
			}
			c, err := versionAt(h.it)
			if err != nil {
				return err
			}
			list = append(list, versionAtEpoch{id.epoch, c})
		}
		h.found[lineage] = list
	}
	return h.it.Error()
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
