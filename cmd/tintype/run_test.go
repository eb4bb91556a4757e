package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tintype/internal/identity"
	"tintype/internal/openapi"
)

// azure is where Azure's description of its API may be.
var azure = openapi.At("../../../shared/openapi/specification")

// output is a stream that a test may read while the program writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func testEnv(out, errs io.Writer) Env {
	return Env{Stdin: strings.NewReader(""), Stdout: out, Stderr: errs, Getenv: func(string) string { return "" }, Now: time.Now}
}

// run runs one command line to its end.
func run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e output
	code = Run(t.Context(), args, testEnv(&o, &e))
	return code, o.String(), e.String()
}

// running is a server in this process.
type running struct {
	url, data string
	answers   string // what --record writes
	log       *output
	client    *http.Client
	cred      identity.Credentials
	stop      func() int // stops it cleanly, once, and gives its exit status
}

func start(t *testing.T, data string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &running{data: data, answers: filepath.Join(t.TempDir(), "answers"), log: &output{}}
	out, code := &output{}, make(chan int, 1)
	t.Cleanup(func() { azure.HoldFile(t, s.answers) })
	args = append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--record", s.answers}, args...)
	go func() { code <- Run(ctx, args, testEnv(out, s.log)) }()
	s.stop = sync.OnceValue(func() int {
		cancel()
		return <-code
	})
	t.Cleanup(func() {
		if c := s.stop(); c != 0 {
			t.Errorf("the server ended with %d:\n%s", c, s.log)
		}
	})
	for range 2400 {
		if line, ok := strings.CutPrefix(out.String(), "ready "); ok && strings.HasSuffix(line, "\n") {
			s.url = strings.TrimSpace(line)
			break
		}
		select {
		case c := <-code:
			code <- c
			t.Fatalf("the server ended with %d:\n%s", c, s.log)
		case <-time.After(50 * time.Millisecond):
		}
	}
	if s.url == "" {
		t.Fatalf("the server is not ready:\n%s", s.log)
	}
	s.readClient(t)
	return s
}

func (s *running) readClient(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.data, "client", "principal.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &s.cred); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(s.data, "client", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("ca.pem holds no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	s.client = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
}

// token logs in.
func (s *running) token(t *testing.T) string {
	t.Helper()
	return s.tokenFor(t, s.url)
}

// tokenFor is a token for the resource.
func (s *running) tokenFor(t *testing.T, resource string) string {
	t.Helper()
	r, err := s.client.PostForm(s.url+"/"+s.cred.Tenant+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {s.cred.AppID}, "client_secret": {s.cred.Password},
		"scope": {resource + "/.default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Token == "" {
		t.Fatalf("no token: %s %v", r.Status, err)
	}
	return body.Token
}

// call sends a request with the token and gives status and body.
func (s *running) call(t *testing.T, token, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	r, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func (s *running) group(name string) string {
	return "/subscriptions/" + s.cred.SubscriptionID + "/resourceGroups/" + name
}

const (
	groupVersion = "?api-version=2021-04-01"
	diskVersion  = "?api-version=2022-07-02"
)

// makeDisk makes a disk of 1 GiB in group g and waits for it.
func (s *running) makeDisk(t *testing.T, token, name string) {
	t.Helper()
	if code, body := s.call(t, token, "PUT", s.group("g")+groupVersion, `{"location":"westus2"}`); code/100 != 2 {
		t.Fatalf("%d %s", code, body)
	}
	disk := s.group("g") + "/providers/Microsoft.Compute/disks/" + name + diskVersion
	code, body := s.call(t, token, "PUT", disk,
		`{"location":"westus2","sku":{"name":"Standard_LRS"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}}`)
	if code != 202 {
		t.Fatalf("%d %s", code, body)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, body = s.call(t, token, "GET", disk, ""); strings.Contains(body, `"provisioningState":"Succeeded"`) {
			return
		}
	}
	t.Fatalf("the disk is not made: %s", body)
}

func TestEveryNameServes(t *testing.T) {
	s := start(t, t.TempDir(), "--blob-domain", "blob.example")
	u, err := url.Parse(s.url)
	if err != nil || u.Hostname() != "localhost" {
		t.Fatalf("%s %v", s.url, err)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		at := "https://" + net.JoinHostPort(host, u.Port())
		r, err := s.client.Get(at + "/metadata/endpoints?api-version=2022-09-01")
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || !strings.Contains(string(b), `"resourceManager":"`+at+`/"`) || r.ProtoMajor != 2 {
			t.Errorf("%s: %s %s %v", host, r.Proto, b, err)
		}
	}
	// A blob's own host has a certificate, although its name is not looked up here.
	blobs := s.client.Transport.(*http.Transport).Clone()
	blobs.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, u.Host)
	}
	r, err := (&http.Client{Transport: blobs}).Get("https://md-abc.blob.example:" + u.Port() + "/c/abcd")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	blobs.CloseIdleConnections()
	if r.StatusCode != 403 {
		t.Errorf("a blob without a signature: %s", r.Status)
	}
}

