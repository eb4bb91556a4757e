package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"

	"tintype/internal/smallfile"
)

// Tenant is the organisation to which everything here belongs.
type Tenant struct {
	// ID is a GUID in lower case.
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Subscription is one that the tenant has.
type Subscription struct {
	ID   tintype.SubscriptionID `json:"id"`
	Name string                 `json:"name"`
	// Unregistered are the resource providers, in lower case, that it may not use.
	Unregistered []string `json:"unregistered,omitempty"`
}

// directoryVersion is the format of the file: version 5 is what the types below say. Another one is refused.
const directoryVersion = 5

// directory is what is kept of who exists: the file DIR/identity.json. It holds hashes, never secrets. One that the service
// holds never changes: a change makes another one.
type directory struct {
	Version       int            `json:"version"`
	Tenant        Tenant         `json:"tenant"`
	Subscriptions []Subscription `json:"subscriptions"`
	Apps          []app          `json:"applications"`
	Users         []user         `json:"users"`
	Groups        []group        `json:"groups"`

	parents map[string][]string // object ids of the groups that a principal is a member of, by its own
}

// app is an application and, once that was made, its service principal.
type app struct {
	AppID        string        `json:"appId"`
	ID           string        `json:"id"`
	ObjectID     string        `json:"objectId,omitempty"`
	Name         string        `json:"name"`
	Created      time.Time     `json:"created"`
	Passwords    []password    `json:"passwords,omitempty"`
	Certificates []certificate `json:"certificates,omitempty"`
	// Local, when set, is the user of the operating system whose identity this is. It has no application beside it, and no secrets.
	Local *LocalUser `json:"localUser,omitempty"`
	// Assigned, when set, is the resource whose identity this is. It has no application beside it, and no secrets either.
	Assigned *assigned `json:"userAssigned,omitempty"`
}

type password struct {
	KeyID string    `json:"keyId"`
	Name  string    `json:"name,omitempty"`
	Hint  string    `json:"hint,omitempty"`
	Hash  string    `json:"hash"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end,omitzero"` // zero: it never ends
}

type certificate struct {
	KeyID string    `json:"keyId"`
	Name  string    `json:"name,omitempty"`
	DER   []byte    `json:"der"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// user is a person who logs in with a password.
type user struct {
	ObjectID string    `json:"objectId"`
	Name     string    `json:"userPrincipalName"`
	Display  string    `json:"displayName"`
	Enabled  bool      `json:"enabled"`
	Hash     string    `json:"passwordHash"`
	Created  time.Time `json:"created"`
	// Since is when the password was set or the user disabled: older tokens are refused.
	Since time.Time `json:"since"`
}

// newDirectory makes a tenant, a subscription, and a service principal that is to own it and has no secret yet.
func newDirectory(now time.Time) directory {
	sub := Subscription{ID: tintype.SubscriptionID(uuid.NewString()), Name: "Tintype"}
	first := app{ObjectID: uuid.NewString(), AppID: uuid.NewString(), ID: uuid.NewString(), Name: "owner", Created: now}
	return directory{
		Version: directoryVersion, Tenant: Tenant{ID: uuid.NewString(), Name: "Tintype"},
		Subscriptions: []Subscription{sub}, Apps: []app{first}, Users: []user{}, Groups: []group{},
	}
}

// readDirectory reads and checks the file; found is false when there is none.
func readDirectory(file string) (d directory, found bool, err error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return d, false, nil
	}
	if err != nil {
		return d, false, err
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return d, false, fmt.Errorf("%s: %w", file, err)
	}
	if d.Version != directoryVersion {
		return d, false, fmt.Errorf("%s has format version %d; this program knows version %d", file, d.Version, directoryVersion)
	}
	if uuid.Validate(d.Tenant.ID) != nil || len(d.Subscriptions) == 0 || len(d.Apps) == 0 {
		return d, false, fmt.Errorf("%s names no tenant, subscription or principal", file)
	}
	return d, true, nil
}

func (d directory) write(file string) error {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return smallfile.Write(file, append(b, '\n'))
}

// clone copies as deep as changes go.
func (d directory) clone() directory {
	d.Apps, d.Users, d.Groups = slices.Clone(d.Apps), slices.Clone(d.Users), slices.Clone(d.Groups)
	for i := range d.Groups {
		d.Groups[i].Members = slices.Clone(d.Groups[i].Members)
	}
	for i := range d.Apps {
		d.Apps[i].Passwords = slices.Clone(d.Apps[i].Passwords)
		d.Apps[i].Certificates = slices.Clone(d.Apps[i].Certificates)
	}
	return d
}

// byApp finds the application with the client id.
func (d directory) byApp(appID string) (int, bool) {
	i := slices.IndexFunc(d.Apps, func(a app) bool { return strings.EqualFold(a.AppID, appID) })
	return i, i >= 0
}

// byID finds the application with the object id, its own or its service principal's.
func (d directory) byID(id string) (int, bool) {
	i := slices.IndexFunc(d.Apps, func(a app) bool {
		return a.ID != "" && strings.EqualFold(a.ID, id) || a.ObjectID != "" && strings.EqualFold(a.ObjectID, id)
	})
	return i, i >= 0
}

// byUser finds the user with the object id or the name.
func (d directory) byUser(id string) (int, bool) {
	i := slices.IndexFunc(d.Users, func(u user) bool {
		return strings.EqualFold(u.ObjectID, id) || strings.EqualFold(u.Name, id)
	})
	return i, i >= 0
}
