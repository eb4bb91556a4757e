package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"tintype"
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
}

// directoryVersion is the format of the file: version 1 is what the types below say. A newer one is refused.
const directoryVersion = 1

// directory is what is kept of who exists: the file DIR/identity.json. It holds hashes, never secrets.
type directory struct {
	Version       int                `json:"version"`
	Tenant        Tenant             `json:"tenant"`
	Subscriptions []Subscription     `json:"subscriptions"`
	Principals    []servicePrincipal `json:"principals"`
	Assignments   []assignment       `json:"assignments"`
}

type servicePrincipal struct {
	ObjectID   string `json:"objectId"`
	AppID      string `json:"appId"`
	Name       string `json:"name"`
	SecretHash string `json:"secretHash"`
}

type assignment struct {
	Principal string `json:"principal"`
	Role      Role   `json:"role"`
	Scope     string `json:"scope"`
}

// newDirectory makes a tenant, a subscription, and a service principal that owns it and has no secret yet.
func newDirectory() directory {
	sub := Subscription{ID: tintype.SubscriptionID(uuid.NewString()), Name: "Tintype"}
	sp := servicePrincipal{ObjectID: uuid.NewString(), AppID: uuid.NewString(), Name: "owner"}
	return directory{
		Version: directoryVersion, Tenant: Tenant{ID: uuid.NewString(), Name: "Tintype"},
		Subscriptions: []Subscription{sub}, Principals: []servicePrincipal{sp},
		Assignments: []assignment{{Principal: sp.ObjectID, Role: Owner, Scope: "/subscriptions/" + string(sub.ID)}},
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
	if uuid.Validate(d.Tenant.ID) != nil || len(d.Subscriptions) == 0 || len(d.Principals) == 0 {
		return d, false, fmt.Errorf("%s names no tenant, subscription or principal", file)
	}
	return d, true, nil
}

func (d directory) write(file string) error {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(file, append(b, '\n'))
}

// byApp finds the principal that logs in with the client id.
func (d directory) byApp(appID string) (int, bool) {
	for i, p := range d.Principals {
		if strings.EqualFold(p.AppID, appID) {
			return i, true
		}
	}
	return 0, false
}

// writeFile replaces the file as a whole, durably, with mode 0600: after a crash it is the old one or the new one.
func writeFile(file string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*") // created with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(b); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), file); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(file))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
