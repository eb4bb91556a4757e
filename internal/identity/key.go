package identity

import (
	"crypto/rsa"
	"crypto/sha1" // names certificates, and protects nothing
	"crypto/x509"
	"errors"
	"fmt"
)

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
