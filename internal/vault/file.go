package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"tintype/internal/smallfile"
)

// The file of vaults, DIR/vaults; docs/format/vaults.md is its page. A first line with version and checksum, then JSON.
const (
	fileMagic = "tintype-vaults-"
	fileFirst = fileMagic + "1"
	maxFile   = 1 << 28
)

// content is what the file holds.
type content struct {
	Master master   `json:"master"`
	Vaults []*entry `json:"vaults"`
}

// master is the key that wraps private keys, itself wrapped by the platform's.
type master struct {
	Platform string `json:"platform"` // id of that key
	Wrapped  []byte `json:"wrapped"`
}

// entry is a vault with its keys.
type entry struct {
	Vault
	Keys []*keyEntry `json:"keys"`
}

// keyEntry is a key with its versions, the oldest first.
type keyEntry struct {
	Name     string     `json:"name"`
	Versions []*version `json:"versions"`
	Rotation *Rotation  `json:"rotation,omitempty"`
	Deleted  time.Time  `json:"deleted,omitzero"`
}

// version is one RSA key. Private is PKCS #8, wrapped.
type version struct {
	ID        string            `json:"id"`
	Bits      int               `json:"bits"`
	N         []byte            `json:"n"`
	E         []byte            `json:"e"`
	Private   []byte            `json:"private"`
	Ops       []string          `json:"ops"`
	Enabled   bool              `json:"enabled"`
	NotBefore time.Time         `json:"notBefore,omitzero"`
	Expires   time.Time         `json:"expires,omitzero"`
	Created   time.Time         `json:"created"`
	Updated   time.Time         `json:"updated"`
	Tags      map[string]string `json:"tags,omitempty"`
}

// Ring is the platform's key, and those that it had before.
type Ring struct {
	Current [32]byte
	Others  [][32]byte
}

// platformID names a key of the platform in the file: what a hash tells of it.
func platformID(k [32]byte) string {
	sum := sha256.Sum256(append([]byte("tintype vault key id 1"), k[:]...))
	return hex.EncodeToString(sum[:8])
}

// seal wraps secret bytes, bound to what they are.
func seal(key [32]byte, secret []byte, what string) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, secret, []byte(what)), nil
}

var errSealed = errors.New("it does not open with its key")

func open(key [32]byte, sealed []byte, what string) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	p, err := aead.Open(nil, nil, sealed, []byte(what))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, errSealed)
	}
	return p, nil
}

// newAEAD is AES-256-GCM with random nonces under a key that is derived for this file alone.
func newAEAD(key [32]byte) (cipher.AEAD, error) {
	own, err := hkdf.Key(sha256.New, key[:], nil, "tintype vaults 1", 32)
	if err != nil {
		return nil, err
	}
	b, err := aes.NewCipher(own)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(b)
}

const masterContext = "tintype vault master"

func newMaster(platform, secret [32]byte) (master, error) {
	wrapped, err := seal(platform, secret[:], masterContext)
	return master{Platform: platformID(platform), Wrapped: wrapped}, err
}

// read gives what the file holds and its master key; a folder without the file begins with none.
func read(name string, ring Ring) (c content, secret [32]byte, found bool, err error) {
	p, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		rand.Read(secret[:])
		c.Master, err = newMaster(ring.Current, secret)
		return c, secret, false, err
	}
	if err != nil {
		return c, secret, false, err
	}
	if c, err = parse(p); err != nil {
		return c, secret, false, fmt.Errorf("%s: %w", name, err)
	}
	for _, k := range append([][32]byte{ring.Current}, ring.Others...) {
		if platformID(k) != c.Master.Platform {
			continue
		}
		text, err := open(k, c.Master.Wrapped, masterContext)
		if err != nil || len(text) != len(secret) {
			return c, secret, false, fmt.Errorf("%s: %w", name, errors.Join(err, errSealed))
		}
		copy(secret[:], text)
		return c, secret, true, nil
	}
	return c, secret, false, fmt.Errorf("%s: the vaults are protected by a platform key that was not given (vault key id %s)", name, c.Master.Platform)
}

// parse reads the file's bytes.
func parse(p []byte) (c content, err error) {
	if len(p) > maxFile {
		return c, fmt.Errorf("%d bytes are too many", len(p))
	}
	first, rest, _ := bytes.Cut(p, []byte("\n"))
	magic, sum, _ := strings.Cut(string(first), " ")
	if magic != fileFirst {
		if v, ok := strings.CutPrefix(magic, fileMagic); ok {
			return c, fmt.Errorf("format version %.10s, this program knows 1", v)
		}
		return c, errors.New("this is no file of vaults")
	}
	if want := fmt.Sprintf("%08x", crc32.Checksum(rest, crc32.MakeTable(crc32.Castagnoli))); sum != want {
		return c, errors.New("damaged: its checksum does not hold")
	}
	if err := json.Unmarshal(rest, &c); err != nil {
		return c, err
	}
	for _, e := range c.Vaults {
		if e == nil || slices.ContainsFunc(e.Keys, func(k *keyEntry) bool { return k == nil || len(k.Versions) == 0 || slices.Contains(k.Versions, nil) }) {
			return c, errors.New("a vault, or a key, is empty")
		}
	}
	return c, nil
}

// text is the file's bytes.
func (c content) text() ([]byte, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	sum := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
	return append(fmt.Appendf(nil, "%s %08x\n", fileFirst, sum), body...), nil
}

// write replaces the file as a whole, durably, with mode 0600.
func (c content) write(name string) error {
	p, err := c.text()
	if err != nil {
		return err
	}
	return smallfile.Write(name, p)
}
