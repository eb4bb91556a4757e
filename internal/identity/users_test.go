package identity

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"html"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
)

const (
	azClient = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
	annWord  = "correct horse battery"
)

func addAnn(t testing.TB, s *Service) User {
	t.Helper()
	u, err := s.AddUser("ann@example", "Ann", annWord)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// postForm sends a form and reads JSON.
func postForm(t testing.TB, s *Service, path string, form url.Values) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest("POST", "https://localhost:8443"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return w.Code, body
}

const tokenPath = "/adfs/oauth2/token"

func form(pairs ...string) url.Values {
	f := url.Values{"client_id": {azClient}, "scope": {"https://localhost:8443//.default offline_access openid profile"}}
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return f
}

// grant posts to the token endpoint and requires a token.
func grant(t testing.TB, s *Service, f url.Values) (access, refresh string) {
	t.Helper()
	code, body := postForm(t, s, tokenPath, f)
	if code != 200 {
		t.Fatalf("%d %v", code, body)
	}
	return body["access_token"].(string), body["refresh_token"].(string)
}

func refusedToken(t testing.TB, s *Service, f url.Values, name string) {
	t.Helper()
	if code, body := postForm(t, s, tokenPath, f); body["error"] != name {
		t.Errorf("%d %v, want %s", code, body, name)
	}
}

func TestUserWithAPassword(t *testing.T) {
	s, c := newService(t)
	ann := addAnn(t, s)
	ask := form("grant_type", "password", "username", "ANN@example", "password", annWord, "client_info", "1")
	code, body := postForm(t, s, tokenPath, ask)
	if code != 200 {
		t.Fatalf("%d %v", code, body)
	}
	p, e := authenticate(s, "Bearer "+body["access_token"].(string))
	if e != nil || p.ObjectID != ann.ObjectID || p.Name != "ann@example" || p.AppID != azClient || !p.IsUser() {
		t.Fatalf("%+v %v", p, e)
	}
	var id map[string]any
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(body["id_token"].(string), ".")[1])
	if err != nil || json.Unmarshal(b, &id) != nil || id["aud"] != azClient || id["upn"] != "ann@example" || id["tid"] != s.Tenant().ID {
		t.Errorf("%s %v", b, err)
	}
	if _, e := authenticate(s, "Bearer "+body["id_token"].(string)); e == nil {
		t.Error("an id token opens the API")
	}
	refusedToken(t, s, form("grant_type", "password", "username", "ann@example", "password", "wrong"), "invalid_grant")
	refusedToken(t, s, form("grant_type", "password", "username", "bob@example", "password", annWord), "invalid_grant")
	refusedToken(t, s, form("grant_type", "password", "username", "ann@example", "password", annWord, "client_id", uuid.NewString()), "unauthorized_client")

	access := body["access_token"].(string)
	c.Add(time.Minute)
	word := "another long password"
	if err := s.ChangeUser(ann.ObjectID, UserChange{Password: &word}); err != nil {
		t.Fatal(err)
	}
	if _, e := authenticate(s, "Bearer "+access); e == nil {
		t.Error("a token from before the new password holds")
	}
	refusedToken(t, s, ask, "invalid_grant")
	refusedToken(t, s, form("grant_type", "refresh_token", "refresh_token", body["refresh_token"].(string)), "invalid_grant")
	access, _ = grant(t, s, form("grant_type", "password", "username", "ann@example", "password", word))
	off := false
	if err := s.ChangeUser(ann.ObjectID, UserChange{Enabled: &off}); err != nil {
		t.Fatal(err)
	}
	if _, e := authenticate(s, "Bearer "+access); e == nil {
		t.Error("a disabled user is let in")
	}
}

func TestGuessingAUserIsSlow(t *testing.T) {
	s, _ := newService(t)
	addAnn(t, s)
	for range maxGuesses {
		refusedToken(t, s, form("grant_type", "password", "username", "ann@example", "password", "wrong"), "invalid_grant")
	}
	refusedToken(t, s, form("grant_type", "password", "username", "ann@example", "password", annWord), "temporarily_unavailable")
}

