package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/identity"
)

// TestTokenBesideTheURL: where dataAccessAuthMode asks for it, the signed URL is good only with a token of somebody who has the
// data action, and an owner has none.
func TestTokenBesideTheURL(t *testing.T) {
	s := start(t, t.TempDir())
	token := s.token(t)
	s.makeDisk(t, token, "d")
	disk := s.group("g") + "/providers/Microsoft.Compute/disks/d"
	if code, body := s.call(t, token, "PATCH", disk+diskVersion, `{"properties":{"dataAccessAuthMode":"AzureActiveDirectory"}}`); code != 202 {
		t.Fatalf("%d %s", code, body)
	}
	url := s.grantURL(t, token, disk)
	get := func(bearer string) (int, string) {
		t.Helper()
		req, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", "bytes=0-511")
		if bearer != "" {
			req.Header.Set("Authorization", "Bearer "+bearer)
		}
		r, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, r.Header.Get("WWW-Authenticate")
	}
	if code, challenge := get(""); code != 401 || !strings.Contains(challenge, identity.DiskResource) {
		t.Errorf("without a token: %d %s", code, challenge)
	}
	forDisks := s.tokenFor(t, identity.DiskResource)
	if code, _ := get(forDisks); code != 401 {
		t.Errorf("an owner without the data action: %d", code)
	}
	const operator = "959f8984-c045-4866-89c7-12bf9737be2e"
	role := `{"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/` + operator + `","principalId":"` + s.objectID(t, token) + `"}}`
	at := disk + "/providers/Microsoft.Authorization/roleAssignments/" + uuid.NewString() + "?api-version=2022-04-01"
	if code, body := s.call(t, token, "PUT", at, role); code != 201 {
		t.Fatalf("%d %s", code, body)
	}
	if code, _ := get(forDisks); code != 206 {
		t.Errorf("with the data action: %d", code)
	}
	if code, _ := get(token); code != 401 {
		t.Errorf("with a token for another resource: %d", code)
	}
	if code, _ := s.call(t, forDisks, "GET", disk+diskVersion, ""); code != 401 {
		t.Errorf("a token for bytes opens the API: %d", code)
	}
	if code, body := s.call(t, token, "DELETE", at, ""); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	if code, _ := get(forDisks); code != 401 {
		t.Errorf("after the role was taken away: %d", code)
	}
}

var (
	sasRE       = regexp.MustCompile(`"accessSAS":"([^"]+)"`)
	principalRE = regexp.MustCompile(`"principalId":"([^"]+)"`)
)

// grantURL asks for a URL to read, and waits for it.
func (s *running) grantURL(t *testing.T, token, id string) string {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		req, err := http.NewRequest("POST", s.url+id+"/beginGetAccess"+diskVersion, strings.NewReader(`{"access":"Read","durationInSeconds":600}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		r, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode == 409 { // an update is in progress
			continue
		}
		at := strings.TrimPrefix(r.Header.Get("Azure-AsyncOperation"), s.url)
		for ; time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			code, body := s.call(t, token, "GET", at, "")
			if m := sasRE.FindStringSubmatch(body); m != nil {
				return m[1]
			}
			if code != 200 {
				t.Fatalf("%d %s", code, body)
			}
		}
	}
	t.Fatal("no URL")
	return ""
}

// objectID is that of the first principal: the only one with a role.
func (s *running) objectID(t *testing.T, token string) string {
	t.Helper()
	_, body := s.call(t, token, "GET", "/subscriptions/"+s.cred.SubscriptionID+"/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01", "")
	m := principalRE.FindStringSubmatch(body)
	if m == nil {
		t.Fatal(body)
	}
	return m[1]
}
