package nbdclient

import (
	"fmt"
	"math"
	"net"
)

// Extent is a range of the export and whether it reads as zeroes.
type Extent struct {
	Off, Len int64
	Zero     bool
}

// call is a request on its way. Only the receiver touches it until done.
type call struct {
	kind    uint16
	off     int64
	n       uint32
	data    []byte // of a read: where it goes
	covered int64  // of a read: bytes received
	extents []Extent
	err     error
	done    chan struct{}
}

// offered is what the server must have offered for a command to be sent at all.
func offered(kind, flags uint16) uint16 {
	need := map[uint16]uint16{cmdFlush: flagFlush, cmdTrim: flagTrim, cmdWriteZeroes: flagZeroes}[kind]
	if flags&cmdFlagFUA != 0 {
		need |= flagFUA
	}
	return need
}

// do sends a request, with a payload or without, and waits for its reply.
func (c *Client) do(k *call, flags uint16, payload []byte) error {
	if need := offered(k.kind, flags); c.info.flags&need != need {
		return fmt.Errorf("nbd: the server does not offer command %d with flags %#x", k.kind, flags)
	}
	k.done = make(chan struct{})
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return c.err
	}
	c.cookie++
	cookie := c.cookie
	c.calls[cookie] = k
	c.mu.Unlock()

	parts := net.Buffers{header(k.kind, flags, cookie, k.off, k.n)}
	if len(payload) > 0 {
		parts = append(parts, payload)
	}
	c.sending.Lock()
	_, err := parts.WriteTo(c.nc)
	c.sending.Unlock()
	if err != nil {
		c.fail(fmt.Errorf("nbd: connection lost: %w", err))
	}
	<-k.done
	return k.err
}

// ReadAt implements io.ReaderAt; it never returns less than len(p) without an error.
func (c *Client) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		part := p[done:min(len(p), done+int(c.info.most))]
		if err := c.do(&call{kind: cmdRead, off: off + int64(done), n: uint32(len(part)), data: part}, 0, nil); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}

// WriteAt implements io.WriterAt.
func (c *Client) WriteAt(p []byte, off int64) (int, error) { return c.write(p, off, 0) }

// WriteFUA is WriteAt that returns when p is durable.
func (c *Client) WriteFUA(p []byte, off int64) (int, error) { return c.write(p, off, cmdFlagFUA) }

func (c *Client) write(p []byte, off int64, flags uint16) (int, error) {
	done := 0
	for done < len(p) {
		part := p[done:min(len(p), done+int(c.info.most))]
		if err := c.do(&call{kind: cmdWrite, off: off + int64(done), n: uint32(len(part))}, flags, part); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}

// Flush makes every write that returned before it durable.
func (c *Client) Flush() error { return c.do(&call{kind: cmdFlush}, 0, nil) }

// Trim says that a range's content is not wanted any more.
func (c *Client) Trim(off, n int64) error { return c.ranged(cmdTrim, off, n) }

// WriteZeroes makes a range read as zeroes.
func (c *Client) WriteZeroes(off, n int64) error { return c.ranged(cmdWriteZeroes, off, n) }

// rangePiece is how much of a range one request without payload covers; its length must fit 32 bits.
const rangePiece = 1<<32 - 1<<20

func (c *Client) ranged(kind uint16, off, n int64) error {
	if n < 0 {
		return fmt.Errorf("nbd: a range of %d bytes", n)
	}
	for n > 0 {
		piece := min(n, rangePiece)
		if err := c.do(&call{kind: kind, off: off, n: uint32(piece)}, 0, nil); err != nil {
			return err
		}
		off, n = off+piece, n-piece
	}
	return nil
}

// BlockStatus returns which parts of a range read as zeroes, in order and covering it.
func (c *Client) BlockStatus(off, n int64) ([]Extent, error) {
	if !c.info.allocation {
		return nil, fmt.Errorf("nbd: the server does not offer %s", contextAllocation)
	}
	if n < 0 || off > math.MaxInt64-n {
		return nil, fmt.Errorf("nbd: a range of %d bytes at %d", n, off)
	}
	var all []Extent
	for end := off + n; off < end; {
		k := &call{kind: cmdBlockStatus, off: off, n: uint32(min(end-off, rangePiece))}
		if err := c.do(k, 0, nil); err != nil {
			return all, err
		}
		for _, e := range k.extents {
			e.Len = min(e.Len, end-e.Off)
			if e.Len <= 0 {
				break
			}
			if last := len(all) - 1; last >= 0 && all[last].Zero == e.Zero {
				all[last].Len += e.Len
			} else {
				all = append(all, e)
			}
			off = e.Off + e.Len
		}
	}
	return all, nil
}
