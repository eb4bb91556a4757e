package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tintype/internal/rig"
)

const (
	groupVersion = "2021-04-01"
	diskVersion  = "2026-03-02"
)

// api speaks raw HTTP to a server, to say what no client would.
type api struct {
	t         *testing.T
	client    *http.Client
	principal rig.Principal
	url       string
	token     string
}

func newAPI(t *testing.T, s *rig.Server) *api {
	t.Helper()
	p, err := s.Principal()
	if err != nil {
		t.Fatal(err)
	}
	a := &api{t: t, client: httpClient(t, s), principal: p, url: s.URL}
	a.token = a.login(p.AppID, p.Password)
	return a
}

// httpClient trusts the server's private CA and nothing else.
func httpClient(t *testing.T, s *rig.Server) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(s.Client(), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("ca.pem holds no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

func (a *api) login(id, secret string) string {
	a.t.Helper()
	status, body := a.tryLogin(id, secret)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || status != 200 || answer.Token == "" {
		a.t.Fatalf("login: %d %s", status, body)
	}
	return answer.Token
}

func (a *api) tryLogin(id, secret string) (int, []byte) {
	a.t.Helper()
	form := url.Values{
		"client_id": {id}, "client_secret": {secret}, "grant_type": {"client_credentials"}, "scope": {a.url + "//.default"},
	}
	answer, err := a.client.PostForm(a.url+"/"+a.principal.Tenant+"/oauth2/v2.0/token", form)
	if err != nil {
		a.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return answer.StatusCode, body
}

// reply is an answer whose body has been read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// code is Azure's error code in the body, or "".
func (r reply) code() string {
	var e struct {
		Error struct{ Code string }
	}
	_ = json.Unmarshal(r.body, &e) // no JSON, no code
	return e.Error.Code
}

// send makes one request. The body is sent as it is when it is a string, else as JSON.
func (a *api) send(method, address string, body any) reply {
	a.t.Helper()
	r, err := a.try(method, address, body)
	if err != nil {
		a.t.Fatal(err)
	}
	return r
}

// try is send for a server that may be killed meanwhile.
func (a *api) try(method, address string, body any) (reply, error) {
	if strings.HasPrefix(address, "/") {
		address = a.url + address
	}
	var text []byte
	switch b := body.(type) {
	case nil:
	case string:
		text = []byte(b)
	default:
		var err error
		if text, err = json.Marshal(b); err != nil {
			return reply{}, err
		}
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, address, bytes.NewReader(text))
	if err != nil {
		return reply{}, err
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	answer, err := a.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	return reply{status: answer.StatusCode, header: answer.Header, body: read}, err
}

// with is the same client with another token.
func (a *api) with(token string) *api {
	other := *a
	other.token = token
	return &other
}

func (a *api) subscription() string { return "/subscriptions/" + a.principal.SubscriptionID }

func (a *api) groupPath(name string) string {
	return a.subscription() + "/resourcegroups/" + name + "?api-version=" + groupVersion
}

func (a *api) id(group, kind, name string) string {
	return a.subscription() + "/resourceGroups/" + group + "/providers/Microsoft.Compute/" + kind + "/" + name
}

func versioned(path string) string { return path + "?api-version=" + diskVersion }

func (a *api) makeGroup(name string) {
	a.t.Helper()
	r := a.send(http.MethodPut, a.groupPath(name), map[string]any{"location": "westus2"})
	if r.status != 200 && r.status != 201 {
		a.t.Fatalf("group %s: %d %s", name, r.status, r.body)
	}
}

// finish waits for an accepted operation and gives its last body; status is its "status".
func (a *api) finish(r reply) (status string, body []byte) {
	a.t.Helper()
	if r.status == 200 || r.status == 201 || r.status == 204 {
		return "Succeeded", r.body
	}
	poll := r.header.Get("Azure-AsyncOperation")
	if r.status != http.StatusAccepted || poll == "" {
		a.t.Fatalf("not accepted: %d %s", r.status, r.body)
	}
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		answer := a.send(http.MethodGet, poll, nil)
		var op struct{ Status string }
		if err := json.Unmarshal(answer.body, &op); err != nil || answer.status != 200 {
			a.t.Fatalf("poll: %d %s", answer.status, answer.body)
		}
		if op.Status != "InProgress" {
			return op.Status, answer.body
		}
	}
	a.t.Fatalf("the operation does not end: %s", poll)
	return "", nil
}

// must sends a request that has to succeed to its end.
func (a *api) must(method, path string, body any) []byte {
	a.t.Helper()
	status, answer := a.finish(a.send(method, path, body))
	if status != "Succeeded" {
		a.t.Fatalf("%s %s: %s %s", method, path, status, answer)
	}
	return answer
}

func emptyDisk(gib int) map[string]any {
	return map[string]any{"location": "westus2", "properties": map[string]any{
		"creationData": map[string]any{"createOption": "Empty"}, "diskSizeGB": gib,
	}}
}

func copyOf(id string) map[string]any {
	return map[string]any{"location": "westus2", "properties": map[string]any{
		"creationData": map[string]any{"createOption": "Copy", "sourceResourceId": id},
	}}
}

// attach gives the NBD URI of a disk or snapshot.
func (a *api) attach(id string, readOnly bool) string {
	a.t.Helper()
	r := a.send(http.MethodPost, versioned(id+"/attach"), map[string]any{"host": "e2e", "readOnly": readOnly})
	var answer struct{ URI string }
	if err := json.Unmarshal(r.body, &answer); err != nil || r.status != 200 || answer.URI == "" {
		a.t.Fatalf("attach: %d %s", r.status, r.body)
	}
	return answer.URI
}

func (a *api) detach(id string) {
	a.t.Helper()
	if r := a.send(http.MethodPost, versioned(id+"/detach"), map[string]any{"host": "e2e"}); r.status != 200 {
		a.t.Fatalf("detach: %d %s", r.status, r.body)
	}
}

// grant gives a SAS.
func (a *api) grant(id, access string, seconds int) string {
	a.t.Helper()
	body := a.must(http.MethodPost, versioned(id+"/beginGetAccess"), map[string]any{"access": access, "durationInSeconds": seconds})
	var op struct {
		Properties struct {
			Output struct{ AccessSAS string }
		}
	}
	if err := json.Unmarshal(body, &op); err != nil || op.Properties.Output.AccessSAS == "" {
		a.t.Fatalf("grant: %v %s", err, body)
	}
	return op.Properties.Output.AccessSAS
}

// list gives the names of a group's disks or snapshots.
func (a *api) list(group, kind string) (names []string) {
	a.t.Helper()
	next := versioned(a.subscription() + "/resourceGroups/" + group + "/providers/Microsoft.Compute/" + kind)
	for next != "" {
		r := a.send(http.MethodGet, next, nil)
		var page struct {
			Value    []struct{ Name string }
			NextLink string
		}
		if err := json.Unmarshal(r.body, &page); err != nil || r.status != 200 {
			a.t.Fatalf("list: %d %s", r.status, r.body)
		}
		for _, v := range page.Value {
			names = append(names, v.Name)
		}
		next = page.NextLink
	}
	return names
}

// waitSucceeded waits until a resource's provisioningState is Succeeded.
func (a *api) waitSucceeded(id string) {
	a.t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		r := a.send(http.MethodGet, versioned(id), nil)
		var resource struct {
			Properties struct{ ProvisioningState string }
		}
		if err := json.Unmarshal(r.body, &resource); err != nil || r.status != 200 {
			a.t.Fatalf("%s: %d %s", id, r.status, r.body)
		}
		if resource.Properties.ProvisioningState == "Succeeded" {
			return
		}
	}
	a.t.Fatalf("%s is never finished", id)
}
