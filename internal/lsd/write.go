package lsd

import (
	"fmt"

	"tintype/internal/block"
)

// inside checks a range against a size.
func inside(off, n, size int64) error {
	if off < 0 || n < 0 || off > size || n > size-off {
		return fmt.Errorf("%w: [%d, +%d) of %d bytes", block.ErrOutOfRange, off, n, size)
	}
	return nil
}

// stride is the most that is placed at a time, 1 MiB.
const stride = 256

// write accepts p at off: whole blocks are placed as they are, ragged ends are merged with what is there. Bulk is what nobody is going
// to read soon.
func (d *disk) write(p []byte, off int64, bulk bool) error {
	if len(p) == 0 {
		return nil
	}
	lba := uint64(off / block.BlockSize)
	if o := off % block.BlockSize; o != 0 || len(p) < block.BlockSize {
		n := min(len(p), int(block.BlockSize-o))
		if err := d.merge(lba, p[:n], int(o)); err != nil {
			return err
		}
		p, lba = p[n:], lba+1
	}
	for len(p) >= block.BlockSize {
		n := min(len(p)/block.BlockSize, stride)
		if err := d.writeBlocks(lba, p[:n*block.BlockSize], bulk); err != nil {
			return err
		}
		p, lba = p[n*block.BlockSize:], lba+uint64(n)
	}
	if len(p) > 0 {
		return d.merge(lba, p, 0)
	}
	return nil
}

// writeBlocks places up to stride whole blocks.
func (d *disk) writeBlocks(lba uint64, data []byte, bulk bool) error {
	var sums [stride]uint32
	crcs := sums[:len(data)/block.BlockSize]
	for i := range crcs {
		crcs[i] = checksum(data[i*block.BlockSize : (i+1)*block.BlockSize])
	}
	if err := d.store.pace(len(crcs)); err != nil {
		return err
	}
	for {
		n, err := d.placeAll(lba, data, crcs, bulk)
		if !isFull(err) {
			return err
		}
		if err := d.store.waitForRoom(err); err != nil {
			return err
		}
		lba, data, crcs = lba+uint64(n), data[n*block.BlockSize:], crcs[n:]
	}
}

// placeAll places blocks and returns how many of them it did.
func (d *disk) placeAll(lba uint64, data []byte, crcs []uint32, bulk bool) (done int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lineUp(func() bool { return false })
	bulk = d.log.stream.note(lba, len(crcs)) || bulk
	for done < len(crcs) && err == nil {
		n := 0
		n, err = d.placeSome(lba+uint64(done), data[done*block.BlockSize:], crcs[done:], bulk)
		done += n
	}
	d.startWriter()
	return done, err
}

// placeSome places what fits into the tail and maps it. The caller holds d.mu.
func (d *disk) placeSome(lba uint64, data []byte, crcs []uint32, bulk bool) (int, error) {
	if err := d.admit(); err != nil {
		return 0, err
	}
	for {
		if err := d.openTail(true); err != nil {
			return 0, err
		}
		held, err := d.need(lba, uint64(len(crcs)))
		if err != nil {
			return 0, err
		}
		if held {
			break
		}
	}
	return d.put(lba, data, crcs, bulk), nil
}

// put places what fits into the open tail and maps it; crcs are of the blocks as they are. The leaves are in memory; the caller holds d.mu.
func (d *disk) put(lba uint64, data []byte, crcs []uint32, bulk bool) int {
	c := d.log.tail
	c.bulk = bulk && (c.bulk || len(c.crcs) == 0)
	first, n := c.place(lba, data, crcs)
	d.log.placed += uint64(n)
	d.store.written.Add(int64(n))
	d.mapRun(lba, first, c.crcs[len(c.crcs)-n:])
	if uint32(len(c.crcs)) == c.room {
		d.seal()
	}
	return n
}

// need brings the leaves of a run of blocks into memory and tells whether d.mu was held all the time, so that all of
// them are still there.
func (d *disk) need(lba, n uint64) (held bool, err error) {
	held = true
	for page := uint32(lba / leafBlocks); uint64(page) <= (lba+n-1)/leafBlocks; page++ {
		_, kept, err := d.leaf(page)
		if err != nil {
			return false, err
		}
		held = held && kept
	}
	return held, nil
}

// mapRun points blocks at their places in the log; crcs are as they are stored. Their leaves are in memory; the caller holds d.mu.
func (d *disk) mapRun(lba uint64, first position, crcs []uint32) {
	var l *leaf
	for i, crc := range crcs {
		b := lba + uint64(i)
		if l == nil || b%leafBlocks == 0 {
			page := uint32(b / leafBlocks)
			l = d.leaves.get(page)
			d.touch(page, l)
		}
		p := first + position(i)
		if l.set(uint(b%leafBlocks), entry{seg: p.seg(), slot: uint16(p.slot()), crc: crc}) {
			d.used++
			d.leaves.ents++
		}
	}
}

// merge writes part of a block: what is there is read, overlaid and placed, unless the block changed meanwhile; then it
// starts over. A slot is written once, so an equal position means equal bytes.
func (d *disk) merge(lba uint64, in []byte, o int) error {
	if err := d.store.pace(1); err != nil {
		return err
	}
	buf := make([]byte, block.BlockSize)
	for {
		was, mapped, err := d.readBlock(lba, buf)
		if err != nil {
			return err
		}
		copy(buf[o:], in)
		done, err := d.placeIf(lba, buf, was, mapped)
		if isFull(err) {
			err = d.store.waitForRoom(err)
		}
		if done || err != nil {
			return err
		}
	}
}

