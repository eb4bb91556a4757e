package identity

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"tintype/internal/handclock"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, dir string, c *handclock.Clock) *Service {
	t.Helper()
	s, err := Open(Options{
		Dir: dir, Now: c.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Origin: Origin{Names: []string{"localhost", "127.0.0.1", "::1"}, Default: "https://localhost:8443"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newService(t testing.TB) (*Service, *handclock.Clock) {
	t.Helper()
	c := handclock.New(start)
	return open(t, t.TempDir(), c), c
}

func authenticate(s *Service, header ...string) (Principal, *Error) {
	r := httptest.NewRequest("GET", "https://localhost:8443/subscriptions", nil)
	for _, h := range header {
		r.Header.Add("Authorization", h)
	}
	p, err := s.Authenticate(r)
	if err == nil {
		return p, nil
	}
	return p, err.(*Error)
}

// goodClaims are what the service itself would sign at start.
func goodClaims(s *Service) map[string]any {
	p := s.directory().Apps[0]
	return map[string]any{
		"aud": "https://localhost:8443/", "iss": s.issuer(), "tid": s.Tenant().ID, "appid": p.AppID, "oid": p.ObjectID,
		"iat": start.Unix(), "nbf": start.Unix(), "exp": start.Add(time.Hour).Unix(),
	}
}

// sign makes a token that says it is signed by the service's present key.
func sign(t testing.TB, s *Service, alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", (*s.keys.Load())[0].id))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func segment(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func TestForgedTokens(t *testing.T) {
	s, _ := newService(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := sign(t, s, jose.RS256, (*s.keys.Load())[0].private, goodClaims(s))
	if _, e := authenticate(s, "Bearer "+good); e != nil {
		t.Fatalf("the good token is refused: %v", e)
	}
	part := strings.Split(good, ".")
	with := func(key string, value any) string {
		c := goodClaims(s)
		if c[key] = value; value == nil {
			delete(c, key)
		}
		return sign(t, s, jose.RS256, (*s.keys.Load())[0].private, c)
	}
	public, err := json.Marshal(s.keys.Load().public(start).Keys[0])
	if err != nil {
		t.Fatal(err)
	}
	publicKey, err := json.Marshal(jose.JSONWebKey{Key: &other.PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	const invalid = "InvalidAuthenticationToken"
	for name, tc := range map[string]struct{ header, code string }{
		"none":                {"", "AuthenticationFailed"},
		"basic":               {"Basic YTpi", "AuthenticationFailedInvalidHeader"},
		"no token":            {"Bearer", "AuthenticationFailedInvalidHeader"},
		"empty token":         {"Bearer ", invalid},
		"alg none":            {"Bearer " + segment(map[string]string{"alg": "none", "typ": "JWT"}) + "." + part[1] + ".", invalid},
		"alg none, signed":    {"Bearer " + segment(map[string]string{"alg": "none"}) + "." + part[1] + "." + part[2], invalid},
		"HS256 by public key": {"Bearer " + sign(t, s, jose.HS256, public, goodClaims(s)), invalid},
		"RS512 by our key":    {"Bearer " + sign(t, s, jose.RS512, (*s.keys.Load())[0].private, goodClaims(s)), invalid},
		"PS256 by our key":    {"Bearer " + sign(t, s, jose.PS256, (*s.keys.Load())[0].private, goodClaims(s)), invalid},
		"another key":         {"Bearer " + sign(t, s, jose.RS256, other, goodClaims(s)), invalid},
		"key in the header": {"Bearer " + segment(map[string]any{"alg": "RS256", "jwk": json.RawMessage(publicKey)}) + "." +
			part[1] + "." + part[2], invalid},
		"changed claims":    {"Bearer " + part[0] + "." + segment(goodClaims(s)) + "x." + part[2], invalid},
		"no signature":      {"Bearer " + part[0] + "." + part[1] + ".", invalid},
		"truncated":         {"Bearer " + good[:len(good)-5], invalid},
		"two parts":         {"Bearer " + part[0] + "." + part[1], invalid},
		"huge":              {"Bearer " + good + strings.Repeat("A", maxToken), invalid},
		"expired":           {"Bearer " + with("exp", start.Unix()), "ExpiredAuthenticationToken"},
		"no expiry":         {"Bearer " + with("exp", nil), invalid},
		"no beginning":      {"Bearer " + with("nbf", nil), invalid},
		"not yet":           {"Bearer " + with("nbf", start.Add(leeway+time.Second).Unix()), invalid},
		"wrong audience":    {"Bearer " + with("aud", "https://graph.microsoft.com/"), "InvalidAuthenticationTokenAudience"},
		"lookalike host":    {"Bearer " + with("aud", "https://localhost.evil.example/"), "InvalidAuthenticationTokenAudience"},
		"user in audience":  {"Bearer " + with("aud", "https://x@localhost/"), "InvalidAuthenticationTokenAudience"},
		"no audience":       {"Bearer " + with("aud", nil), "InvalidAuthenticationTokenAudience"},
		"wrong issuer":      {"Bearer " + with("iss", "https://sts.windows.net/"+s.Tenant().ID+"/"), "InvalidAuthenticationTokenTenant"},
		"wrong tenant":      {"Bearer " + with("tid", uuid.NewString()), "InvalidAuthenticationTokenTenant"},
		"unknown principal": {"Bearer " + with("appid", uuid.NewString()), invalid},
		"wrong object":      {"Bearer " + with("oid", uuid.NewString()), invalid},
		"expiry no number":  {"Bearer " + with("exp", "tomorrow"), invalid},
	} {
		var headers []string
		if tc.header != "" {
			headers = []string{tc.header}
		}
		_, e := authenticate(s, headers...)
		if e == nil || e.Code != tc.code || e.Status != 401 || !strings.HasPrefix(e.Challenge, "Bearer authorization_uri=") {
			t.Errorf("%s: got %+v, want 401 %s", name, e, tc.code)
		}
	}
	if _, e := authenticate(s, "Bearer "+good, "Bearer "+good); e == nil {
		t.Error("two Authorization headers were accepted")
	}
}

func TestTokenEndsWithItsHourAndItsPrincipal(t *testing.T) {
	s, c := newService(t)
	token, _, err := s.issue(granted{app: s.directory().Apps[0], client: s.directory().Apps[0].AppID, audience: "https://localhost:8443"})
	if err != nil {
		t.Fatal(err)
	}
	c.Add(lifetime - time.Second)
	if _, e := authenticate(s, "Bearer "+token); e != nil {
		t.Errorf("refused a second before its end: %v", e)
	}
	c.Add(time.Second)
	if _, e := authenticate(s, "Bearer "+token); e == nil || e.Code != "ExpiredAuthenticationToken" {
		t.Errorf("at its end: %v", e)
	}
	fresh, _, err := s.issue(granted{app: s.directory().Apps[0], client: s.directory().Apps[0].AppID, audience: "https://localhost:8443"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.change(func(d *directory) error { d.Apps[0].AppID = uuid.NewString(); return nil }); err != nil {
		t.Fatal(err)
	}
	if _, e := authenticate(s, "Bearer "+fresh); e == nil {
		t.Error("the token of a principal that is gone was accepted")
	}
}

func TestRestartKeepsTokensAndSecrets(t *testing.T) {
	dir, c := t.TempDir(), handclock.New(start)
	s := open(t, dir, c)
	secret, err := s.ResetSecret(s.First().AppID)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := s.issue(granted{app: s.directory().Apps[0], client: s.directory().Apps[0].AppID, audience: "https://localhost:8443"})
	if err != nil {
		t.Fatal(err)
	}
	again := open(t, dir, c)
	if _, e := authenticate(again, "Bearer "+token); e != nil {
		t.Error(e)
	}
	if !again.SecretFits(again.First().AppID, secret) || again.SecretFits(again.First().AppID, secret+"x") ||
		again.SecretFits(again.First().AppID, "") {
		t.Error("the secret does not survive a restart, or any other fits")
	}
	for _, name := range []string{"identity.json", "keys/token.pem"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || strings.Contains(string(b), secret) {
			t.Errorf("%s holds the secret", name)
		}
	}
}

func TestDamagedDirectoryIsRefused(t *testing.T) {
	for _, text := range []string{"", "{", "{}", `{"version":5}`, `{"version":4,"tenant":{"id":"x"}}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "identity.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Options{Dir: dir, Now: handclock.New(start).Now, Log: slog.Default()}); err == nil {
			t.Errorf("%q was opened", text)
		}
	}
}

func post(s *Service, path string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "https://localhost:8443"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestTokenEndpoints(t *testing.T) {
	s, _ := newService(t)
	secret, err := s.ResetSecret(s.First().AppID)
	if err != nil {
		t.Fatal(err)
	}
	good := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {s.First().AppID}, "client_secret": {secret}, "client_info": {"1"},
		"scope": {"https://localhost:8443//.default"},
	}
	v1 := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {s.First().AppID}, "client_secret": {secret},
		"resource": {"https://management.azure.com/"},
	}
	for path, form := range map[string]url.Values{
		"/adfs/oauth2/token":                                        good,
		"/" + s.Tenant().ID + "/oauth2/v2.0/token":                  good,
		"/" + s.Tenant().ID + "/oauth2/token":                       v1,
		"/" + strings.ToUpper(s.Tenant().ID) + "/oauth2/v2.0/token": good,
	} {
		w := post(s, path, form)
		var got struct {
			Type  string `json:"token_type"`
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.Type != "Bearer" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
			continue
		}
		p, e := authenticate(s, "Bearer "+got.Token)
		if e != nil || p.AppID != s.First().AppID {
			t.Errorf("%s: token refused: %v", path, e)
		}
		if !strings.Contains(w.Header().Get("Cache-Control"), "no-store") {
			t.Errorf("%s: a token that caches may keep", path)
		}
	}
	for name, tc := range map[string]struct {
		key, value string
		status     int
		err        string
		code       int
	}{
		"wrong secret":   {"client_secret", "x", 401, "invalid_client", 7000215},
		"long secret":    {"client_secret", strings.Repeat("x", maxSecret+1), 401, "invalid_client", 7000215},
		"no secret":      {"client_secret", "", 401, "invalid_client", 7000218},
		"unknown app":    {"client_id", uuid.NewString(), 400, "unauthorized_client", 700016},
		"no app":         {"client_id", "", 400, "invalid_request", 900144},
		"unknown grant":  {"grant_type", "saml", 400, "unsupported_grant_type", 70003},
		"no grant":       {"grant_type", "", 400, "invalid_request", 900144},
		"other audience": {"scope", "https://evil.example/.default", 400, "invalid_resource", 500011},
		"bare scope":     {"scope", "openid", 400, "invalid_scope", 1002012},
		"no scope":       {"scope", "", 400, "invalid_request", 900144},
	} {
		form := url.Values{}
		for k, v := range good {
			form[k] = v
		}
		form.Set(tc.key, tc.value)
		checkOAuthError(t, name, post(s, "/adfs/oauth2/token", form), tc.status, tc.err, tc.code)
	}
	checkOAuthError(t, "unknown tenant", post(s, "/"+uuid.NewString()+"/oauth2/v2.0/token", good), 400, "invalid_request", 90002)
	inQuery := post(s, "/adfs/oauth2/token?"+good.Encode(), url.Values{})
	checkOAuthError(t, "secret in the query", inQuery, 400, "invalid_request", 900144)
	big := url.Values{"x": {strings.Repeat("x", maxForm)}}
	checkOAuthError(t, "huge form", post(s, "/adfs/oauth2/token", big), 400, "invalid_request", 90014)
}

func checkOAuthError(t *testing.T, name string, w *httptest.ResponseRecorder, status int, code string, number int) {
	t.Helper()
	var got oauthErrorBody
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Errorf("%s: %d %s", name, w.Code, w.Body)
		return
	}
	if w.Code != status || got.Error != code || len(got.Codes) != 1 || got.Codes[0] != number ||
		!strings.HasPrefix(got.Description, fmt.Sprintf("AADSTS%d: ", number)) {
		t.Errorf("%s: got %d %+v, want %d %s AADSTS%d", name, w.Code, got, status, code, number)
	}
}

func TestGuessesAreLimited(t *testing.T) {
	s, c := newService(t)
	secret, err := s.ResetSecret(s.First().AppID)
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {s.First().AppID}, "client_secret": {"wrong"},
		"scope": {"https://localhost:8443/.default"},
	}
	for range maxGuesses {
		if w := post(s, "/adfs/oauth2/token", form); w.Code != 401 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	form.Set("client_secret", secret)
	w := post(s, "/adfs/oauth2/token", form)
	if w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("after %d wrong secrets: %d %v", maxGuesses, w.Code, w.Header())
	}
	c.Add(guessWindow)
	if w := post(s, "/adfs/oauth2/token", form); w.Code != 200 {
		t.Errorf("after the window: %d %s", w.Code, w.Body)
	}
}

func TestGuessersAreBounded(t *testing.T) {
	c := handclock.New(start)
	g := newGuesses(c.Now)
	for i := range 3 * maxGuessers {
		g.wrong(fmt.Sprint(i))
	}
	if len(g.count) > maxGuessers {
		t.Errorf("%d guessers are remembered", len(g.count))
	}
}

func TestOrigin(t *testing.T) {
	o := Origin{Names: []string{"localhost", "127.0.0.1", "::1"}, Default: "https://localhost:8443"}
	for host, want := range map[string]string{
		"localhost:9000": "https://localhost:9000", "LOCALHOST.:9000": "https://localhost:9000", "localhost": "https://localhost",
		"[::1]:8443": "https://[::1]:8443", "127.0.0.1:1": "https://127.0.0.1:1",
		"evil.example": o.Default, "localhost.evil.example:8443": o.Default, "localhost:x": o.Default, "localhost:99999": o.Default,
		"": o.Default, "localhost:8443@evil.example": o.Default, "localhost/evil": o.Default,
	} {
		r := &http.Request{Host: host}
		if got := o.BaseURL(r); got != want {
			t.Errorf("%q: %s, want %s", host, got, want)
		}
	}
}

func TestHostHeaderIsNotBelieved(t *testing.T) {
	s, _ := newService(t)
	for _, target := range []string{
		"/metadata/endpoints?api-version=2015-01-01", "/metadata/endpoints?api-version=2019-05-01",
		"/metadata/endpoints?api-version=2022-09-01", "/adfs/.well-known/openid-configuration",
		"/" + s.Tenant().ID + "/v2.0/.well-known/openid-configuration", "/" + s.Tenant().ID + "/.well-known/openid-configuration",
	} {
		r := httptest.NewRequest("GET", "https://evil.example"+target, nil)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != 200 || strings.Contains(w.Body.String(), "evil") || !strings.Contains(w.Body.String(), "https://localhost:8443/") {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

func TestPublicKeySetHoldsNoSecret(t *testing.T) {
	s, _ := newService(t)
	r := httptest.NewRequest("GET", "https://localhost:8443/"+s.Tenant().ID+"/discovery/v2.0/keys", nil)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi"} {
		if _, ok := set.Keys[0][private]; ok {
			t.Errorf("the key set shows %s", private)
		}
	}
}

// TestManyGuessesAtOnce sends wrong passwords side by side: no more than a few over the limit may be tried.
func TestManyGuessesAtOnce(t *testing.T) {
	s, _ := newService(t)
	if _, err := s.ResetSecret(s.First().AppID); err != nil {
		t.Fatal(err)
	}
	p, _ := s.principalByApp(s.First().AppID)
	var tried atomic.Int64
	var all sync.WaitGroup
	for range 3 * maxGuesses {
		all.Go(func() {
			if _, wait := s.tryGuess("one", func() bool { return s.fits(p, "wrong") }); wait == 0 {
				tried.Add(1)
			}
		})
	}
	all.Wait()
	if n := tried.Load(); n < maxGuesses || n > maxGuesses+int64(cap(s.hashing)) {
		t.Errorf("%d guesses were tried, the limit is %d", n, maxGuesses)
	}
}

func TestOpenSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	one, err := OpenSecret(file, 64)
	if err != nil || len(one) != 64 || bytes.Equal(one, make([]byte, 64)) {
		t.Fatalf("%x %v", one, err)
	}
	two, err := OpenSecret(file, 64)
	if err != nil || !bytes.Equal(one, two) {
		t.Errorf("%x, then %x (%v)", one, two, err)
	}
	if _, err := OpenSecret(file, 32); err == nil {
		t.Error("a secret of another size was opened")
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

func TestUnknownPathsAreJSON(t *testing.T) {
	s, _ := newService(t)
	for _, target := range []string{"/", "/favicon.ico", "/a/b/c", "/nobody/discovery/keys", "/nobody/.well-known/openid-configuration"} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", "https://localhost"+target, nil))
		if w.Code/100 != 4 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

func FuzzOrigin(f *testing.F) {
	o := Origin{Names: []string{"localhost", "127.0.0.1", "::1"}, Default: "https://localhost:8443"}
	f.Add("localhost:80")
	f.Add("[::1]:1")
	f.Add("localhost:1@evil")
	f.Fuzz(func(t *testing.T, host string) {
		got := o.BaseURL(&http.Request{Host: host})
		u, err := url.Parse(got)
		if err != nil || u.Scheme != "https" || !slices.Contains(o.Names, u.Hostname()) || u.User != nil || u.Path != "" || u.RawQuery != "" {
			t.Fatalf("%q became %q (%v)", host, got, err)
		}
	})
}

func FuzzAuthenticate(f *testing.F) {
	s, _ := newService(f)
	good := "Bearer " + sign(f, s, jose.RS256, (*s.keys.Load())[0].private, goodClaims(s))
	signed := good[len("Bearer "):strings.LastIndex(good, ".")] // what a header that is let in must hold
	f.Add(good)
	f.Add("Bearer a.b.c")
	f.Add("Bearer " + segment(map[string]string{"alg": "none"}) + "." + segment(goodClaims(s)) + ".")
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{Header: http.Header{"Authorization": {header}}, Host: "localhost"}
		if p, err := s.Authenticate(r); err == nil && !strings.Contains(header, signed) {
			t.Fatalf("%q let %+v in", header, p)
		}
	})
}
