package tlsca

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func verify(t *testing.T, a *Authority, c *tls.Certificate, name string, now time.Time) error {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.PEM()) {
		t.Fatal("the authority's PEM holds no certificate")
	}
	_, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now})
	return err
}

func TestLeavesVerify(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(dir, at(start))
	if err != nil {
		t.Fatal(err)
	}
	l := a.Leaves([]string{"localhost", "127.0.0.1", "::1"}, "Blob.Example.")
	for _, tc := range []struct{ sni, host string }{
		{"localhost", "localhost"},
		{"", "127.0.0.1"},
		{"", "::1"},
		{"md-abc123.blob.example", "md-abc123.blob.example"},
		{"MD-impexp-abc.blob.example.", "md-impexp-abc.blob.example"},
	} {
		c, err := l.Get(&tls.ClientHelloInfo{ServerName: tc.sni})
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(t, a, c, tc.host, start); err != nil {
			t.Errorf("%s: %v", tc.host, err)
		}
		again, err := l.Get(&tls.ClientHelloInfo{ServerName: tc.sni})
		if err != nil || again != c {
			t.Errorf("%s: a second leaf was made (%v)", tc.host, err)
		}
	}
}

func TestNoLeafForStrangeNames(t *testing.T) {
	a, err := Open(t.TempDir(), at(start))
	if err != nil {
		t.Fatal(err)
	}
	l := a.Leaves([]string{"localhost"}, "blob.example")
	for _, name := range []string{
		"evil.example", "md-x.evil.example", "md-a.b.blob.example", "x.blob.example", "md-*.blob.example",
		"md-" + strings.Repeat("a", 64) + ".blob.example", "blob.example", "md-x.blob.example.evil",
	} {
		c, err := l.Get(&tls.ClientHelloInfo{ServerName: name})
		if err != nil {
			t.Fatal(err)
		}
		if verify(t, a, c, name, start) == nil {
			t.Errorf("a certificate for %s was made", name)
		}
	}
}

func TestLeafIsRenewed(t *testing.T) {
	now := start
	a, err := Open(t.TempDir(), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	l := a.Leaves([]string{"localhost"}, "")
	first, _ := l.Get(&tls.ClientHelloInfo{})
	now = start.Add(leafLife - renewBefore)
	second, _ := l.Get(&tls.ClientHelloInfo{})
	if first == second {
		t.Fatal("a leaf about to run out was not renewed")
	}
	if err := verify(t, a, second, "localhost", start.Add(leafLife+time.Hour)); err != nil {
		t.Error(err)
	}
}

func TestAuthorityStays(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(dir, at(start))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(dir, at(start.Add(24*time.Hour)))
	if err != nil || string(a.PEM()) != string(b.PEM()) {
		t.Errorf("the authority changed: %v", err)
	}
	for _, name := range []string{"ca.pem", "ca.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if _, err := Open(dir, at(start.Add(authorityLife))); err == nil {
		t.Error("an authority that ran out was opened")
	}
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, at(start)); err == nil {
		t.Error("an authority without its key was opened, or replaced")
	}
}

// TestFirstStartCutShort leaves the key without the certificate, as a crash between the two does.
func TestFirstStartCutShort(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir, at(start)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	a, err := Open(dir, at(start))
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Leaves([]string{"localhost"}, "").Get(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(t, a, c, "localhost", start); err != nil {
		t.Error(err)
	}
}

func TestForeignKeyIsRefused(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	for _, dir := range []string{one, two} {
		if _, err := Open(dir, at(start)); err != nil {
			t.Fatal(err)
		}
	}
	key, err := os.ReadFile(filepath.Join(two, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(one, "ca.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(one, at(start)); err == nil {
		t.Error("a certificate with another's key was opened")
	}
}
