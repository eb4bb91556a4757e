package identity

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // names certificates, and protects nothing
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/go-jose/go-jose/v4"

	"tintype/internal/smallfile"
)

// algorithm signs our tokens, and is the only one that is accepted.
const algorithm = jose.RS256

const keyBits = 2048

// signingKey is the private key of tokens and its name.
type signingKey struct {
	private *rsa.PrivateKey
	id      string
}

// loadKey reads the key, or makes one when the file does not exist.
func loadKey(file string) (signingKey, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(file)
	}
	if err != nil {
		return signingKey{}, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return signingKey{}, fmt.Errorf("%s holds no key", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return signingKey{}, fmt.Errorf("%s: %w", file, err)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return signingKey{}, fmt.Errorf("%s holds no RSA key", file)
	}
	return nameKey(private)
}

func makeKey(file string) (signingKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return signingKey{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return signingKey{}, err
	}
	if err := smallfile.Write(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return signingKey{}, err
	}
	return nameKey(private)
}

func nameKey(private *rsa.PrivateKey) (signingKey, error) {
	print, err := (&jose.JSONWebKey{Key: &private.PublicKey}).Thumbprint(crypto.SHA256)
	if err != nil {
		return signingKey{}, err
	}
	return signingKey{private: private, id: base64.RawURLEncoding.EncodeToString(print)}, nil
}

var errKey = errors.New("not an RSA key of 2048 to 8192 bits")

// verifyKey is a certificate's key, if it is one that we check signatures with.
func verifyKey(c *x509.Certificate) (*rsa.PublicKey, error) {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < 2048 || key.N.BitLen() > 8192 {
		return nil, errKey
	}
	return key, nil
}

// Thumbprint is a certificate's SHA-1, in capital hex digits, by which Azure names it; "" of none.
func Thumbprint(der []byte) string {
	if len(der) == 0 {
		return ""
	}
	return fmt.Sprintf("%X", sha1.Sum(der))
}

// public is the key as the JWKS endpoint shows it.
func (k signingKey) public() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: &k.private.PublicKey, KeyID: k.id, Algorithm: string(algorithm), Use: "sig",
	}}}
}
