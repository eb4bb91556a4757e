package nbd

import (
	"strings"
	"sync"
	"unicode/utf8"

	"tintype/internal/block"
)

// Export is a device under a name.
type Export struct {
	Name        string
	Device      block.Device
	ReadOnly    bool   // refuse writes even where the device would take them
	Description string // for people; may be empty
}

// export is an Export with those who use it. conns is guarded by the server's mutex.
type export struct {
	Export
	conns map[*conn]struct{}
	users sync.WaitGroup
}

func validName(name string) bool {
	return name != "" && len(name) <= maxString && utf8.ValidString(name) && !strings.ContainsRune(name, 0)
}

func (e *export) readOnly() bool { return e.ReadOnly || e.Device.ReadOnly() }

// flags are the transmission flags: what a client may use. Every connection works on the same device without a cache
// of its own, so a flush on one covers what was written through any.
func (e *export) flags(structured bool) uint16 {
	f := flagHasFlags | flagSendFlush | flagSendFUA | flagMultiConn | flagSendCache
	if e.readOnly() {
		f |= flagReadOnly
	} else {
		f |= flagSendTrim | flagSendWriteZeroes | flagSendFastZero
	}
	if structured {
		f |= flagSendDF
	}
	return f
}
