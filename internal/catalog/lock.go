package catalog

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"tintype"
)

type lockDoc struct {
	Scope  string   `json:"scope"`
	Name   string   `json:"name"`
	Level  string   `json:"level"`
	Notes  string   `json:"notes,omitempty"`
	Owners []string `json:"owners,omitempty"`
}

const lockColumns = "subscription, document"

func scanLock(scan func(...any) error) (tintype.Lock, error) {
	var l tintype.Lock
	var doc string
	if err := scan(&l.Subscription, &doc); err != nil {
		return l, err
	}
	var d lockDoc
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		return l, fmt.Errorf("catalog holds a bad lock: %w", err)
	}
	l.Scope, l.Name, l.Level, l.Notes, l.Owners = d.Scope, d.Name, tintype.LockLevel(d.Level), d.Notes, d.Owners
	return l, nil
}

// Lock gives the lock of that name, in any case, at the scope's key; ErrNotFound when there is none.
func (t *Tx) Lock(scope, name string) (tintype.Lock, error) {
	return scanLock(func(dest ...any) error {
		return t.one("SELECT "+lockColumns+" FROM locks WHERE scope = $1 AND name = $2", []any{scope, strings.ToLower(name)}, dest...)
	})
}

// Locks lists the subscription's locks in the order of their scopes and names.
func (t *Tx) Locks(sub tintype.SubscriptionID) ([]tintype.Lock, error) {
	return all(t, func(r *sql.Rows) (tintype.Lock, error) { return scanLock(r.Scan) },
		"SELECT "+lockColumns+" FROM locks WHERE subscription = $1 ORDER BY scope, name", sub)
}

// PutLock records the lock, new or changed.
func (t *Tx) PutLock(l tintype.Lock) error {
	doc, err := json.Marshal(lockDoc{Scope: l.Scope, Name: l.Name, Level: string(l.Level), Notes: l.Notes, Owners: l.Owners})
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO locks (scope, name, subscription, document) VALUES ($1, $2, $3, $4) "+
		"ON CONFLICT (scope, name) DO UPDATE SET document = excluded.document",
		l.ScopeKey(), strings.ToLower(l.Name), l.Subscription, string(doc))
	return err
}

// DeleteLock removes the lock; ErrNotFound when there is none.
func (t *Tx) DeleteLock(scope, name string) error {
	n, err := t.exec("DELETE FROM locks WHERE scope = $1 AND name = $2", scope, strings.ToLower(name))
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}
