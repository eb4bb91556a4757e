package identity

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"
)

// App is an application, and its service principal once that was made.
type App struct {
	AppID string // client id
	ID    string // object id of the application
	// ObjectID is that of the service principal; empty when there is none.
	ObjectID     string
	Name         string
	Created      time.Time
	Passwords    []Credential
	Certificates []Credential
	// Managed tells that it is the identity of a local user or a user-assigned one, without an application of its own.
	Managed bool
	// Alternatives are its alternative names.
	Alternatives []string
}

// Credential is what is told of a password or a certificate.
type Credential struct {
	KeyID, Name string
	// Hint is the beginning of a password.
	Hint string
	// DER is a certificate; nil of a password.
	DER        []byte
	Start, End time.Time // a zero End never comes
}

// Bounds of what callers can make.
const (
	maxApps        = 2000
	maxUsers       = 2000
	maxCredentials = 10
	maxName        = 120
	maxCertificate = 8 << 10
)

func (a app) public() App {
	out := App{AppID: a.AppID, ID: a.ID, ObjectID: a.ObjectID, Name: a.Name, Created: a.Created, Managed: a.managed(), Alternatives: a.alternatives()}
	for _, p := range a.Passwords {
		out.Passwords = append(out.Passwords, Credential{KeyID: p.KeyID, Name: p.Name, Hint: p.Hint, Start: p.Start, End: p.End})
	}
	for _, c := range a.Certificates {
		out.Certificates = append(out.Certificates, Credential{KeyID: c.KeyID, Name: c.Name, DER: c.DER, Start: c.Start, End: c.End})
	}
	return out
}

// Apps lists the applications in the order in which they were made.
func (s *Service) Apps() []App {
	d := s.directory()
	out := make([]App, len(d.Apps))
	for i, a := range d.Apps {
		out[i] = a.public()
	}
	return out
}

// FindApp finds an application by its object id or that of its service principal.
func (s *Service) FindApp(id string) (App, bool) {
	d := s.directory()
	if i, ok := d.byID(id); ok {
		return d.Apps[i].public(), true
	}
	return App{}, false
}

// PrincipalType is "ServicePrincipal", "User" or "Group" when the object id is one's, and "" when it is nobody's.
func (s *Service) PrincipalType(objectID string) string {
	d := s.directory()
	if i, ok := d.byID(objectID); ok && strings.EqualFold(d.Apps[i].ObjectID, objectID) {
		return "ServicePrincipal"
	}
	if i, ok := d.byUser(objectID); ok && strings.EqualFold(d.Users[i].ObjectID, objectID) {
		return "User"
	}
	if _, ok := d.byGroup(objectID); ok {
		return "Group"
	}
	return ""
}

func badRequest(format string, args ...any) error {
	return &tintype.Error{Kind: tintype.KindInvalid, Code: "Request_BadRequest", Message: fmt.Sprintf(format, args...)}
}

func notThere(id string) error {
	return &tintype.Error{
		Kind: tintype.KindNotFound, Code: "Request_ResourceNotFound",
		Message: fmt.Sprintf("Resource '%.100s' does not exist or one of its queried reference-property objects are not present.", id),
	}
}

// AddApp makes an application without a service principal.
func (s *Service) AddApp(name string) (App, error) {
	a := app{AppID: uuid.NewString(), ID: uuid.NewString(), Name: name, Created: s.opt.Now().UTC()}
	err := s.change(func(d *directory) error {
		if err := checkName("displayName", name); err != nil {
			return err
		}
		if len(d.Apps) >= maxApps {
			return badRequest("The directory object quota limit of %d applications has been exceeded.", maxApps)
		}
		d.Apps = append(d.Apps, a)
		return nil
	})
	return a.public(), err
}

func checkName(what, name string) error {
	if strings.TrimSpace(name) == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return badRequest("Property %s is invalid: it has 1 to %d printable characters.", what, maxName)
	}
	return nil
}

// RenameApp gives an application another name.
func (s *Service) RenameApp(id, name string) error {
	return s.changeApp(id, func(a *app) error {
		a.Name = name
		return checkName("displayName", name)
	})
}

// AddServicePrincipal makes the service principal of an application; with that the application can log in.
func (s *Service) AddServicePrincipal(appID string) (made App, err error) {
	err = s.change(func(d *directory) error {
		i, ok := d.byApp(appID)
		if !ok {
			return badRequest("The appId '%.100s' of the service principal does not reference a valid application object.", appID)
		}
		if d.Apps[i].ObjectID != "" {
			return &tintype.Error{
				Kind: tintype.KindConflict, Code: "Request_MultipleObjectsWithSameKeyValue",
				Message: "The service principal cannot be created, updated, or restored because the service principal name " +
					d.Apps[i].AppID + " is already in use.",
			}
		}
		d.Apps[i].ObjectID = uuid.NewString()
		made = d.Apps[i].public()
		return nil
	})
	return made, err
}

