package catalog

import (
	"database/sql"

	"github.com/google/uuid"
)

// AddIntent records that a volume of the store is about to be made for an operation that isn't accepted yet.
func (t *Tx) AddIntent(store uuid.UUID) error {
	_, err := t.exec("INSERT INTO intents (store) VALUES ($1)", store.String())
	return err
}

// DeleteIntent removes the intent: the volume was accepted, or is dropped.
func (t *Tx) DeleteIntent(store uuid.UUID) error {
	n, err := t.exec("DELETE FROM intents WHERE store = $1", store.String())
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// Intents lists the intents.
func (t *Tx) Intents() ([]uuid.UUID, error) {
	return all(t, scanID, "SELECT store FROM intents ORDER BY store")
}

// AddDrop records that a volume of the store is to be deleted.
func (t *Tx) AddDrop(store uuid.UUID) error {
	_, err := t.exec("INSERT INTO drops (store) VALUES ($1) ON CONFLICT (store) DO NOTHING", store.String())
	return err
}

// DeleteDrop removes the record: the volume is gone.
func (t *Tx) DeleteDrop(store uuid.UUID) error {
	_, err := t.exec("DELETE FROM drops WHERE store = $1", store.String())
	return err
}

// Drops lists the volumes of the store that are to be deleted.
func (t *Tx) Drops() ([]uuid.UUID, error) {
	return all(t, scanID, "SELECT store FROM drops ORDER BY store")
}

// Dropped tells whether the store's volume is to be deleted.
func (t *Tx) Dropped(store uuid.UUID) (is bool, err error) {
	return is, t.one("SELECT EXISTS (SELECT 1 FROM drops WHERE store = $1)", []any{store.String()}, &is)
}

// Stores lists every volume of the store that a resource holds.
func (t *Tx) Stores() ([]uuid.UUID, error) {
	return all(t, scanID, "SELECT store FROM volumes ORDER BY store")
}

func scanID(r *sql.Rows) (uuid.UUID, error) {
	var s string
	if err := r.Scan(&s); err != nil {
		return uuid.Nil, err
	}
	return parse(s)
}
