package vhd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// FooterSize is the length of the footer that ends every VHD, in bytes.
const FooterSize = 512

// SectorSize is the unit of a VHD's size.
const SectorSize = 512

// Cookie is how a footer begins.
const Cookie = "conectix"

// Type is the sort of a VHD.
type Type uint32

// The sorts of VHD that the specification knows.
const (
	TypeFixed        Type = 2
	TypeDynamic      Type = 3
	TypeDifferencing Type = 4
)

// String names the type as the specification does.
func (t Type) String() string {
	switch t {
	case TypeFixed:
		return "Fixed"
	case TypeDynamic:
		return "Dynamic"
	case TypeDifferencing:
		return "Differencing"
	default:
		return fmt.Sprintf("%d", uint32(t))
	}
}

// What may be wrong with a VHD. Errors wrap these, so test with errors.Is.
var (
	ErrCookie   = errors.New("VHD footer has no cookie '" + Cookie + "'")
	ErrChecksum = errors.New("VHD checksum does not match")
	ErrFormat   = errors.New("VHD is malformed")
	ErrParent   = errors.New("differencing VHD: it needs a parent, which is never opened")
)

// On disk, big-endian, from the Virtual Hard Disk Image Format Specification, version 1.0:
//
//	 0 cookie "conectix"     8 features (bit 1 always set)   12 format version 1.0    16 data offset, all ones if fixed
//	24 seconds since 2000   28 creator application           32 creator version       36 creator's host system
//	40 original size        48 current size                  56 cylinders 2, heads 1, sectors a track 1
//	60 type                 64 checksum                      68 unique id 16          84 saved state 1, zeroes to 512
const (
	offFeatures   = 8
	offVersion    = 12
	offDataOffset = 16
	offTime       = 24
	offApp        = 28
	offAppVersion = 32
	offHost       = 36
	offOriginal   = 40
	offCurrent    = 48
	offCylinders  = 56
	offHeads      = 58
	offSectors    = 59
	offType       = 60
	offChecksum   = 64
	offUnique     = 68

	featureReserved = 2
	formatVersion   = 0x00010000
	noOffset        = ^uint64(0)

	// QEMU takes the size from the geometry, which rounds it, unless the creator is one that it knows to mean the size
	// field. Of those Hyper-V's is the oldest.
	creatorApp     = "win "
	creatorVersion = 0x000a0000
	creatorHost    = "Wi2k"
)

// epoch is the specification's zero of time.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Identity is what a footer says beyond the size. The same identity and size give the same bytes.
type Identity struct {
	Unique  uuid.UUID
	Created time.Time // kept to the second, from 2000 to 2136
}

// Footer is what a footer says.
type Footer struct {
	Type       Type
	Size       int64  // the disk's current size in bytes
	DataOffset uint64 // where the dynamic header is; all ones if fixed
	Identity   Identity
}

// FixedFooter makes the footer of a fixed VHD of size bytes of data.
func FixedFooter(size int64, id Identity) [FooterSize]byte {
	var b [FooterSize]byte
	be := binary.BigEndian
	copy(b[:], Cookie)
	be.PutUint32(b[offFeatures:], featureReserved)
	be.PutUint32(b[offVersion:], formatVersion)
	be.PutUint64(b[offDataOffset:], noOffset)
	seconds := max(0, min(id.Created.Unix()-epoch.Unix(), 1<<32-1))
	be.PutUint32(b[offTime:], uint32(seconds))
	copy(b[offApp:], creatorApp)
	be.PutUint32(b[offAppVersion:], creatorVersion)
	copy(b[offHost:], creatorHost)
	be.PutUint64(b[offOriginal:], uint64(size))
	be.PutUint64(b[offCurrent:], uint64(size))
	cylinders, heads, sectors := geometry(size / SectorSize)
	be.PutUint16(b[offCylinders:], cylinders)
	b[offHeads], b[offSectors] = heads, sectors
	be.PutUint32(b[offType:], uint32(TypeFixed))
	copy(b[offUnique:], id.Unique[:])
	be.PutUint32(b[offChecksum:], checksum(b[:], offChecksum))
	return b
}

// ParseFooter reads a footer of FooterSize bytes. It checks cookie, checksum, version, type, and that the size is a
// positive number of whole sectors; not that the size fits the file.
func ParseFooter(b []byte) (Footer, error) {
	be := binary.BigEndian
	if len(b) != FooterSize {
		return Footer{}, fmt.Errorf("%w: footer of %d bytes", ErrFormat, len(b))
	}
	if !bytes.HasPrefix(b, []byte(Cookie)) {
		return Footer{}, ErrCookie
	}
	if want := be.Uint32(b[offChecksum:]); checksum(b, offChecksum) != want {
		return Footer{}, fmt.Errorf("%w: footer says %08x, its bytes give %08x", ErrChecksum, want, checksum(b, offChecksum))
	}
	if v := be.Uint32(b[offVersion:]); v>>16 != formatVersion>>16 {
		return Footer{}, fmt.Errorf("%w: format version %d.%d is unknown", ErrFormat, v>>16, v&0xffff)
	}
	size := be.Uint64(b[offCurrent:])
	if size == 0 || size > MaxSize || size%SectorSize != 0 {
		return Footer{}, fmt.Errorf("%w: size %d is not a positive number of sectors up to %d bytes", ErrFormat, size, MaxSize)
	}
	f := Footer{Type: Type(be.Uint32(b[offType:])), Size: int64(size), DataOffset: be.Uint64(b[offDataOffset:])}
	if f.Type < TypeFixed || f.Type > TypeDifferencing {
		return Footer{}, fmt.Errorf("%w: disk type %d is unknown", ErrFormat, f.Type)
	}
	f.Identity.Created = epoch.Add(time.Duration(be.Uint32(b[offTime:])) * time.Second)
	copy(f.Identity.Unique[:], b[offUnique:])
	return f, nil
}

// MaxSize bounds the size of a disk in a VHD, in bytes: 64 TiB, the largest volume. The format itself has room for
// more; a dynamic VHD ends at 2 TiB because its table counts sectors in 32 bits.
const MaxSize = 64 << 40

// checksum is the one's complement of the sum of all bytes, those of the checksum itself left out.
func checksum(b []byte, at int) uint32 {
	var sum uint32
	for i, c := range b {
		if i < at || i >= at+4 {
			sum += uint32(c)
		}
	}
	return ^sum
}

// geometry is the appendix "CHS Calculation" of the specification.
func geometry(total int64) (cylinders uint16, heads, sectors uint8) {
	total = min(total, 65535*16*255)
	var s, h, cylTimesHeads int64
	if total >= 65535*16*63 {
		s, h = 255, 16
		cylTimesHeads = total / s
	} else {
		s = 17
		cylTimesHeads = total / s
		h = max(4, (cylTimesHeads+1023)/1024)
		if cylTimesHeads >= h*1024 || h > 16 {
			s, h = 31, 16
			cylTimesHeads = total / s
		}
		if cylTimesHeads >= h*1024 {
			s, h = 63, 16
			cylTimesHeads = total / s
		}
	}
	return uint16(cylTimesHeads / h), uint8(h), uint8(s)
}