func TestPlainHTTPIsNotServed(t *testing.T) {
	s := start(t, t.TempDir())
	r, err := http.Get("http" + strings.TrimPrefix(s.url, "https") + "/subscriptions?api-version=2019-11-01")
	if err == nil {
		r.Body.Close()
		if r.StatusCode != 400 {
			t.Errorf("plain HTTP: %s", r.Status)
		}
	}
}

func TestSecondServerAndCheckAreRefused(t *testing.T) {
	s := start(t, t.TempDir())
	for _, args := range [][]string{
		{"serve", "--data", s.data, "--listen", "127.0.0.1:0"}, {"check", "--data", s.data},
	} {
		code, out, errs := run(t, args...)
		if code == 0 || out != "" || !strings.Contains(errs, "in use") {
			t.Errorf("%v: %d %q %q", args, code, out, errs)
		}
	}
	if code, _ := s.call(t, s.token(t), "GET", "/subscriptions?api-version=2019-11-01", ""); code != 200 {
		t.Errorf("the first server no longer serves: %d", code)
	}
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	one := start(t, dir)
	token := one.token(t)
	one.makeDisk(t, token, "d")
	if code := one.stop(); code != 0 {
		t.Fatal(code)
	}
	two := start(t, dir)
	if two.url == one.url {
		t.Fatal("the port did not change: the test shows nothing")
	}
	if two.cred.ResourceManager != two.url || two.cred.Password != one.cred.Password || two.cred.Tenant != one.cred.Tenant ||
		two.cred.SubscriptionID != one.cred.SubscriptionID || two.cred.AppID != one.cred.AppID {
		t.Errorf("%v\n%v", one.cred.ResourceManager, two.cred.ResourceManager)
	}
	// The token outlives the server; the disk is there.
	code, body := two.call(t, token, "GET", two.group("g")+"/providers/Microsoft.Compute/disks/d"+diskVersion, "")
	if code != 200 {
		t.Errorf("%d %s", code, body)
	}
}

func TestNoSecretIsLogged(t *testing.T) {
	s := start(t, t.TempDir(), "--verbose")
	token := s.token(t)
	s.makeDisk(t, token, "d")
	grant := s.group("g") + "/providers/Microsoft.Compute/disks/d/beginGetAccess" + diskVersion
	if code, body := s.call(t, token, "POST", grant, `{"access":"Read","durationInSeconds":600}`); code != 202 {
		t.Fatalf("%d %s", code, body)
	}
	s.stop()
	log := s.log.String()
	if !strings.Contains(log, "beginGetAccess") {
		t.Fatal("requests are not logged: the test shows nothing")
	}
	for what, secret := range map[string]string{"password": s.cred.Password, "token": token, "signature": "sig="} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds the %s", what)
		}
	}
}

