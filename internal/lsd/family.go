package lsd

// kin is a node in the tree of all that have history in common, as the tree was at one moment.
type kin struct {
	n      *node
	names  int  // snapshots that it is, or the disk
	up     *kin // nil for the first of a history
	kids   []*kin
	pieces []piece
	start  position // blocks at or after it were born in the node, or in one that continues it
}

// family lists the nodes related to a lineage, parents before kids. The caller holds s.mu.
func (l *lineage) family() []*kin {
	for l.parent != nil {
		l = l.parent
	}
	var all []*kin
	of := map[*node]*kin{}
	for todo := []*lineage{l}; len(todo) > 0; todo = append(todo[1:], todo[0].children...) {
		l := todo[0]
		nodes := append([]*node(nil), l.nodes...)
		if !l.drained {
			nodes = append(nodes, l.headNode())
		}
		for _, n := range nodes {
			k := &kin{n: n, names: n.names}
			if n.epoch == headEpoch && l.head {
				k.names = 1
			}
			k.pieces, k.start = n.owns()
			if k.up = of[n.parent()]; k.up != nil {
				k.up.kids = append(k.up.kids, k)
			}
			of[n] = k
			all = append(all, k)
		}
	}
	return all
}

// staying tells which nodes are left when reclaiming has done its work: those with a name, and those at which what is left
// branches.
func staying(all []*kin, named func(*kin) bool) map[*kin]bool {
	stays, branches := map[*kin]bool{}, map[*kin]int{}
	for i := len(all) - 1; i >= 0; i-- { // kids before parents
		k := all[i]
		if named(k) || branches[k] > 1 {
			stays[k] = true
		}
		if (stays[k] || branches[k] > 0) && k.up != nil {
			branches[k.up]++
		}
	}
	return stays
}

// parts groups the nodes that do not stay into those connected with one another, each group's first one on top.
func parts(all []*kin, stays map[*kin]bool) [][]*kin {
	var groups [][]*kin
	at := map[*kin]int{}
	for _, k := range all {
		if stays[k] {
			continue
		}
		i, ok := at[k.up]
		if !ok {
			i = len(groups)
			groups = append(groups, nil)
		}
		at[k] = i
		groups[i] = append(groups[i], k)
	}
	return groups
}
