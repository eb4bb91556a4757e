package catalog

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"tintype"
)

// companionDoc is a companion as the catalog keeps it. Fields are only ever added.
type companionDoc struct {
	ID       string            `json:"id"`
	Location string            `json:"location"`
	Tags     map[string]string `json:"tags"`
	Created  int64             `json:"created"`
	Set      *setDoc           `json:"set,omitempty"`

	Collection *collectionDoc `json:"collection,omitempty"`
	Machine    *machineDoc    `json:"machine,omitempty"`
	Image      *imageDoc      `json:"image,omitempty"`
	Links      []linkDoc      `json:"privateLinks,omitempty"`
}

type linkDoc struct {
	Name        string `json:"name"`
	Status      string `json:"status"`
	Description string `json:"description,omitempty"`
	Endpoint    string `json:"endpoint,omitempty"`
}

type collectionDoc struct {
	UniqueID string `json:"uniqueId"`
	Source   string `json:"source"`
	Location string `json:"location"`
}

type setDoc struct {
	Type      string   `json:"type"`
	Active    keyDoc   `json:"activeKey"`
	Previous  []keyDoc `json:"previousKeys,omitempty"`
	Rotate    *bool    `json:"rotate,omitempty"`
	Rotated   int64    `json:"rotated,omitempty"`
	Federated string   `json:"federatedClientId,omitempty"`
	Identity  string   `json:"identity,omitempty"`
	Principal string   `json:"principal,omitempty"`
	Users     []string `json:"users,omitempty"`

	Secret *secretDoc `json:"secret,omitempty"`
	Old    *secretDoc `json:"oldSecret,omitempty"`
	Fault  *faultDoc  `json:"fault,omitempty"`
}

// secretDoc is a set's own key, wrapped by a key of a vault.
type secretDoc struct {
	ID      string `json:"id"`
	KeyURL  string `json:"keyUrl"`
	Wrapped []byte `json:"wrapped"`
}

type faultDoc struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type keyDoc struct {
	VaultID string `json:"vaultId,omitempty"`
	URL     string `json:"url"`
}

// EncodeCompanion writes a companion as the catalog keeps it.
func EncodeCompanion(c tintype.Companion) ([]byte, error) {
	d := companionDoc{ID: c.ID.String(), Location: c.Location, Tags: c.Tags, Created: c.Created.UnixNano()}
	if s := c.Set; s != nil {
		d.Set = &setDoc{
			Type: s.Type, Active: keyDoc(s.ActiveKey), Rotate: s.Rotate, Rotated: nanos(s.Rotated), Federated: s.FederatedClientID,
			Identity: s.Identity.Type, Principal: text(s.Identity.Principal), Users: s.Identity.Users,
			Secret: (*secretDoc)(s.Secret), Old: (*secretDoc)(s.Old), Fault: (*faultDoc)(s.Fault),
		}
		for _, k := range s.PreviousKeys {
			d.Set.Previous = append(d.Set.Previous, keyDoc(k))
		}
	}
	if k := c.Collection; k != nil {
		d.Collection = &collectionDoc{UniqueID: text(k.UniqueID), Source: k.Source, Location: k.Location}
	}
	d.Machine, d.Image = encodeMachine(c.Machine), encodeImage(c.Image)
	for _, l := range c.Links {
		d.Links = append(d.Links, linkDoc(l))
	}
	return json.Marshal(d)
}

// DecodeCompanion reads what EncodeCompanion wrote.
func DecodeCompanion(data []byte) (tintype.Companion, error) {
	var d companionDoc
	if err := json.Unmarshal(data, &d); err != nil {
		return tintype.Companion{}, fmt.Errorf("catalog holds a bad companion: %w", err)
	}
	id, ok := tintype.ParseResourceID(d.ID)
	if !ok {
		return tintype.Companion{}, fmt.Errorf("catalog holds a bad resource id %q", d.ID)
	}
	c := tintype.Companion{ID: id, Location: d.Location, Tags: d.Tags, Created: time.Unix(0, d.Created).UTC()}
	if s := d.Set; s != nil {
		principal, err := parse(s.Principal)
		if err != nil {
			return c, err
		}
		c.Set = &tintype.EncryptionSet{
			Type: s.Type, ActiveKey: tintype.KeyReference(s.Active), Rotate: s.Rotate, Rotated: fromNanos(s.Rotated),
			FederatedClientID: s.Federated, Identity: tintype.Identity{Type: s.Identity, Principal: principal, Users: s.Users},
			Secret: (*tintype.SetSecret)(s.Secret), Old: (*tintype.SetSecret)(s.Old), Fault: (*tintype.KeyFault)(s.Fault),
		}
		for _, k := range s.Previous {
			c.Set.PreviousKeys = append(c.Set.PreviousKeys, tintype.KeyReference(k))
		}
	}
	if k := d.Collection; k != nil {
		id, err := parse(k.UniqueID)
		if err != nil {
			return c, err
		}
		c.Collection = &tintype.Collection{UniqueID: id, Source: k.Source, Location: k.Location}
	}
	for _, l := range d.Links {
		c.Links = append(c.Links, tintype.PrivateLink(l))
	}
	var err, bad error
	c.Machine, err = decodeMachine(d.Machine)
	c.Image, bad = decodeImage(d.Image)
	return c, errors.Join(err, bad)
}

