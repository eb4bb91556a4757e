package catalog

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tintype"
)

// Copy is what is known of the copy of a snapshot from another server.
type Copy struct {
	Volume   uuid.UUID          // unique id of the new snapshot
	Key      string             // of the new snapshot
	Source   tintype.ResourceID // at the other server
	SourceID uuid.UUID          // its unique id
	Prepared bool               // the disk that it is copied into holds what the source had at Since
	Since    time.Time          // zero: nothing
	Asked    bool               // for access to the source, which must be given back
	URL      string             // what was given, a secret
	Expires  time.Time          // when the access ends
	Position int64              // all before it is copied, and durable
	Total    int64              // bytes to copy in all, 0 until they are counted
	Done     int64              // those of them before Position
	Moved    time.Time          // when last something was got from the other server
	Tried    time.Duration      // for how long it had been asked in vain when it last did not answer
	Whole    bool               // all bytes are there
	Ended    bool               // only the access is still to be given back
}

type copyRow struct {
	Key      string    `json:"key"`
	Source   string    `json:"source"`
	SourceID uuid.UUID `json:"sourceUniqueId"`
	Prepared bool      `json:"prepared,omitempty"`
	Since    int64     `json:"since,omitempty"`
	Asked    bool      `json:"asked,omitempty"`
	URL      string    `json:"url,omitempty"`
	Expires  int64     `json:"expires,omitempty"`
	Position int64     `json:"position,omitempty"`
	Total    int64     `json:"total,omitempty"`
	Done     int64     `json:"done,omitempty"`
	Moved    int64     `json:"moved,omitempty"`
	Tried    int64     `json:"tried,omitempty"`
	Whole    bool      `json:"whole,omitempty"`
	Ended    bool      `json:"ended,omitempty"`
}

// PutCopy records the copy, new or changed.
func (t *Tx) PutCopy(c Copy) error {
	doc, err := json.Marshal(copyRow{
		Key: c.Key, Source: c.Source.String(), SourceID: c.SourceID, Prepared: c.Prepared, Since: nanos(c.Since), Asked: c.Asked, URL: c.URL,
		Expires: nanos(c.Expires), Position: c.Position, Total: c.Total, Done: c.Done, Moved: nanos(c.Moved), Tried: int64(c.Tried), Whole: c.Whole, Ended: c.Ended,
	})
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO copies (unique_id, document) VALUES ($1, $2) ON CONFLICT (unique_id) DO UPDATE SET document = excluded.document",
		c.Volume.String(), string(doc))
	return err
}

// Copy gives the copy into the snapshot of the unique id; ErrNotFound when there is none.
func (t *Tx) Copy(volume uuid.UUID) (Copy, error) {
	return scanCopy(func(dest ...any) error {
		return t.one("SELECT unique_id, document FROM copies WHERE unique_id = $1", []any{volume.String()}, dest...)
	})
}

// Copies lists all copies.
func (t *Tx) Copies() ([]Copy, error) {
	return all(t, func(r *sql.Rows) (Copy, error) { return scanCopy(r.Scan) }, "SELECT unique_id, document FROM copies ORDER BY unique_id")
}

// DeleteCopy forgets the copy.
func (t *Tx) DeleteCopy(volume uuid.UUID) error {
	_, err := t.exec("DELETE FROM copies WHERE unique_id = $1", volume.String())
	return err
}

func scanCopy(scan func(...any) error) (c Copy, err error) {
	var id, doc string
	if err := scan(&id, &doc); err != nil {
		return c, err
	}
	var d copyRow
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		return c, fmt.Errorf("catalog holds a bad copy: %w", err)
	}
	source, ok := tintype.ParseResourceID(d.Source)
	if !ok {
		return c, fmt.Errorf("catalog holds a bad resource id %q", d.Source)
	}
	c = Copy{
		Key: d.Key, Source: source, SourceID: d.SourceID, Prepared: d.Prepared, Since: fromNanos(d.Since), Asked: d.Asked, URL: d.URL,
		Expires: fromNanos(d.Expires), Position: d.Position, Total: d.Total, Done: d.Done, Moved: fromNanos(d.Moved), Tried: time.Duration(d.Tried), Whole: d.Whole, Ended: d.Ended,
	}
	c.Volume, err = parse(id)
	return c, err
}

