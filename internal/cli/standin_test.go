package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

const (
	testTenant = "11111111-1111-1111-1111-111111111111"
	testSub    = "22222222-2222-2222-2222-222222222222"
	testSecret = "not-for-anyones-eyes"
)

// exchange is one request that the stand-in saw.
type exchange struct {
	Method, Path, Query string
	Body                any
}

// standIn answers like a server, from a table of answers; it is for grammar and
// protocol. What commands really do is tested against the real server.
type standIn struct {
	*httptest.Server
	dir string

	mu      sync.Mutex
	seen    []exchange
	answers map[string][]reply // by "METHOD path"; the last one repeats
	tokens  int
}

type reply struct {
	status int
	header map[string]string
	body   string
}

func newStandIn(t *testing.T, answers map[string][]reply) *standIn {
	t.Helper()
	s := &standIn{dir: t.TempDir(), answers: answers}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	s.writeClient(t, "ca.pem", string(authority))
	s.writePrincipal(t, s.URL)
	return s
}

func (s *standIn) writeClient(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *standIn) writePrincipal(t *testing.T, manager string) {
	t.Helper()
	text, err := json.Marshal(principal{Tenant: testTenant, SubscriptionID: testSub, AppID: "app", Password: testSecret, ResourceManager: manager})
	if err != nil {
		t.Fatal(err)
	}
	s.writeClient(t, "principal.json", string(text))
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, _ := io.ReadAll(r.Body)
	if r.URL.Path == "/"+testTenant+"/oauth2/v2.0/token" {
		s.tokens++
		form := string(data)
		if !strings.Contains(form, testSecret) || !strings.Contains(form, "default") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"token"}`)
		return
	}
	e := exchange{Method: r.Method, Path: strings.TrimPrefix(r.URL.Path, "/subscriptions/"+testSub), Query: r.URL.RawQuery}
	if len(data) > 0 {
		e.Body, _ = decodeJSON(data)
	}
	s.seen = append(s.seen, e)
	if r.Header.Get("Authorization") != "Bearer token" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	queue := s.answers[e.Method+" "+e.Path]
	if len(queue) == 0 {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"error":{"code":"ResourceNotFound","message":"The Resource '%s' was not found."}}`, e.Path)
		return
	}
	answer := queue[0]
	if len(queue) > 1 {
		s.answers[e.Method+" "+e.Path] = queue[1:]
	}
	for k, v := range answer.header {
		w.Header().Set(k, strings.ReplaceAll(v, "SERVER", s.URL+"/subscriptions/"+testSub))
	}
	w.WriteHeader(answer.status)
	fmt.Fprint(w, answer.body)
}

// run executes one command line as a program would.
func (s *standIn) run(t *testing.T, line ...string) (stdout, stderr string, code int) {
	t.Helper()
	return runIn(t.Context(), func(name string) string {
		if name == ClientVariable {
			return s.dir
		}
		return ""
	}, line...)
}

func runIn(ctx context.Context, getenv func(string) string, line ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	root := &cobra.Command{Use: "tintype", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(Commands(Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: getenv, Now: time.Now})...)
	root.SetArgs(line)
	root.SetOut(&out)
	root.SetErr(&errs)
	code = ExitCode(root.ExecuteContext(ctx))
	return out.String(), errs.String(), code
}

func (s *standIn) requests() []exchange {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}
