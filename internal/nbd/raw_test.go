package nbd_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// raw speaks the protocol byte by byte, so that a test can say what no client would.
type raw struct {
	t  testing.TB
	nc net.Conn
}

const (
	ihaveopt  = 0x49484156454f5054
	testLimit = 5 * time.Minute // for what hangs: some conversations are of 400 MiB, on a machine that may be busy
)

// greetRaw connects and sends client flags.
func greetRaw(t testing.TB, socket string, flags uint32) *raw {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	w := wrapRaw(t, nc)
	w.greet(flags)
	return w
}

func wrapRaw(t testing.TB, nc net.Conn) *raw {
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(testLimit)); err != nil {
		t.Fatal(err)
	}
	return &raw{t, nc}
}

func (w *raw) greet(flags uint32) {
	w.t.Helper()
	if got := w.read(18); string(got) != "NBDMAGICIHAVEOPT\x00\x03" {
		w.t.Fatalf("greeting %q", got)
	}
	w.write(binary.BigEndian.AppendUint32(nil, flags))
}

// goRaw connects and enters the transmission phase.
func goRaw(t testing.TB, socket, name string, structured bool) *raw {
	t.Helper()
	w := greetRaw(t, socket, 3)
	w.enter(name, structured)
	return w
}

func (w *raw) enter(name string, structured bool) {
	w.t.Helper()
	if structured {
		w.option(8, nil)
		w.wantReply(8, 1)
		w.option(10, contextData(name, "base:allocation"))
		w.wantReply(10, 4)
		w.wantReply(10, 1)
	}
	w.option(7, infoData(name))
	for {
		kind, data := w.optionReply(7)
		if kind == 1 {
			return
		}
		if kind != 3 {
			w.t.Fatalf("NBD_OPT_GO answered with %#x %q", kind, data)
		}
	}
}

func infoData(name string, items ...uint16) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(name)))
	b = append(b, name...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(items)))
	for _, i := range items {
		b = binary.BigEndian.AppendUint16(b, i)
	}
	return b
}

func contextData(name string, queries ...string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(name)))
	b = append(b, name...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(queries)))
	for _, q := range queries {
		b = binary.BigEndian.AppendUint32(b, uint32(len(q)))
		b = append(b, q...)
	}
	return b
}

func (w *raw) write(b []byte) {
	w.t.Helper()
	if _, err := w.nc.Write(b); err != nil {
		w.t.Fatal(err)
	}
}

func (w *raw) read(n int) []byte {
	w.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(w.nc, b); err != nil {
		w.t.Fatalf("reading %d bytes: %v", n, err)
	}
	return b
}

// wantEnd checks that the server has hung up and said nothing more.
func (w *raw) wantEnd() {
	w.t.Helper()
	b := make([]byte, 1)
	if n, err := w.nc.Read(b); n != 0 || err == nil {
		w.t.Fatalf("%d bytes and error %v, want the connection closed", n, err)
	} else if e, ok := err.(net.Error); ok && e.Timeout() {
		w.t.Fatal("the server neither answers nor hangs up")
	}
}

func optionBytes(opt uint32, data []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, ihaveopt)
	b = binary.BigEndian.AppendUint32(b, opt)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

func (w *raw) option(opt uint32, data []byte) {
	w.t.Helper()
	w.write(optionBytes(opt, data))
}

func (w *raw) optionReply(opt uint32) (kind uint32, data []byte) {
	w.t.Helper()
	h := w.read(20)
	if magic := binary.BigEndian.Uint64(h); magic != 0x3e889045565a9 || binary.BigEndian.Uint32(h[8:]) != opt {
		w.t.Fatalf("not a reply to option %d: % x", opt, h)
	}
	return binary.BigEndian.Uint32(h[12:]), w.read(int(binary.BigEndian.Uint32(h[16:])))
}

func (w *raw) wantReply(opt, kind uint32) []byte {
	w.t.Helper()
	got, data := w.optionReply(opt)
	if got != kind {
		w.t.Fatalf("option %d answered with %#x %q, want %#x", opt, got, data, kind)
	}
	return data
}

func requestBytes(flags, kind uint16, cookie, off uint64, n uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, 0x25609513)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint64(b, cookie)
	b = binary.BigEndian.AppendUint64(b, off)
	return binary.BigEndian.AppendUint32(b, n)
}

func (w *raw) request(flags, kind uint16, cookie, off uint64, n uint32) {
	w.t.Helper()
	w.write(requestBytes(flags, kind, cookie, off, n))
}

// simple reads a simple reply and returns its error number.
func (w *raw) simple(cookie uint64) uint32 {
	w.t.Helper()
	b := w.read(16)
	if binary.BigEndian.Uint32(b) != 0x67446698 || binary.BigEndian.Uint64(b[8:]) != cookie {
		w.t.Fatalf("not a simple reply to %d: % x", cookie, b)
	}
	return binary.BigEndian.Uint32(b[4:])
}

// rawChunk is a structured reply as it came.
type rawChunk struct {
	Flags, Kind uint16
	Payload     []byte
}

func (w *raw) chunk(cookie uint64) rawChunk {
	w.t.Helper()
	b := w.read(20)
	if binary.BigEndian.Uint32(b) != 0x668e33ef || binary.BigEndian.Uint64(b[8:]) != cookie {
		w.t.Fatalf("not a chunk for %d: % x", cookie, b)
	}
	return rawChunk{binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:]), w.read(int(binary.BigEndian.Uint32(b[16:])))}
}

// result reads whatever answers a request and returns its error number.
func (w *raw) result(cookie uint64, structured bool) uint32 {
	w.t.Helper()
	magic := w.read(4)
	w.nc = &unread{Conn: w.nc, in: io.MultiReader(bytes.NewReader(magic), w.nc)}
	defer func(nc net.Conn) { w.nc = nc }(w.nc.(*unread).Conn)
	if !structured || binary.BigEndian.Uint32(magic) == 0x67446698 {
		return w.simple(cookie)
	}
	for {
		c := w.chunk(cookie)
		if c.Kind&(1<<15) != 0 {
			return binary.BigEndian.Uint32(c.Payload)
		}
		if c.Flags&1 != 0 {
			return 0
		}
	}
}

// unread is a connection that is read through something else.
type unread struct {
	net.Conn
	in io.Reader
}

func (u *unread) Read(p []byte) (int, error) { return u.in.Read(p) }
