package vhd

import (
	"encoding/binary"
	"hash/crc32"
	"unicode/utf16"

	"github.com/google/uuid"
)

// Layout says how a fixed VHDX image lies in its file. The disk is in one piece, so that an image can be made on the fly
// around it.
// Source: the VHDX format specification (MS-VHDX). The file is
//
//	0      file identifier
//	64 K   header, and again at 128 K
//	192 K  region table, and again at 256 K
//	1 M    log, empty
//	2 M    metadata
//	3 M    block allocation table, to the next MiB
//	       the disk, filled up with zeroes to a whole block
type Layout struct {
	disk   int64 // bytes of the disk
	sector int64
	pieces []vhdxPiece
}

// vhdxPiece are bytes at a place; what lies between is zero.
type vhdxPiece struct {
	off  int64
	data []byte
}

const (
	vhdxUnit       = 1 << 20
	vhdxBlock      = 32 * vhdxUnit
	vhdxLog        = 1 * vhdxUnit
	vhdxMetadata   = 2 * vhdxUnit
	vhdxTable      = 3 * vhdxUnit
	vhdxItems      = 64 << 10 // where items begin in the metadata region
	fullyPresent   = 6
	regionTable    = 192 << 10
	regionSize     = 64 << 10
	vhdxHeaderSize = 4096
	vhdxCreator    = "tintype"
	sectorsInABit  = 1 << 23
)

// NewLayout lays an image out around a disk of size bytes with logical sectors of 512 or 4096.
func NewLayout(size, sector int64, id Identity) Layout {
	x := Layout{disk: size, sector: sector}
	x.pieces = []vhdxPiece{{0, vhdxIdentifier()}}
	for i := range int64(2) {
		x.pieces = append(x.pieces,
			vhdxPiece{(1 + i) * (64 << 10), vhdxHeader(uint64(i+1), id.Unique)},
			vhdxPiece{regionTable + i*regionSize, x.regions()})
	}
	x.pieces = append(x.pieces, x.metadata(id)...)
	return x
}

// Size is the length of the whole file.
func (x Layout) Size() int64 { return x.Data() + x.blocks()*vhdxBlock }

// Data is where the disk begins in the file.
func (x Layout) Data() int64 { return vhdxTable + x.tableSize() }

func (x Layout) blocks() int64 { return (x.disk + vhdxBlock - 1) / vhdxBlock }

// ratio is how many blocks stand in the table before an entry for a sector bitmap, which a fixed image does not use.
func (x Layout) ratio() int64 { return sectorsInABit * x.sector / vhdxBlock }

func (x Layout) entries() int64 { return x.blocks() + (x.blocks()-1)/x.ratio() }

func (x Layout) tableSize() int64 { return (x.entries()*8 + vhdxUnit - 1) / vhdxUnit * vhdxUnit }

// ReadHead fills p with what the file holds from off on, up to where the disk begins.
func (x Layout) ReadHead(p []byte, off int64) {
	clear(p)
	for _, piece := range x.pieces {
		if from := piece.off - off; from >= 0 {
			if from < int64(len(p)) {
				copy(p[from:], piece.data)
			}
		} else if -from < int64(len(piece.data)) {
			copy(p, piece.data[-from:])
		}
	}
	x.readTable(p, off)
}

// readTable fills in the part of the block allocation table that lies in p.
func (x Layout) readTable(p []byte, off int64) {
	var entry [8]byte
	first := max(0, off-vhdxTable) / 8
	for i := first; i < x.entries(); i++ {
		at := vhdxTable + i*8 - off
		if at >= int64(len(p)) {
			return
		}
		if i%(x.ratio()+1) == x.ratio() {
			continue // of a sector bitmap: not present
		}
		block := i - i/(x.ratio()+1)
		binary.LittleEndian.PutUint64(entry[:], uint64(x.Data()+block*vhdxBlock)|fullyPresent)
		if at >= 0 {
			copy(p[at:], entry[:])
		} else {
			copy(p, entry[-at:])
		}
	}
}