func TestRefreshTokens(t *testing.T) {
	s, c := newService(t)
	addAnn(t, s)
	_, first := grant(t, s, form("grant_type", "password", "username", "ann@example", "password", annWord))
	renew := func(token string) url.Values { return form("grant_type", "refresh_token", "refresh_token", token) }
	access, second := grant(t, s, renew(first))
	if _, e := authenticate(s, "Bearer "+access); e != nil || second == first {
		t.Fatal(e)
	}
	other := renew(second)
	other.Set("client_id", "1950a258-227b-4e31-a9cf-717495945fc2")
	refusedToken(t, s, other, "invalid_grant") // another client's
	// A restart keeps logins.
	s = open(t, s.opt.Dir, c)
	_, third := grant(t, s, renew(first)) // a moment ago it was the last one
	c.Add(3 * time.Minute)
	refusedToken(t, s, renew(first), "invalid_grant")
	_, fourth := grant(t, s, renew(third))
	c.Add(3 * time.Minute)
	refusedToken(t, s, renew(third), "invalid_grant") // used twice: somebody else has it, and the login ends
	refusedToken(t, s, renew(fourth), "invalid_grant")
	for _, junk := range []string{"", ".", "x", strings.Repeat("x", 5000), first + "x"} {
		refusedToken(t, s, renew(junk), "invalid_grant")
	}
	_, last := grant(t, s, form("grant_type", "password", "username", "ann@example", "password", annWord))
	c.Add(sessionLife)
	refusedToken(t, s, renew(last), "invalid_grant")
}

// browser keeps a cookie between page and form, as one does.
type browser struct {
	t      *testing.T
	s      *Service
	cookie string
}

func (b *browser) do(method, target string, f url.Values) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, "https://localhost:8443"+target, strings.NewReader(f.Encode()))
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.cookie != "" {
		r.AddCookie(&http.Cookie{Name: signInCookie, Value: b.cookie})
	}
	w := httptest.NewRecorder()
	b.s.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode {
			b.t.Errorf("cookie %+v", c)
		}
		b.cookie = c.Value
	}
	return w
}

var markRE = regexp.MustCompile(`name="mark" value="([^"]+)"`)

func markIn(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	m := markRE.FindStringSubmatch(w.Body.String())
	if m == nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return html.UnescapeString(m[1])
}

