package identity

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/crypto/argon2"

	"tintype/internal/smallfile"
)

// Cost of one hash, by OWASP's recommendation for Argon2id: 19 MiB, two passes, one lane; some 20 ms.
const (
	argonMemory  = 19 * 1024
	argonPasses  = 2
	argonLanes   = 1
	argonKeySize = 32
	saltSize     = 16
)

// newSecret makes a password of at least 256 random bits, of capital letters and digits alone: one that begins with a hyphen
// is taken for an option by az and every other command line.
func newSecret() string { return rand.Text() + rand.Text() }

// OpenSecret reads a server's secret of size random bytes from the file, or makes it there, durably and with mode 0600. One
// of another size is an error.
func OpenSecret(file string, size int) ([]byte, error) {
	b, err := os.ReadFile(file)
	switch {
	case err == nil && len(b) != size:
		return nil, fmt.Errorf("%s has %d bytes, not %d", file, len(b), size)
	case !errors.Is(err, fs.ErrNotExist):
		return b, err
	}
	b = make([]byte, size)
	rand.Read(b) // never fails: it ends the program instead
	return b, smallfile.Write(file, b)
}

// hashSecret gives what is kept of a password, in the usual text form.
func hashSecret(secret string) string {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	key := argon2.IDKey([]byte(secret), salt, argonPasses, argonMemory, argonLanes, argonKeySize)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonPasses, argonLanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// maxSecret bounds a password from outside before it is hashed.
const maxSecret = 512

var errBadHash = errors.New("the stored hash of a secret cannot be read")

// checkSecret compares in constant time. The parameters in the hash are bounded, because the file may have been edited.
func checkSecret(hash, secret string) (bool, error) {
	part := strings.Split(hash, "$")
	if len(part) != 6 || part[1] != "argon2id" || part[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return false, errBadHash
	}
	var memory, passes uint32
	var lanes uint8
	if _, err := fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &memory, &passes, &lanes); err != nil {
		return false, errBadHash
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(part[4])
	want, err2 := base64.RawStdEncoding.DecodeString(part[5])
	if err1 != nil || err2 != nil || len(want) < 16 || len(want) > 64 || len(salt) < 8 ||
		memory > 1<<20 || passes < 1 || passes > 16 || lanes < 1 || lanes > 16 {
		return false, errBadHash
	}
	if len(secret) > maxSecret {
		return false, nil
	}
	got := argon2.IDKey([]byte(secret), salt, passes, memory, lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}
