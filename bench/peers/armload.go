package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tintype/internal/rig"
)

// caller asks the API over HTTPS, with connections that stay open. Requests are written as they are and answers only
// measured, so that the caller takes little of the machine that it shares with the server.
type caller struct {
	server *rig.Server
	base   string // /subscriptions/ID
	host   string
	token  string
	tls    *tls.Config
}

const apiVersion = "2024-03-02"

func newCaller(ctx context.Context, server *rig.Server) (*caller, error) {
	p, err := server.Principal()
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(filepath.Join(server.Client(), "ca.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("ca.pem holds no certificate")
	}
	c := &caller{
		server: server, base: "/subscriptions/" + p.SubscriptionID, host: strings.TrimPrefix(server.URL, "https://"),
		tls: &tls.Config{RootCAs: roots},
	}
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: c.tls}}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {p.AppID}, "client_secret": {p.Password}, "scope": {"https://management.azure.com/.default"},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/"+p.Tenant+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rsp, err := web.Do(req)
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(rsp.Body).Decode(&answer); err != nil || answer.Token == "" {
		return nil, fmt.Errorf("no token: %s: %w", rsp.Status, err)
	}
	c.token = answer.Token
	return c, nil
}

// connection is one of the caller's, for one goroutine.
type connection struct {
	*caller
	conn *tls.Conn
	in   *bufio.Reader
}

func (c *caller) connect() (*connection, error) {
	conn, err := tls.Dial("tcp", c.host, c.tls)
	if err != nil {
		return nil, err
	}
	return &connection{caller: c, conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}, nil
}

// send asks once and gives the status and the body.
func (c *connection) send(method, path, body string) (int, []byte, error) {
	join := "?"
	if strings.Contains(path, "?") {
		join = "&"
	}
	head := fmt.Sprintf("%s %s%sapi-version=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", method, path, join, apiVersion, c.host, c.token)
	if body != "" {
		head += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	if _, err := io.WriteString(c.conn, head+"\r\n"+body); err != nil {
		return 0, nil, err
	}
	rsp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, nil, err
	}
	defer rsp.Body.Close()
	text, err := io.ReadAll(rsp.Body)
	return rsp.StatusCode, text, err
}

// answers are what many requests took.
type answers struct {
	perSecond float64
	p99       time.Duration
}

// storm has a number of connections ask, each one request after the other, until the time is over. ask gets a number that
// is used once.
func (c *caller) storm(connections int, during time.Duration, ask func(*connection, int64) error) (answers, error) {
	var next atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var wait sync.WaitGroup
	ready := make([]*connection, connections)
	for i := range ready {
		var err error
		if ready[i], err = c.connect(); err != nil {
			return answers{}, err
		}
	}
	began := time.Now()
	for _, conn := range ready {
		wait.Go(func() {
			defer conn.conn.Close()
			var mine []time.Duration
			var err error
			for err == nil && time.Since(began) < during {
				asked := time.Now()
				err = ask(conn, next.Add(1)-1)
				mine = append(mine, time.Since(asked))
			}
			mu.Lock()
			defer mu.Unlock()
			took, failed = append(took, mine...), errors.Join(failed, err)
		})
	}
	wait.Wait()
	elapsed := time.Since(began)
	return answers{perSecond: float64(len(took)) / elapsed.Seconds(), p99: quantile(took, 0.99)}, failed
}

// want turns an answer of another status into an error.
func want(status int) func(int, []byte, error) error {
	return func(got int, body []byte, err error) error {
		if err == nil && got != status {
			err = fmt.Errorf("answered %d: %.300s", got, body)
		}
		return err
	}
}
