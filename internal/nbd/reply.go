package nbd

import (
	"encoding/binary"
	"errors"

	"tintype/internal/block"
)

// appendSimple appends a simple reply ("Simple reply message").
func appendSimple(b []byte, e errno, cookie uint64) []byte {
	b = binary.BigEndian.AppendUint32(b, magicSimple)
	b = binary.BigEndian.AppendUint32(b, uint32(e))
	return binary.BigEndian.AppendUint64(b, cookie)
}

// appendChunk appends the head of a chunk with n bytes of payload ("Structured reply chunk message").
func appendChunk(b []byte, flags, kind uint16, cookie uint64, n int) []byte {
	b = binary.BigEndian.AppendUint32(b, magicStructured)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint64(b, cookie)
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

// appendData appends the head of a chunk of n bytes of data from off.
func appendData(b []byte, flags uint16, cookie uint64, off int64, n int) []byte {
	b = appendChunk(b, flags, chunkOffsetData, cookie, 8+n)
	return binary.BigEndian.AppendUint64(b, uint64(off))
}

// appendHole appends a whole chunk that stands for n zeroes at off.
func appendHole(b []byte, flags uint16, cookie uint64, off int64, n uint32) []byte {
	b = appendChunk(b, flags, chunkOffsetHole, cookie, 12)
	b = binary.BigEndian.AppendUint64(b, uint64(off))
	return binary.BigEndian.AppendUint32(b, n)
}

// appendResult appends the reply to a request that has no data to return, or that failed. A read's reply is a chunk
// when those were agreed on, whatever became of it; errors are too, for their words.
func appendResult(b []byte, e errno, r request, structured bool) []byte {
	switch {
	case !structured || e == errnoNone && r.kind != cmdRead:
		return appendSimple(b, e, r.cookie)
	case e == errnoNone:
		return appendChunk(b, chunkDone, chunkNone, r.cookie, 0)
	}
	text := e.text()
	b = appendChunk(b, chunkDone, chunkError, r.cookie, 6+len(text))
	b = binary.BigEndian.AppendUint32(b, uint32(e))
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	return append(b, text...)
}

// text is what a person is shown. It says nothing of how the device is made.
func (e errno) text() string {
	switch e {
	case errnoPerm:
		return "the export is read-only"
	case errnoInval:
		return "the request is not valid here"
	case errnoNoSpace:
		return "no space, or beyond the end of the export"
	case errnoOverflow:
		return "the request is too long"
	case errnoNotSup:
		return "not faster than a write"
	case errnoShutdown:
		return "the export is being shut down"
	}
	return "the device cannot do it"
}

// errnoOf translates a device's error. What is not in block's list is an I/O error.
func errnoOf(err error, kind uint16) errno {
	switch {
	case err == nil:
		return errnoNone
	case errors.Is(err, block.ErrNoSpace):
		return errnoNoSpace
	case errors.Is(err, block.ErrReadOnly):
		return errnoPerm
	case errors.Is(err, block.ErrOutOfRange) && (kind == cmdWrite || kind == cmdWriteZeroes):
		return errnoNoSpace
	case errors.Is(err, block.ErrOutOfRange):
		return errnoInval
	case errors.Is(err, block.ErrClosed):
		return errnoShutdown
	}
	return errnoIO
}