// placeIf places a block if it still is where the caller read it.
func (d *disk) placeIf(lba uint64, data []byte, was entry, mapped bool) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.admit(); err != nil {
		return false, err
	}
	for {
		if err := d.openTail(true); err != nil {
			return false, err
		}
		l, held, err := d.leaf(uint32(lba / leafBlocks))
		if err != nil {
			return false, err
		}
		if !held {
			continue
		}
		now, ok := l.get(uint(lba % leafBlocks))
		if ok != mapped || ok && now.pos() != was.pos() {
			return false, nil
		}
		break
	}
	d.put(lba, data, []uint32{checksum(data)}, false)
	d.startWriter()
	return true, nil
}

// admit lets a change in when the disk is well and not too much is waiting for a checkpoint. The caller holds d.mu.
func (d *disk) admit() error {
	for d.failed == nil && d.backlog() > d.store.opt.MaxDirtyLeaves {
		d.store.wake(d)
		if d.store.opt.Manual {
			break
		}
		d.cond.Wait()
	}
	if d.backlog() > d.store.opt.MaxDirtyLeaves/2 {
		d.store.wake(d)
	}
	return d.failed
}

// backlog is how many versions a checkpoint would have to write now.
func (d *disk) backlog() int { return len(d.changed) + d.nfrozen }

// zero makes a range read as zeroes. Whole blocks lose their data; the ragged ends are overwritten if edges is set.
func (d *disk) zero(off, n int64, edges bool) error {
	end := off + n
	first := (off + block.BlockSize - 1) / block.BlockSize
	last := end / block.BlockSize
	if end == d.sizeNow() { // the part block at the end of an odd-sized disk is whole
		last = (end + block.BlockSize - 1) / block.BlockSize
	}
	if head := min(first*block.BlockSize, end) - off; edges && head > 0 {
		if err := d.zeroEdge(off, int(head)); err != nil {
			return err
		}
	}
	if tail := end - last*block.BlockSize; edges && tail > 0 && last >= first {
		if err := d.zeroEdge(last*block.BlockSize, int(tail)); err != nil {
			return err
		}
	}
	if first >= last {
		return nil
	}
	return d.unmap(uint64(first), uint64(last))
}

// zeroEdge zeroes a part of a block; one without data stays so.
func (d *disk) zeroEdge(off int64, n int) error {
	lba := uint64(off / block.BlockSize)
	_, mapped, err := d.readBlock(lba, nil)
	if err != nil || !mapped {
		return err
	}
	return d.merge(lba, make([]byte, n), int(off%block.BlockSize))
}

// unmapStep is how many blocks one hole extent covers at most: a directory of leaves, so that a trim of a whole disk
// does not hold the mutex long.
const unmapStep = dirLeaves * leafBlocks

// unmap makes blocks [first, last) holes.
func (d *disk) unmap(first, last uint64) error {
	for first < last {
		stop := min(last, (first/unmapStep+1)*unmapStep)
		if err := d.unmapRange(first, stop); err != nil {
			return err
		}
		first = stop
	}
	return nil
}

// unmapRange unmaps blocks within one directory.
func (d *disk) unmapRange(first, last uint64) error {
	pages, err := d.mappedPages(uint32(first/leafBlocks), uint32((last-1)/leafBlocks))
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	// Pages mapped for the first time while the mutex was free belong to writes that overlap this one in time: they may
	// come after it.
	for len(pages) > 0 {
		n, err := d.unmapPages(first, last, pages)
		if err != nil {
			return err
		}
		pages = pages[n:]
	}
	return nil
}

// unmapPages logs one hole over the first few adjacent pages, unmaps it, and returns how many pages that were. Nothing but
// those pages may lie in the hole: replay unmaps all of it.
func (d *disk) unmapPages(first, last uint64, pages []uint32) (int, error) {
	const together = 64
	pages = pages[:adjacent(pages, together)]
	if err := d.admit(); err != nil {
		return 0, err
	}
	for {
		if err := d.openTail(false); err != nil {
			return 0, err
		}
		held := true
		for _, page := range pages {
			_, kept, err := d.leaf(page)
			if err != nil {
				return 0, err
			}
			held = held && kept
		}
		if held {
			break
		}
	}
	lo := max(first, uint64(pages[0])*leafBlocks)
	hi := min(last, (uint64(pages[len(pages)-1])+1)*leafBlocks)
	d.log.tail.extents = append(d.log.tail.extents, extent{lba: lo, count: uint32(hi - lo), kind: extentHole})
	d.log.placed++
	d.unmapLeaves(lo, hi)
	return len(pages), nil
}

// unmapLeaves unmaps blocks [lo, hi). All their leaves are in memory; the caller holds d.mu.
func (d *disk) unmapLeaves(lo, hi uint64) {
	for page := lo / leafBlocks; page <= (hi-1)/leafBlocks; page++ {
		l := d.leaves.get(uint32(page))
		base := page * leafBlocks
		m := maskOf(max(lo, base)-base, min(hi, base+leafBlocks)-base)
		if l.mask&m != 0 {
			d.touch(uint32(page), l)
			gone := l.clear(m)
			d.used -= int64(gone)
			d.leaves.ents -= gone
		}
	}
}

// adjacent returns how many pages at the front follow one another, at most most.
func adjacent(pages []uint32, most int) int {
	n := 1
	for n < len(pages) && n < most && pages[n] == pages[n-1]+1 {
		n++
	}
	return n
}

// maskOf has the bits [from, to) set.
func maskOf(from, to uint64) uint64 {
	if to-from >= 64 {
		return ^uint64(0)
	}
	return (1<<(to-from) - 1) << from
}

func (d *disk) sizeNow() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.size
}
