package lsd

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// The file of data keys; docs/format/data-keys.md is its page. Text: a first line with the version, then a line for each
// lineage and key that wraps the lineage's:
//
//	tintype-data-keys-2
//	LINEAGE OWNER KEYID WRAPPED CRC
const (
	keyFileName   = "data-keys"
	keyFileCopy   = "data-keys.copy"
	keyFileMagic  = "tintype-data-keys-"
	keyFileFirst  = keyFileMagic + "2"
	maxKeyFile    = 1 << 30
	wrappedKeyLen = 12 + 32 + 16
)

// Owners of keys that wrap others: the store has its own from the start or does not open; a customer's may come and go.
const (
	ownerPlatform = "platform"
	ownerCustomer = "customer"
)

// keyLine is a lineage's key as it is stored: wrapped by the key with that id.
type keyLine struct {
	lineage  uint64
	customer bool
	id       string
	wrapped  []byte
}

func (l keyLine) owner() string {
	if l.customer {
		return ownerCustomer
	}
	return ownerPlatform
}

func (l keyLine) String() string {
	text := fmt.Sprintf("%d %s %s %s", l.lineage, l.owner(), l.id, base64.RawStdEncoding.EncodeToString(l.wrapped))
	return fmt.Sprintf("%s %08x\n", text, checksum([]byte(text)))
}

// parseKeyLine reads a line without its end; ok is false for one that does not hold.
func parseKeyLine(line string) (l keyLine, ok bool) {
	text, sum, _ := cutLast(line)
	crc, err := strconv.ParseUint(sum, 16, 32)
	if err != nil || uint32(crc) != checksum([]byte(text)) {
		return l, false
	}
	part := strings.Split(text, " ")
	if len(part) != 4 || len(part[2]) != 16 {
		return l, false
	}
	if l.lineage, err = strconv.ParseUint(part[0], 10, 64); err != nil {
		return l, false
	}
	l.customer, l.id = part[1] == ownerCustomer, part[2]
	l.wrapped, err = base64.RawStdEncoding.Strict().DecodeString(part[3])
	return l, err == nil && len(l.wrapped) == wrappedKeyLen && line+"\n" == l.String()
}

func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, ' ')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// parseKeyFile reads what holds of a file of keys; whole tells that all of it does. A newer version is refused by name.
func parseKeyFile(p []byte) (lines []keyLine, whole bool, err error) {
	text := string(p)
	first, rest, ended := strings.Cut(text, "\n")
	if v, ok := strings.CutPrefix(first, keyFileMagic); ok && first != keyFileFirst {
		if n, err := strconv.ParseUint(v, 10, 32); err == nil && n > 0 && ended {
			return nil, false, fmt.Errorf("%s has format version %d, this program knows 2", keyFileName, n)
		}
	}
	whole = ended && first == keyFileFirst
	if !whole {
		rest = text // a damaged first line: each of the others speaks for itself
	}
	for len(rest) > 0 {
		line, after, ended := strings.Cut(rest, "\n")
		rest = after
		l, ok := parseKeyLine(line)
		if !ok || !ended {
			whole = false
			continue
		}
		lines = append(lines, l)
	}
	return lines, whole, nil
}
