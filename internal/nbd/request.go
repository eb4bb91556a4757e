package nbd

import (
	"encoding/binary"
	"fmt"
)

// request is the fixed part of a client's request ("Request message"), as it came: nothing in it is checked.
type request struct {
	flags  uint16
	kind   uint16
	cookie uint64
	off    uint64
	n      uint32
}

// parseRequest reads a request from the first requestSize bytes of b.
func parseRequest(b []byte) (request, error) {
	if magic := binary.BigEndian.Uint32(b); magic != magicRequest {
		return request{}, fmt.Errorf("nbd: request begins with %#x", magic)
	}
	return request{
		flags:  binary.BigEndian.Uint16(b[4:]),
		kind:   binary.BigEndian.Uint16(b[6:]),
		cookie: binary.BigEndian.Uint64(b[8:]),
		off:    binary.BigEndian.Uint64(b[16:]),
		n:      binary.BigEndian.Uint32(b[24:]),
	}, nil
}

// terms are what requests are judged by.
type terms struct {
	size       int64
	readOnly   bool
	structured bool
	status     bool // block status may be asked for
}

// allowedFlags are the flags that go with a command. A flag that is understood but does not belong to the command is
// refused like one that is not ("Error values"); FUA goes with all ("Command flags").
func (r request) allowedFlags(structured bool) uint16 {
	switch {
	case r.kind == cmdRead && structured:
		return cmdFlagFUA | cmdFlagDF
	case r.kind == cmdWriteZeroes:
		return cmdFlagFUA | cmdFlagNoHole | cmdFlagFastZero
	case r.kind == cmdBlockStatus:
		return cmdFlagFUA | cmdFlagReqOne
	}
	return cmdFlagFUA
}

// check says why a request cannot be done, or errnoNone. After errnoNone its range lies inside the export, and its
// offset fits int64.
func (r request) check(t terms) errno {
	if r.kind > cmdBlockStatus || r.flags&^r.allowedFlags(t.structured) != 0 {
		return errnoInval
	}
	writes := r.kind == cmdWrite || r.kind == cmdTrim || r.kind == cmdWriteZeroes
	outside := r.off > uint64(t.size) || uint64(r.n) > uint64(t.size)-r.off
	switch {
	case writes && t.readOnly:
		return errnoPerm
	case r.kind == cmdFlush && (r.off != 0 || r.n != 0):
		return errnoInval
	case r.kind == cmdBlockStatus && (!t.status || r.n == 0):
		return errnoInval
	case outside && (r.kind == cmdWrite || r.kind == cmdWriteZeroes):
		return errnoNoSpace
	case outside:
		return errnoInval
	case r.kind == cmdWrite && r.n > maxPayload:
		return errnoInval
	case r.kind == cmdRead && r.n > maxPayload:
		return errnoOverflow
	case r.kind == cmdWriteZeroes && r.flags&cmdFlagFastZero != 0 && r.flags&cmdFlagNoHole != 0:
		return errnoNotSup // blocks that are to stay mapped are written, zero by zero
	}
	return errnoNone
}

// command is the request's name in statistics.
func (r request) command() string {
	switch r.kind {
	case cmdRead:
		return "read"
	case cmdWrite:
		return "write"
	case cmdFlush:
		return "flush"
	case cmdTrim:
		return "trim"
	case cmdCache:
		return "cache"
	case cmdWriteZeroes:
		return "write_zeroes"
	case cmdBlockStatus:
		return "block_status"
	}
	return "unknown"
}