func vhdxIdentifier() []byte {
	b := []byte("vhdxfile")
	for _, c := range utf16.Encode([]rune(vhdxCreator)) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	return b
}

// vhdxHeader is one of the two headers; the one with the higher sequence counts.
func vhdxHeader(sequence uint64, unique uuid.UUID) []byte {
	b := make([]byte, vhdxHeaderSize)
	copy(b, "head")
	binary.LittleEndian.PutUint64(b[8:], sequence)
	copy(b[16:], mixed(unique)) // of this file's writes
	copy(b[32:], mixed(unique)) // of its data
	binary.LittleEndian.PutUint16(b[66:], 1)
	binary.LittleEndian.PutUint32(b[68:], vhdxUnit)
	binary.LittleEndian.PutUint64(b[72:], vhdxLog)
	return checked(b)
}

func (x Layout) regions() []byte {
	b := make([]byte, regionSize)
	copy(b, "regi")
	binary.LittleEndian.PutUint32(b[8:], 2)
	for i, r := range []struct {
		id        string
		off, size int64
	}{
		{"2dc27766-f623-4200-9d64-115e9bfd4a08", vhdxTable, x.tableSize()},
		{"8b7ca206-4790-4b9a-b8fe-575f050f886e", vhdxMetadata, vhdxUnit},
	} {
		e := b[16+32*i:]
		copy(e, mixed(uuid.MustParse(r.id)))
		binary.LittleEndian.PutUint64(e[16:], uint64(r.off))
		binary.LittleEndian.PutUint32(e[24:], uint32(r.size))
		binary.LittleEndian.PutUint32(e[28:], 1)
	}
	return checked(b)
}

// metadata is the table of items and the items.
func (x Layout) metadata(id Identity) []vhdxPiece {
	le := binary.LittleEndian
	const virtual, required = 2, 4
	items := []struct {
		id    string
		flags uint32
		data  []byte
	}{
		{"caa16737-fa36-4d43-b3b6-33f0aa44e76b", required, le.AppendUint32(le.AppendUint32(nil, vhdxBlock), 1)}, // 1: stays allocated
		{"2fa54224-cd1b-4876-b211-5dbed83bf4b8", virtual | required, le.AppendUint64(nil, uint64(x.disk))},
		{"beca12ab-b2e6-4523-93ef-c309e000c746", virtual | required, mixed(id.Unique)},
		{"8141bf1d-a96f-4709-ba47-f233a8faab5f", virtual | required, le.AppendUint32(nil, uint32(x.sector))},
		{"cda348c7-445d-4471-9cc9-e9885251c556", virtual | required, le.AppendUint32(nil, 4096)},
	}
	table := make([]byte, 32*(1+len(items)))
	copy(table, "metadata")
	le.PutUint16(table[10:], uint16(len(items)))
	var values []byte
	for i, item := range items {
		e := table[32*(1+i):]
		copy(e, mixed(uuid.MustParse(item.id)))
		le.PutUint32(e[16:], uint32(vhdxItems+len(values)))
		le.PutUint32(e[20:], uint32(len(item.data)))
		le.PutUint32(e[24:], item.flags)
		values = append(values, item.data...)
	}
	return []vhdxPiece{{vhdxMetadata, table}, {vhdxMetadata + vhdxItems, values}}
}

// checked puts the CRC-32C of b into its bytes 4 to 8.
func checked(b []byte) []byte {
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// mixed writes an id as Windows does: the first three parts with their lowest byte first.
func mixed(id uuid.UUID) []byte {
	b := append([]byte(nil), id[:]...)
	for _, part := range [][]byte{b[0:4], b[4:6], b[6:8]} {
		for i, j := 0, len(part)-1; i < j; i, j = i+1, j-1 {
			part[i], part[j] = part[j], part[i]
		}
	}
	return b
}
