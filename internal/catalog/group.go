package catalog

import (
	"database/sql"
	"encoding/json"
	"time"

	"tintype"
)

const groupColumns = "subscription, name, location, tags, state, created, managed_by"

func scanGroup(scan func(...any) error) (tintype.Group, error) {
	var g tintype.Group
	var tags string
	var created int64
	if err := scan(&g.Subscription, &g.Name, &g.Location, &tags, &g.State, &created, &g.ManagedBy); err != nil {
		return g, err
	}
	g.Created = time.Unix(0, created).UTC()
	return g, json.Unmarshal([]byte(tags), &g.Tags)
}

// Group gives the group of the key; ErrNotFound when there is none.
func (t *Tx) Group(key string) (tintype.Group, error) {
	return scanGroup(func(dest ...any) error {
		return t.one("SELECT "+groupColumns+" FROM resource_groups WHERE key = $1", []any{key}, dest...)
	})
}

// Groups lists the subscription's groups in the order of their keys.
func (t *Tx) Groups(sub tintype.SubscriptionID) ([]tintype.Group, error) {
	return all(t, func(r *sql.Rows) (tintype.Group, error) { return scanGroup(r.Scan) },
		"SELECT "+groupColumns+" FROM resource_groups WHERE subscription = $1 ORDER BY key", sub)
}

// PutGroup records the group, new or changed.
func (t *Tx) PutGroup(g tintype.Group) error {
	tags, err := json.Marshal(g.Tags)
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO resource_groups (key, "+groupColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "+
		"ON CONFLICT (key) DO UPDATE SET tags = excluded.tags, state = excluded.state, managed_by = excluded.managed_by",
		g.Key(), g.Subscription, g.Name, g.Location, string(tags), g.State, g.Created.UnixNano(), g.ManagedBy)
	return err
}

// DeleteGroup removes the group's row. It fails while the group holds anything.
func (t *Tx) DeleteGroup(key string) error {
	_, err := t.exec("DELETE FROM resource_groups WHERE key = $1", key)
	return err
}
