package lsd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// The record of a store's zones, JSON, kept as zones.json in the store's folder and in each zone's;
// docs/format/zones.md is its page.
const zonesFile = "zones.json"

// zonesVersion is in every record; another one is refused by name.
const zonesVersion = 1

// zonesRecord says which copies are whole. The record with the greatest counter holds.
type zonesRecord struct {
	V       int         `json:"v"`
	Store   uuid.UUID   `json:"store"`
	Zone    string      `json:"zone"` // whose folder the file lies in; empty: the store's own
	Counter uint64      `json:"counter"`
	Zones   []zoneState `json:"zones"`
	Sum     uint32      `json:"sum"` // CRC-32C of the record with sum 0
}

// zoneState is one zone in the record. Segments numbered below Since are whole there; a zone that is Whole has missed
// nothing. Seen is the counter of the last record that was written while the zone was in.
type zoneState struct {
	Zone  string `json:"zone"`
	Whole bool   `json:"whole"`
	Since uint32 `json:"since"`
	Seen  uint64 `json:"seen"`
}

func (r zonesRecord) encode() ([]byte, error) {
	r.V, r.Sum = zonesVersion, 0
	plain, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	r.Sum = checksum(plain)
	return json.Marshal(r)
}

func decodeZones(p []byte) (zonesRecord, error) {
	var v struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(p, &v); err != nil {
		return zonesRecord{}, fmt.Errorf("%w: %w", err, block.ErrDamaged)
	}
	if v.V != zonesVersion {
		return zonesRecord{}, fmt.Errorf("format version %d, this program knows %d", v.V, zonesVersion)
	}
	var r zonesRecord
	if err := json.Unmarshal(p, &r); err != nil {
		return zonesRecord{}, fmt.Errorf("%w: %w", err, block.ErrDamaged)
	}
	sum := r.Sum
	r.Sum = 0
	plain, err := json.Marshal(r)
	if err != nil {
		return zonesRecord{}, err
	}
	if checksum(plain) != sum {
		return zonesRecord{}, fmt.Errorf("checksum: %w", block.ErrDamaged)
	}
	return r, nil
}

// maxZonesFile bounds what is read of a record.
const maxZonesFile = 64 << 10

// readZones reads the record in a folder; fs.ErrNotExist when there is none.
func readZones(fsys vfs.FS, dir string) (zonesRecord, error) {
	name := path.Join(dir, zonesFile)
	f, err := fsys.Open(name)
	if err != nil {
		return zonesRecord{}, err
	}
	size, err := f.Size()
	if err == nil && size > maxZonesFile {
		err = fmt.Errorf("%s has %d bytes: %w", name, size, block.ErrDamaged)
	}
	if err != nil {
		return zonesRecord{}, errors.Join(err, f.Close())
	}
	p := make([]byte, size)
	if _, err = f.ReadAt(p, 0); errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return zonesRecord{}, err
	}
	r, err := decodeZones(p)
	if err != nil {
		return zonesRecord{}, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// writeZones replaces the record in a folder, durably: the old one or the new one is there at any time.
func writeZones(fsys vfs.FS, dir string, r zonesRecord) error {
	p, err := r.encode()
	if err != nil {
		return err
	}
	return replaceFile(fsys, path.Join(dir, zonesFile), p)
}
