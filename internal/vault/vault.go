// Package vault keeps key vaults: who may use them, the RSA keys in them with all their versions, and what is done with these.
//
// It knows no HTTP and no disks. Private keys are kept wrapped, in one file that is replaced as a whole; docs/format/vaults.md is
// its page.
package vault

import (
	"maps"
	"slices"
	"strings"
	"time"

	"tintype"
)

// ID names a vault. Its name is its own in the whole server, without regard to case.
type ID struct {
	Subscription tintype.SubscriptionID `json:"subscription"`
	Group        string                 `json:"group"`
	Name         string                 `json:"name"`
}

// Type is that of vaults, as a resource.
const Type = "Microsoft.KeyVault/vaults"

// String writes the id as Azure does.
func (id ID) String() string {
	return "/subscriptions/" + string(id.Subscription) + "/resourceGroups/" + id.Group + "/providers/" + Type + "/" + id.Name
}

func (id ID) same(other ID) bool { return strings.EqualFold(id.String(), other.String()) }

// Vault is a vault as it is kept and shown, without its keys.
type Vault struct {
	ID       ID                `json:"id"`
	Location string            `json:"location"`
	Tags     map[string]string `json:"tags,omitempty"`
	Settings Settings          `json:"settings"`

	Created    time.Time `json:"created"`
	CreatedBy  string    `json:"createdBy"`
	Modified   time.Time `json:"modified"`
	ModifiedBy string    `json:"modifiedBy"`
	Deleted    time.Time `json:"deleted,omitzero"` // when it was; zero: it is there
}

// Settings are what a client may set of a vault. A nil pointer was never set and is not shown.
type Settings struct {
	Tenant            string   `json:"tenant"`
	SKU               string   `json:"sku"` // standard or premium
	Policies          []Policy `json:"policies"`
	ForDeployment     *bool    `json:"forDeployment,omitempty"`
	ForDiskEncryption *bool    `json:"forDiskEncryption,omitempty"`
	ForTemplates      *bool    `json:"forTemplates,omitempty"`
	RBAC              *bool    `json:"rbac,omitempty"` // roles decide, not policies
	PurgeProtection   *bool    `json:"purgeProtection,omitempty"`
	RetentionDays     int      `json:"retentionDays"`
	PublicAccess      string   `json:"publicAccess,omitempty"`
	NetworkAction     string   `json:"networkAction,omitempty"` // of networkAcls; Allow or nothing
}

// Policy says what a principal may do with what is in a vault.
type Policy struct {
	Tenant       string   `json:"tenant"`
	Object       string   `json:"object"` // the principal's id
	Application  string   `json:"application,omitempty"`
	Keys         []string `json:"keys,omitempty"`
	Secrets      []string `json:"secrets,omitempty"`
	Certificates []string `json:"certificates,omitempty"`
	Storage      []string `json:"storage,omitempty"`
}

func (v Vault) clone() Vault {
	v.Tags = maps.Clone(v.Tags)
	v.Settings.Policies = slices.Clone(v.Settings.Policies)
	return v
}

// Purges is when a deleted vault goes for ever.
func (v Vault) Purges() time.Time { return v.Deleted.AddDate(0, 0, v.Settings.RetentionDays) }

// Key is one version of a key, without its private half.
type Key struct {
	Vault   string
	Name    string
	Version string
	Bits    int
	N, E    []byte // of the public key, big endian
	Ops     []string
	Enabled bool

	NotBefore, Expires, Created, Updated time.Time // zero: never set
	Tags                                 map[string]string
	RetentionDays                        int // of its vault
	PurgeProtected                       bool
}

// Deleted is a key that can be recovered.
type Deleted struct {
	Key
	At, Purges time.Time
}

// Attributes are what a client may set of a version. Nil leaves what is there.
type Attributes struct {
	Enabled            *bool
	NotBefore, Expires *time.Time
	Ops                []string
	Tags               map[string]string
}

// Rotation is a key's rotation policy: what happens when, as ISO 8601 durations.
type Rotation struct {
	Expiry  string    `json:"expiry,omitempty"` // of versions that it makes
	Actions []Action  `json:"actions"`
	Created time.Time `json:"created,omitzero"`
	Updated time.Time `json:"updated,omitzero"`
}

// Action is one step of a rotation policy: Rotate or Notify, so long after creation or before expiry.
type Action struct {
	Type         string `json:"type"`
	AfterCreate  string `json:"afterCreate,omitempty"`
	BeforeExpiry string `json:"beforeExpiry,omitempty"`
}
