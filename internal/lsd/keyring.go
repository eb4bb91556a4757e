package lsd

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Key is a key-encryption key: 32 secret random bytes that come from outside the store. It encrypts the keys of disks and
// nothing else.
type Key [32]byte

// ID names a key without telling anything of it: 16 hex digits of a hash.
func (k Key) ID() string {
	sum := sha256.Sum256(append([]byte("tintype key id 1"), k[:]...))
	return hex.EncodeToString(sum[:8])
}

// String is the key's id, so that no key is printed by mistake.
func (k Key) String() string { return "key " + k.ID() }

// KeyRing is what a store may open its disks' keys with. What is new is wrapped by Current; Others are keys that were
// current before. Customers are keys that single volumes are under, by [Store.SetKey], as far as they are to be had.
type KeyRing struct {
	Current   Key
	Others    []Key
	Customers []Key
}

// find returns the key with an id.
func (r *KeyRing) find(id string) (Key, bool) {
	if r == nil {
		return Key{}, false
	}
	for _, k := range append([]Key{r.Current}, r.Others...) {
		if k.ID() == id {
			return k, true
		}
	}
	return Key{}, false
}

func (r *KeyRing) ids() []string {
	if r == nil {
		return nil
	}
	ids := []string{r.Current.ID()}
	for _, k := range r.Others {
		ids = append(ids, k.ID())
	}
	return slices.Compact(ids)
}

// KeyError says that a store was not opened, and not touched, because its disks' keys are wrapped by keys that were not
// given.
type KeyError struct {
	Needed []string // ids of the keys that are missing
	Given  []string // ids of those that were there
}

func (e *KeyError) Error() string {
	given := "none was given"
	if len(e.Given) > 0 {
		given = "given was " + strings.Join(e.Given, ", ")
	}
	return fmt.Sprintf("the disks are encrypted: key %s is needed, %s", strings.Join(e.Needed, ", "), given)
}

var errUnwrap = errors.New("a disk's key does not open with the key that it names")

// wrap encrypts a lineage's key, bound to the lineage.
func (k Key) wrap(lineage uint64, key *dataKey) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, key[:], wrapContext(lineage)), nil
}

func (k Key) unwrap(lineage uint64, wrapped []byte) (dataKey, error) {
	var key dataKey
	aead, err := k.aead()
	if err != nil {
		return key, err
	}
	plain, err := aead.Open(nil, nil, wrapped, wrapContext(lineage))
	if err != nil || len(plain) != len(key) {
		return key, errUnwrap
	}
	copy(key[:], plain)
	return key, nil
}

// aead is AES-256-GCM with a random nonce of 96 bits in front: sound for 2^32 disks under one key.
func (k Key) aead() (cipher.AEAD, error) {
	b, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(b)
}

func wrapContext(lineage uint64) []byte {
	return binary.LittleEndian.AppendUint64([]byte("tintype lineage key 1"), lineage)
}