// Companion gives the companion of the key; ErrNotFound when there is none.
func (t *Tx) Companion(key string) (tintype.Companion, error) {
	var doc string
	if err := t.one("SELECT document FROM companions WHERE key = $1", []any{key}, &doc); err != nil {
		return tintype.Companion{}, err
	}
	return DecodeCompanion([]byte(doc))
}

// PutCompanion records the companion, new or changed.
func (t *Tx) PutCompanion(c tintype.Companion) error {
	doc, err := EncodeCompanion(c)
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO companions (key, group_key, subscription, kind, document) VALUES ($1, $2, $3, $4, $5) "+
		"ON CONFLICT (key) DO UPDATE SET document = excluded.document",
		c.ID.Key(), c.ID.GroupKey(), c.ID.Subscription, c.ID.Kind, string(doc))
	return err
}

// DeleteCompanion removes the companion's row. It fails while a volume uses it.
func (t *Tx) DeleteCompanion(key string) error {
	n, err := t.exec("DELETE FROM companions WHERE key = $1", key)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// Companions lists up to limit companions of the scope whose keys follow after, in the order of their keys. A kind of 0 is
// all kinds.
func (t *Tx) Companions(s Scope, after string, limit int) ([]tintype.Companion, error) {
	where, args := "subscription = $1", []any{s.Subscription}
	if s.Group != "" {
		where, args = "group_key = $1", []any{s.Group}
	}
	return all(t, scanCompanion, "SELECT document FROM companions WHERE "+where+
		" AND ($2 = 0 OR kind = $2) AND key > $3 ORDER BY key LIMIT $4", append(args, s.Kind, after, limit)...)
}

// EncryptionSets lists up to limit encryption sets of all subscriptions whose keys follow after, in the order of their keys.
func (t *Tx) EncryptionSets(after string, limit int) ([]tintype.Companion, error) {
	return all(t, scanCompanion, "SELECT document FROM companions WHERE kind = $1 AND key > $2 ORDER BY key LIMIT $3",
		tintype.KindEncryptionSet, after, limit)
}

// Users lists up to limit volumes that use the companion and whose keys follow after, in the order of their keys.
func (t *Tx) Users(companion, after string, limit int) ([]tintype.Volume, error) {
	return all(t, scanVolume, "SELECT document FROM companion_uses JOIN volumes ON key = volume "+
		"WHERE companion = $1 AND volume > $2 ORDER BY volume LIMIT $3", companion, after, limit)
}

// putUses records which companions the volume uses now.
func (t *Tx) putUses(v tintype.Volume) error {
	if _, err := t.exec("DELETE FROM companion_uses WHERE volume = $1", v.ID.Key()); err != nil {
		return err
	}
	for _, id := range v.Settings.Companions() {
		_, err := t.exec("INSERT INTO companion_uses (companion, volume) VALUES ($1, $2)", id.Key(), v.ID.Key())
		if err != nil {
			return err
		}
	}
	return nil
}

func scanCompanion(r *sql.Rows) (tintype.Companion, error) {
	var doc string
	if err := r.Scan(&doc); err != nil {
		return tintype.Companion{}, err
	}
	return DecodeCompanion([]byte(doc))
}

// encodePtr writes a companion for an operation's document; nil stays nil.
func encodePtr(c *tintype.Companion) (json.RawMessage, error) {
	if c == nil {
		return nil, nil
	}
	return EncodeCompanion(*c)
}
