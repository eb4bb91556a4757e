package block

import (
	"errors"

	"github.com/google/uuid"
)

// BlockSize is the unit in which volumes are mapped and used bytes are counted.
const BlockSize = 4096

// SectorSize is the unit of a volume's size.
const SectorSize = 512

// MaxSize is the largest volume, 64 TiB.
const MaxSize int64 = 64 << 40

// ID names a volume, a disk or a snapshot, in a store. Callers choose it, at random, so that a step repeated after a
// crash meets its own earlier result as ErrExists.
type ID = uuid.UUID

// Redundancy is how often a volume's data is kept.
type Redundancy uint8

// The redundancies of a volume.
const (
	Local Redundancy = iota // once
	Zonal                   // in each of three zones
)

// Cut asks for a snapshot: a new volume Snapshot that is what Source is at the moment of the cut. Source may be a disk
// or a snapshot, and of another redundancy.
type Cut struct {
	Source     ID
	Snapshot   ID
	Redundancy Redundancy
}

// Kind tells disks from snapshots.
type Kind uint8

// The kinds of a volume.
const (
	KindDisk Kind = iota + 1
	KindSnapshot
)

// Info is what a store knows of a volume without reading it.
type Info struct {
	ID   ID
	Kind Kind
	Size int64
	Used int64
	Key  string // id of the customer's key that it is under; none: the platform's
}

// Sizes of one volume in bytes, exact. Used counts the mapped blocks, each as BlockSize.
type Sizes struct {
	Used        int64
	Provisioned int64
}

// Share is what of a volume's data is its own, in bytes, exact: born since the snapshot before it, and held by nothing else.
type Share struct {
	Incremental int64
	Exclusive   int64
}

// What goes wrong with volumes; a store wraps these, so test with errors.Is.
var (
	ErrNotFound   = errors.New("no such volume")
	ErrExists     = errors.New("volume exists already")
	ErrInUse      = errors.New("volume is open")
	ErrReadOnly   = errors.New("volume is read-only")
	ErrOutOfRange = errors.New("range is outside the volume")
	ErrNoSpace    = errors.New("no space left in the store")
	ErrDamaged    = errors.New("data is damaged")
	ErrLocked     = errors.New("the key of the volume is not to be had")
	ErrBadSize    = errors.New("size is not a multiple of 512 bytes, not positive, too large, or smaller than it was")
	ErrFailed     = errors.New("volume stopped after an I/O error")
	ErrClosed     = errors.New("closed")
	ErrNoZones    = errors.New("the store has no zones")
	ErrUnrelated  = errors.New("volumes have no history in common")
)
