package catalog

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tintype"
)

// grantDoc is a grant as the catalog keeps it.
type grantDoc struct {
	ID        uuid.UUID `json:"id"`
	Resource  string    `json:"resource"`
	Volume    uuid.UUID `json:"volume"`
	Access    string    `json:"access"`
	Upload    bool      `json:"upload,omitempty"`
	Account   string    `json:"account"`
	Container string    `json:"container"`
	Bytes     int64     `json:"bytes"`
	UniqueID  uuid.UUID `json:"uniqueId"`
	Created   int64     `json:"created"`
	Expires   int64     `json:"expires"`
	Format    string    `json:"format,omitempty"`
	Sector    int64     `json:"sector,omitempty"`
	By        string    `json:"by,omitempty"`
	Granted   int64     `json:"granted,omitempty"`
	Private   bool      `json:"private,omitempty"`
	Token     bool      `json:"token,omitempty"`
}

func encodeGrant(g tintype.Grant) grantDoc {
	return grantDoc{
		ID: g.ID, Resource: g.Resource.String(), Volume: g.Volume, Access: string(g.Access), Upload: g.Upload,
		Account: g.Account, Container: g.Container, Bytes: g.Bytes, UniqueID: g.UniqueID,
		Created: g.Created.UnixNano(), Expires: g.Expires.UnixNano(), Format: g.Format, Sector: g.Sector,
		Token: g.Token, By: g.By, Granted: nanos(g.Granted), Private: g.Private,
	}
}

func decodeGrant(d grantDoc) (tintype.Grant, error) {
	id, ok := tintype.ParseResourceID(d.Resource)
	if !ok {
		return tintype.Grant{}, fmt.Errorf("catalog holds a bad resource id %q", d.Resource)
	}
	return tintype.Grant{
		ID: d.ID, Resource: id, Volume: d.Volume, Access: tintype.Access(d.Access), Upload: d.Upload,
		Account: d.Account, Container: d.Container, Bytes: d.Bytes, UniqueID: d.UniqueID,
		Created: time.Unix(0, d.Created).UTC(), Expires: time.Unix(0, d.Expires).UTC(), Format: d.Format, Sector: d.Sector,
		Token: d.Token, By: d.By, Granted: fromNanos(d.Granted), Private: d.Private,
	}, nil
}

func scanGrant(scan func(...any) error) (tintype.Grant, error) {
	var doc string
	if err := scan(&doc); err != nil {
		return tintype.Grant{}, err
	}
	var d grantDoc
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		return tintype.Grant{}, fmt.Errorf("catalog holds a bad grant: %w", err)
	}
	return decodeGrant(d)
}

// AddGrant records the only grant of its resource; it fails when there is another.
func (t *Tx) AddGrant(g tintype.Grant) error {
	doc, err := json.Marshal(encodeGrant(g))
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO grants (id, key, expires, document) VALUES ($1, $2, $3, $4)",
		g.ID.String(), g.Resource.Key(), g.Expires.UnixNano(), string(doc))
	return err
}

// Grant gives the grant of the id; ErrNotFound when there is none.
func (t *Tx) Grant(id uuid.UUID) (tintype.Grant, error) {
	return scanGrant(func(dest ...any) error {
		return t.one("SELECT document FROM grants WHERE id = $1", []any{id.String()}, dest...)
	})
}

// GrantOf gives the resource's grant; ErrNotFound when there is none.
func (t *Tx) GrantOf(key string) (tintype.Grant, error) {
	return scanGrant(func(dest ...any) error {
		return t.one("SELECT document FROM grants WHERE key = $1", []any{key}, dest...)
	})
}

// Grants lists up to limit grants on the subscription's volumes whose keys follow after, in the order of their keys.
func (t *Tx) Grants(sub tintype.SubscriptionID, after string, limit int) ([]tintype.GrantUse, error) {
	return all(t, func(r *sql.Rows) (tintype.GrantUse, error) {
		var u tintype.GrantUse
		var used int64
		var err error
		u.Grant, err = scanGrant(func(dest ...any) error { return r.Scan(append(dest, &u.Read, &u.Written, &used)...) })
		u.Used = fromNanos(used)
		return u, err
	}, "SELECT g.document, g.bytes_read, g.bytes_written, g.used FROM grants g JOIN volumes v ON v.key = g.key "+
		"WHERE v.subscription = $1 AND g.key > $2 ORDER BY g.key LIMIT $3", sub, after, limit)
}

// CountUse adds to what was done under the grant; one that is gone is no error.
func (t *Tx) CountUse(id uuid.UUID, read, written int64, at time.Time) error {
	_, err := t.exec("UPDATE grants SET bytes_read = bytes_read + $1, bytes_written = bytes_written + $2, used = $3 WHERE id = $4",
		read, written, at.UnixNano(), id.String())
	return err
}

// GrantsOfFamily tells how many snapshots of the family are under a grant that holds at the time.
func (t *Tx) GrantsOfFamily(family uuid.UUID, now time.Time) (n int, err error) {
	return n, t.one("SELECT count(*) FROM grants g JOIN volumes v ON v.key = g.key WHERE v.family = $1 AND g.expires > $2",
		[]any{family.String(), now.UnixNano()}, &n)
}

// ExpiredGrants lists the grants that no longer hold at the time.
func (t *Tx) ExpiredGrants(now time.Time) ([]tintype.Grant, error) {
	return all(t, func(r *sql.Rows) (tintype.Grant, error) { return scanGrant(r.Scan) },
		"SELECT document FROM grants WHERE expires <= $1", now.UnixNano())
}

// DeleteGrant removes the grant; one that isn't there is no error.
func (t *Tx) DeleteGrant(id uuid.UUID) error {
	_, err := t.exec("DELETE FROM grants WHERE id = $1", id.String())
	return err
}

// Footer gives the footer that was uploaded for the resource; ErrNotFound when there is none.
func (t *Tx) Footer(key string) ([]byte, error) {
	var footer []byte
	return footer, t.one("SELECT footer FROM footers WHERE key = $1", []any{key}, &footer)
}

// PutFooter keeps the footer that was uploaded for the resource.
func (t *Tx) PutFooter(key string, footer []byte) error {
	_, err := t.exec("INSERT INTO footers (key, footer) VALUES ($1, $2) "+
		"ON CONFLICT (key) DO UPDATE SET footer = excluded.footer", key, footer)
	return err
}

// DeleteFooter removes the footer; one that isn't there is no error.
func (t *Tx) DeleteFooter(key string) error {
	_, err := t.exec("DELETE FROM footers WHERE key = $1", key)
	return err
}
