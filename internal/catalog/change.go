package catalog

import (
	"database/sql"
	"time"

	"github.com/google/uuid"

	"tintype"
)

// Change is one step in the life of a disk or snapshot.
type Change struct {
	Seq    int64 // grows, and is never used twice
	At     time.Time
	Gone   bool           // it was deleted
	Volume tintype.Volume // as it is since then; when gone, as it was last
}

// change is a Change that this transaction made and that has no number yet.
type change struct {
	document string
	gone     bool
}

// RecordChanges keeps, as of the time, what the transaction did to volumes until now. Without the call nothing is kept.
func (t *Tx) RecordChanges(at time.Time) error {
	for _, c := range t.changed {
		gone := 0
		if c.gone {
			gone = 1
		}
		_, err := t.exec("INSERT INTO changes (seq, at, gone, document) "+
			"SELECT COALESCE(MAX(seq), 0) + 1, $1, $2, $3 FROM changes", at.UnixNano(), gone, c.document)
		if err != nil {
			return err
		}
	}
	t.changed = nil
	return nil
}

// Changes lists up to limit changes after the number, in their order.
func (t *Tx) Changes(after int64, limit int) ([]Change, error) {
	return all(t, scanChange, "SELECT seq, at, gone, document FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2", after, limit)
}

// LastChange is the number of the newest change, 0 when there never was one.
func (t *Tx) LastChange() (seq int64, err error) {
	err = t.one("SELECT COALESCE(MAX(seq), 0) FROM changes", nil, &seq)
	return seq, err
}

// ForgetChanges deletes the changes up to the number, but never the newest of all.
func (t *Tx) ForgetChanges(upTo int64) error {
	_, err := t.exec("DELETE FROM changes WHERE seq <= $1 AND seq < (SELECT MAX(seq) FROM changes)", upTo)
	return err
}

// Identities lists the unique ids of all volumes.
func (t *Tx) Identities() ([]uuid.UUID, error) {
	return all(t, scanID, "SELECT unique_id FROM volumes")
}

// VolumeOf gives the volume of the unique id; ErrNotFound when there is none.
func (t *Tx) VolumeOf(unique uuid.UUID) (tintype.Volume, error) {
	var doc string
	if err := t.one("SELECT document FROM volumes WHERE unique_id = $1", []any{unique.String()}, &doc); err != nil {
		return tintype.Volume{}, err
	}
	return DecodeVolume([]byte(doc))
}

func scanChange(r *sql.Rows) (Change, error) {
	var c Change
	var at int64
	var gone int
	var doc string
	if err := r.Scan(&c.Seq, &at, &gone, &doc); err != nil {
		return c, err
	}
	var err error
	c.At, c.Gone = time.Unix(0, at).UTC(), gone != 0
	c.Volume, err = DecodeVolume([]byte(doc))
	return c, err
}

// deleteReturning removes the row of the key and gives its document; ErrNotFound when there is none.
func (t *Tx) deleteReturning(key string) (doc string, err error) {
	err = t.one("DELETE FROM volumes WHERE key = $1 RETURNING document", []any{key}, &doc)
	return doc, err
}
