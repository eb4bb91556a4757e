package lsd

import (
	"sync/atomic"

	"tintype/internal/block"
)

// gate counts requests under way, so that Close can wait for them before it takes their files away.
type gate struct {
	n    atomic.Int64
	let  atomic.Int64 // how many were let in, ever
	shut atomic.Bool
	idle chan struct{} // told when the last request leaves a gate that is shut
}

func newGate() *gate { return &gate{idle: make(chan struct{}, 1)} }

// enter lets a request in, to be followed by leave, unless the gate is shut: block.ErrClosed.
func (g *gate) enter() error {
	g.n.Add(1)
	if g.shut.Load() {
		g.leave()
		return block.ErrClosed
	}
	g.let.Add(1)
	return nil
}

func (g *gate) leave() {
	if g.n.Add(-1) > 0 || !g.shut.Load() {
		return
	}
	select {
	case g.idle <- struct{}{}:
	default:
	}
}

// close refuses requests from now on and waits for those that are inside.
func (g *gate) close() {
	g.shut.Store(true)
	for g.n.Load() > 0 {
		<-g.idle
	}
}
