package catalog

import (
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"tintype"
)

// Volume gives the disk or snapshot of the key; ErrNotFound when there is none.
func (t *Tx) Volume(key string) (tintype.Volume, error) {
	var doc string
	if err := t.one("SELECT document FROM volumes WHERE key = $1", []any{key}, &doc); err != nil {
		return tintype.Volume{}, err
	}
	return DecodeVolume([]byte(doc))
}

// VolumeByStore gives the disk or snapshot whose bytes the store's volume holds; ErrNotFound when there is none.
func (t *Tx) VolumeByStore(store uuid.UUID) (tintype.Volume, error) {
	var doc string
	if err := t.one("SELECT document FROM volumes WHERE store = $1", []any{store.String()}, &doc); err != nil {
		return tintype.Volume{}, err
	}
	return DecodeVolume([]byte(doc))
}

// PutVolume records the volume, new or changed.
func (t *Tx) PutVolume(v tintype.Volume) error {
	doc, err := EncodeVolume(v)
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO volumes (key, group_key, subscription, kind, unique_id, store, family, created, document) "+
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "+
		"ON CONFLICT (key) DO UPDATE SET store = excluded.store, document = excluded.document",
		v.ID.Key(), v.ID.GroupKey(), v.ID.Subscription, v.ID.Kind, v.UniqueID.String(), v.Store.String(),
		text(v.Family), v.Created.UnixNano(), string(doc))
	if err != nil {
		return err
	}
	t.changed = append(t.changed, change{document: string(doc)})
	return t.putUses(v)
}

// DeleteVolume removes the volume's row, its grant and its footer. It fails while the volume is attached.
func (t *Tx) DeleteVolume(key string) error {
	doc, err := t.deleteReturning(key)
	if err == nil {
		t.changed = append(t.changed, change{document: doc, gone: true})
	}
	return err
}

// MoveVolume puts the volume, whose id has changed, in the place of the one of the key. Nothing may refer to that: no grant, attachment or
// footer.
func (t *Tx) MoveVolume(from string, v tintype.Volume) error {
	doc, err := EncodeVolume(v)
	if err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM companion_uses WHERE volume = $1", from); err != nil {
		return err
	}
	n, err := t.exec("UPDATE volumes SET key = $1, group_key = $2, document = $3 WHERE key = $4", v.ID.Key(), v.ID.GroupKey(), string(doc), from)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return err
	}
	t.changed = append(t.changed, change{document: string(doc)})
	return t.putUses(v)
}

// Scope says which volumes a list holds. Kind 0 is disks and snapshots, Group "" the whole subscription.
type Scope struct {
	Subscription tintype.SubscriptionID
	Group        string // key of a group
	Kind         tintype.Kind
	Inner        bool // with Kind 0: also what lies inside other resources, such as restore points of disks, disks of images, guest states
}

// Volumes lists up to limit volumes of the scope whose keys follow after, in the order of their keys.
func (t *Tx) Volumes(s Scope, after string, limit int) ([]tintype.Volume, error) {
	where, args := "subscription = $1", []any{s.Subscription}
	if s.Group != "" {
		where, args = "group_key = $1", []any{s.Group}
	}
	kinds := [2]tintype.Kind{s.Kind, s.Kind}
	if s.Kind == 0 {
		kinds = [2]tintype.Kind{tintype.KindDisk, tintype.KindSnapshot}
		if s.Inner {
			kinds[1] = tintype.KindPointGuest
		}
	}
	args = append(args, kinds[0], kinds[1], after, limit)
	return all(t, scanVolume, "SELECT document FROM volumes WHERE "+where+
		" AND kind BETWEEN $2 AND $3 AND key > $4 ORDER BY key LIMIT $5", args...)
}

// VolumesBelow lists the volumes whose keys lie below the key of another resource, in the order of their keys.
func (t *Tx) VolumesBelow(key string) ([]tintype.Volume, error) {
	const afterSlash = "0"
	return all(t, scanVolume, "SELECT document FROM volumes WHERE key > $1 AND key < $2 ORDER BY key", key+"/", key+afterSlash)
}

func scanVolume(r *sql.Rows) (tintype.Volume, error) {
	var doc string
	if err := r.Scan(&doc); err != nil {
		return tintype.Volume{}, err
	}
	return DecodeVolume([]byte(doc))
}

// text writes an id for a column, "" for none.
func text(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// parse reads what text wrote.
func parse(s string) (uuid.UUID, error) {
	if s == "" {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(s)
	if err != nil {
		return uuid.Nil, fmt.Errorf("catalog holds a bad id %q: %w", s, err)
	}
	return id, nil
}