func TestCheck(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data[1")
	if code, _, errs := run(t, "check", "--data", dir); code == 0 || !strings.Contains(errs, "no data folder") {
		t.Errorf("a folder that does not exist: %d %s", code, errs)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("check made the folder")
	}
	s := start(t, dir)
	s.makeDisk(t, s.token(t), "d")
	s.stop()
	code, out, errs := run(t, "check", "--data", dir, "-o", "json")
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || !r.Clean || r.Engine.Volumes != 1 || len(r.Strays) > 0 {
		t.Fatalf("%d %s %s %v", code, out, errs, err)
	}
	notOurs := filepath.Join(dir, "engine", "segments", "notes.txt")
	if err := os.WriteFile(notOurs, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ = run(t, "check", "--data", dir)
	if want := "not needed: " + notOurs + ", 5 bytes"; code != 0 || !strings.Contains(out, want) || !strings.Contains(out, "clean") {
		t.Errorf("a file that nothing needs: %d %s", code, out)
	}
	client := filepath.Join(dir, "client") // a folder that need not be there
	if err := errors.Join(os.RemoveAll(client), os.WriteFile(client, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	code, out, errs = run(t, "check", "--data", dir)
	if code != 0 || !strings.Contains(out, "not all was looked through") || !strings.Contains(out, "clean") {
		t.Errorf("a folder that cannot be listed: %d %s %s", code, out, errs)
	}
	loseVolumes(t, dir)
	code, out, _ = run(t, "check", "--data", dir)
	if code == 0 || !strings.Contains(out, "does not have its volume") {
		t.Errorf("a disk without its bytes: %d %s", code, out)
	}
}

// TestCheckChangesNothing checks a folder as a killed server leaves it.
func TestCheckChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := start(t, dir)
	s.makeDisk(t, s.token(t), "d")
	left := filepath.Join(t.TempDir(), "data")
	copyFiles(t, left, dir)
	s.stop()
	was := contentOf(t, left)
	if code, out, errs := run(t, "check", "--data", left); code != 0 {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if diff := cmp.Diff(was, contentOf(t, left)); diff != "" {
		t.Errorf("check has changed the folder: %s", diff)
	}
}

// copyFiles copies what is a file.
func copyFiles(t *testing.T, to, from string) {
	t.Helper()
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(from, name)
		switch {
		case err != nil || relErr != nil:
			return errors.Join(err, relErr)
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case !d.Type().IsRegular():
			return nil
		}
		return copyFile(filepath.Join(to, rel), name)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// contentOf sums up every file below a folder.
func contentOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		sums[name] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	})
	if err != nil || len(sums) < 10 {
		t.Fatalf("%d files: %v", len(sums), err)
	}
	return sums
}

// TestFilesArePrivate also where the folder was there before and others may look into it.
func TestFilesArePrivate(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir)
	s.makeDisk(t, s.token(t), "d")
	seen := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil // gone already
		}
		if seen++; info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
		return nil
	})
	if err != nil || seen < 10 {
		t.Errorf("%d files seen: %v", seen, err)
	}
}

func TestBadCommandLines(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{
		{"serve"},
		{"serve", "--data", dir, "extra"},
		{"serve", "--data", dir, "--region", "atlantis"},
		{"serve", "--data", dir, "--listen", "nonsense"},
		{"serve", "--data", dir, "--blob-domain", "not a domain"},
		{"serve", "--data", dir, "--listen", "127.0.0.1:99999"},
		{"serve", "--data", dir, "--listen", "127.0.0.1:0", "--nbd-listen", "nonsense"},
		{"serve", "--data", filepath.Join(dir, "LOCK", "x"), "--listen", "127.0.0.1:0"},
		{"serve", "--data", dir, "--listen", "127.0.0.1:0", "--records-copy", ""},
		{"serve", "--data", dir, "--listen", "127.0.0.1:0", "--records-copy", filepath.Join(dir, "copy")},
		{"check"},
		{"check", "--data", dir, "-o", "xml"},
		{"frobnicate"},
	} {
		code, out, errs := run(t, args...)
		if code == 0 || strings.Contains(out, "ready") || errs == "" {
			t.Errorf("%v: %d %q %q", args, code, out, errs)
		}
	}
}
