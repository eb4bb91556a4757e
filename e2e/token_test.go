package e2e

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tintype/internal/rig"
)

// claims are those of a token, and header its first part.
type token struct{ header, claims map[string]any }

func parseToken(t *testing.T, text string) token {
	t.Helper()
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("not a token: %d parts", len(parts))
	}
	var tok token
	for i, into := range []*map[string]any{&tok.header, &tok.claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, into); err != nil {
			t.Fatal(err)
		}
	}
	return tok
}

// sign makes a token as the server would, with any key.
func (tok token) sign(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	var parts []string
	for _, part := range []map[string]any{tok.header, tok.claims} {
		b, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(b))
	}
	text := strings.Join(parts, ".")
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (tok token) with(name string, value any) token {
	claims := maps.Clone(tok.claims)
	claims[name] = value
	return token{header: tok.header, claims: claims}
}

// serverKey finds the key with which the server signs, as a thief of the data folder would.
func serverKey(t *testing.T, s *rig.Server, valid string) *rsa.PrivateKey {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Data, "keys", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		if block == nil {
			continue
		}
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			continue
		}
		if key, ok := parsed.(*rsa.PrivateKey); ok && verifies(valid, &key.PublicKey) {
			return key
		}
	}
	t.Fatalf("no key among %v", files)
	return nil
}

func verifies(text string, key *rsa.PublicKey) bool {
	dot := strings.LastIndexByte(text, '.')
	signature, err := base64.RawURLEncoding.DecodeString(text[dot+1:])
	digest := sha256.Sum256([]byte(text[:dot]))
	return err == nil && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
}

// TestTokens offers every kind of token that must not open anything.
func TestTokens(t *testing.T) {
	s := start(t, t.TempDir())
	a := newAPI(t, s)
	a.makeGroup("g")
	valid := parseToken(t, a.token)
	key := serverKey(t, s, a.token)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	path := a.groupPath("g")
	if r := a.with(valid.sign(t, key)).send(http.MethodGet, path, nil); r.status != 200 {
		t.Fatalf("a token signed again with the server's key: %d %s", r.status, r.body)
	}
	past := time.Now().Add(-time.Hour).Unix()
	for name, text := range map[string]string{
		"missing":          "",
		"not a token":      "hello",
		"forged":           valid.sign(t, stranger),
		"unsigned":         unsigned + "." + strings.Split(a.token, ".")[1] + ".",
		"changed":          a.token[:len(a.token)-8] + "AAAAAAAA",
		"expired":          valid.with("exp", past).sign(t, key),
		"not yet valid":    valid.with("nbf", time.Now().Add(time.Hour).Unix()).sign(t, key),
		"another audience": valid.with("aud", "https://elsewhere/").sign(t, key),
		"another issuer":   valid.with("iss", "https://elsewhere/").sign(t, key),
		"another tenant":   valid.with("tid", "00000000-0000-0000-0000-00000000dead").sign(t, key),
		"very long":        strings.Repeat("A", 100<<10),
	} {
		r := a.with(text).send(http.MethodGet, path, nil)
		if r.status != http.StatusUnauthorized && !(name == "very long" && r.status == 431) {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
		if r.status == http.StatusUnauthorized && (r.header.Get("WWW-Authenticate") == "" || r.code() == "") {
			t.Errorf("%s: no WWW-Authenticate or no code: %s", name, r.body)
		}
	}
	other := strings.Replace(path, a.principal.SubscriptionID, "00000000-0000-0000-0000-00000000beef", 1)
	if r := a.send(http.MethodGet, other, nil); r.status != 401 && r.status != 403 && r.status != 404 {
		t.Errorf("another subscription: %d %s", r.status, r.body)
	}
	if status, body := a.tryLogin(a.principal.AppID, "wrong"); status != 401 && status != 400 {
		t.Errorf("a wrong password: %d %s", status, body)
	}
}
