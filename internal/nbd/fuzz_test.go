package nbd

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"tintype/internal/block/blocktest"
)

// tape is a connection whose client says what was recorded, and whose other side is kept.
type tape struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *tape) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *tape) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *tape) Close() error                     { return nil }
func (c *tape) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (c *tape) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (c *tape) SetDeadline(time.Time) error      { return nil }
func (c *tape) SetReadDeadline(time.Time) error  { return nil }
func (c *tape) SetWriteDeadline(time.Time) error { return nil }

const fuzzSize = 1 << 20

// play runs a connection over a tape and returns what the server said.
func play(t *testing.T, said []byte) []byte {
	mem := blocktest.NewMem(fuzzSize)
	if _, err := mem.WriteAt([]byte{1}, 300<<10); err != nil {
		t.Fatal(err)
	}
	s := NewServer(Options{})
	if err := s.Add(Export{Name: "disk", Device: mem}); err != nil {
		t.Fatal(err)
	}
	c := &tape{in: bytes.NewReader(said)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_ = (&conn{srv: s, nc: c}).run() // breaking the protocol is what the client is here for
	runtime.ReadMemStats(&after)
	// Every request may read the whole device once; beyond that memory must follow what the client really sent.
	limit := uint64(8<<20) + uint64(len(said))*(fuzzSize/requestSize*4)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > limit {
		t.Errorf("%d bytes from the client made the server allocate %d", len(said), grown)
	}
	if err := s.Remove("disk"); err != nil {
		t.Error(err)
	}
	return c.out.Bytes()
}

func flagsBytes(flags uint32) []byte { return binary.BigEndian.AppendUint32(nil, flags) }

func option(opt uint32, data string) []byte {
	b := binary.BigEndian.AppendUint64(nil, magicOption)
	b = binary.BigEndian.AppendUint32(b, opt)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

func rawRequest(flags, kind uint16, cookie, off uint64, n uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, magicRequest)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint64(b, cookie)
	b = binary.BigEndian.AppendUint64(b, off)
	return binary.BigEndian.AppendUint32(b, n)
}

const (
	goDisk      = "\x00\x00\x00\x04disk\x00\x01\x00\x03"
	contextDisk = "\x00\x00\x00\x04disk\x00\x00\x00\x01\x00\x00\x00\x0fbase:allocation"
)

// FuzzHandshake gives the server any bytes at all. What it answers must be well-formed replies, and no more memory may
// be taken than the bytes account for.
func FuzzHandshake(f *testing.F) {
	f.Add(slices.Concat(flagsBytes(3), option(optStructuredReply, ""), option(optSetMetaContext, contextDisk), option(optGo, goDisk)))
	f.Add(slices.Concat(flagsBytes(1), option(optExportName, "disk")))
	f.Add(slices.Concat(flagsBytes(3), option(optList, ""), option(optInfo, goDisk), option(optAbort, "")))
	f.Add(slices.Concat(flagsBytes(3), option(optListMetaContext, "\x00\x00\x00\x04disk\xff\xff\xff\xff"), option(99, "x")))
	f.Add(slices.Concat(flagsBytes(3), option(optInfo, "\xff\xff\xff\xffdisk\xff\xff")))
	f.Add(append(flagsBytes(3), option(optGo, goDisk)[:12]...))
	f.Fuzz(func(t *testing.T, said []byte) {
		out := play(t, said)
		if len(out) < 18 {
			t.Fatalf("greeting % x", out)
		}
		for out = out[18:]; len(out) >= 20 && binary.BigEndian.Uint64(out) == magicOptionReply; {
			n := uint64(binary.BigEndian.Uint32(out[16:]))
			if n > uint64(len(out)-20) {
				t.Fatalf("a reply of %d bytes has %d", n, len(out)-20)
			}
			kind := binary.BigEndian.Uint32(out[12:])
			opt := binary.BigEndian.Uint32(out[8:])
			out = out[20+n:]
			if opt == optGo && kind == repAck {
				break // replies to requests follow
			}
		}
	})
}

// FuzzRequests gives the server any bytes as requests. Each request that came whole must be answered once, whatever it
// asks for, and the replies must be well-formed.
func FuzzRequests(f *testing.F) {
	write := append(rawRequest(0, cmdWrite, 2, 4096, 4096), make([]byte, 4096)...)
	f.Add(slices.Concat(rawRequest(0, cmdRead, 1, 0, 4096), write, rawRequest(0, cmdFlush, 3, 0, 0)))
	f.Add(slices.Concat(rawRequest(0, cmdRead, 1, 0, fuzzSize), rawRequest(cmdFlagDF, cmdRead, 1, 100, 100000), rawRequest(0, cmdBlockStatus, 4, 0, fuzzSize)))
	f.Add(slices.Concat(rawRequest(cmdFlagNoHole, cmdWriteZeroes, 1, 0, fuzzSize), rawRequest(1, cmdTrim, 1, 5, 100000), rawRequest(0, cmdCache, 9, 1, 4097)))
	f.Add(slices.Concat(rawRequest(0, cmdWrite, 5, 1<<40, 100), make([]byte, 100), rawRequest(0xffff, 77, 1, 2, 3), rawRequest(0, cmdDisc, 0, 0, 0)))
	f.Add(rawRequest(0, cmdWrite, 6, 0, 1<<31))
	f.Add(rawRequest(0, cmdRead, 6, 1<<63, 1<<31))
	f.Fuzz(func(t *testing.T, said []byte) {
		before := slices.Concat(flagsBytes(3), option(optStructuredReply, ""), option(optSetMetaContext, contextDisk), option(optGo, goDisk))
		greeting := len(play(t, before))
		answered := finalReplies(t, play(t, slices.Concat(before, said))[greeting:])
		asked := wholeRequests(said)
		slices.Sort(answered)
		slices.Sort(asked)
		if !slices.Equal(asked, answered) {
			t.Errorf("asked for %d, answered %d", asked, answered)
		}
	})
}

// wholeRequests returns the cookies of the requests that a server must answer before it hangs up.
func wholeRequests(said []byte) (cookies []uint64) {
	for len(said) >= requestSize && binary.BigEndian.Uint32(said) == magicRequest {
		kind, n := binary.BigEndian.Uint16(said[6:]), uint64(binary.BigEndian.Uint32(said[24:]))
		cookie := binary.BigEndian.Uint64(said[8:])
		said = said[requestSize:]
		switch {
		case kind == cmdDisc:
			return cookies
		case kind == cmdWrite && n > uint64(len(said)):
			return cookies
		case kind == cmdWrite:
			said = said[n:]
		}
		cookies = append(cookies, cookie)
	}
	return cookies
}

// finalReplies returns the cookies of the replies that end a request.
func finalReplies(t *testing.T, out []byte) (cookies []uint64) {
	in := bytes.NewReader(out)
	for {
		var magic uint32
		if binary.Read(in, binary.BigEndian, &magic) == io.EOF {
			return cookies
		}
		switch magic {
		case magicSimple:
			var r struct {
				Errno  uint32
				Cookie uint64
			}
			if err := binary.Read(in, binary.BigEndian, &r); err != nil {
				t.Fatal(err)
			}
			cookies = append(cookies, r.Cookie)
		case magicStructured:
			var r struct {
				Flags, Kind uint16
				Cookie      uint64
				N           uint32
			}
			if err := binary.Read(in, binary.BigEndian, &r); err != nil || int(r.N) > in.Len() {
				t.Fatalf("chunk %+v with %d bytes left, error %v", r, in.Len(), err)
			}
			if _, err := in.Seek(int64(r.N), io.SeekCurrent); err != nil {
				t.Fatal(err)
			}
			if r.Flags&chunkDone != 0 {
				cookies = append(cookies, r.Cookie)
			}
		default:
			t.Fatalf("a reply begins with %#x", magic)
		}
	}
}

// FuzzOptions parses option data directly, deeper than a whole handshake reaches in the same time.
func FuzzOptions(f *testing.F) {
	f.Add([]byte(goDisk))
	f.Add([]byte(contextDisk))
	f.Add([]byte("\x00\x00\x00\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := parseInfoRequest(data); err == nil && 4+len(r.name)+2+2*len(r.items) != len(data) {
			t.Errorf("%d bytes parse as %+v", len(data), r)
		}
		r, err := parseContextRequest(data)
		if err != nil {
			return
		}
		n := 4 + len(r.name) + 4
		for _, q := range r.queries {
			n += 4 + len(q)
		}
		if n != len(data) {
			t.Errorf("%d bytes parse as %+v", len(data), r)
		}
	})
}
