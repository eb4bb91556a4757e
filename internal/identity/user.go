package identity

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"
)

// User is a person who logs in with a name and a password.
type User struct {
	ObjectID string
	Name     string // user principal name, such as "ann@example"
	Display  string
	Enabled  bool
	Created  time.Time
}

// minUserPassword is what OWASP asks of a password without a second factor.
const minUserPassword = 15

// userNameRE is a name that nothing has to be quoted in.
var userNameRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{0,62}$`)

func (u user) public() User {
	return User{ObjectID: u.ObjectID, Name: u.Name, Display: u.Display, Enabled: u.Enabled, Created: u.Created}
}

// Users lists them in the order in which they were made.
func (s *Service) Users() []User {
	d := s.directory()
	out := make([]User, len(d.Users))
	for i, u := range d.Users {
		out[i] = u.public()
	}
	return out
}

// FindUser finds a user by object id or name.
func (s *Service) FindUser(id string) (User, bool) {
	d := s.directory()
	if i, ok := d.byUser(id); ok {
		return d.Users[i].public(), true
	}
	return User{}, false
}

// AddUser makes a user. Of the password only a hash is kept.
func (s *Service) AddUser(name, display, secret string) (User, error) {
	if !userNameRE.MatchString(name) {
		return User{}, badRequest("Property userPrincipalName is invalid: it has the form name@domain.")
	}
	if err := checkName("displayName", display); err != nil {
		return User{}, err
	}
	if err := checkUserPassword(secret); err != nil {
		return User{}, err
	}
	hash, err := s.hash(secret)
	if err != nil {
		return User{}, err
	}
	u := user{ObjectID: uuid.NewString(), Name: name, Display: display, Enabled: true, Hash: hash, Created: s.opt.Now().UTC(), Since: s.opt.Now().UTC()}
	err = s.change(func(d *directory) error {
		if _, taken := d.byUser(name); taken {
			return &tintype.Error{
				Kind: tintype.KindInvalid, Code: "Request_BadRequest",
				Message: "Another object with the same value for property userPrincipalName already exists.",
			}
		}
		if len(d.Users) >= maxUsers {
			return badRequest("The directory object quota limit of %d users has been exceeded.", maxUsers)
		}
		d.Users = append(d.Users, u)
		return nil
	})
	return u.public(), err
}

func checkUserPassword(secret string) error {
	if len(secret) < minUserPassword || len(secret) > maxSecret {
		return badRequest("The specified password does not comply with password complexity requirements: it has %d to %d characters.", minUserPassword, maxSecret)
	}
	return nil
}

// UserChange is what is to become of a user; nil leaves it as it is.
type UserChange struct {
	Display, Password *string
	Enabled           *bool
}

// ChangeUser changes a user. A new password, or disabling, ends the user's tokens.
func (s *Service) ChangeUser(id string, c UserChange) error {
	var hash string
	if c.Password != nil {
		if err := checkUserPassword(*c.Password); err != nil {
			return err
		}
		var err error
		if hash, err = s.hash(*c.Password); err != nil {
			return err
		}
	}
	var changed user
	err := s.change(func(d *directory) error {
		i, ok := d.byUser(id)
		if !ok {
			return notThere(id)
		}
		u := &d.Users[i]
		defer func() { changed = *u }()
		if c.Display != nil {
			if err := checkName("displayName", *c.Display); err != nil {
				return err
			}
			u.Display = *c.Display
		}
		if hash != "" {
			u.Hash, u.Since = hash, s.opt.Now().UTC()
		}
		if c.Enabled != nil {
			u.Enabled = *c.Enabled
		}
		return nil
	})
	if err == nil && (hash != "" || !changed.Enabled) {
		err = s.sessions.end(changed.ObjectID)
	}
	return err
}

// DeleteUser removes a user, whose tokens end at once.
func (s *Service) DeleteUser(id string) (gone User, err error) {
	err = s.change(func(d *directory) error {
		i, ok := d.byUser(id)
		if !ok {
			return notThere(id)
		}
		gone = d.Users[i].public()
		d.Users = slices.Delete(d.Users, i, i+1)
		d.leave(gone.ObjectID)
		return nil
	})
	if err == nil {
		err = s.sessions.end(gone.ObjectID)
	}
	return gone, err
}

// enabledUser finds a user who may log in.
func (s *Service) enabledUser(id string) (user, bool) {
	d := s.directory()
	if i, ok := d.byUser(strings.TrimSpace(id)); ok && d.Users[i].Enabled {
		return d.Users[i], true
	}
	return user{}, false
}
