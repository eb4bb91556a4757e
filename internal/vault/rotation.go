package vault

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// durationRE is an ISO 8601 duration of whole days, months and years, as rotation policies have them.
var durationRE = regexp.MustCompile(`^P(?:(\d{1,3})Y)?(?:(\d{1,4})M)?(?:(\d{1,5})D)?$`)

// after gives the time a duration after, or with sign -1 before, another; ok is false where the text is no duration.
func after(t time.Time, text string, sign int) (time.Time, bool) {
	m := durationRE.FindStringSubmatch(strings.ToUpper(text))
	if m == nil || len(text) < 3 {
		return t, false
	}
	part := func(i int) int {
		n, err := strconv.Atoi(m[i])
		if err != nil {
			return 0
		}
		return sign * n
	}
	return t.AddDate(part(1), part(2), part(3)), true
}

// Policy gives a key's rotation policy, that of Azure where none was set.
func (s *Service) Policy(object, vaultName, name string) (Rotation, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := s.content.vault(vaultName)
	if err != nil {
		return Rotation{}, err
	}
	if err := s.may(e, object, "getrotationpolicy"); err != nil {
		return Rotation{}, err
	}
	k, _, err := e.version(name, "")
	switch {
	case err != nil:
		return Rotation{}, err
	case k.Rotation == nil:
		return Rotation{Actions: []Action{{Type: "Notify", BeforeExpiry: "P30D"}}}, nil
	}
	return *k.Rotation, nil
}

// SetPolicy sets it.
func (s *Service) SetPolicy(object, vaultName, name string, want Rotation) (r Rotation, err error) {
	if len(want.Actions) > 2 {
		return r, badParameter("A rotation policy has at most two actions.")
	}
	for i, a := range want.Actions {
		if a.Type = strings.ToLower(a.Type); a.Type != "rotate" && a.Type != "notify" {
			return r, badParameter("The action '%.32s' of a rotation policy is not known.", a.Type)
		}
		want.Actions[i].Type = strings.ToUpper(a.Type[:1]) + a.Type[1:]
		for _, d := range []string{a.AfterCreate, a.BeforeExpiry} {
			if _, ok := after(time.Time{}, d, 1); d != "" && !ok {
				return r, badParameter("'%.64s' is no duration such as P90D.", d)
			}
		}
		if (a.AfterCreate == "") == (a.BeforeExpiry == "") {
			return r, badParameter("An action has one of timeAfterCreate and timeBeforeExpiry.")
		}
	}
	if _, ok := after(time.Time{}, want.Expiry, 1); want.Expiry != "" && !ok {
		return r, badParameter("'%.64s' is no duration such as P90D.", want.Expiry)
	}
	return r, s.update(vaultName, func(e *entry) error {
		if err := s.may(e, object, "setrotationpolicy"); err != nil {
			return err
		}
		k, _, err := e.version(name, "")
		if err != nil {
			return err
		}
		now := s.opt.Now().Truncate(time.Second)
		want.Created, want.Updated = now, now
		if k.Rotation != nil {
			want.Created = k.Rotation.Created
		}
		k.Rotation, r = &want, want
		return nil
	})
}

// Tidy does what is due: rotations, and the end of what was deleted.
func (s *Service) Tidy() error { return errors.Join(s.RotateDue(), s.Expire()) }

// RotateDue makes new versions of the keys whose policies say that it is time.
func (s *Service) RotateDue() error {
	type due struct{ vault, name, expiry string }
	var all []due
	now := s.opt.Now()
	s.mu.RLock()
	for _, e := range s.content.Vaults {
		for _, k := range e.Keys {
			if e.Deleted.IsZero() && k.Deleted.IsZero() && k.Rotation != nil && k.due(now) {
				all = append(all, due{e.ID.Name, k.Name, k.Rotation.Expiry})
			}
		}
	}
	s.mu.RUnlock()
	var err error
	for _, d := range all {
		newest, failed := s.find(d.vault, d.name, "")
		if failed == nil {
			want := Attributes{Ops: newest.Ops, Tags: newest.Tags}
			if at, ok := after(now, d.expiry, 1); ok && d.expiry != "" {
				want.Expires = &at
			}
			_, failed = s.addLike(d.vault, newest, want)
		}
		err = errors.Join(err, failed)
	}
	return err
}

// due tells whether a key's newest version is to be followed by another.
func (k *keyEntry) due(now time.Time) bool {
	v := k.Versions[len(k.Versions)-1]
	return slices.ContainsFunc(k.Rotation.Actions, func(a Action) bool {
		at, ok := after(v.Created, a.AfterCreate, 1)
		if a.BeforeExpiry != "" {
			at, ok = after(v.Expires, a.BeforeExpiry, -1)
			ok = ok && !v.Expires.IsZero()
		}
		return a.Type == "Rotate" && ok && !now.Before(at)
	})
}
