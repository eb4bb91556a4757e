package catalog

import (
	"time"

	"github.com/google/uuid"

	"tintype"
)

// NewestOfFamily gives the snapshot of the family that was made last; ErrNotFound when there is none.
func (t *Tx) NewestOfFamily(family uuid.UUID) (tintype.Volume, error) {
	var doc string
	err := t.one("SELECT document FROM volumes WHERE family = $1 ORDER BY created DESC LIMIT 1", []any{family.String()}, &doc)
	if err != nil {
		return tintype.Volume{}, err
	}
	return DecodeVolume([]byte(doc))
}

// OfFamily gives the snapshot of the family that was made at the time, to the microsecond, as which clients know it;
// ErrNotFound when there is none.
func (t *Tx) OfFamily(family uuid.UUID, made time.Time) (tintype.Volume, error) {
	var doc string
	from := made.Truncate(time.Microsecond)
	err := t.one("SELECT document FROM volumes WHERE family = $1 AND created >= $2 AND created < $3 ORDER BY created, key LIMIT 1",
		[]any{family.String(), from.UnixNano(), from.Add(time.Microsecond).UnixNano()}, &doc)
	if err != nil {
		return tintype.Volume{}, err
	}
	return DecodeVolume([]byte(doc))
}

// FamilyOf gives the family of the source's incremental snapshots; ErrNotFound when it never had one.
func (t *Tx) FamilyOf(source uuid.UUID) (uuid.UUID, error) {
	var s string
	if err := t.one("SELECT family FROM families WHERE source = $1", []any{source.String()}, &s); err != nil {
		return uuid.Nil, err
	}
	return uuid.Parse(s)
}

// Family gives the id that the incremental snapshots of the source share, which is fresh when the source has none yet.
func (t *Tx) Family(source, fresh uuid.UUID) (uuid.UUID, error) {
	_, err := t.exec("INSERT INTO families (source, family) VALUES ($1, $2) ON CONFLICT (source) DO NOTHING",
		source.String(), fresh.String())
	if err != nil {
		return uuid.Nil, err
	}
	return t.FamilyOf(source)
}

// CountFamily tells how many snapshots of the family exist.
func (t *Tx) CountFamily(family uuid.UUID) (int, error) {
	var n int
	return n, t.one("SELECT count(*) FROM volumes WHERE family = $1", []any{family.String()}, &n)
}

// AddCut records that a snapshot of the family was made, and forgets those made before the time old.
func (t *Tx) AddCut(family uuid.UUID, at, old time.Time) error {
	if _, err := t.exec("DELETE FROM family_cuts WHERE made < $1", old.UnixNano()); err != nil {
		return err
	}
	_, err := t.exec("INSERT INTO family_cuts (family, made) VALUES ($1, $2)", family.String(), at.UnixNano())
	return err
}

// CountCuts tells how many snapshots of the family were made after one time and up to another, deleted ones included.
func (t *Tx) CountCuts(family uuid.UUID, after, upTo time.Time) (int, error) {
	var n int
	return n, t.one("SELECT count(*) FROM family_cuts WHERE family = $1 AND made > $2 AND made <= $3",
		[]any{family.String(), after.UnixNano(), upTo.UnixNano()}, &n)
}
