package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

// newCeiling is a server that does as little as a server written in Go can: it copies between a connection and memory, and
// promises nothing. What it reaches is what the protocol leaves to reach.
func newCeiling(c config) *contestant {
	socket := socketPath(c, "ceiling")
	p := &contestant{name: ceiling, uri: "nbd+unix:///?socket=" + socket}
	disk := make([]byte, c.size)
	p.start = func(context.Context) (func() error, error) {
		if err := os.RemoveAll(socket); err != nil {
			return nil, err
		}
		l, err := net.Listen("unix", socket)
		if err != nil {
			return nil, err
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					if err := serveMemory(conn, disk); err != nil {
						fmt.Fprintln(os.Stderr, "peers: ceiling:", err)
					}
				}()
			}
		}()
		return l.Close, nil
	}
	return p
}

// The numbers are of https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md.
const (
	nbdMagic     = 0x4e42444d41474943
	optMagic     = 0x49484156454f5054
	optReply     = 0x3e889045565a9
	requestMagic = 0x25609513
	replyMagic   = 0x67446698

	optGo       = 7
	repAck      = 1
	repInfo     = 3
	repErrUnsup = 1<<31 | 1

	cmdRead  = 0
	cmdWrite = 1
	cmdDisc  = 2
	cmdFlush = 3
)

func serveMemory(conn net.Conn, disk []byte) error {
	defer conn.Close()
	r, w := bufio.NewReaderSize(conn, 1<<20), bufio.NewWriterSize(conn, 1<<20)
	if err := greet(r, w, uint64(len(disk))); err != nil {
		return err
	}
	var head [28]byte
	var reply [16]byte
	binary.BigEndian.PutUint32(reply[:], replyMagic)
	for {
		if r.Buffered() < len(head) { // nobody waits for more: let the answers go
			if err := w.Flush(); err != nil {
				return err
			}
		}
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		kind := binary.BigEndian.Uint16(head[6:])
		off, n := binary.BigEndian.Uint64(head[16:]), uint64(binary.BigEndian.Uint32(head[24:]))
		if binary.BigEndian.Uint32(head[:]) != requestMagic || off > uint64(len(disk)) || n > uint64(len(disk))-off {
			return errors.New("a request that cannot be")
		}
		copy(reply[8:], head[8:16])
		if kind == cmdWrite {
			if _, err := io.ReadFull(r, disk[off:off+n]); err != nil {
				return err
			}
		}
		if kind == cmdDisc {
			return nil
		}
		if _, err := w.Write(reply[:]); err != nil {
			return err
		}
		if kind == cmdRead {
			if _, err := w.Write(disk[off : off+n]); err != nil {
				return err
			}
		}
	}
}

// greet is the fixed newstyle handshake, with GO as the one option that is understood.
func greet(r *bufio.Reader, w *bufio.Writer, size uint64) error {
	const fixedNewstyle, noZeroes = 1, 2
	w.Write(binary.BigEndian.AppendUint64(nil, nbdMagic))
	w.Write(binary.BigEndian.AppendUint64(nil, optMagic))
	w.Write([]byte{0, fixedNewstyle | noZeroes})
	if err := w.Flush(); err != nil {
		return err
	}
	if _, err := r.Discard(4); err != nil {
		return err
	}
	for {
		var head [16]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		option, n := binary.BigEndian.Uint32(head[8:]), binary.BigEndian.Uint32(head[12:])
		if n > 4096 {
			return errors.New("an option that is too long")
		}
		if _, err := r.Discard(int(n)); err != nil {
			return err
		}
		if option != optGo {
			answer(w, option, repErrUnsup, nil)
			if err := w.Flush(); err != nil {
				return err
			}
			continue
		}
		const hasFlags, sendFlush, multiConn = 1, 4, 256
		info := binary.BigEndian.AppendUint64([]byte{0, 0}, size)
		answer(w, option, repInfo, binary.BigEndian.AppendUint16(info, hasFlags|sendFlush|multiConn))
		answer(w, option, repAck, nil)
		return w.Flush()
	}
}

func answer(w *bufio.Writer, option, kind uint32, data []byte) {
	b := binary.BigEndian.AppendUint64(nil, optReply)
	b = binary.BigEndian.AppendUint32(b, option)
	b = binary.BigEndian.AppendUint32(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	w.Write(append(b, data...)) // an error stays with the writer until Flush
}
