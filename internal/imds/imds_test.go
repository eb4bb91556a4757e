package imds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"tintype/internal/identity"
)

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1609 1 0000000017ed6ef2 100 0 0 10 0
   1: 0100007F:9C40 0100007F:C4A6 01 00000000:00000000 00:00000000 00000000   777        0 1610 1 0000000017ed6ef2 100 0 0 10 0
   2: 0100007F:C4A6 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 1611 1 0000000017ed6ef2 100 0 0 10 0
   3: 0100007F:9C41 0100007F:C4A6 06 00000000:00000000 00:00000000 00000000     0        0 0 3 0000000017ed6ef2
   4: 0000000000000000FFFF00000100007F:9C42 0000000000000000FFFF00000100007F:C4A6 01 00000000:00000000 00:00000000 00000000   778 0 1612 1 0 20 4 30 10 -1
`

var server = netip.MustParseAddrPort("127.0.0.1:50342")

// TestOwner finds the owner of the client's end, and of an end that is open alone: the kernel calls the others root's.
func TestOwner(t *testing.T) {
	for client, want := range map[string]uint32{"127.0.0.1:40000": 777, "[::ffff:127.0.0.1]:40002": 778, "127.0.0.1:40002": 778} {
		if uid, err := findOwner(strings.NewReader(table), netip.MustParseAddrPort(client), server); err != nil || uid != want {
			t.Errorf("%s: %d %v", client, uid, err)
		}
	}
	for _, client := range []string{"127.0.0.1:40001", "127.0.0.1:40003", "127.0.0.2:40000", "10.0.0.1:40000"} {
		if uid, err := findOwner(strings.NewReader(table), netip.MustParseAddrPort(client), server); !errors.Is(err, errNoPeer) {
			t.Errorf("%s: %d %v", client, uid, err)
		}
	}
}

// TestOwnerOfAConnection asks the real kernel.
func TestOwnerOfAConnection(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Logf("%s: %v", at, err) // a machine without IPv6
			continue
		}
		defer l.Close()
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		from, to := client.LocalAddr().(*net.TCPAddr).AddrPort(), l.Addr().(*net.TCPAddr).AddrPort()
		if uid, err := owner(from, to); err != nil || int(uid) != os.Getuid() {
			t.Errorf("%s: %d %v", at, uid, err)
		}
		client.Close()
		if uid, err := owner(from, to); !errors.Is(err, errNoPeer) {
			t.Errorf("%s: a closed end has the owner %d %v", at, uid, err)
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add(table)
	f.Add("\n 1: 00:0 0:0 01 a b c 7 d e f")
	f.Fuzz(func(t *testing.T, s string) {
		if uid, err := findOwner(strings.NewReader(s), netip.MustParseAddrPort("127.0.0.1:40000"), server); err == nil &&
			(!strings.Contains(s, "0100007F:9C40") && !strings.Contains(strings.ToUpper(s), "0100007F:9C40")) {
			t.Errorf("found %d", uid)
		}
	})
}

// service has one local user, number 777.
func service(t *testing.T, dir string, users ...identity.LocalUser) *identity.Service {
	t.Helper()
	s, err := identity.Open(identity.Options{
		Dir: dir, Now: func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }, Log: slog.New(slog.DiscardHandler),
		Origin: identity.Origin{Names: []string{"localhost"}, Default: "https://localhost:8443"}, Local: users,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newHandler(s *identity.Service, uid uint32) *Handler {
	h := New(Options{Identity: s, Listen: server, Log: slog.New(slog.DiscardHandler)})
	h.owner = func(client, _ netip.AddrPort) (uint32, error) {
		if client.Addr().IsLoopback() {
			return uid, nil
		}
		return 0, errNoPeer
	}
	return h
}

type request struct {
	method, url, from string
	header            map[string]string
	body              string
}

func (h *Handler) ask(t *testing.T, q request) (int, map[string]string) {
	t.Helper()
	r := httptest.NewRequest(q.method, "http://127.0.0.1:50342"+q.url, strings.NewReader(q.body))
	r.RemoteAddr = "127.0.0.1:40000"
	if q.from != "" {
		r.RemoteAddr = q.from
	}
	for k, v := range q.header {
		if r.Header.Set(k, v); k == "Host" {
			r.Host = v
		}
	}
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.TCPAddrFromAddrPort(server)))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var body map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil && w.Code != http.StatusMethodNotAllowed {
		t.Fatalf("%v: %d %s", q, w.Code, w.Body)
	}
	return w.Code, body
}

const instance = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F"

var metadata = map[string]string{"Metadata": "true"}

// TestForms asks in each protocol, and the token opens the API as the local user.
func TestForms(t *testing.T) {
	s := service(t, t.TempDir(), identity.LocalUser{Name: "web", UID: 777})
	h := newHandler(s, 777)
	for _, q := range []request{
		{method: "GET", url: instance, header: metadata},
		{method: "GET", url: "/msi/token?api-version=2019-08-01&resource=https://management.azure.com", header: map[string]string{"X-IDENTITY-HEADER": "x"}},
		{method: "GET", url: "/msi/token/?resource=https://localhost:8443&api-version=2017-09-01", header: map[string]string{"secret": "x"}},
		{
			method: "POST", url: "/oauth2/token", body: "resource=https%3A%2F%2Flocalhost%3A8443",
			header: map[string]string{"Metadata": "true", "Content-Type": "application/x-www-form-urlencoded"},
		},
	} {
		code, body := h.ask(t, q)
		if code != 200 || body["token_type"] != "Bearer" || body["expires_in"] != "3600" {
			t.Fatalf("%v: %d %v", q, code, body)
		}
		if want := map[bool]string{false: "1795352400", true: "11/22/2026 13:00:00 +00:00"}[strings.Contains(q.url, "2017")]; body["expires_on"] != want {
			t.Errorf("%v: ends at %s", q, body["expires_on"])
		}
		who, err := authenticate(s, body["access_token"])
		if err != nil || s.PrincipalType(who.ObjectID) != "ServicePrincipal" || who.AppID != body["client_id"] || who.ObjectID == s.First().ObjectID {
			t.Errorf("%v: %+v %v", q, who, err)
		}
		for _, id := range []string{who.AppID, who.ObjectID} {
			q.url += "&client_id=" + id
			if !strings.Contains(q.url, "?") {
				continue
			}
			if code, body := h.ask(t, q); code != 200 {
				t.Errorf("%v: %d %v", q, code, body)
			}
		}
	}
}

func authenticate(s *identity.Service, token string) (identity.Principal, error) {
	r := httptest.NewRequest("GET", "https://localhost:8443/subscriptions", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return s.Authenticate(r)
}

// TestRefusals asks as those would who must not have a token.
func TestRefusals(t *testing.T) {
	s := service(t, t.TempDir(), identity.LocalUser{Name: "web", UID: 777})
	h := newHandler(s, 777)
	with := func(more ...string) map[string]string {
		out := map[string]string{"Metadata": "true"}
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	for name, q := range map[string]request{
		"no header":              {url: instance},
		"another header":         {url: instance, header: map[string]string{"Metadata": "1"}},
		"forwarded":              {url: instance, header: with("X-Forwarded-For", "10.0.0.1")},
		"forwarded, empty":       {url: instance, header: with("X-Forwarded-For", "")},
		"forwarded by RFC 7239":  {url: instance, header: with("Forwarded", "for=10.0.0.1")},
		"a web page":             {url: instance, header: with("Origin", "https://evil.example")},
		"a rebound name":         {url: instance, header: with("Host", "evil.example:50342")},
		"another address":        {url: instance, header: with("Host", "127.0.0.2:50342")},
		"another machine":        {url: instance, header: metadata, from: "192.0.2.1:40000"},
		"no address":             {url: instance, header: metadata, from: "pipe"},
		"no version":             {url: "/metadata/identity/oauth2/token?resource=https://management.azure.com/", header: metadata},
		"no resource":            {url: "/metadata/identity/oauth2/token?api-version=2018-02-01", header: metadata},
		"a strange resource":     {url: "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://evil.example", header: metadata},
		"another identity":       {url: instance + "&client_id=" + s.First().AppID, header: metadata},
		"two identities":         {url: instance + "&object_id=" + s.First().ObjectID, header: metadata},
		"App Service, no header": {url: "/msi/token?api-version=2019-08-01&resource=https://management.azure.com"},
		"App Service, old":       {url: "/msi/token?api-version=2017-09-01&resource=https://management.azure.com", header: map[string]string{"X-IDENTITY-HEADER": "x"}},
		"a POST":                 {method: "POST", url: instance, header: metadata},
		"the extension by GET":   {url: "/oauth2/token?resource=https://management.azure.com", header: metadata},
		"elsewhere":              {url: "/metadata/instance?api-version=2021-02-01", header: metadata},
		"too much":               {method: "POST", url: "/oauth2/token", header: with("Content-Type", "application/x-www-form-urlencoded"), body: "resource=" + strings.Repeat("x", maxBody)},
	} {
		if q.method == "" {
			q.method = "GET"
		}
		code, body := h.ask(t, q)
		if code == 200 || body["access_token"] != "" {
			t.Errorf("%s: %d %v", name, code, body)
		}
	}
	for _, uid := range []uint32{0, 1, 776, 778} {
		if code, body := newHandler(s, uid).ask(t, request{method: "GET", url: instance, header: metadata}); code != 400 || body["error_description"] != "Identity not found" {
			t.Errorf("user %d: %d %v", uid, code, body)
		}
	}
}

// TestWhoIsWho: a user stays the same over restarts; one who is no longer named has no tokens that are good; another user with the
// same number or name is another principal; and a managed identity has no secrets.
func TestWhoIsWho(t *testing.T) {
	dir := t.TempDir()
	web := identity.LocalUser{Name: "web", UID: 777}
	login := func(users ...identity.LocalUser) (*identity.Service, string, string) {
		s := service(t, dir, users...)
		code, body := newHandler(s, 777).ask(t, request{method: "GET", url: instance, header: metadata})
		if code != 200 {
			return s, "", ""
		}
		who, err := authenticate(s, body["access_token"])
		if err != nil {
			t.Fatal(err)
		}
		return s, body["access_token"], who.ObjectID
	}
	_, token, first := login(web)
	if _, _, again := login(web); again != first {
		t.Errorf("after a restart %s is %s", first, again)
	}
	s, none, _ := login()
	if _, err := authenticate(s, token); none != "" || err == nil {
		t.Errorf("a user who is no longer named: %q %v", none, err)
	}
	s, _, other := login(identity.LocalUser{Name: "mail", UID: 777})
	if _, err := authenticate(s, token); other == first || err == nil {
		t.Errorf("another name with that number: %s %v", other, err)
	}
	s, _, moved := login(identity.LocalUser{Name: "web", UID: 778}, identity.LocalUser{Name: "x", UID: 777})
	if _, err := authenticate(s, token); moved == first || err == nil {
		t.Errorf("another number with that name: %s %v", moved, err)
	}
	s, token, _ = login(web)
	if _, _, err := s.AddPassword(first, "p", time.Time{}, time.Time{}); err == nil {
		t.Error("a managed identity has got a password")
	}
	if err := s.SetCertificates(first, []identity.Credential{{DER: []byte{1}}}); err == nil {
		t.Error("a managed identity has got a certificate")
	}
	if _, err := s.DeleteApp(first, true); err != nil {
		t.Fatal(err)
	}
	if _, err := authenticate(s, token); err == nil {
		t.Error("the token of a principal that was deleted is good")
	}
	if _, _, again := login(web); again == first || again == "" {
		t.Errorf("a principal that was deleted came back as %q", again)
	}
}

// TestServed asks over a real connection.
func TestServed(t *testing.T) {
	s := service(t, t.TempDir(), identity.LocalUser{Name: "me", UID: uint32(os.Getuid())})
	h := New(Options{Identity: s, Listen: netip.MustParseAddrPort("127.0.0.1:1"), Log: slog.New(slog.DiscardHandler)})
	web := httptest.NewServer(h)
	defer web.Close()
	q, err := http.NewRequest("GET", web.URL+instance, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Metadata", "true")
	r, err := web.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if b, err := io.ReadAll(r.Body); err != nil || r.StatusCode != 200 {
		t.Errorf("%s %s %v", r.Status, b, err)
	}
}

// TestListen takes no address that other machines reach.
func TestListen(t *testing.T) {
	for at, good := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "169.254.169.254:80": true, "127.1.2.3:0": true,
		"0.0.0.0:80": false, "[::]:80": false, ":80": false, "10.0.0.1:80": false, "169.254.1.1:80": false, "localhost:80": false, "": false, "127.0.0.1": false,
	} {
		if _, err := CheckListen(at); (err == nil) != good {
			t.Errorf("%q: %v", at, err)
		}
	}
	for at, want := range map[string]bool{"127.0.0.1": true, "::1": true, "192.0.2.1": false} {
		if got, err := OnLoopback(netip.MustParseAddr(at)); got != want || err != nil {
			t.Errorf("%s: %v %v", at, got, err)
		}
	}
}

func ExampleCheckListen() {
	_, err := CheckListen("0.0.0.0:50342")
	fmt.Println(err)
	// Output: other machines may reach it: it must be a loopback address, or 169.254.169.254 on the loopback interface
}
