package lsd

import (
	"cmp"
	"slices"
	"sync/atomic"

	"tintype/internal/block"
)

// lineage is the history of one disk, a row of epochs. A clone's lineage continues its parent's at an epoch.
type lineage struct {
	id          uint64
	parent      *lineage
	parentEpoch uint64
	base        position
	disk        atomic.Pointer[disk] // nil once the head is deleted and drained
	zonal       atomic.Bool          // its log is written to the zones

	// Guarded by the store's mutex.
	head     bool // the disk exists
	drained  bool // the disk is gone and so is all that only its head held
	headID   block.ID
	size     int64
	nodes    []*node // frozen epochs still needed, oldest first
	children []*lineage
	zonalTo  position // what was written before it has to be in the zones
}

// node is an epoch that something needs: a frozen one that snapshots name or clones continue, or a head (epoch ^0).
// The nodes of all lineages form a tree; a page version is dead when no node sees it.
type node struct {
	lin   *lineage
	epoch uint64
	cut   position
	seq   uint64
	size  int64
	used  int64
	names int  // snapshots that are this epoch, and those on their way
	known bool // its record is in Pebble
}

// headEpoch stands for the epoch of a head, which is after every frozen one. What looks at a head has to ask for it, and not
// for the number that the epoch has now: once that has ended, and nothing needs it, its versions give way to newer ones.
const headEpoch = ^uint64(0) - 1

// nodeAt finds the node of an epoch, or nil. The caller holds the store's mutex, here and below.
func (l *lineage) nodeAt(epoch uint64) *node {
	i, ok := slices.BinarySearchFunc(l.nodes, epoch, func(n *node, e uint64) int { return cmp.Compare(n.epoch, e) })
	if !ok {
		return nil
	}
	return l.nodes[i]
}

func (l *lineage) addNode(n *node) {
	i, _ := slices.BinarySearchFunc(l.nodes, n.epoch, func(n *node, e uint64) int { return cmp.Compare(n.epoch, e) })
	l.nodes = slices.Insert(l.nodes, i, n)
}

func (l *lineage) dropNode(n *node) {
	if i := slices.Index(l.nodes, n); i >= 0 {
		l.nodes = slices.Delete(l.nodes, i, i+1)
	}
}

// before is the last node older than an epoch, or nil.
func (l *lineage) before(epoch uint64) *node {
	if i := l.search(epoch); i > 0 {
		return l.nodes[i-1]
	}
	return nil
}

// search is the index of the first node at or after an epoch.
func (l *lineage) search(epoch uint64) int {
	i, _ := slices.BinarySearchFunc(l.nodes, epoch, func(n *node, e uint64) int { return cmp.Compare(n.epoch, e) })
	return i
}

// from is the first node at or after an epoch: the one that sees a version of that epoch. Where nothing frozen is, that is
// the head, until it is drained.
func (l *lineage) from(epoch uint64) *node {
	if i := l.search(epoch); i < len(l.nodes) {
		return l.nodes[i]
	}
	if !l.drained && epoch <= headEpoch {
		return l.headNode()
	}
	return nil
}

func (l *lineage) headNode() *node { return &node{lin: l, epoch: headEpoch, cut: never} }

// owns says which epochs belong to a node, newest first, and the position at which they begin: blocks at or after it
// were born there, blocks before it are inherited from the node's parent in the tree. Epochs of a parent lineage belong
// to it when the fork itself is needed by nothing else.
func (n *node) owns() (pieces []piece, start position) {
	l, hi := n.lin, n.epoch
	for {
		if prev := l.before(hi); prev != nil {
			return append(pieces, piece{l.id, prev.epoch, hi}), prev.cut
		}
		pieces = append(pieces, piece{l.id, 0, hi})
		if l.parent == nil {
			return pieces, 0
		}
		if l.parent.nodeAt(l.parentEpoch) != nil {
			return pieces, l.base
		}
		l, hi = l.parent, l.parentEpoch
	}
}

// kids are the nodes whose parent in the tree is n.
func (n *node) kids() []*node {
	var kids []*node
	if next := n.lin.from(n.epoch + 1); next != nil {
		kids = append(kids, next)
	}
	return append(kids, n.lin.forksAt(func(e uint64) bool { return n.lin.before(e+1) == n })...)
}

// parent is the node above n in the tree, or nil.
func (n *node) parent() *node {
	if prev := n.lin.before(n.epoch); prev != nil {
		return prev
	}
	for l := n.lin; l.parent != nil; l = l.parent {
		if p := l.parent.before(l.parentEpoch + 1); p != nil {
			return p
		}
	}
	return nil
}

// forksAt are the first nodes of the lineages forked from this one at epochs that match, looking through lineages that
// have no node of their own any more.
func (l *lineage) forksAt(match func(uint64) bool) []*node {
	var first []*node
	for _, c := range l.children {
		if !match(c.parentEpoch) {
			continue
		}
		if n := c.from(0); n != nil {
			first = append(first, n)
		}
		first = append(first, c.forksAt(func(e uint64) bool { return c.before(e+1) == nil })...)
	}
	return first
}

// empty tells that nothing needs the lineage: no head, no epoch, no clone that reads through it.
func (l *lineage) empty() bool {
	return l.drained && len(l.nodes) == 0 && len(l.children) == 0
}
