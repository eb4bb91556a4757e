package vhost

import "encoding/binary"

// maxIndirect is how many descriptors a table of them may have. virtio allows as many as the queue is long; drivers go by segMax,
// which a short queue does not hold them to.
const maxIndirect = 1024

// chain is one request as the guest laid it out: what it sends, and then room for what it gets. Nothing here depends on where it
// divides either.
type chain struct {
	out, in [][]byte
	table   []byte // a copy of an indirect table
}

type descriptor struct {
	addr  uint64
	len   uint32
	flags uint16
	next  uint16
}

func parseDescriptor(b []byte) descriptor {
	// One copy, so that what is checked is what is used.
	var d [descSize]byte
	copy(d[:], b)
	le := binary.LittleEndian
	return descriptor{addr: le.Uint64(d[:]), len: le.Uint32(d[8:]), flags: le.Uint16(d[12:]), next: le.Uint16(d[14:])}
}

// keepPieces is of how many pieces a chain may be for its memory to be used again.
const keepPieces = 64

// shrink gives back the memory of a chain that was long: each place of a queue has a chain, as long as the queue runs.
func (c *chain) shrink() {
	if cap(c.out)+cap(c.in) > keepPieces || cap(c.table) > keepPieces*descSize {
		*c = chain{}
	}
}

// walk reads the chain that begins at head. Each error is a driver that broke the rules; what the chain holds then means nothing.
// It is called under guard.
func (c *chain) walk(r *ring, m *memory, head uint16) error {
	c.out, c.in = c.out[:0], c.in[:0]
	i := head
	for range r.num {
		if i >= r.num {
			return broken("descriptor %d of %d", i, r.num)
		}
		d := parseDescriptor(r.desc[descSize*int(i):])
		switch {
		case d.flags&descIndirect != 0 && d.flags&descNext != 0:
			return broken("a descriptor that is both indirect and not the last")
		case d.flags&descIndirect != 0:
			return c.indirect(m, d)
		}
		if err := c.add(m, d); err != nil {
			return err
		}
		if d.flags&descNext == 0 {
			return nil
		}
		i = d.next
	}
	return broken("a chain of more than %d descriptors", r.num)
}

// indirect reads the rest of a chain from a table of its own.
func (c *chain) indirect(m *memory, d descriptor) error {
	n := int(d.len) / descSize
	if d.len%descSize != 0 || n == 0 || n > maxIndirect {
		return broken("an indirect table of %d bytes", d.len)
	}
	var one [1][]byte // most tables are in one piece
	from, err := m.pieces(one[:0], d.addr, uint64(d.len))
	if err != nil {
		return err
	}
	c.table = c.table[:0]
	for _, p := range from {
		c.table = append(c.table, p...)
	}
	i := 0
	for range n {
		e := parseDescriptor(c.table[descSize*i:])
		if e.flags&descIndirect != 0 {
			return broken("an indirect table in another")
		}
		if err := c.add(m, e); err != nil {
			return err
		}
		if e.flags&descNext == 0 {
			return nil
		}
		if i = int(e.next); i >= n {
			return broken("descriptor %d of %d", i, n)
		}
	}
	return broken("a chain of more than %d descriptors", n)
}

func (c *chain) add(m *memory, d descriptor) (err error) {
	if d.flags&descWrite != 0 {
		c.in, err = m.pieces(c.in, d.addr, uint64(d.len))
		return err
	}
	if len(c.in) > 0 {
		return broken("what the device reads comes after what it writes")
	}
	c.out, err = m.pieces(c.out, d.addr, uint64(d.len))
	return err
}
