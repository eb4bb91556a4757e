package tlsca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"slices"
	"strings"
	"sync"
)

// maxNames bounds the leaves kept for names that callers ask for.
const maxNames = 1024

// Leaves hands out certificates by the name that a caller asks for.
type Leaves struct {
	authority *Authority
	names     []string
	domain    string

	mu    sync.Mutex
	cache map[string]*tls.Certificate // guarded by mu; "" is the leaf for names
}

// Leaves makes a source of certificates: one leaf for all of names (hosts and addresses), and when domain is not empty
// one for each name md-….domain that is asked for, and one for each NAME.vault.HOST with a host of names. A wildcard would be shorter, but clients refuse one right below a top
// level such as localhost.
func (a *Authority) Leaves(names []string, domain string) *Leaves {
	return &Leaves{
		authority: a, names: names, domain: strings.ToLower(strings.Trim(domain, ".")),
		cache: make(map[string]*tls.Certificate),
	}
}

// Get is a tls.Config's GetCertificate.
func (l *Leaves) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	names := l.names
	if l.isBlobHost(name) || l.isVaultHost(name) {
		names = []string{name}
	} else {
		name = ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.authority.now()
	if c := l.cache[name]; c != nil && now.Before(c.Leaf.NotAfter.Add(-renewBefore)) {
		return c, nil
	}
	c, err := l.authority.issue(names)
	if err != nil {
		return nil, err
	}
	if len(l.cache) >= maxNames {
		clear(l.cache)
	}
	l.cache[name] = c
	return c, nil
}

// isBlobHost tells whether the name is md-….domain with one label of letters, digits and hyphens before the domain.
func (l *Leaves) isBlobHost(name string) bool {
	label, ok := strings.CutSuffix(name, "."+l.domain)
	return l.domain != "" && ok && strings.HasPrefix(label, "md-") && isLabel(label)
}

// isVaultHost tells whether the name is that of a vault: one label, and .vault. before one of our own names.
func (l *Leaves) isVaultHost(name string) bool {
	label, host, ok := strings.Cut(name, ".vault.")
	return ok && isLabel(label) && slices.Contains(l.names, host)
}

// isLabel tells whether a text is one label of letters, digits and hyphens.
func isLabel(label string) bool {
	if label == "" || len(label) > 63 {
		return false
	}
	for _, c := range label {
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// issue signs a leaf for hosts and addresses.
func (a *Authority) issue(names []string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]},
		NotBefore: a.now().Add(-backdate), NotAfter: a.now().Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if t.NotAfter.After(a.cert.NotAfter) {
		t.NotAfter = a.cert.NotAfter
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}
