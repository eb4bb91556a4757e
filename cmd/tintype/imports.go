package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"tintype"
	"tintype/internal/compute"
	"tintype/internal/transfer"
)

// importer opens the images that clients ask to import. It goes to this server's own blobs, and to hosts that it was told of: a
// server that fetched whatever its clients name would reach for them what they cannot reach.
type importer struct {
	client *http.Client
	hosts  []string // HOST or HOST:PORT, or *.DOMAIN
}

func (s *server) importer() importer {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // then no host but ours can be known
	}
	roots.AppendCertsFromPEM(s.authority.PEM())
	own := []string{strings.TrimPrefix(s.url, "https://")}
	if s.opt.blobDomain != "" {
		own = append(own, "*."+s.endpoint(s.url).Domain)
	}
	return importer{
		client: &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, Proxy: http.ProxyFromEnvironment,
			MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: time.Minute,
		}},
		hosts: append(own, s.opt.importFrom...),
	}
}

// open opens the image, if its host is one of those that it may be on.
func (i importer) open(ctx context.Context, uri string) (compute.Import, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, tintype.InvalidParameter("creationData.sourceUri", "The value of parameter creationData.sourceUri is no https URL.")
	}
	if !slices.ContainsFunc(i.hosts, func(allowed string) bool { return hostMatches(allowed, u.Host) }) {
		return nil, tintype.InvalidParameter("creationData.sourceUri", "This server does not import from host '%.253s'. Its operator can allow that "+
			"with serve --import-from.", u.Host)
	}
	b, err := transfer.OpenBlob(ctx, i.client, uri)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// hostMatches tells whether the host of a URL is the allowed one: without a port, 443 is meant, and *.DOMAIN is whatever
// lies below.
func hostMatches(allowed, host string) bool {
	allowed, host = withPort(allowed), withPort(host)
	if below, ok := strings.CutPrefix(allowed, "*"); ok {
		return len(host) > len(below) && strings.HasSuffix(host, below)
	}
	return host == allowed
}

func withPort(host string) string {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(strings.Trim(host, "[]"), "443")
	}
	return strings.ToLower(host)
}
