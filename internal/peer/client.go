// Package peer is a client of another Tintype server, as whose principal it reads incremental snapshots: what they are, access to their
// bytes, and the bytes. It trusts the other server's certificate authority alone, and sends its secret nowhere else.
package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"tintype"
)

// Credentials are those of a service principal at the other server.
type Credentials struct {
	Tenant, ID, Secret string
}

// Options of a Client. All are needed.
type Options struct {
	URL string // of the other server, https
	// Roots are the authorities of the other server's certificate.
	Roots *x509.CertPool
	// Credentials are asked for before each login, so that they may change.
	Credentials func() (Credentials, error)
	Now         func() time.Time
}

// Client reads from one other server. Its methods may be called by many goroutines at once. Refusals by the other server are a
// *tintype.Error: KindNotFound, KindForbidden, KindConflict, or KindUnauthenticated when it knows our principal no more, or not yet;
// any other error may pass, and leaves unknown what was done.
type Client struct {
	opt  Options
	http *http.Client

	mu      sync.Mutex
	token   string
	expires time.Time
}

const (
	maxAnswer  = 4 << 20
	apiVersion = "2026-03-02"
	// answerTime bounds how long the other server may take for an answer.
	answerTime = time.Minute
)

// New makes a client.
func New(opt Options) (*Client, error) {
	u, err := url.Parse(opt.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%.200s is not the https URL of a server", opt.URL)
	}
	opt.URL = "https://" + u.Host
	return &Client{opt: opt, http: &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: opt.Roots, MinVersion: tls.VersionTLS12}, Proxy: http.ProxyFromEnvironment,
			MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: answerTime,
		},
		// A redirect would hand the token to another server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// HTTP is for signed URLs of the other server.
func (c *Client) HTTP() *http.Client { return c.http }

// answer is a response that has been read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request as our principal. A token that is refused may have been made worthless since: then it logs in once more.
func (c *Client) ask(ctx context.Context, method, address string, body any) (answer, error) {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return answer{}, err
		}
	}
	if strings.HasPrefix(address, "/") {
		address = c.opt.URL + address
	}
	if !strings.HasPrefix(address, c.opt.URL+"/") {
		return answer{}, errors.New("the other server sent an address that is not on itself")
	}
	for again := false; ; again = true {
		token, err := c.login(ctx)
		if err != nil {
			return answer{}, err
		}
		a, err := c.send(ctx, method, address, payload, "application/json", "Bearer "+token)
		if err != nil || a.status != http.StatusUnauthorized {
			return a, err
		}
		c.mu.Lock()
		if c.token == token {
			c.token = ""
		}
		c.mu.Unlock()
		if again {
			return a, nil
		}
	}
}

// login gives a token that is good for a minute or more.
func (c *Client) login(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" && c.opt.Now().Add(time.Minute).Before(c.expires) {
		return c.token, nil
	}
	who, err := c.opt.Credentials()
	if err != nil {
		return "", err
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {who.ID}, "client_secret": {who.Secret}, "scope": {c.opt.URL + "/.default"},
	}
	address := c.opt.URL + "/" + url.PathEscape(who.Tenant) + "/oauth2/v2.0/token"
	a, err := c.send(ctx, http.MethodPost, address, []byte(form.Encode()), "application/x-www-form-urlencoded", "")
	if err != nil {
		return "", err
	}
	if a.status == http.StatusBadRequest || a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
		return "", refused(tintype.KindUnauthenticated, "the login as "+who.ID, a)
	}
	var got struct {
		Token   string `json:"access_token"`
		Seconds int64  `json:"expires_in"`
	}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &got) != nil || got.Token == "" {
		return "", fmt.Errorf("the other server answered %d to a login", a.status)
	}
	c.token, c.expires = got.Token, c.opt.Now().Add(time.Duration(min(max(got.Seconds, 0), 24*3600))*time.Second)
	return c.token, nil
}

func (c *Client) send(ctx context.Context, method, address string, payload []byte, kind, authorization string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(payload))
	if err != nil {
		return answer{}, err
	}
	if len(payload) > 0 {
		req.Header.Set("Content-Type", kind)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return answer{resp.StatusCode, resp.Header, body}, err
}

// refusalOf gives what the other server refused, nil when it did not.
func refusalOf(what string, a answer) error {
	switch {
	case a.status < 400:
		return nil
	case a.status == http.StatusNotFound:
		return refused(tintype.KindNotFound, what, a)
	case a.status == http.StatusUnauthorized:
		return refused(tintype.KindUnauthenticated, what, a)
	case a.status == http.StatusForbidden:
		return refused(tintype.KindForbidden, what, a)
	case a.status == http.StatusTooManyRequests || a.status >= 500:
		return fmt.Errorf("the other server answered %d to %s", a.status, what)
	}
	return refused(tintype.KindConflict, what, a)
}

// refused keeps what the other server said for the log.
func refused(kind tintype.ErrorKind, what string, a answer) error {
	return &tintype.Error{
		Kind: kind, Code: "PeerRefused", Message: "The other server refused " + what + ".",
		Cause: fmt.Errorf("%d %.500q", a.status, a.body),
	}
}
