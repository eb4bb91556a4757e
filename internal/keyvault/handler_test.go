package keyvault

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tintype/internal/identity"
	"tintype/internal/vault"
)

const (
	tenant = "11111111-1111-1111-1111-111111111111"
	ann    = "22222222-2222-2222-2222-222222222222"
)

// door lets ann in who says her name.
type door struct{}

func (door) AuthenticateVault(r *http.Request) (identity.Principal, error) {
	if r.Header.Get("Authorization") != "Bearer ann" {
		return identity.Principal{}, &identity.Error{Status: http.StatusUnauthorized, Code: "x", Message: "no"}
	}
	return identity.Principal{ObjectID: ann}, nil
}

func (door) Tenant() identity.Tenant { return identity.Tenant{ID: tenant} }

func newDoor(t testing.TB) *Handler {
	t.Helper()
	now := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	log := slog.New(slog.DiscardHandler)
	vaults, err := vault.Open(vault.Options{Dir: t.TempDir(), Tenant: tenant, Now: now, Log: log})
	if err == nil {
		_, _, err = vaults.Put(vault.Vault{
			ID: vault.ID{Subscription: "33333333-3333-3333-3333-333333333333", Group: "g", Name: "safe"}, Location: "westus2",
			Settings: vault.Settings{SKU: "standard", Policies: []vault.Policy{{Tenant: tenant, Object: ann, Keys: []string{"all"}}}},
		}, "ann")
	}
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{Vaults: vaults, Guard: door{}, Log: log, Login: func(*http.Request) string { return "https://localhost:1" }})
}

func (h *Handler) send(method, target, token, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://Safe.vault.localhost:1"+target, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const v = "?api-version=7.4"

// TestChallenge: without a token the answer says where to get one, and for what; nothing else is told.
func TestChallenge(t *testing.T) {
	h := newDoor(t)
	for _, token := range []string{"", "bob"} {
		w := h.send("GET", "/keys"+v, token, "")
		want := `Bearer authorization="https://localhost:1/` + tenant + `", resource="https://vault.localhost:1"`
		if w.Code != 401 || w.Header().Get("WWW-Authenticate") != want || !strings.Contains(w.Body.String(), "Unauthorized") {
			t.Errorf("token %q: %d %v %s", token, w.Code, w.Header(), w.Body)
		}
	}
}

// TestImport brings a key in, finds it, wraps with it, and never sees its private half again.
func TestImport(t *testing.T) {
	h := newDoor(t)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"key": map[string]any{
		"kty": "RSA", "n": octets(private.N.Bytes()), "e": octets(big.NewInt(int64(private.E)).Bytes()), "d": octets(private.D.Bytes()),
		"p": octets(private.Primes[0].Bytes()), "q": octets(private.Primes[1].Bytes()),
	}, "tags": map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	w := h.send("PUT", "/keys/mine"+v, "ann", string(body))
	var made keyBody
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || w.Code != 200 || !strings.HasPrefix(made.Key.ID, "https://safe.vault.localhost:1/keys/mine/") {
		t.Fatalf("%d %s %v", w.Code, w.Body, err)
	}
	if made.Key.D != nil || strings.Contains(w.Body.String(), `"d"`) || made.Tags["a"] != "b" {
		t.Errorf("imported: %s", w.Body)
	}
	w = h.send("POST", "/keys/mine/wrapkey"+v, "ann", `{"alg":"RSA-OAEP-256","value":"c2VjcmV0"}`)
	var wrapped resultBody
	if err := json.Unmarshal(w.Body.Bytes(), &wrapped); err != nil || wrapped.ID != made.Key.ID {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	value, _ := wrapped.Value.MarshalJSON()
	w = h.send("POST", strings.TrimPrefix(made.Key.ID, "https://safe.vault.localhost:1")+"/unwrapkey"+v, "ann", `{"alg":"RSA-OAEP-256","value":`+string(value)+`}`)
	if !strings.Contains(w.Body.String(), `"value":"c2VjcmV0"`) {
		t.Errorf("unwrapped: %d %s", w.Code, w.Body)
	}
	if w = h.send("GET", "/keys"+v, "ann", ""); !strings.Contains(w.Body.String(), `"kid":"https://safe.vault.localhost:1/keys/mine"`) {
		t.Errorf("list: %s", w.Body)
	}
	if w = h.send("DELETE", "/keys/mine"+v, "ann", ""); !strings.Contains(w.Body.String(), `"recoveryId":"https://safe.vault.localhost:1/deletedkeys/mine"`) {
		t.Errorf("delete: %s", w.Body)
	}
}

func TestRefusals(t *testing.T) {
	h := newDoor(t)
	for _, row := range []struct {
		method, target, body string
		status               int
		says                 string
	}{
		{"GET", "/keys", "", 400, "is not recognized"},
		{"GET", "/keys?api-version=1", "", 400, "is not recognized"},
		{"GET", "/keys/none" + v, "", 404, "KeyNotFound"},
		{"GET", "/secrets" + v, "", 404, "NotFound"},
		{"PUT", "/keys" + v, "", 404, "NotFound"},
		{"POST", "/keys/k/create" + v, `{"kty":"EC"}`, 400, "BadParameter"},
		{"POST", "/keys/k/create" + v, `{"kty":"RSA","key_size":1024}`, 400, "BadParameter"},
		{"POST", "/keys/k_k/create" + v, `{"kty":"RSA"}`, 400, "invalid name"},
		{"POST", "/keys/k/create" + v, `{`, 400, "Failed to parse"},
		{"POST", "//keys/k/create" + v, `{"kty":"RSA","key_size":1024}`, 400, "BadParameter"},
		{"GET", "//" + v, "", 404, "No operation"},
		{"PUT", "/keys/k" + v, `{"key":{"kty":"RSA","n":"AA","e":"AQAB"}}`, 400, "no RSA private key"},
		{"POST", "/keys/k/backup" + v, "", 400, "not supported"},
		{"GET", "/keys?api-version=7.4&maxresults=1000", "", 400, "maxresults"},
		{"GET", "/keys?api-version=7.4&$skiptoken=-1", "", 400, "skiptoken"},
		{"POST", "/keys/k/create" + v, strings.Repeat(" ", maxBody+1), 400, "BadParameter"},
	} {
		if w := h.send(row.method, row.target, "ann", row.body); w.Code != row.status || !strings.Contains(w.Body.String(), row.says) {
			t.Errorf("%s %s %.40s: %d %s", row.method, row.target, row.body, w.Code, w.Body)
		}
	}
}

func FuzzRequest(f *testing.F) {
	h := newDoor(f)
	f.Add("POST", "keys/k/v/sign", `{"alg":"RS256","value":"AA"}`)
	f.Add("PUT", "keys/k/rotationpolicy", `{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P1D"},"action":{"type":"Rotate"}}]}`)
	f.Add("GET", "deletedkeys//", "")
	f.Fuzz(func(t *testing.T, method, path, body string) {
		r := httptest.NewRequest("GET", "https://safe.vault.localhost/x"+v, strings.NewReader(body))
		r.Method, r.URL.Path = method, "/"+path
		r.Header.Set("Authorization", "Bearer ann")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code >= 500 {
			t.Errorf("%s %q %q: %d %s", method, path, body, w.Code, w.Body)
		}
	})
}
