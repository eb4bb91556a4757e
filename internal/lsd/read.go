package lsd

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"tintype/internal/block"
)

// want is a block, or a part of one, that has to come from a segment: where it lies and where it goes in the caller's
// buffer.
type want struct {
	lba uint64
	e   entry
	dst int // offset in the caller's buffer
	o   int // offset in the block
	n   int // bytes
}

// span is the part of a request that falls into one block.
func span(p []byte, off int64) (lba uint64, o, n int) {
	o = int(off % block.BlockSize)
	return uint64(off / block.BlockSize), o, min(block.BlockSize-o, len(p))
}

const (
	// pageBytes is what one leaf of the map is about.
	pageBytes = leafBlocks * block.BlockSize
	// readTogether is how much of a read is looked up before any of it is fetched, 1 MiB.
	readTogether = 4 * pageBytes
)

// read fills p from off as of the moment at which it looks at each page.
func (d *disk) read(p []byte, off int64) error {
	for len(p) > 0 {
		n := min(len(p), int(readTogether-off%readTogether))
		if err := d.readPages(p[:n], off); err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// readPages reads a range of a few pages: what is in memory is copied under the mutex, the rest fetched after it, all at once.
func (d *disk) readPages(p []byte, off int64) error {
	wants := make([]want, 0, len(p)/block.BlockSize+2)
	pins := make([]*segment, 0, len(p)/block.BlockSize+2)
	var err error
	d.mu.Lock()
	for done := 0; done < len(p) && err == nil; {
		n := min(len(p)-done, int(pageBytes-(off+int64(done))%pageBytes))
		var l *leaf
		if l, _, err = d.leaf(uint32((off + int64(done)) / pageBytes)); err == nil {
			wants = d.wants(wants, l, p[:done+n], done, off)
			if pins, err = d.store.pinAll(pins, wants); err != nil {
				d.store.damages.metGone(err) // the map is never behind what compaction has moved
			}
		}
		done += n
	}
	fits := d.used*block.BlockSize <= d.store.opt.Memory
	d.mu.Unlock()
	if err == nil {
		d.ahead.note(off, len(p), fits)
		err = d.store.fetch(p, wants, pins, &d.ahead)
	}
	return errors.Join(err, d.store.unpinAll(pins))
}

// wants fills what of p[from:] is in memory, and adds what is not to a list; off is of p[0]. The caller holds d.mu.
func (d *disk) wants(wants []want, l *leaf, p []byte, from int, off int64) []want {
	for dst := from; dst < len(p); {
		lba, o, n := span(p[dst:], off+int64(dst))
		e, ok := l.get(uint(lba % leafBlocks))
		switch {
		case !ok:
			clear(p[dst : dst+n])
		case !d.fromFlying(e, p[dst:dst+n], o):
			wants = append(wants, want{lba: lba, e: e, dst: dst, o: o, n: n})
		}
		dst += n
	}
	return wants
}

func eachBlock(p []byte, off int64, f func(dst int, lba uint64, o, n int)) {
	for dst := 0; dst < len(p); {
		lba, o, n := span(p[dst:], off+int64(dst))
		f(dst, lba, o, n)
		dst += n
	}
}

// fromFlying copies from a block that is not in its segment yet, if it is one. The caller holds d.mu.
func (d *disk) fromFlying(e entry, dst []byte, o int) bool {
	if c := d.log.tail; c != nil && c.copy(e, dst, o) {
		return true
	}
	for i := len(d.log.flying) - 1; i >= 0; i-- {
		if d.log.flying[i].copy(e, dst, o) {
			return true
		}
	}
	return false
}

func (c *chunk) copy(e entry, dst []byte, o int) bool {
	if c.seg.number != e.seg || uint32(e.slot) <= c.slot || uint32(e.slot) > c.slot+uint32(len(c.crcs)) {
		return false
	}
	copy(dst, c.buf[int(uint32(e.slot)-c.slot)*block.BlockSize+o:])
	return true
}

// readBlock reads one whole block for a merge and says where it was; a nil buf only asks where it is.
func (d *disk) readBlock(lba uint64, buf []byte) (entry, bool, error) {
	d.mu.Lock()
	l, _, err := d.leaf(uint32(lba / leafBlocks))
	if err != nil {
		d.mu.Unlock()
		return entry{}, false, err
	}
	e, ok := l.get(uint(lba % leafBlocks))
	if !ok {
		clear(buf)
	}
	if !ok || buf == nil || d.fromFlying(e, buf, 0) {
		d.mu.Unlock()
		return e, ok, nil
	}
	wants := []want{{lba: lba, e: e, n: block.BlockSize}}
	pins, err := d.store.pinAll(nil, wants)
	d.mu.Unlock()
	if err == nil {
		err = d.store.fetch(buf, wants, pins, nil)
	}
	return e, true, errors.Join(err, d.store.unpinAll(pins))
}

// pinAll pins the segment of every want, in order, that has no pin yet.
func (s *Store) pinAll(pins []*segment, wants []want) ([]*segment, error) {
	pins = slices.Grow(pins, len(wants)-len(pins))
	for _, w := range wants[len(pins):] {
		if n := len(pins); n > 0 && pins[n-1].number == w.e.seg {
			pins = append(pins, pins[n-1])
			continue
		}
		seg, err := s.segments.pin(w.e.seg)
		if err != nil {
			return pins, &blockError{badBlock{pos: w.e.pos(), lba: w.lba, cause: causeMissing}, err}
		}
		pins = append(pins, seg)
	}
	return pins, nil
}

// blockError is a block that cannot be read.
type blockError struct {
	badBlock
	err error
}

func (e *blockError) Error() string {
	return fmt.Sprintf("block %d, segment %d slot %d: %v", e.lba, e.pos.seg(), e.pos.slot(), e.err)
}

func (e *blockError) Unwrap() error { return e.err }

func (s *Store) unpinAll(pins []*segment) error {
	var err error
	for i, seg := range pins {
		if i == 0 || pins[i-1] != seg {
			err = errors.Join(err, s.segments.unpin(seg))
		}
	}
	return err
}

// fetch reads wants into p, neighbours in one read, decrypts them and checks every block against its checksum. At the first
// that has to come from media, all that follow are asked for at once: what was written here and there takes as long as the
// slowest part, not as all parts together. Ahead, if there is one, knows of the reads before.
func (s *Store) fetch(p []byte, wants []want, pins []*segment, ahead *readAhead) error {
	asked := false
	for i := 0; i < len(wants); {
		n := neighbours(wants[i:])
		if !asked && i+n < len(wants) {
			if done, _ := s.fetchCached(p, wants[i:i+n], pins[i:]); done {
				i += n
				continue
			}
			s.advise(wants[i:], pins[i:], ahead)
			asked = true
		}
		var err error
		if wants[i].n == block.BlockSize {
			err = s.fetchRun(runOf(p, wants[i:i+n]), wants[i:i+n], pins[i])
		} else {
			buf := make([]byte, block.BlockSize)
			if err = s.fetchRun(buf, wants[i:i+1], pins[i]); err == nil {
				copy(p[wants[i].dst:wants[i].dst+wants[i].n], buf[wants[i].o:])
			}
		}
		if err != nil {
			return err
		}
		i += n
	}
	return nil
}

// neighbours counts how many whole blocks at the front lie one behind another in one segment and in the buffer.
func neighbours(wants []want) int {
	if wants[0].n != block.BlockSize {
		return 1
	}
	n := 1
	for n < len(wants) && wants[n].n == block.BlockSize && wants[n].dst == wants[0].dst+n*block.BlockSize &&
		wants[n].e.pos() == wants[0].e.pos()+position(n) {
		n++
	}
	return n
}

// fetchRun reads blocks that lie one behind another. Where any is bad each is read alone, so that the bad one is found, and
// so that of several copies each may have its own good blocks.
func (s *Store) fetchRun(p []byte, wants []want, seg *segment) error {
	err := s.readRun(p, wants, seg)
	if err == nil {
		return nil
	}
	if len(wants) == 1 {
		return s.damagedBlock(wants[0], err)
	}
	for i := range wants {
		if err := s.fetchRun(p[i*block.BlockSize:(i+1)*block.BlockSize], wants[i:i+1], seg); err != nil {
			return err
		}
	}
	return nil
}

// readRun reads, decrypts and checks blocks that lie one behind another.
func (s *Store) readRun(p []byte, wants []want, seg *segment) error {
	return s.withStored(p, wants, seg, s.segments.file(seg).readGood)
}

// withStored has read fetch what is stored of blocks that lie one behind another into p. Its check decrypts that in place, so
// what was read is looked at once.
func (s *Store) withStored(p []byte, wants []want, seg *segment, read func(p []byte, off int64, check func() error) error) error {
	c, err := s.cipherOf(seg)
	if err != nil {
		return err
	}
	slot := uint32(wants[0].e.slot)
	return read(p, int64(slot)*block.BlockSize, func() error {
		if c.reveal(p, slot, func(i int) uint32 { return wants[i].e.crc }) >= 0 {
			return errChecksum
		}
		return nil
	})
}

// damagedBlock notes that no copy of a block is what was written, and makes the error of it. All who read segments come here
// with a bad block.
func (s *Store) damagedBlock(w want, why error) error {
	if errors.Is(why, block.ErrLocked) {
		return why
	}
	cause := causeRead
	switch {
	case errors.Is(why, errChecksum):
		cause = causeChecksum
	case errors.Is(why, io.EOF):
		cause = causeShort
	}
	err := &blockError{badBlock{pos: w.e.pos(), lba: w.lba, cause: cause}, fmt.Errorf("%w: %w", block.ErrDamaged, why)}
	s.damages.met(err)
	return err
}

var errChecksum = errors.New("checksum")
