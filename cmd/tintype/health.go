package main

import (
	"tintype"
	"tintype/internal/block"
	"tintype/internal/lsd"
)

// health lets the domain ask the engine about its soundness.
type health struct{ engine *lsd.Store }

func (h health) Scrub() tintype.Scrub {
	r := h.engine.ScrubReport()
	s := tintype.Scrub{Rate: r.Rate, Running: r.Running, Begun: r.Begun, Bytes: r.Bytes, Restored: r.Restored}
	if r.Last != nil {
		s.Last = tintype.ScrubPass(*r.Last)
	}
	return s
}

func (h health) StartScrub() { h.engine.StartScrub() }

func (h health) Damages() []tintype.Damage {
	var all []tintype.Damage
	for _, d := range h.engine.ScrubReport().Damages {
		for _, id := range d.Volumes {
			all = append(all, tintype.Damage{
				Volume: id, Off: int64(d.Block) * block.BlockSize, Len: int64(d.Blocks) * block.BlockSize, Cause: d.Cause,
			})
		}
	}
	return all
}
