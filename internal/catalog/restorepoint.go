package catalog

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"tintype"
)

// pointDoc is a restore point as the catalog keeps it. Fields are only ever added.
type pointDoc struct {
	ID       string         `json:"id"`
	Created  int64          `json:"created"`
	Location string         `json:"location"`
	Mode     string         `json:"mode"`
	Excluded []string       `json:"excluded,omitempty"`
	Source   string         `json:"source,omitempty"`
	Machine  *machineDoc    `json:"machine,omitempty"`
	Disks    []pointDiskDoc `json:"disks"`
}

type pointDiskDoc struct {
	OS         bool          `json:"os,omitempty"`
	LUN        int           `json:"lun"`
	Name       string        `json:"name"`
	Disk       string        `json:"disk"`
	Caching    string        `json:"caching,omitempty"`
	OSType     string        `json:"osType,omitempty"`
	Generation string        `json:"hyperVGeneration,omitempty"`
	SizeGB     int64         `json:"sizeGB"`
	SKU        string        `json:"sku"`
	Point      string        `json:"point"`
	Source     string        `json:"source,omitempty"`
	Encryption encryptionDoc `json:"encryption"`
}

func encodePoint(p tintype.RestorePoint) ([]byte, error) {
	d := pointDoc{
		ID: p.ID.String(), Created: p.Created.UnixNano(), Location: p.Location, Mode: p.Mode, Excluded: p.Excluded, Source: p.Source,
		Machine: encodeMachine(p.Machine),
	}
	for _, k := range p.Disks {
		d.Disks = append(d.Disks, pointDiskDoc{
			OS: k.OS, LUN: k.LUN, Name: k.Name, Disk: k.Disk, Caching: k.Caching, OSType: k.OSType, Generation: k.Generation,
			SizeGB: k.SizeGB, SKU: string(k.SKU), Point: k.Point.String(), Source: k.Source, Encryption: encryptionDoc(k.Encryption),
		})
	}
	return json.Marshal(d)
}

func decodePoint(data []byte) (tintype.RestorePoint, error) {
	var d pointDoc
	if err := json.Unmarshal(data, &d); err != nil {
		return tintype.RestorePoint{}, fmt.Errorf("catalog holds a bad restore point: %w", err)
	}
	id, ok := tintype.ParsePointID(d.ID)
	if !ok {
		return tintype.RestorePoint{}, fmt.Errorf("catalog holds a bad id of a restore point %q", d.ID)
	}
	machine, err := decodeMachine(d.Machine)
	if err != nil {
		return tintype.RestorePoint{}, err
	}
	p := tintype.RestorePoint{
		ID: id, Created: time.Unix(0, d.Created).UTC(), Location: d.Location, Mode: d.Mode, Excluded: d.Excluded, Source: d.Source,
		Machine: machine,
	}
	for _, k := range d.Disks {
		point, ok := tintype.ParseResourceID(k.Point)
		if !ok {
			return p, fmt.Errorf("catalog holds a bad resource id %q", k.Point)
		}
		p.Disks = append(p.Disks, tintype.PointDisk{
			OS: k.OS, LUN: k.LUN, Name: k.Name, Disk: k.Disk, Caching: k.Caching, OSType: k.OSType, Generation: k.Generation,
			SizeGB: k.SizeGB, SKU: tintype.SKU(k.SKU), Point: point, Source: k.Source, Encryption: tintype.Encryption(k.Encryption),
		})
	}
	return p, nil
}

// Point gives the restore point of the key; ErrNotFound when there is none.
func (t *Tx) Point(key string) (tintype.RestorePoint, error) {
	var doc string
	if err := t.one("SELECT document FROM restore_points WHERE key = $1", []any{key}, &doc); err != nil {
		return tintype.RestorePoint{}, err
	}
	return decodePoint([]byte(doc))
}

// AddPoint records a new restore point. Its disks' volumes are recorded apart.
func (t *Tx) AddPoint(p tintype.RestorePoint) error {
	doc, err := encodePoint(p)
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO restore_points (key, collection, document) VALUES ($1, $2, $3)",
		p.ID.Key(), p.ID.Collection.Key(), string(doc))
	return err
}

// DeletePoint removes the restore point's row.
func (t *Tx) DeletePoint(key string) error {
	_, err := t.exec("DELETE FROM restore_points WHERE key = $1", key)
	return err
}

// Points lists the collection's restore points in the order of their keys.
func (t *Tx) Points(collection string) ([]tintype.RestorePoint, error) {
	return all(t, func(r *sql.Rows) (tintype.RestorePoint, error) {
		var doc string
		if err := r.Scan(&doc); err != nil {
			return tintype.RestorePoint{}, err
		}
		return decodePoint([]byte(doc))
	}, "SELECT document FROM restore_points WHERE collection = $1 ORDER BY key", collection)
}

// CountPoints tells how many restore points the collection has.
func (t *Tx) CountPoints(collection string) (n int, err error) {
	return n, t.one("SELECT count(*) FROM restore_points WHERE collection = $1", []any{collection}, &n)
}
