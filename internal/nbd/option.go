package nbd

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

// errOption is an option whose data does not have the form its type asks for.
var errOption = errors.New("malformed option")

// fields takes apart the data of an option. After a first field that does not fit, all others are empty.
type fields struct {
	data []byte
	bad  bool
}

func (f *fields) bytes(n uint32) []byte {
	if f.bad || uint64(n) > uint64(len(f.data)) {
		f.bad = true
		return nil
	}
	b := f.data[:n]
	f.data = f.data[n:]
	return b
}

func (f *fields) uint16() uint16 {
	if b := f.bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (f *fields) uint32() uint32 {
	if b := f.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// text is a string behind its length.
func (f *fields) text() string {
	n := f.uint32()
	if n > maxString {
		f.bad = true
	}
	return string(f.bytes(n))
}

// infoRequest is the data of NBD_OPT_INFO and NBD_OPT_GO.
type infoRequest struct {
	name  string
	items []uint16
}

func parseInfoRequest(data []byte) (infoRequest, error) {
	f := fields{data: data}
	r := infoRequest{name: f.text()}
	n := f.uint16()
	if f.bad || len(f.data) != 2*int(n) {
		return r, errOption
	}
	for range n {
		r.items = append(r.items, f.uint16())
	}
	return r, nil
}

// contextRequest is the data of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT.
type contextRequest struct {
	name    string
	queries []string
}

func parseContextRequest(data []byte) (contextRequest, error) {
	f := fields{data: data}
	r := contextRequest{name: f.text()}
	n := f.uint32()
	for i := uint32(0); i < n && !f.bad; i++ {
		r.queries = append(r.queries, f.text())
	}
	if f.bad || len(f.data) != 0 {
		return r, errOption
	}
	return r, nil
}

// wants tells whether the queries name a context. Wildcards count only when listing.
func (r contextRequest) wants(context string, listing bool) bool {
	if listing && len(r.queries) == 0 {
		return true
	}
	bitmap := strings.HasPrefix(context, contextBitmap)
	return slices.ContainsFunc(r.queries, func(q string) bool {
		switch {
		case q == context:
			return true
		case !listing:
			return false
		case q == contextQEMU || q == contextBitmap:
			return bitmap
		}
		return q == "base:" && !bitmap
	})
}
