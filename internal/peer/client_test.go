package peer

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tintype"
	"tintype/internal/arm/wire"
)

const snapshotID = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/g/providers/Microsoft.Compute/snapshots/s"

// stranger is a server whose answers a test chooses.
type stranger struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request)
	logins atomic.Int64
	secret string
}

func newStranger(t *testing.T) (*stranger, *Client) {
	t.Helper()
	s := &stranger{secret: "right"}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") {
			s.logins.Add(1)
			if r.FormValue("client_secret") != s.secret {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			fmt.Fprintf(w, `{"access_token":"%s","expires_in":3600}`, s.secret)
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+s.secret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		s.answer(w, r)
	}))
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c, err := New(Options{
		URL: s.URL, Roots: roots, Now: func() time.Time { return time.Unix(1_700_000_000, 0) },
		Credentials: func() (Credentials, error) { return Credentials{"tenant", "id", "right"}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func kindOf(err error) tintype.ErrorKind {
	var refusal *tintype.Error
	if !errors.As(err, &refusal) {
		return 0
	}
	return refusal.Kind
}

// TestRefusals requires that what may pass is told apart from what was refused for good.
func TestRefusals(t *testing.T) {
	s, c := newStranger(t)
	id, _ := tintype.ParseResourceID(snapshotID)
	for status, want := range map[int]tintype.ErrorKind{
		404: tintype.KindNotFound, 403: tintype.KindForbidden, 401: tintype.KindUnauthenticated, 409: tintype.KindConflict, 400: tintype.KindConflict,
		429: 0, 500: 0, 503: 0,
	} {
		s.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
		_, err := c.Snapshot(t.Context(), id)
		if err == nil || kindOf(err) != want {
			t.Errorf("%d: %v of kind %d", status, err, kindOf(err))
		}
		if _, err := c.Grant(t.Context(), id, time.Hour); err == nil || kindOf(err) != want {
			t.Errorf("access with %d: %v", status, err)
		}
	}
	for _, body := range []string{``, `{}`, `[]`, `{"properties":{}}`, `{"properties":{"timeCreated":"x"}}`} {
		s.answer = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
		if _, err := c.Snapshot(t.Context(), id); err == nil || kindOf(err) != 0 {
			t.Errorf("%q: %v", body, err)
		}
	}
	s.secret = "changed"
	s.answer = func(w http.ResponseWriter, _ *http.Request) { t.Error("asked without a login") }
	c.token = ""
	if _, err := c.Snapshot(t.Context(), id); kindOf(err) != tintype.KindUnauthenticated {
		t.Errorf("a wrong secret: %v", err)
	}
}

// TestTokenStaysHome: neither an operation's address elsewhere nor a redirect is followed.
func TestTokenStaysHome(t *testing.T) {
	s, c := newStranger(t)
	var strayed atomic.Int64
	other := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed.Add(1) }))
	defer other.Close()
	id, _ := tintype.ParseResourceID(snapshotID)
	for _, to := range []string{other.URL + "/op", s.URL + ".evil.example/op", "http://" + strings.TrimPrefix(s.URL, "https://") + "/op", ""} {
		s.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Azure-AsyncOperation", to)
			w.WriteHeader(http.StatusAccepted)
		}
		if _, err := c.Grant(t.Context(), id, time.Hour); err == nil {
			t.Errorf("an operation at %q was followed", to)
		}
	}
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}
	if _, err := c.Snapshot(t.Context(), id); err == nil {
		t.Error("a redirect was followed")
	}
	if strayed.Load() != 0 {
		t.Errorf("%d requests went elsewhere", strayed.Load())
	}
}

// TestGrant follows an operation to its URL, with one login for all.
func TestGrant(t *testing.T) {
	s, c := newStranger(t)
	id, _ := tintype.ParseResourceID(snapshotID)
	looks := 0
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			w.Header().Set("Azure-AsyncOperation", s.URL+"/op")
			w.WriteHeader(http.StatusAccepted)
		case looks < 2:
			looks++
			fmt.Fprint(w, `{"status":"InProgress"}`)
		default:
			fmt.Fprint(w, `{"status":"Succeeded","properties":{"output":{"accessSAS":"https://h/c/abcd?sig=1"}}}`)
		}
	}
	url, err := c.Grant(t.Context(), id, time.Hour)
	if err != nil || url != "https://h/c/abcd?sig=1" {
		t.Fatal(url, err)
	}
	if err := c.Release(t.Context(), id); err != nil {
		t.Error(err)
	}
	if s.logins.Load() != 1 {
		t.Errorf("%d logins", s.logins.Load())
	}
}

// TestTokenReplaced requires a new login when the token at hand is refused, and the answer to that.
func TestTokenReplaced(t *testing.T) {
	s, c := newStranger(t)
	id, _ := tintype.ParseResourceID(snapshotID)
	s.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }
	c.token, c.expires = "stale", c.opt.Now().Add(time.Hour)
	if _, err := c.Snapshot(t.Context(), id); kindOf(err) != tintype.KindNotFound || s.logins.Load() != 1 {
		t.Errorf("%v with %d logins", err, s.logins.Load())
	}
}

// TestOutcomeUnknown: an operation that was accepted and may not be looked at is no refusal, one that failed is.
func TestOutcomeUnknown(t *testing.T) {
	s, c := newStranger(t)
	id, _ := tintype.ParseResourceID(snapshotID)
	for _, status := range []int{401, 403, 404, 409, 200} {
		s.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				w.Header().Set("Azure-AsyncOperation", s.URL+"/op")
				w.WriteHeader(http.StatusAccepted)
				return
			}
			w.WriteHeader(status)
			fmt.Fprint(w, `{"status":"Failed"}`)
		}
		want := tintype.ErrorKind(0)
		if status == http.StatusOK {
			want = tintype.KindConflict
		}
		_, err := c.Grant(t.Context(), id, time.Hour)
		err2 := c.Release(t.Context(), id)
		for _, err := range []error{err, err2} {
			if err == nil || kindOf(err) != want {
				t.Errorf("%d: %v of kind %d", status, err, kindOf(err))
			}
		}
	}
}

// FuzzSnapshot: whatever another server says of a snapshot is refused or bounded.
func FuzzSnapshot(f *testing.F) {
	f.Add([]byte(`{"location":"westus2","properties":{"timeCreated":"2026-01-02T03:04:05.1234567+00:00","diskSizeBytes":1073741824,"incremental":true,` +
		`"uniqueId":"11111111-2222-3333-4444-555555555555","incrementalSnapshotFamilyId":"21111111-2222-3333-4444-555555555555","completionPercent":12.5,` +
		`"provisioningState":"Succeeded","osType":"Linux","creationData":{"logicalSectorSize":512}}}`))
	f.Add([]byte(`{"properties":{"diskSizeBytes":-1,"timeCreated":"0000-00-00"}}`))
	id, _ := tintype.ParseResourceID(snapshotID)
	f.Fuzz(func(t *testing.T, body []byte) {
		var w wire.Volume
		if json.Unmarshal(body, &w) != nil || w.Properties == nil {
			return
		}
		v, err := decode(id, w)
		if err != nil {
			return
		}
		if v.Size <= 0 || v.Size > tintype.MaxAdjustableGB*tintype.GiB || v.Size%512 != 0 || v.ID != id {
			t.Errorf("%+v", v)
		}
		if p := w.Properties.CompletionPercent; p != nil && *p < 100 && v.Copy == nil {
			t.Error("half a copy passes for a whole one")
		}
	})
}
