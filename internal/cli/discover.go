package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tintype/internal/transfer"
)

// ClientVariable names the environment variable that holds the client folder:
// the one that the server wrote, with ca.pem and principal.json in it.
const ClientVariable = "TINTYPE_CLIENT"

// principal is the content of principal.json.
type principal struct {
	Tenant          string `json:"tenant"`
	SubscriptionID  string `json:"subscriptionId"`
	AppID           string `json:"appId"`
	Password        string `json:"password"`
	ResourceManager string `json:"resourceManager"`
	BlobDomain      string `json:"blobDomain"`
}

// discover reads the client folder and returns a client of its server.
func discover(env Env, dir string) (*client, error) {
	if dir == "" {
		dir = env.Getenv(ClientVariable)
	}
	if dir == "" {
		return nil, fmt.Errorf("no server known: source the server's client/env.sh, set %s or give --client the folder "+
			"with ca.pem and principal.json that 'tintype serve' wrote", ClientVariable)
	}
	who, err := readPrincipal(filepath.Join(dir, "principal.json"))
	if err != nil {
		return nil, err
	}
	roots, err := readAuthority(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	return &client{principal: who, http: newHTTPClient(roots), folder: dir}, nil
}

// blobSocket is where a server on this machine gives out blobs, in its client folder.
const blobSocket = "blob.sock"

// blobs gives the client for a signed URL, and says which: the server's own socket if the URL leads to the server itself and the
// socket can be reached, which saves what TLS costs on both sides. Blobs on a port of their own, as the private door has them, go over HTTPS.
func (c *client) blobs(ctx context.Context, signed string) (blobs *http.Client, way string) {
	if !c.principal.gives(signed) {
		return c.http, "over HTTPS"
	}
	near, err := transfer.Near(ctx, filepath.Join(c.folder, blobSocket), c.principal.ResourceManager, c.principal.BlobDomain,
		filepath.Join(c.folder, "principal.json"))
	if err == nil {
		return near, "over this machine's socket"
	}
	if c.trace != nil && !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(c.trace, "not over %s: %v\n", blobSocket, err)
	}
	return c.http, "over HTTPS"
}

// gives tells whether the signed URL leads to the server's public door: to its own host, or on the same port below its domain for blobs.
func (p principal) gives(signed string) bool {
	u, err := url.Parse(signed)
	if err != nil {
		return false
	}
	own, err := url.Parse(p.ResourceManager)
	if err != nil || u.Port() != own.Port() {
		return false
	}
	below := strings.HasSuffix(strings.ToLower(u.Hostname()), "."+strings.ToLower(p.BlobDomain))
	return u.Hostname() == own.Hostname() || p.BlobDomain != "" && below
}

func readPrincipal(path string) (principal, error) {
	var who principal
	data, err := os.ReadFile(path)
	if err != nil {
		return who, err
	}
	// The parser's own words are left out: they may quote a secret.
	if json.Unmarshal(data, &who) != nil {
		return who, fmt.Errorf("%s: not a principal in JSON", path)
	}
	for name, value := range map[string]string{
		"tenant": who.Tenant, "subscriptionId": who.SubscriptionID, "appId": who.AppID,
		"password": who.Password, "resourceManager": who.ResourceManager,
	} {
		if value == "" {
			return who, fmt.Errorf("%s: %s is missing", path, name)
		}
	}
	u, err := url.Parse(who.ResourceManager)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return who, fmt.Errorf("%s: resourceManager must be an https:// address", path)
	}
	who.ResourceManager = strings.TrimRight(who.ResourceManager, "/")
	return who, nil
}

func readAuthority(path string) (*x509.CertPool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s: no certificate in it", path)
	}
	return roots, nil
}

// newHTTPClient trusts roots and nothing else, follows no redirect, uses no proxy.
func newHTTPClient(roots *x509.CertPool) *http.Client {
	dialer := &net.Dialer{Timeout: 15 * time.Second}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 15 * time.Second,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     60 * time.Second,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, loopback(address))
		},
	}
	return &http.Client{
		Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// loopback sends names under .localhost to this machine (RFC 6761 §6.3), which
// not every resolver does: the host of a SAS may be md-….localhost.
func loopback(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !strings.HasSuffix(strings.ToLower(strings.TrimSuffix(host, ".")), ".localhost") {
		return address
	}
	return net.JoinHostPort("localhost", port)
}
