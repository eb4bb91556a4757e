package nbd

import (
	"fmt"
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

	// Bitmaps are the older volumes that clients may compare the device with. The device must be a block.Comparer.
	Bitmaps []Bitmap

	// Changes, when set, turns the export into a difference: base:allocation names as data what the device holds that this
	// older volume does not, and as holes of zeroes all else. Reads give the device's bytes, in those holes too. So nbdcopy
	// --destination-is-zero -S 0 copies what changed onto an image of the older volume, and leaves the rest of it alone. (Its
	// requests are longer than many changes: had reads given zeroes, it would wipe what lies beside a change.)
	Changes block.Device
}

// Bitmap is the metadata context qemu:dirty-bitmap:NAME: which blocks of a device differ from those of an older one.
type Bitmap struct {
	Name  string
	Older block.Device // stays open as long as the export's device
}

// checkBitmaps says what is wrong with an export's bitmaps.
func (e Export) checkBitmaps() error {
	device, ok := e.Device.(block.Comparer)
	if e.Changes != nil {
		if !ok {
			return fmt.Errorf("nbd: the device of %q cannot be compared", e.Name)
		}
		if err := device.Compare(e.Changes, 0, 0, func(block.Extent) bool { return true }); err != nil {
			return fmt.Errorf("nbd: changes of %q: %w", e.Name, err)
		}
	}
	if len(e.Bitmaps) == 0 {
		return nil
	}
	if !ok || len(e.Bitmaps) > maxBitmaps {
		return fmt.Errorf("nbd: the device of %q takes at most %d bitmaps, and only if it can be compared", e.Name, maxBitmaps)
	}
	seen := map[string]bool{}
	for _, b := range e.Bitmaps {
		if !validName(b.Name) || len(contextBitmap)+len(b.Name) > maxString || seen[b.Name] {
			return fmt.Errorf("nbd: %q cannot name a bitmap of %q", b.Name, e.Name)
		}
		seen[b.Name] = true
		if err := device.Compare(b.Older, 0, 0, func(block.Extent) bool { return true }); err != nil {
			return fmt.Errorf("nbd: bitmap %q of %q: %w", b.Name, e.Name, err)
		}
	}
	return nil
}

// metaContext is a metadata context under the id by which replies name it.
type metaContext struct {
	id    uint32
	name  string
	older block.Device // nil: what the device has
	clean uint32       // state of what is as it was in older
	dirty uint32       // state of what changed
}

// contexts lists the export's metadata contexts. Their ids are the same for every connection.
func (e *export) contexts() []metaContext {
	all := []metaContext{{id: contextAllocationID, name: contextAllocation, older: e.Changes, clean: stateHole | stateZero}}
	for i, b := range e.Bitmaps {
		all = append(all, metaContext{id: contextBitmapID + uint32(i), name: contextBitmap + b.Name, older: b.Older, dirty: stateDirty})
	}
	return all
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
