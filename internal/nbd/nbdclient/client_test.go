package nbdclient_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"tintype/internal/nbd/nbdclient"
)

// script plays a server: it greets, agrees to everything, offers 1 MiB, and then answers each request with what reply
// makes of its cookie. nil says goodbye.
func script(t *testing.T, nc net.Conn, reply func(cookie uint64) []byte) {
	defer nc.Close()
	nc.Write(unhex(t, "4e42444d41474943 49484156454f5054 0003"))
	io.ReadFull(nc, make([]byte, 4))
	for {
		head := make([]byte, 16)
		if _, err := io.ReadFull(nc, head); err != nil {
			return
		}
		io.ReadFull(nc, make([]byte, binary.BigEndian.Uint32(head[12:])))
		opt := hex.EncodeToString(head[8:12])
		switch opt {
		case "0000000a":
			nc.Write(unhex(t, "0003e889045565a9"+opt+"00000004 00000013 00000005"+hex.EncodeToString([]byte("base:allocation"))))
		case "00000007":
			nc.Write(unhex(t, "0003e889045565a9"+opt+"00000003 0000000c 0000 0000000000100000 ffff"))
		}
		nc.Write(unhex(t, "0003e889045565a9"+opt+"00000001 00000000"))
		if opt == "00000007" {
			break
		}
	}
	for {
		head := make([]byte, 28)
		if _, err := io.ReadFull(nc, head); err != nil {
			return
		}
		b := reply(binary.BigEndian.Uint64(head[8:]))
		if b == nil {
			return
		}
		nc.Write(b)
	}
}

func unhex(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Error(err)
	}
	return b
}

func connect(t *testing.T, reply func(cookie uint64) []byte) *nbdclient.Client {
	t.Helper()
	ours, theirs := net.Pipe()
	go script(t, theirs, reply)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := nbdclient.New(ctx, ours, "disk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func cookieHex(c uint64) string { return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, c)) }

// TestMalformedReplies gives a read of 16 bytes at 512 replies that must end the connection, not the program, and must
// not pass as data.
func TestMalformedReplies(t *testing.T) {
	const chunk = "668e33ef"
	data := "0000000000000200 00112233445566778899aabbccddeeff"
	for name, reply := range map[string]func(cookie string) string{
		"wrong magic":       func(c string) string { return "12345678" + c + c },
		"simple, not chunk": func(c string) string { return "67446698 00000000" + c },
		"unknown cookie":    func(string) string { return "67446698 00000005 ffffffffffffffff" },
		"too little":        func(c string) string { return chunk + "0001 0000" + c + "00000000" },
		"before the range":  func(c string) string { return chunk + "0001 0001" + c + "00000018 00000000000001ff" + data[16:] },
		"behind the range":  func(c string) string { return chunk + "0001 0001" + c + "00000018 0000000000000201" + data[16:] },
		"far off":           func(c string) string { return chunk + "0001 0001" + c + "00000018 ffffffffffffffff" + data[16:] },
		"too long":          func(c string) string { return chunk + "0001 0001" + c + "ffffffff" + data },
		"empty data":        func(c string) string { return chunk + "0001 0001" + c + "00000008 0000000000000200" },
		"no offset":         func(c string) string { return chunk + "0001 0001" + c + "00000004 00000000" },
		"twice": func(c string) string {
			return chunk + "0000 0001" + c + "00000018" + data + chunk + "0001 0001" + c + "00000018" + data
		},
		"huge hole":          func(c string) string { return chunk + "0001 0002" + c + "0000000c 0000000000000200 ffffffff" },
		"hole of 0":          func(c string) string { return chunk + "0001 0002" + c + "0000000c 0000000000000200 00000000" },
		"status for a read":  func(c string) string { return chunk + "0001 0005" + c + "0000000c 00000005 00000010 00000000" },
		"error 0":            func(c string) string { return chunk + "0001 8001" + c + "00000006 00000000 0000" },
		"error's long words": func(c string) string { return chunk + "0001 8001" + c + "00000006 00000005 0001" },
		"huge error":         func(c string) string { return chunk + "0001 8001" + c + "ffffffff" },
		"none with payload":  func(c string) string { return chunk + "0001 0000" + c + "00000004 00000000" },
		"hang up":            func(string) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t, func(cookie uint64) []byte {
				b := unhex(t, reply(cookieHex(cookie)))
				if len(b) == 0 {
					return nil
				}
				return b
			})
			n, err := c.ReadAt(make([]byte, 16), 512)
			if err == nil || n != 0 {
				t.Errorf("ReadAt = %d, %v", n, err)
			}
			var refused *nbdclient.Error
			if errors.As(err, &refused) {
				t.Errorf("%v passes for an answer of the server", err)
			}
			<-c.Done()
			if err := c.Flush(); err == nil {
				t.Error("a call after the connection's end succeeds")
			}
		})
	}
}

func TestCloseEndsCalls(t *testing.T) {
	asked := make(chan struct{})
	c := connect(t, func(uint64) []byte { close(asked); select {} })
	failed := make(chan error, 1)
	go func() {
		_, err := c.ReadAt(make([]byte, 16), 0)
		failed <- err
	}()
	<-asked
	ended := make(chan struct{})
	go func() { c.Close(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("Close hangs behind a server that does not read")
	}
	if err := <-failed; !errors.Is(err, nbdclient.ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}

func TestHandshakeTimeout(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := nbdclient.New(ctx, ours, "disk"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want DeadlineExceeded", err)
	}
}
