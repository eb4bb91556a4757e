package identity

import (
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"tintype/internal/handclock"
)

func tokenOf(t *testing.T, s *Service) string {
	t.Helper()
	token, _, err := s.issue(granted{app: s.directory().Apps[0], client: s.directory().Apps[0].AppID, audience: "https://localhost:8443"})
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + token
}

func shownKeys(s *Service) []string {
	var ids []string
	for _, k := range s.keys.Load().public(s.opt.Now()).Keys {
		ids = append(ids, k.KeyID)
	}
	return ids
}

// A replaced key's tokens are good until they expire, over a restart too, and the key is shown for as long.
func TestTurnKey(t *testing.T) {
	dir, c := t.TempDir(), handclock.New(start)
	s := open(t, dir, c)
	if turned, err := s.TurnKey(); turned || err != nil {
		t.Fatalf("a key is replaced that has no age: %v", err)
	}
	const keyAge = 24 * time.Hour
	s.opt.KeyAge = keyAge
	first := shownKeys(s)
	if turned, err := s.TurnKey(); turned || err != nil {
		t.Fatalf("a new key is replaced: %v", err)
	}
	c.Add(keyAge)
	old := tokenOf(t, s)
	if _, e := authenticate(s, old); e != nil {
		t.Fatal(e)
	}
	if turned, err := s.TurnKey(); !turned || err != nil {
		t.Fatalf("an old key is not replaced: %v", err)
	}
	young := tokenOf(t, s)
	both := shownKeys(s)
	if len(both) != 2 || both[1] != first[0] {
		t.Fatalf("keys %v after %v", both, first)
	}
	for name, s := range map[string]*Service{"at once": s, "after a restart": open(t, dir, c)} {
		for which, token := range map[string]string{"old": old, "young": young} {
			if _, e := authenticate(s, token); e != nil {
				t.Errorf("%s: the %s token: %v", name, which, e)
			}
		}
		if diff := cmp.Diff(both, shownKeys(s)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	c.Add(lifetime)
	if _, e := authenticate(s, old); e == nil || e.Code != "ExpiredAuthenticationToken" {
		t.Errorf("the old token after its time: %v", e)
	}
	if diff := cmp.Diff(both[:1], shownKeys(s)); diff != "" {
		t.Error(diff)
	}
}

// Who has a key that was replaced gets no token with it that lives longer than those it signed, also not one that was seen before.
func TestRetiredKeySignsNothing(t *testing.T) {
	dir, c := t.TempDir(), handclock.New(start)
	s := open(t, dir, c)
	stolen := (*s.keys.Load())[0]
	forge := func(exp time.Time) string {
		claims := goodClaims(s)
		claims["exp"] = exp.Unix()
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: stolen.private, KeyID: stolen.id}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + token
	}
	long := forge(start.Add(48 * time.Hour))
	if _, e := authenticate(s, long); e != nil {
		t.Fatalf("the key that signs: %v", e)
	}
	if err := s.rotateKey(); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Service{s, open(t, dir, c)} {
		if _, e := authenticate(s, long); e == nil || e.Code != "InvalidAuthenticationToken" {
			t.Errorf("a token that outlives its key: %v", e)
		}
		if _, e := authenticate(s, forge(start.Add(lifetime))); e != nil {
			t.Errorf("a token as old as its key: %v", e)
		}
	}
}

// The keys of one hour are bounded, and a file with others is refused.
func TestKeysAreBounded(t *testing.T) {
	dir, c := t.TempDir(), handclock.New(start)
	s := open(t, dir, c)
	all := *s.keys.Load()
	for len(all) < maxKeys {
		k := all[0]
		k.retired = start
		all = append(all, k)
	}
	if _, err := all.rotate(s.keyFile(), start); err == nil {
		t.Error("one key too many is kept")
	}
	if next, err := all.rotate(s.keyFile(), start.Add(2*lifetime)); err != nil || len(next) != 2 {
		t.Errorf("%d keys after their time: %v", len(next), err)
	}
	text, err := all.encode()
	if err != nil {
		t.Fatal(err)
	}
	one, err := all[:1].encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"none": "", "too many": string(text) + string(one), "two that sign": string(one) + string(one),
		"a time that is none":  strings.Replace(string(one), "Made: ", "Made: x", 1),
		"no key":               "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"the first is retired": string(text[len(one):]),
	} {
		if _, err := parseKeys([]byte(bad), start); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
