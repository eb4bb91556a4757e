package nbdclient

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// receiver reads replies. It trusts nothing: a reply that does not fit its request ends the connection.
type receiver struct {
	client *Client
	in     *bufio.Reader
}

var errMalformed = errors.New("malformed reply")

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 64<<10) }

func (r *receiver) run() error {
	for {
		magic, err := r.uint32()
		if err != nil {
			return err
		}
		switch {
		case magic == magicSimple:
			err = r.simple()
		case magic == magicStructured && r.client.info.structured:
			err = r.chunk()
		default:
			err = fmt.Errorf("%w: begins with %#x", errMalformed, magic)
		}
		if err != nil {
			return err
		}
	}
}

func (r *receiver) uint32() (uint32, error) {
	var b [4]byte
	_, err := io.ReadFull(r.in, b[:])
	return binary.BigEndian.Uint32(b[:]), err
}

func (r *receiver) simple() error {
	var b [12]byte
	if _, err := io.ReadFull(r.in, b[:]); err != nil {
		return err
	}
	number, cookie := binary.BigEndian.Uint32(b[:]), binary.BigEndian.Uint64(b[4:])
	k, err := r.find(cookie)
	if err != nil {
		return err
	}
	if k.kind == cmdRead && r.client.info.structured || k.kind == cmdBlockStatus && number == 0 {
		return fmt.Errorf("%w: simple where chunks were agreed on", errMalformed)
	}
	if number != 0 {
		k.err = &Error{Number: number}
	} else if k.kind == cmdRead {
		if _, err := io.ReadFull(r.in, k.data); err != nil {
			return err
		}
		k.covered = int64(k.n)
	}
	return r.finish(cookie, k)
}

// find returns the call of a cookie. It stays among the calls, so that a lost connection ends it.
func (r *receiver) find(cookie uint64) (*call, error) {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	k := r.client.calls[cookie]
	if k == nil {
		return nil, fmt.Errorf("%w: nobody waits for cookie %d", errMalformed, cookie)
	}
	return k, nil
}

func (r *receiver) finish(cookie uint64, k *call) error {
	if k.err == nil && k.kind == cmdRead && k.covered != int64(k.n) {
		return fmt.Errorf("%w: %d of %d bytes", errMalformed, k.covered, k.n)
	}
	if k.err == nil && k.kind == cmdBlockStatus && len(k.extents) == 0 {
		return fmt.Errorf("%w: no block status", errMalformed)
	}
	r.client.mu.Lock()
	delete(r.client.calls, cookie)
	r.client.mu.Unlock()
	close(k.done)
	return nil
}

func (r *receiver) chunk() error {
	var b [16]byte
	if _, err := io.ReadFull(r.in, b[:]); err != nil {
		return err
	}
	flags, kind := binary.BigEndian.Uint16(b[:]), binary.BigEndian.Uint16(b[2:])
	cookie, n := binary.BigEndian.Uint64(b[4:]), binary.BigEndian.Uint32(b[12:])
	k, err := r.find(cookie)
	if err != nil {
		return err
	}
	switch {
	case kind == chunkNone && n == 0 && flags&chunkDone != 0:
	case kind == chunkData && k.kind == cmdRead && n > 8:
		err = r.data(k, n)
	case kind == chunkHole && k.kind == cmdRead && n == 12:
		err = r.hole(k)
	case kind == chunkBlockStatus && k.kind == cmdBlockStatus:
		err = r.status(k, n)
	case kind&chunkErrorBit != 0:
		err = r.errorChunk(k, n)
	default:
		err = fmt.Errorf("%w: chunk of type %d, %d bytes", errMalformed, kind, n)
	}
	if err != nil || flags&chunkDone == 0 {
		return err
	}
	return r.finish(cookie, k)
}

// place returns the part of a read's buffer for n bytes at off.
func (k *call) place(off uint64, n int64) ([]byte, error) {
	at := int64(off - uint64(k.off))
	if off < uint64(k.off) || at < 0 || at > int64(k.n) || n <= 0 || n > int64(k.n)-at {
		return nil, fmt.Errorf("%w: %d bytes at %d for a read of %d at %d", errMalformed, n, off, k.n, k.off)
	}
	k.covered += n
	return k.data[at : at+n], nil
}

func (r *receiver) data(k *call, n uint32) error {
	var b [8]byte
	if _, err := io.ReadFull(r.in, b[:]); err != nil {
		return err
	}
	p, err := k.place(binary.BigEndian.Uint64(b[:]), int64(n)-8)
	if err != nil {
		return err
	}
	_, err = io.ReadFull(r.in, p)
	return err
}

func (r *receiver) hole(k *call) error {
	var b [12]byte
	if _, err := io.ReadFull(r.in, b[:]); err != nil {
		return err
	}
	p, err := k.place(binary.BigEndian.Uint64(b[:]), int64(binary.BigEndian.Uint32(b[8:])))
	clear(p)
	return err
}

func (r *receiver) status(k *call, n uint32) error {
	if n < 12 || n > maxStatus || n%8 != 4 || k.extents != nil {
		return fmt.Errorf("%w: block status of %d bytes", errMalformed, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r.in, b); err != nil {
		return err
	}
	if id := binary.BigEndian.Uint32(b); id != r.client.info.contextID {
		return fmt.Errorf("%w: block status of context %d", errMalformed, id)
	}
	off := k.off
	for b = b[4:]; len(b) > 0; b = b[8:] {
		e := Extent{Off: off, Len: int64(binary.BigEndian.Uint32(b)), Zero: binary.BigEndian.Uint32(b[4:])&stateZero != 0}
		if e.Len == 0 {
			return fmt.Errorf("%w: an empty extent", errMalformed)
		}
		k.extents = append(k.extents, e)
		off += e.Len
	}
	return nil
}

func (r *receiver) errorChunk(k *call, n uint32) error {
	if n < 6 || n > maxErrorChunk {
		return fmt.Errorf("%w: error of %d bytes", errMalformed, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r.in, b); err != nil {
		return err
	}
	text := int(binary.BigEndian.Uint16(b[4:]))
	number := binary.BigEndian.Uint32(b)
	if text > len(b)-6 || number == 0 {
		return errMalformed
	}
	if k.err == nil {
		k.err = &Error{Number: number, Message: string(b[6 : 6+text])}
	}
	return nil
}