func TestDeviceCode(t *testing.T) {
	s, c := newService(t)
	addAnn(t, s)
	begin := func() (device, user string) {
		t.Helper()
		code, body := postForm(t, s, "/adfs/oauth2/devicecode", form())
		if code != 200 || body["verification_uri"] != "https://localhost:8443/device" {
			t.Fatalf("%d %v", code, body)
		}
		return body["device_code"].(string), body["user_code"].(string)
	}
	poll := func(device string) url.Values { return form("grant_type", grantDevice, "device_code", device) }
	device, code := begin()
	refusedToken(t, s, poll(device), "authorization_pending")
	refusedToken(t, s, poll(device), "slow_down")
	b := &browser{t: t, s: s}
	mark := markIn(t, b.do("GET", "/device", nil))
	answer := func(pairs ...string) url.Values {
		f := url.Values{"mark": {mark}, "user_code": {strings.ToLower(code)}, "username": {"ann@example"}, "password": {annWord}, "answer": {"yes"}}
		for i := 0; i < len(pairs); i += 2 {
			f.Set(pairs[i], pairs[i+1])
		}
		return f
	}
	for what, f := range map[string]url.Values{
		"another site's form": answer("mark", "x"), "a wrong password": answer("password", "wrong"), "a wrong code": answer("user_code", "AAAA-AAAA"),
	} {
		if w := b.do("POST", "/device", f); !strings.Contains(w.Body.String(), `role="alert"`) {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
	}
	other := &browser{t: t, s: s}
	if w := other.do("POST", "/device", answer()); !strings.Contains(w.Body.String(), "too old") {
		t.Errorf("a form without a cookie: %s", w.Body)
	}
	if w := b.do("POST", "/device", answer()); !strings.Contains(w.Body.String(), "signed in as ann@example") {
		t.Fatalf("%s", w.Body)
	}
	access, refresh := grant(t, s, poll(device))
	if p, e := authenticate(s, "Bearer "+access); e != nil || p.Name != "ann@example" || refresh == "" {
		t.Errorf("%+v %v", p, e)
	}
	refusedToken(t, s, poll(device), "expired_token") // once

	device, code = begin()
	if w := b.do("POST", "/device", answer("answer", "no", "password", "")); !strings.Contains(w.Body.String(), "refused") {
		t.Errorf("%s", w.Body)
	}
	refusedToken(t, s, poll(device), "authorization_declined")
	device, _ = begin()
	c.Add(deviceLife)
	refusedToken(t, s, poll(device), "expired_token")
}

func TestAuthorizationCode(t *testing.T) {
	s, _ := newService(t)
	addAnn(t, s)
	const verifier = "a-verifier-of-at-least-forty-three-characters-x"
	query := func(pairs ...string) string {
		q := url.Values{
			"client_id": {azClient}, "response_type": {"code"}, "redirect_uri": {"http://localhost:45678/"}, "scope": {"https://localhost:8443//.default openid"},
			"state": {"the state"}, "nonce": {"n1"}, "code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
		}
		for i := 0; i < len(pairs); i += 2 {
			q.Set(pairs[i], pairs[i+1])
		}
		return "/adfs/oauth2/authorize?" + q.Encode()
	}
	b := &browser{t: t, s: s}
	for what, target := range map[string]string{
		"another client": query("client_id", uuid.NewString()), "another site": query("redirect_uri", "https://evil.example/"),
		"a look-alike": query("redirect_uri", "http://localhost.evil.example/"), "no PKCE": query("code_challenge", ""),
		"plain PKCE": query("code_challenge_method", "plain"), "a token at once": query("response_type", "token"), "user info": query("redirect_uri", "http://localhost@evil.example/"),
		"no scope": query("scope", "openid"),
	} {
		if w := b.do("GET", target, nil); w.Code < 400 || w.Header().Get("Location") != "" || strings.Contains(w.Body.String(), "<form") {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
	}
	w := b.do("GET", query(), nil)
	mark := markIn(t, w)
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(w.Body.String(), "<script") {
		t.Errorf("%s", csp)
	}
	answer := url.Values{"mark": {mark}, "username": {"ann@example"}, "password": {annWord}}
	if w := b.do("POST", query("state", "another"), answer); w.Header().Get("Location") != "" {
		t.Error("the mark is good for another request")
	}
	w = b.do("POST", query(), answer)
	at, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != 303 || at.Host != "localhost:45678" || at.Query().Get("state") != "the state" {
		t.Fatalf("%d %v %s", w.Code, at, w.Body)
	}
	code := at.Query().Get("code")
	redeem := form("grant_type", "authorization_code", "code", code, "redirect_uri", "http://localhost:45678/", "code_verifier", verifier)
	wrong := form("grant_type", "authorization_code", "code", code, "redirect_uri", "http://localhost:45678/", "code_verifier", "x")
	refusedToken(t, s, wrong, "invalid_grant")
	refusedToken(t, s, redeem, "invalid_grant") // a code is good for one try

	w = b.do("POST", query(), answer)
	if at, err = url.Parse(w.Header().Get("Location")); err != nil {
		t.Fatal(err)
	}
	redeem.Set("code", at.Query().Get("code"))
	access, _ := grant(t, s, redeem)
	if p, e := authenticate(s, "Bearer "+access); e != nil || p.Name != "ann@example" {
		t.Errorf("%+v %v", p, e)
	}
}

func TestCertificate(t *testing.T) {
	s, c := newService(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der := selfSigned(t, key)
	a := s.First()
	if err := s.SetCertificates(a.ObjectID, []Credential{{DER: der}}); err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum(der)
	ask := func(key *rsa.PrivateKey, edit func(*jwt.Claims), x5t string) url.Values {
		t.Helper()
		claims := jwt.Claims{
			Issuer: a.AppID, Subject: a.AppID, Audience: jwt.Audience{"https://localhost:8443/" + s.Tenant().ID + "/oauth2/v2.0/token"}, ID: uuid.NewString(),
			Expiry: jwt.NewNumericDate(c.Now().Add(10 * time.Minute)), NotBefore: jwt.NewNumericDate(c.Now()),
		}
		edit(&claims)
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithHeader("x5t", x5t))
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return url.Values{
			"grant_type": {grantClient}, "client_id": {a.AppID}, "client_assertion_type": {assertionType}, "client_assertion": {text},
			"scope": {"https://localhost:8443//.default"},
		}
	}
	x5t := base64.RawURLEncoding.EncodeToString(sum[:])
	none := func(*jwt.Claims) {}
	good := ask(key, none, x5t)
	if code, body := postForm(t, s, tokenPath, good); code != 200 {
		t.Fatalf("%d %v", code, body)
	}
	refusedToken(t, s, good, "invalid_client") // a second time
	if code, body := postForm(t, s, tokenPath, ask(key, none, x5t+"=")); code != 200 {
		t.Errorf("with padding: %d %v", code, body)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]url.Values{
		"another key": ask(other, none, x5t), "no thumbprint": ask(key, none, ""),
		"another audience": ask(key, func(c *jwt.Claims) { c.Audience = jwt.Audience{"https://evil.example/"} }, x5t),
		"expired":          ask(key, func(j *jwt.Claims) { j.Expiry = jwt.NewNumericDate(c.Now()) }, x5t),
		"for ever":         ask(key, func(j *jwt.Claims) { j.Expiry = jwt.NewNumericDate(c.Now().Add(48 * time.Hour)) }, x5t),
		"without an end":   ask(key, func(j *jwt.Claims) { j.Expiry = nil }, x5t),
		"another subject":  ask(key, func(j *jwt.Claims) { j.Subject = uuid.NewString() }, x5t),
	} {
		if code, body := postForm(t, s, tokenPath, f); body["error"] != "invalid_client" {
			t.Errorf("%s: %d %v", what, code, body)
		}
	}
	c.Add(48 * time.Hour) // the certificate has ended
	refusedToken(t, s, ask(key, none, x5t), "invalid_client")
}

func selfSigned(t *testing.T, key *rsa.PrivateKey) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "t"}, NotBefore: start.Add(-time.Hour), NotAfter: start.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// FuzzToken sends any form to the token endpoint: it never answers with an error of ours.
func FuzzToken(f *testing.F) {
	s, _ := newService(f)
	f.Add("grant_type=client_credentials&client_id=x&client_assertion=a.b.c&client_assertion_type=" + url.QueryEscape(assertionType))
	f.Add("grant_type=refresh_token&refresh_token=a.b&client_id=" + azClient + "&scope=https://localhost:8443//.default")
	f.Add("grant_type=authorization_code&code=x&client_id=" + azClient)
	f.Add("grant_type=device_code&device_code=x&client_id=" + azClient)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "https://localhost:8443"+tokenPath, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// FuzzBearer checks any text for a token.
func FuzzBearer(f *testing.F) {
	s, _ := newService(f)
	token, _, err := s.issue(granted{app: s.directory().Apps[0], client: s.directory().Apps[0].AppID, audience: "https://localhost:8443"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		if _, e := authenticate(s, "Bearer "+text); e == nil && strings.TrimSpace(text) != token {
			t.Errorf("%q is let in", text)
		}
	})
}
