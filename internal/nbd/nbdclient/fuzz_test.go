package nbdclient

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// tape is a server that says what was recorded: first the handshake, and after the first request the replies.
type tape struct {
	handshake, replies *bytes.Reader
	asked              chan struct{}
	once               sync.Once
}

func newTape(handshake, replies []byte) *tape {
	return &tape{handshake: bytes.NewReader(handshake), replies: bytes.NewReader(replies), asked: make(chan struct{})}
}

func (c *tape) Read(p []byte) (int, error) {
	if c.handshake.Len() > 0 {
		return c.handshake.Read(p)
	}
	if c.replies == nil {
		return 0, io.EOF
	}
	<-c.asked
	return c.replies.Read(p)
}

func (c *tape) Write(p []byte) (int, error) {
	if len(p) >= 4 && binary.BigEndian.Uint32(p) == magicRequest {
		c.once.Do(func() { close(c.asked) })
	}
	return len(p), nil
}

func (c *tape) Close() error                     { return nil }
func (c *tape) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (c *tape) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (c *tape) SetDeadline(time.Time) error      { return nil }
func (c *tape) SetReadDeadline(time.Time) error  { return nil }
func (c *tape) SetWriteDeadline(time.Time) error { return nil }

func answer(opt, kind uint32, data string) []byte {
	b := binary.BigEndian.AppendUint64(nil, magicOptionReply)
	b = binary.BigEndian.AppendUint32(b, opt)
	b = binary.BigEndian.AppendUint32(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

const (
	greeting  = "NBDMAGICIHAVEOPT\x00\x03"
	export1M  = "\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\xff\xff"
	context5  = "\x00\x00\x00\x05base:allocation"
	blockSize = "\x00\x03\x00\x00\x00\x01\x00\x00\x10\x00\x00\x01\x00\x00"
)

func agreeable() []byte {
	return bytes.Join([][]byte{
		[]byte(greeting), answer(optStructuredReply, repAck, ""),
		answer(optSetMetaContext, repMetaContext, context5), answer(optSetMetaContext, repAck, ""),
		answer(optGo, repInfo, export1M), answer(optGo, repInfo, blockSize), answer(optGo, repAck, ""),
	}, nil)
}

// TestServers negotiates with servers that offer little, and with some that are none.
func TestServers(t *testing.T) {
	join := func(parts ...[]byte) []byte { return append([]byte(greeting), bytes.Join(parts, nil)...) }
	unsup, ack := uint32(repError+1), uint32(repAck)
	goAnswers := append(answer(optGo, repInfo, export1M), answer(optGo, ack, "")...)
	for _, c := range []struct {
		name   string
		says   []byte
		err    string // part of it; empty: none
		status bool
	}{
		{"all", agreeable(), "", true},
		{"no structured replies", join(answer(optStructuredReply, unsup, "no"), goAnswers), "", false},
		{"no contexts", join(answer(optStructuredReply, ack, ""), answer(optSetMetaContext, unsup, ""), goAnswers), "", false},
		{"no such export", join(answer(optStructuredReply, unsup, ""), answer(optGo, repError+6, "gone")), "gone", false},
		{"no size", join(answer(optStructuredReply, unsup, ""), answer(optGo, ack, "")), "how large", false},
		{"negative size", join(answer(optStructuredReply, unsup, ""), answer(optGo, repInfo, "\x00\x00\xff"+export1M[3:])), "bytes", false},
		{"reply to another option", join(answer(77, ack, "")), "malformed", false},
		{"huge reply", join(answer(optStructuredReply, ack, strings.Repeat("x", maxOptionReply+1))), "malformed", false},
		{"endless replies", join(bytes.Repeat(answer(optStructuredReply, repInfo, "\x00\x09"), 1001)), "without end", false},
		{"old style", []byte("NBDMAGIC\x00\x00\x42\x02\x81\x86\x12\x53\x00\x00"), "newstyle", false},
		{"not fixed", []byte("NBDMAGICIHAVEOPT\x00\x02"), "fixed", false},
		{"something else", []byte("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), "newstyle", false},
		{"silence", nil, "EOF", false},
	} {
		tp := newTape(c.says, nil)
		tp.replies = nil
		got, err := shake(tp, "disk", wishes{})
		if c.err == "" && (err != nil || got.size != 1<<20 || got.allocation != c.status) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.err)
		}
	}
}

// FuzzHandshake gives the client any bytes for a server: it must give up or agree, in bounded memory.
func FuzzHandshake(f *testing.F) {
	f.Add(agreeable())
	f.Add([]byte(greeting))
	f.Fuzz(func(t *testing.T, says []byte) {
		tp := newTape(says, nil)
		tp.replies = nil
		got, err := shake(tp, "disk", wishes{})
		if err == nil && (got.size < 0 || got.most == 0 || got.most > maxPayload) {
			t.Errorf("%+v", got)
		}
	})
}

// FuzzReplies gives the client any bytes for the replies to a read and then to a block status: both must end, and a
// read that succeeds must have been told every byte.
func FuzzReplies(f *testing.F) {
	chunk := func(flags, kind uint16, cookie uint64, payload string) []byte {
		b := binary.BigEndian.AppendUint32(nil, magicStructured)
		b = binary.BigEndian.AppendUint16(b, flags)
		b = binary.BigEndian.AppendUint16(b, kind)
		b = binary.BigEndian.AppendUint64(b, cookie)
		b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
		return append(b, payload...)
	}
	const at512 = "\x00\x00\x00\x00\x00\x00\x02\x00"
	status := chunk(1, chunkBlockStatus, 2, "\x00\x00\x00\x05\x00\x00\x10\x00\x00\x00\x00\x03")
	f.Add(append(chunk(1, chunkData, 1, at512+"0123456789abcdef"), status...))
	f.Add(append(chunk(1, chunkHole, 1, at512+"\x00\x00\x00\x10"), status...))
	f.Add(chunk(1, chunkErrorBit|1, 1, "\x00\x00\x00\x05\x00\x02no"))
	f.Add([]byte("\x67\x44\x66\x98\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, says []byte) {
		c, err := New(context.Background(), newTape(agreeable(), says), "disk")
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 16)
		if n, err := c.ReadAt(p, 512); err == nil && (n != 16 || len(says) < 32) {
			t.Errorf("ReadAt = %d after %d bytes", n, len(says))
		}
		found, err := c.BlockStatus(0, 4096)
		end := int64(0)
		for _, e := range found {
			if e.Off != end || e.Len <= 0 {
				t.Errorf("extents %+v", found)
			}
			end = e.Off + e.Len
		}
		if err == nil && end != 4096 {
			t.Errorf("extents %+v", found)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
