package vhd

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// On disk, big-endian. The file begins with a copy of the footer, whose data offset leads to this header:
//
//	 0 cookie "cxsparse"     8 data offset, all ones     16 table offset      24 header version 1.0
//	28 max table entries    32 block size               36 checksum          40 parent's fields, zeroes to 1024
//
// The table has an entry of 4 bytes for each block: the sector where its bitmap begins, all ones when the block has none.
// The bitmap, whole sectors, has one bit for each sector of the block, the highest bit first; the block follows. A clear
// bit says that the sector is all zero.
const (
	headerSize   = 1024
	headerCookie = "cxsparse"

	offTable       = 16
	offHeaderVer   = 24
	offMaxEntries  = 28
	offBlockSize   = 32
	offHeaderCheck = 36

	noBlock = ^uint32(0)

	// maxTable bounds the table in memory: 16 Mi entries, 64 MiB, enough for 2 TiB in blocks of 128 KiB. Blocks are of
	// 2 MiB everywhere, and of 512 KiB where an old tool made them.
	maxTable = 16 << 20

	// maxBlock bounds the block size, and with it a bitmap in memory (64 KiB).
	maxBlock = 256 << 20
)

// Dynamic is a dynamic VHD, opened for reading.
type Dynamic struct {
	file      io.ReaderAt
	fileSize  int64
	size      int64
	blockSize int64
	bitmap    int64 // bytes in front of each block
	table     []uint32
}

// OpenDynamic reads the structures of a dynamic VHD of fileSize bytes. The footer at the end counts; where it is
// missing or damaged, the copy at the beginning does.
func OpenDynamic(r io.ReaderAt, fileSize int64) (*Dynamic, error) {
	footer, err := readFooter(r, fileSize)
	if err != nil {
		first, firstErr := readFooter(io.NewSectionReader(r, 0, FooterSize), FooterSize)
		if firstErr != nil {
			return nil, err
		}
		footer = first
	}
	switch footer.Type {
	case TypeDynamic:
	case TypeDifferencing:
		return nil, ErrParent
	default:
		return nil, fmt.Errorf("%w: type %s where Dynamic is expected", ErrFormat, footer.Type)
	}
	d := &Dynamic{file: r, fileSize: fileSize, size: footer.Size}
	tableAt, err := d.readHeader(footer.DataOffset)
	if err != nil {
		return nil, err
	}
	return d, d.readTable(tableAt)
}

// within tells whether [off, off+n) lies inside the file. It can't overflow.
func (d *Dynamic) within(off uint64, n int64) bool {
	return off <= uint64(d.fileSize) && n <= d.fileSize-int64(off)
}

func (d *Dynamic) readHeader(at uint64) (tableAt uint64, err error) {
	if !d.within(at, headerSize) {
		return 0, fmt.Errorf("%w: dynamic header at %d is outside the file", ErrFormat, at)
	}
	var b [headerSize]byte
	if _, err := d.file.ReadAt(b[:], int64(at)); err != nil {
		return 0, err
	}
	be := binary.BigEndian
	if !bytes.HasPrefix(b[:], []byte(headerCookie)) {
		return 0, fmt.Errorf("%w: dynamic header has no cookie '%s'", ErrFormat, headerCookie)
	}
	if checksum(b[:], offHeaderCheck) != be.Uint32(b[offHeaderCheck:]) {
		return 0, fmt.Errorf("%w: dynamic header", ErrChecksum)
	}
	if v := be.Uint32(b[offHeaderVer:]); v>>16 != formatVersion>>16 {
		return 0, fmt.Errorf("%w: dynamic header version %d.%d is unknown", ErrFormat, v>>16, v&0xffff)
	}
	size := int64(be.Uint32(b[offBlockSize:]))
	if size < SectorSize || size > maxBlock || size&(size-1) != 0 {
		return 0, fmt.Errorf("%w: block size %d is not a power of two from %d to %d", ErrFormat, size, SectorSize, maxBlock)
	}
	d.blockSize = size
	d.bitmap = ((size/SectorSize+7)/8 + SectorSize - 1) / SectorSize * SectorSize
	need := (d.size + size - 1) / size
	if have := int64(be.Uint32(b[offMaxEntries:])); have < need {
		return 0, fmt.Errorf("%w: %d table entries for %d blocks", ErrFormat, have, need)
	}
	if need > maxTable {
		return 0, fmt.Errorf("%w: %d blocks, at most %d", ErrFormat, need, maxTable)
	}
	return be.Uint64(b[offTable:]), nil
}