// DeleteApp removes an application with its service principal; with onlyPrincipal, which id then names, the application stays.
// Tokens end at once. The first one stays: the server's own client folder is about it.
func (s *Service) DeleteApp(id string, onlyPrincipal bool) (gone App, err error) {
	err = s.change(func(d *directory) error {
		i, ok := d.byID(id)
		if !ok {
			return notThere(id)
		}
		if i == 0 {
			return &tintype.Error{
				Kind: tintype.KindForbidden, Code: "Authorization_RequestDenied",
				Message: "The principal that was made with the server cannot be deleted. Reset its credential instead.",
			}
		}
		if d.Apps[i].Assigned != nil {
			return badRequest("The service principal of a managed identity is deleted with the identity.")
		}
		gone = d.Apps[i].public()
		d.leave(gone.ObjectID)
		if onlyPrincipal && d.Apps[i].Local == nil {
			d.Apps[i].ObjectID = ""
			return nil
		}
		d.Apps = slices.Delete(d.Apps, i, i+1)
		return nil
	})
	return gone, err
}

// AddPassword makes one more password for the application. Only its hash is kept.
func (s *Service) AddPassword(id, name string, start, end time.Time) (c Credential, secret string, err error) {
	now := s.opt.Now().UTC()
	if start.IsZero() {
		start = now
	}
	if end.IsZero() {
		end = start.AddDate(2, 0, 0) // as Graph has it
	}
	if len(name) > maxName || !end.After(start) {
		return c, "", badRequest("Credential lifetime or name is invalid.")
	}
	if a, ok := s.FindApp(id); ok && a.Managed {
		return c, "", errManaged()
	}
	secret = newSecret()
	p := password{KeyID: uuid.NewString(), Name: name, Hint: secret[:3], Start: start.UTC(), End: end.UTC()}
	if p.Hash, err = s.hash(secret); err != nil {
		return c, "", err
	}
	err = s.changeApp(id, func(a *app) error {
		// What has ended makes room.
		a.Passwords = slices.DeleteFunc(a.Passwords, func(p password) bool { return !p.End.IsZero() && !now.Before(p.End) })
		if len(a.Passwords) >= maxCredentials {
			return badRequest("An application has at most %d passwords. Remove one first.", maxCredentials)
		}
		a.Passwords = append(a.Passwords, p)
		return nil
	})
	return Credential{KeyID: p.KeyID, Name: p.Name, Hint: p.Hint, Start: p.Start, End: p.End}, secret, err
}

// errManaged refuses a secret for an identity that has none.
func errManaged() error {
	return badRequest("A managed identity has no credentials of its own.")
}

// RemovePassword forgets one password.
func (s *Service) RemovePassword(id, keyID string) error {
	return s.changeApp(id, func(a *app) error {
		n := len(a.Passwords)
		a.Passwords = slices.DeleteFunc(a.Passwords, func(p password) bool { return strings.EqualFold(p.KeyID, keyID) })
		if len(a.Passwords) == n {
			return badRequest("No password credential found with keyId '%.100s'.", keyID)
		}
		return nil
	})
}

// SetCertificates replaces the application's certificates. One without DER stays as it is when it is there already.
func (s *Service) SetCertificates(id string, all []Credential) error {
	return s.changeApp(id, func(a *app) error {
		if a.managed() {
			return errManaged()
		}
		if len(all) > maxCredentials {
			return badRequest("An application has at most %d certificates.", maxCredentials)
		}
		old := a.Certificates
		a.Certificates = nil
		for _, c := range all {
			if c.DER == nil {
				i := slices.IndexFunc(old, func(o certificate) bool { return strings.EqualFold(o.KeyID, c.KeyID) })
				if i < 0 {
					return badRequest("New key credential must contain a key.")
				}
				a.Certificates = append(a.Certificates, old[i])
				continue
			}
			made, err := newCertificate(c)
			if err != nil {
				return err
			}
			a.Certificates = append(a.Certificates, made)
		}
		return nil
	})
}

// newCertificate checks a certificate: its own dates and the caller's both hold.
func newCertificate(c Credential) (certificate, error) {
	if len(c.DER) > maxCertificate || len(c.Name) > maxName {
		return certificate{}, badRequest("Key credential is too large.")
	}
	parsed, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return certificate{}, badRequest("Key credential is not an X.509 certificate.")
	}
	if _, err := verifyKey(parsed); err != nil {
		return certificate{}, badRequest("Key credential has a key of a kind that is not supported: RSA of 2048 to 8192 bits is.")
	}
	made := certificate{KeyID: strings.ToLower(c.KeyID), Name: c.Name, DER: c.DER, Start: parsed.NotBefore.UTC(), End: parsed.NotAfter.UTC()}
	if uuid.Validate(made.KeyID) != nil {
		made.KeyID = uuid.NewString()
	}
	if c.Start.After(made.Start) {
		made.Start = c.Start.UTC()
	}
	if !c.End.IsZero() && c.End.Before(made.End) {
		made.End = c.End.UTC()
	}
	return made, nil
}

// changeApp runs fn on the application with the object id.
func (s *Service) changeApp(id string, fn func(*app) error) error {
	return s.change(func(d *directory) error {
		i, ok := d.byID(id)
		if !ok {
			return notThere(id)
		}
		return fn(&d.Apps[i])
	})
}
