package lsd

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"tintype/internal/block"
)

// recordVersion is in every JSON record; a greater one is refused by name.
const recordVersion = 1

// storeRecord is the store itself. Incarnation is that of the last opening. NextSegment, NextLineage are limits: every number
// below them may have been used.
type storeRecord struct {
	V           int    `json:"v"`
	Incarnation uint64 `json:"incarnation"`
	NextSegment uint32 `json:"nextSegment"`
	NextLineage uint64 `json:"nextLineage"`
}

// volumeRecord leads from a volume's id to its data: a disk's lineage, or a snapshot's lineage and epoch.
type volumeRecord struct {
	V       int        `json:"v"`
	Kind    block.Kind `json:"kind"`
	Lineage uint64     `json:"lineage"`
	Epoch   uint64     `json:"epoch,omitempty"`
	Zonal   bool       `json:"zonal,omitempty"` // its data is to be in the zones
	Key     string     `json:"key,omitempty"`   // id of the customer's key that it is under; none: the platform's
}

// lineageRecord is the history of one disk. Head is false once the disk is deleted; Drained once its log is no longer
// needed. Base is before every position that its own log may have and after every one that it inherits.
type lineageRecord struct {
	V           int      `json:"v"`
	Parent      uint64   `json:"parent,omitempty"`
	ParentEpoch uint64   `json:"parentEpoch,omitempty"`
	Base        position `json:"base"`
	Head        bool     `json:"head"`
	Drained     bool     `json:"drained,omitempty"`
	Size        int64    `json:"size"`
}

// checkpointRecord says up to where a disk's log is in page versions, and the counts at that place.
type checkpointRecord struct {
	V       int      `json:"v"`
	Pos     position `json:"pos"`
	NextSeq uint64   `json:"nextSeq"`
	PrevSum uint32   `json:"prevSum"`
	Epoch   uint64   `json:"epoch"`
	Used    int64    `json:"used"` // blocks
}

// epochRecord is a frozen epoch: where the log stood (Cut, and Seq, the last sequence inside), and what the disk was.
type epochRecord struct {
	V    int      `json:"v"`
	Cut  position `json:"cut"`
	Seq  uint64   `json:"seq"`
	Size int64    `json:"size"`
	Used int64    `json:"used"` // blocks
}

func idKey(prefix byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, id)
}

func epochKey(lineage, epoch uint64) []byte {
	return binary.BigEndian.AppendUint64(idKey(keyEpoch, lineage), epoch)
}

func volumeKey(id block.ID) []byte { return append([]byte{keyVolume}, id[:]...) }

func segmentKey(n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{keySegment}, n) }

// putRecord adds a record to a batch.
func putRecord(b *pebble.Batch, key []byte, record any) error {
	value, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return b.Set(key, value, nil)
}

// parseRecord reads a JSON record and refuses a version that this program does not know.
func parseRecord(key, value []byte, record any) error {
	var v struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return fmt.Errorf("record %q: %w: %w", key, err, block.ErrDamaged)
	}
	if v.V != recordVersion {
		return fmt.Errorf("record %q has format version %d, this program knows %d", key, v.V, recordVersion)
	}
	if err := json.Unmarshal(value, record); err != nil {
		return fmt.Errorf("record %q: %w: %w", key, err, block.ErrDamaged)
	}
	return nil
}
