package lsd

// A position is the address of a block in the store: segment number and slot. Positions are ordered, and along the
// history of one volume (its lineage and those it was cloned from) a block written later has a greater position: a
// disk's log only grows, and a clone's log starts in a segment numbered after every segment its parent had at the fork.
// Liveness rests on this order.
type position uint64

// Slots are block-sized; slot 0 of a segment is its header.
const slotBits = 16

func at(seg uint32, slot uint32) position { return position(seg)<<slotBits | position(slot) }

func (p position) seg() uint32  { return uint32(p >> slotBits) }
func (p position) slot() uint32 { return uint32(p & (1<<slotBits - 1)) }

// never is after every position.
const never = ^position(0)