// readTable reads as much of the table as the disk needs. Its bytes must be in the file, which bounds the memory that a
// small file can ask for.
func (d *Dynamic) readTable(at uint64) error {
	n := (d.size + d.blockSize - 1) / d.blockSize
	if !d.within(at, n*4) {
		return fmt.Errorf("%w: table of %d entries at %d is outside the file", ErrFormat, n, at)
	}
	b := make([]byte, n*4)
	if _, err := d.file.ReadAt(b, int64(at)); err != nil {
		return err
	}
	d.table = make([]uint32, n)
	for i := range d.table {
		sector := binary.BigEndian.Uint32(b[i*4:])
		if sector != noBlock && !d.within(uint64(sector)*SectorSize, d.bitmap+d.blockLen(int64(i))) {
			return fmt.Errorf("%w: block %d at sector %d is outside the file", ErrFormat, i, sector)
		}
		d.table[i] = sector
	}
	return nil
}

// blockLen is how much of the disk lies in block i: less than a block at the disk's end.
func (d *Dynamic) blockLen(i int64) int64 { return min(d.blockSize, d.size-i*d.blockSize) }

// Size implements Image.
func (d *Dynamic) Size() int64 { return d.size }

// ReadAt implements Image.
func (d *Dynamic) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("vhd: read at %d", off)
	}
	n := int(min(int64(len(p)), max(0, d.size-off)))
	err := d.walk(off, int64(n), func(at, n, file int64, data bool) (bool, error) {
		part := p[at-off : at-off+n]
		if !data {
			clear(part)
			return true, nil
		}
		_, err := d.file.ReadAt(part, file)
		return err == nil, err
	})
	if err != nil {
		return 0, fmt.Errorf("vhd: read at %d: %w", off, err)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Extents implements Image.
func (d *Dynamic) Extents(off, n int64, yield func(Extent) bool) error {
	if err := checkRange(off, n, d.size); err != nil {
		return err
	}
	pending := Extent{Off: off}
	err := d.walk(off, n, func(at, n, _ int64, data bool) (bool, error) {
		if pending.Len > 0 && pending.Data != data {
			if !yield(pending) {
				pending.Len = 0
				return false, nil
			}
			pending = Extent{Off: at}
		}
		pending.Data = data
		pending.Len += n
		return true, nil
	})
	if err == nil && pending.Len > 0 {
		yield(pending)
	}
	return err
}

// walk calls visit for the parts of [off, off+n), which lies inside the disk: n bytes at at, which lie in the file at
// file if data is set and are zero if not. It stops when visit returns false.
func (d *Dynamic) walk(off, n int64, visit func(at, n, file int64, data bool) (bool, error)) error {
	for end := off + n; off < end; {
		i := off / d.blockSize
		first := i * d.blockSize
		stop := min(end, first+d.blockSize)
		if d.table[i] == noBlock {
			if more, err := visit(off, stop-off, 0, false); err != nil || !more {
				return err
			}
			off = stop
			continue
		}
		at := int64(d.table[i]) * SectorSize
		bits := make([]byte, (d.blockSize/SectorSize+7)/8)
		if _, err := d.file.ReadAt(bits, at); err != nil {
			return err
		}
		for off < stop {
			run, data := sectorRun(bits, off-first, stop-first)
			if more, err := visit(off, run, at+d.bitmap+off-first, data); err != nil || !more {
				return err
			}
			off += run
		}
	}
	return nil
}

// sectorRun gives the length of the run from from on, up to to, whose sectors' bits are alike.
func sectorRun(bits []byte, from, to int64) (n int64, data bool) {
	set := func(sector int64) bool { return bits[sector/8]&(0x80>>(sector%8)) != 0 }
	sector := from / SectorSize
	data = set(sector)
	for end := (to + SectorSize - 1) / SectorSize; sector < end && set(sector) == data; sector++ {
	}
	return min(to, sector*SectorSize) - from, data
}
