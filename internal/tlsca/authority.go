// Package tlsca is a private certificate authority: made on first start, kept in a folder, trusted by nobody but the
// clients that are given its certificate. Leaf certificates live in memory only; they are made at start and again before
// they run out.
package tlsca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"tintype/internal/smallfile"
)

const (
	// authorityLife is how long the authority's certificate holds: longer than the server's disks.
	authorityLife = 20 * 365 * 24 * time.Hour
	// leafLife stays below the 398 days that clients accept.
	leafLife = 90 * 24 * time.Hour
	// renewBefore a leaf's end it is made anew.
	renewBefore = 30 * 24 * time.Hour
	// backdate allows for clients whose clock is behind.
	backdate = time.Hour
)

// Authority signs leaf certificates.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
	now  func() time.Time
}

// Open reads the authority from dir (ca.pem and ca.key, mode 0600), or makes it there when neither exists. One without
// the other is an error: nothing is ever replaced silently, because clients trust what they were given.
func Open(dir string, now func() time.Time) (*Authority, error) {
	certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	certPEM, err1 := os.ReadFile(certFile)
	keyPEM, err2 := os.ReadFile(keyFile)
	if errors.Is(err1, fs.ErrNotExist) {
		// The key is written first, so a key alone is a first start that was cut short: nobody has its certificate yet.
		return create(certFile, keyFile, now)
	}
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	a, err := parse(certPEM, keyPEM, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if !now().Before(a.cert.NotAfter) {
		return nil, fmt.Errorf("%s ran out on %s: remove ca.pem and ca.key to make a new one", certFile,
			a.cert.NotAfter.Format(time.DateOnly))
	}
	return a, nil
}

func create(certFile, keyFile string, now func() time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Tintype private CA " + serial.Text(36)[:8]},
		NotBefore: now().Add(-backdate), NotAfter: now().Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := smallfile.Write(keyFile, keyPEM); err != nil {
		return nil, err
	}
	if err := smallfile.Write(certFile, certPEM); err != nil {
		return nil, err
	}
	return parse(certPEM, keyPEM, now)
}

func parse(certPEM, keyPEM []byte, now func() time.Time) (*Authority, error) {
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return nil, errors.New("ca.pem or ca.key holds no PEM block")
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("ca.key is not the key of ca.pem")
	}
	return &Authority{cert: cert, key: key, pem: bytes.Clone(certPEM), now: now}, nil
}

// PEM is the authority's certificate, for clients.
func (a *Authority) PEM() []byte { return bytes.Clone(a.pem) }

func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
}
