package keyvault

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"time"

	"tintype/internal/vault"
)

// octets are bytes as Key Vault writes them: base64 for URLs, without padding.
type octets []byte

// MarshalJSON writes a JSON string.
func (o octets) MarshalJSON() ([]byte, error) {
	return json.Marshal(base64.RawURLEncoding.EncodeToString(o))
}

// UnmarshalJSON reads one, with padding or without.
func (o *octets) UnmarshalJSON(p []byte) error {
	var text string
	if err := json.Unmarshal(p, &text); err != nil {
		return err
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	*o = b
	return err
}

// webKey is a JSON web key. Its private numbers are read, and never written.
type webKey struct {
	ID  string   `json:"kid,omitempty"`
	Kty string   `json:"kty,omitempty"`
	Ops []string `json:"key_ops,omitempty"`
	N   octets   `json:"n,omitempty"`
	E   octets   `json:"e,omitempty"`
	D   octets   `json:"d,omitempty"`
	P   octets   `json:"p,omitempty"`
	Q   octets   `json:"q,omitempty"`
}

// private makes the key that the numbers are.
func (k webKey) private() (*rsa.PrivateKey, bool) {
	number := func(o octets) *big.Int { return new(big.Int).SetBytes(o) }
	e := number(k.E)
	if len(k.N) > 1024 || len(k.E) > 4 || len(k.D) == 0 || len(k.P) == 0 || len(k.Q) == 0 || e.Sign() <= 0 {
		return nil, false
	}
	private := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: number(k.N), E: int(e.Int64())}, D: number(k.D), Primes: []*big.Int{number(k.P), number(k.Q)},
	}
	if private.Validate() != nil {
		return nil, false
	}
	private.Precompute()
	return private, true
}

// attributes of a key. Times are seconds since 1970.
type attributes struct {
	Enabled         *bool  `json:"enabled,omitempty"`
	NotBefore       *int64 `json:"nbf,omitempty"`
	Expires         *int64 `json:"exp,omitempty"`
	Created         int64  `json:"created,omitempty"`
	Updated         int64  `json:"updated,omitempty"`
	RecoveryLevel   string `json:"recoveryLevel,omitempty"`
	RecoverableDays int    `json:"recoverableDays,omitempty"`
	Exportable      *bool  `json:"exportable,omitempty"`
	Platform        string `json:"hsmPlatform,omitempty"`
}

type keyBody struct {
	Key        *webKey           `json:"key,omitempty"`
	Attributes *attributes       `json:"attributes,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
}

// itemBody is a key in a list.
type itemBody struct {
	ID         string            `json:"kid"`
	Attributes *attributes       `json:"attributes"`
	Tags       map[string]string `json:"tags,omitempty"`
	*deletion
}

type deletion struct {
	RecoveryID string `json:"recoveryId"`
	Deleted    int64  `json:"deletedDate"`
	Purges     int64  `json:"scheduledPurgeDate"`
}

type deletedBody struct {
	deletion
	keyBody
}

type listBody struct {
	Value []itemBody `json:"value"`
	Next  *string    `json:"nextLink"`
}

// request is what any call may carry.
type request struct {
	Kty        string            `json:"kty"`
	Size       int               `json:"key_size"`
	Ops        []string          `json:"key_ops"`
	Attributes *attributes       `json:"attributes"`
	Tags       map[string]string `json:"tags"`
	Key        *webKey           `json:"key"`
	Algorithm  string            `json:"alg"`
	Value      octets            `json:"value"`
	Digest     octets            `json:"digest"`
}

func (r request) attributes() vault.Attributes {
	want := vault.Attributes{Ops: r.Ops, Tags: r.Tags}
	if a := r.Attributes; a != nil {
		want.Enabled = a.Enabled
		want.NotBefore, want.Expires = moment(a.NotBefore), moment(a.Expires)
	}
	return want
}

func moment(seconds *int64) *time.Time {
	if seconds == nil {
		return nil
	}
	t := time.Unix(*seconds, 0).UTC()
	return &t
}

func seconds(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.Unix()
	return &n
}

func (c *call) id(k vault.Key, withVersion bool) string {
	id := c.base + "/keys/" + k.Name
	if withVersion {
		id += "/" + k.Version
	}
	return id
}

func attributesOf(k vault.Key) *attributes {
	level := "Recoverable"
	if k.RetentionDays < 90 {
		level = "CustomizedRecoverable"
	}
	if !k.PurgeProtected {
		level += "+Purgeable"
	}
	no := false
	return &attributes{
		Enabled: &k.Enabled, NotBefore: seconds(k.NotBefore), Expires: seconds(k.Expires), Created: k.Created.Unix(), Updated: k.Updated.Unix(),
		RecoveryLevel: level, RecoverableDays: k.RetentionDays, Exportable: &no,
	}
}

func (c *call) key(k vault.Key) keyBody {
	a := attributesOf(k)
	if c.since("7.5-preview.1") {
		a.Platform = "0"
	}
	return keyBody{
		Key:        &webKey{ID: c.id(k, true), Kty: "RSA", Ops: k.Ops, N: k.N, E: k.E},
		Attributes: a, Tags: k.Tags,
	}
}

func (c *call) deleted(d vault.Deleted) deletion {
	return deletion{RecoveryID: c.base + "/deletedkeys/" + d.Name, Deleted: d.At.Unix(), Purges: d.Purges.Unix()}
}

// policyBody is a rotation policy.
type policyBody struct {
	ID         string           `json:"id,omitempty"`
	Actions    []actionBody     `json:"lifetimeActions"`
	Attributes policyAttributes `json:"attributes"`
}

type policyAttributes struct {
	Expiry  string `json:"expiryTime,omitempty"`
	Created int64  `json:"created,omitempty"`
	Updated int64  `json:"updated,omitempty"`
}

type actionBody struct {
	Trigger struct {
		AfterCreate  string `json:"timeAfterCreate,omitempty"`
		BeforeExpiry string `json:"timeBeforeExpiry,omitempty"`
	} `json:"trigger"`
	Action struct {
		Type string `json:"type"`
	} `json:"action"`
}

func (c *call) policy(name string, r vault.Rotation) policyBody {
	b := policyBody{ID: c.base + "/keys/" + name + "/rotationpolicy", Actions: []actionBody{}, Attributes: policyAttributes{Expiry: r.Expiry}}
	if !r.Created.IsZero() {
		b.Attributes.Created, b.Attributes.Updated = r.Created.Unix(), r.Updated.Unix()
	}
	for _, a := range r.Actions {
		var w actionBody
		w.Trigger.AfterCreate, w.Trigger.BeforeExpiry, w.Action.Type = a.AfterCreate, a.BeforeExpiry, a.Type
		b.Actions = append(b.Actions, w)
	}
	return b
}

func (b policyBody) rotation() vault.Rotation {
	r := vault.Rotation{Expiry: b.Attributes.Expiry}
	for _, a := range b.Actions {
		r.Actions = append(r.Actions, vault.Action{
			Type: a.Action.Type, AfterCreate: a.Trigger.AfterCreate, BeforeExpiry: a.Trigger.BeforeExpiry,
		})
	}
	return r
}