// Mirror gives the disk of the store into which the family's last snapshot was copied, and which volume was cut of it then;
// ErrNotFound when there is none.
func (t *Tx) Mirror(family uuid.UUID) (store, cut uuid.UUID, err error) {
	var a, b string
	if err := t.one("SELECT store, cut FROM mirrors WHERE family = $1", []any{family.String()}, &a, &b); err != nil {
		return store, cut, err
	}
	store, err = parse(a)
	if err == nil {
		cut, err = parse(b)
	}
	return store, cut, err
}

// PutMirror records the family's only mirror; it fails when there is another.
func (t *Tx) PutMirror(family, store, cut uuid.UUID) error {
	_, err := t.exec("INSERT INTO mirrors (family, store, cut) VALUES ($1, $2, $3)", family.String(), store.String(), cut.String())
	return err
}

// DropMirror has the family's mirror deleted, if there is one.
func (t *Tx) DropMirror(family uuid.UUID) error {
	store, _, err := t.Mirror(family)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(t.AddDrop(store), t.forgetMirror(family))
}

// TakeMirror forgets the family's mirror if the volume was the last that was cut of it. It gives the disk, which is the caller's from
// then on; ErrNotFound when there is no such mirror, so that only one can have it.
func (t *Tx) TakeMirror(family, cut uuid.UUID) (store uuid.UUID, err error) {
	store, last, err := t.Mirror(family)
	if err == nil && last != cut {
		err = ErrNotFound
	}
	if err != nil {
		return uuid.Nil, err
	}
	return store, t.forgetMirror(family)
}

func (t *Tx) forgetMirror(family uuid.UUID) error {
	_, err := t.exec("DELETE FROM mirrors WHERE family = $1", family.String())
	return err
}

// Mirrors lists all mirrors' volumes of the store.
func (t *Tx) Mirrors() ([]uuid.UUID, error) {
	return all(t, scanID, "SELECT store FROM mirrors ORDER BY store")
}

// ofFamilyBefore chooses the snapshots of a family that are older than one of it; what was made at one moment is in the order of keys.
const ofFamilyBefore = "family = $1 AND (created < $2 OR created = $2 AND key < $3)"

// WholeBefore lists up to limit snapshots of the volume's family that are older than it and whole, newest first.
func (t *Tx) WholeBefore(v tintype.Volume, limit int) ([]tintype.Volume, error) {
	return all(t, scanVolume, "SELECT document FROM volumes WHERE "+ofFamilyBefore+
		" AND json_extract(document, '$.copy') IS NULL ORDER BY created DESC, key DESC LIMIT $4",
		v.Family.String(), v.Created.UnixNano(), v.ID.Key(), limit)
}

// CopyingBefore tells whether a snapshot of the volume's family that is older than it is still being copied.
func (t *Tx) CopyingBefore(v tintype.Volume) (is bool, err error) {
	return is, t.one("SELECT EXISTS (SELECT 1 FROM volumes WHERE "+ofFamilyBefore+
		" AND json_extract(document, '$.copy') IS NOT NULL AND coalesce(json_extract(document, '$.copy.code'), '') = '')",
		[]any{v.Family.String(), v.Created.UnixNano(), v.ID.Key()}, &is)
}

// MirrorOf gives the mirror from which the store's volume was cut last; ErrNotFound when there is none.
func (t *Tx) MirrorOf(cut uuid.UUID) (uuid.UUID, error) {
	var store string
	if err := t.one("SELECT store FROM mirrors WHERE cut = $1", []any{cut.String()}, &store); err != nil {
		return uuid.Nil, err
	}
	return parse(store)
}

// StaleMirrors lists the families whose mirror's last cut no volume has any more.
func (t *Tx) StaleMirrors() ([]uuid.UUID, error) {
	return all(t, scanID, "SELECT family FROM mirrors m WHERE NOT EXISTS (SELECT 1 FROM volumes v WHERE v.store = m.cut) ORDER BY family")
}
