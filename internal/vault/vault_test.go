package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	tenant = "11111111-1111-1111-1111-111111111111"
	ann    = "22222222-2222-2222-2222-222222222222"
	bob    = "33333333-3333-3333-3333-333333333333"
)

// world is a service in a folder, under a clock of its own.
type world struct {
	t    *testing.T
	dir  string
	now  time.Time
	ring Ring
	*Service
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), ring: Ring{Current: [32]byte{1}}}
	w.reopen()
	return w
}

func (w *world) reopen() {
	w.t.Helper()
	var err error
	w.Service, err = Open(Options{
		Dir: w.dir, Keys: w.ring, Tenant: tenant, Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler),
		Allowed: func(object, permission, scope string) bool {
			return object == bob && permission == "Microsoft.KeyVault/vaults/keys/wrap/action" && strings.HasSuffix(scope, "/vaults/roles")
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) vault(name string, change func(*Settings)) ID {
	w.t.Helper()
	id := ID{Subscription: "44444444-4444-4444-4444-444444444444", Group: "g", Name: name}
	v := Vault{ID: id, Location: "westus2", Settings: Settings{Tenant: tenant, SKU: "standard", Policies: []Policy{
		{Tenant: tenant, Object: ann, Keys: []string{"all"}},
		{Tenant: tenant, Object: bob, Keys: []string{"get", "wrapKey", "unwrapKey"}},
	}}}
	if change != nil {
		change(&v.Settings)
	}
	if _, _, err := w.Put(v, "ann"); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// refused says whether an error is a refusal with the codes.
func refused(err error, codes ...string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == codes[0] && (len(codes) == 1 || e.Inner == codes[1])
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestKeyLife takes a key through its life, over restarts.
func TestKeyLife(t *testing.T) {
	w := newWorld(t)
	w.vault("one", nil)
	ok := must[Key](t)
	first := ok(w.Create(ann, "one", "k", 0, Attributes{}))
	secret := []byte("thirty-two bytes of a volume key")
	url := "https://ONE.vault.localhost:8443/keys/k/" + first.Version
	wrapped, err := w.WrapFor(bob, url, secret)
	if err != nil || bytes.Contains(wrapped, secret) {
		t.Fatal(err)
	}
	w.reopen()
	second := ok(w.Rotate(ann, "one", "K"))
	if got := ok(w.Key(ann, "one", "k", "")); got.Version != second.Version || got.Version == first.Version {
		t.Errorf("the newest version is %s", got.Version)
	}
	if newest, err := w.Usable(url); err != nil || !strings.HasSuffix(newest, "/k/"+second.Version) {
		t.Errorf("newest: %s, %v", newest, err)
	}
	unwraps := func(when string, want ...string) {
		t.Helper()
		got, err := w.UnwrapFor(bob, url, wrapped)
		if want != nil && !refused(err, want...) || want == nil && (err != nil || !bytes.Equal(got, secret)) {
			t.Errorf("%s: %q, %v", when, got, err)
		}
	}
	unwraps("with an older version")
	off, on := false, true
	ok(w.Update(ann, "one", "k", first.Version, Attributes{Enabled: &off}))
	unwraps("disabled", "Forbidden", "KeyDisabled")
	ok(w.Update(ann, "one", "k", first.Version, Attributes{Enabled: &on}))
	unwraps("enabled again")
	must[Deleted](t)(w.DeleteKey(ann, "one", "k"))
	w.reopen()
	unwraps("deleted", "KeyNotFound")
	if _, err := w.Create(ann, "one", "k", 2048, Attributes{}); !refused(err, "Conflict", "ObjectIsDeletedButRecoverable") {
		t.Errorf("create over a deleted key: %v", err)
	}
	ok(w.RecoverKey(ann, "one", "k"))
	unwraps("recovered")
	must[Deleted](t)(w.DeleteKey(ann, "one", "k"))
	if err := w.PurgeKey(ann, "one", "k"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.DeletedKeys(ann, "one", "k"); !refused(err, "KeyNotFound") {
		t.Errorf("a purged key: %v", err)
	}
	unwraps("purged", "KeyNotFound")
}

// TestWhoMay: policies say who may do what with keys, or roles where the vault says so.
func TestWhoMay(t *testing.T) {
	w := newWorld(t)
	w.vault("one", nil)
	yes := true
	w.vault("roles", func(s *Settings) { s.RBAC = &yes })
	k := must[Key](t)(w.Create(ann, "one", "k", 2048, Attributes{}))
	if _, err := w.Create(bob, "one", "b", 2048, Attributes{}); !refused(err, "Forbidden", "AccessDenied") {
		t.Errorf("create by bob: %v", err)
	}
	if _, err := w.Keys(bob, "one"); !refused(err, "Forbidden", "AccessDenied") {
		t.Errorf("list by bob: %v", err)
	}
	if _, _, err := w.Sign(bob, "one", "k", "", "RS256", make([]byte, 32)); !refused(err, "Forbidden", "AccessDenied") {
		t.Errorf("sign by bob: %v", err)
	}
	if _, err := w.Create(ann, "roles", "k", 2048, Attributes{}); !refused(err, "Forbidden", "ForbiddenByRbac") {
		t.Errorf("a policy in a vault of roles: %v", err)
	}
	if _, _, err := w.Encrypt(bob, "roles", "k", "", "wrapKey", "RSA-OAEP-256", nil); !refused(err, "KeyNotFound") {
		t.Errorf("a role in a vault of roles: %v", err)
	}
	id := ID{Subscription: "44444444-4444-4444-4444-444444444444", Group: "g", Name: "one"}
	told := 0
	w.OnChange(func() { told++ })
	must[Vault](t)(w.ChangePolicies(id, "remove", []Policy{{Tenant: tenant, Object: bob}}))
	if _, err := w.WrapFor(bob, "https://one.vault.x/keys/k/"+k.Version, []byte("x")); !refused(err, "Forbidden", "AccessDenied") || told != 1 {
		t.Errorf("without a policy: %v, told %d times", err, told)
	}
}

// TestCrypto checks what keys do against each other.
func TestCrypto(t *testing.T) {
	w := newWorld(t)
	w.vault("one", nil)
	k := must[Key](t)(w.Create(ann, "one", "k", 2048, Attributes{}))
	for _, algorithm := range []string{"RSA-OAEP", "RSA-OAEP-256"} {
		c, by, err := w.Encrypt(ann, "one", "k", "", "encrypt", algorithm, []byte("hello"))
		if err != nil || by.Version != k.Version {
			t.Fatal(algorithm, err)
		}
		if p, _, err := w.Decrypt(ann, "one", "k", by.Version, "decrypt", algorithm, c); err != nil || string(p) != "hello" {
			t.Errorf("%s: %q, %v", algorithm, p, err)
		}
	}
	sum := sha256.Sum256([]byte("text"))
	for _, algorithm := range []string{"RS256", "PS256"} {
		sig, _, err := w.Sign(ann, "one", "k", "", algorithm, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		good, err := w.Verify(ann, "one", "k", "", algorithm, sum[:], sig)
		sig[0] ^= 1
		bad, _ := w.Verify(ann, "one", "k", "", algorithm, sum[:], sig)
		if err != nil || !good || bad {
			t.Errorf("%s: %t, flipped %t, %v", algorithm, good, bad, err)
		}
	}
	for _, err := range []error{
		errorOf(w.Encrypt(ann, "one", "k", "", "encrypt", "RSA1_5", []byte("x"))),
		errorOf(w.Decrypt(ann, "one", "k", "", "decrypt", "RSA-OAEP", []byte("nonsense"))),
		errorOf(w.Sign(ann, "one", "k", "", "RS256", []byte("short"))),
		errorOf(w.Encrypt(ann, "one", "k", "", "encrypt", "RSA-OAEP", make([]byte, 300))),
	} {
		if !refused(err, "BadParameter") {
			t.Errorf("refused with %v", err)
		}
	}
	wrapOnly := must[Key](t)(w.Create(ann, "one", "w", 2048, Attributes{Ops: []string{"wrapKey", "unwrapKey"}}))
	if _, _, err := w.Sign(ann, "one", wrapOnly.Name, "", "RS256", sum[:]); !refused(err, "Forbidden") {
		t.Errorf("an operation that the key is not for: %v", err)
	}
}

func errorOf(_ []byte, _ Key, err error) error { return err }

// TestVaultLife: a deleted vault keeps its name and its keys until it is recovered or purged.
func TestVaultLife(t *testing.T) {
	w := newWorld(t)
	yes := true
	id := w.vault("one", func(s *Settings) { s.PurgeProtection, s.RetentionDays = &yes, 7 })
	must[Key](t)(w.Create(ann, "one", "k", 2048, Attributes{}))
	other := id
	other.Group = "other"
	if _, _, err := w.Put(Vault{ID: other, Location: "westus2", Settings: Settings{Tenant: tenant}}, "x"); !refused(err, "VaultAlreadyExists") {
		t.Errorf("the same name: %v", err)
	}
	if ok, err := w.Delete(id); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, err := w.Key(ann, "one", "k", ""); !refused(err, "VaultNotFound") {
		t.Errorf("a key of a deleted vault: %v", err)
	}
	if err := w.Purge(id); !refused(err, "MethodNotAllowed") {
		t.Errorf("purge of a protected vault: %v", err)
	}
	if _, _, err := w.Put(Vault{ID: id, Location: "westus2", Settings: Settings{Tenant: tenant}}, "x"); !refused(err, "ConflictError") {
		t.Errorf("create over a deleted one: %v", err)
	}
	must[Vault](t)(w.Recover(id))
	must[Key](t)(w.Key(ann, "one", "k", ""))
	if _, err := w.Delete(id); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.AddDate(0, 0, 8)
	if err := w.Tidy(); err != nil || len(w.List(id.Subscription, "", true)) != 0 {
		t.Errorf("a vault outlives its time: %v", err)
	}
	w.vault("one", nil) // the name is free
}

// TestRotationPolicy makes versions when their time has come, and no sooner.
func TestRotationPolicy(t *testing.T) {
	w := newWorld(t)
	w.vault("one", nil)
	must[Key](t)(w.Create(ann, "one", "k", 2048, Attributes{}))
	must[Rotation](t)(w.SetPolicy(ann, "one", "k", Rotation{Expiry: "P90D", Actions: []Action{{Type: "rotate", AfterCreate: "P30D"}}}))
	count := func() int {
		t.Helper()
		if err := w.Tidy(); err != nil {
			t.Fatal(err)
		}
		return len(must[[]Key](t)(w.Versions(ann, "one", "k")))
	}
	var got []int
	for range 4 {
		got = append(got, count())
		w.now = w.now.AddDate(0, 0, 29)
	}
	if d := cmp.Diff([]int{1, 1, 2, 2}, got); d != "" {
		t.Errorf("versions every 29 days: %s", d)
	}
	if k := must[Key](t)(w.Key(ann, "one", "k", "")); k.Expires.IsZero() {
		t.Error("a rotated version has no end")
	}
	if _, err := w.SetPolicy(ann, "one", "k", Rotation{Expiry: "90 days"}); !refused(err, "BadParameter") {
		t.Errorf("no duration: %v", err)
	}
}

// TestFile: private keys are nowhere in the file, another platform key does not open it, a changed one does, and damage is told.
func TestFile(t *testing.T) {
	w := newWorld(t)
	w.vault("one", nil)
	must[Key](t)(w.Create(ann, "one", "k", 2048, Attributes{}))
	private, _, err := w.private(ann, "one", "k", "", "decrypt")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(w.dir, "vaults")
	p, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for _, secret := range [][]byte{private.D.Bytes(), private.Primes[0].Bytes(), w.secret[:]} {
		for i := 0; i+12 <= len(secret); i += 12 {
			if bytes.Contains(p, secret[i:i+12]) || bytes.Contains(p, []byte(base64.StdEncoding.EncodeToString(secret[i:i+12]))) {
				t.Fatal("a secret is in the file")
			}
		}
	}
	if err := w.Rewrap([32]byte{2}); err != nil {
		t.Fatal(err)
	}
	open := func(ring Ring) error {
		_, err := Open(Options{Dir: w.dir, Keys: ring, Tenant: tenant, Now: func() time.Time { return w.now }})
		return err
	}
	if err := open(Ring{Current: [32]byte{1}}); err == nil || !strings.Contains(err.Error(), "platform key") {
		t.Errorf("with the old key: %v", err)
	}
	if err := open(Ring{Current: [32]byte{3}, Others: [][32]byte{{2}}}); err != nil {
		t.Error(err)
	}
	if err := open(Ring{Current: [32]byte{3}}); err != nil {
		t.Errorf("a start does not take the newer key: %v", err)
	}
	if p, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	for _, off := range []int{3, 20, len(p) / 2, len(p) - 2} {
		bad := bytes.Clone(p)
		bad[off] ^= 1
		if _, err := parse(bad); err == nil {
			t.Errorf("byte %d flipped, and nobody says so", off)
		}
	}
	if _, err := parse([]byte("tintype-vaults-9 00000000\n{}")); err == nil || !strings.Contains(err.Error(), "version 9") {
		t.Errorf("version 9: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	p, err := content{Vaults: []*entry{{Keys: []*keyEntry{{Name: "k", Versions: []*version{{}}}}}}}.text()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p)
	f.Fuzz(func(t *testing.T, p []byte) {
		c, err := parse(p)
		if err != nil {
			return
		}
		if _, err := c.text(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzURL(f *testing.F) {
	f.Add("https://one.vault.localhost:8443/keys/k/0123")
	f.Add("https://one.vault.azure.net/keys/k")
	f.Fuzz(func(t *testing.T, text string) {
		if r, ok := parseURL(text); ok && (r.vault == "" || !strings.HasPrefix(text, "https:")) {
			t.Errorf("%q: %+v", text, r)
		}
	})
}
