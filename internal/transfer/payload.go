package transfer

import (
	"bytes"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// payload is the body of a request: bytes in memory, or a part of a file, which a nearConn has the kernel send.
type payload struct {
	*io.SectionReader
	file *os.File // nil in memory
	base int64    // where in the file it begins
}

func inMemory(p []byte) func() *payload {
	return func() *payload {
		return &payload{SectionReader: io.NewSectionReader(bytes.NewReader(p), 0, int64(len(p)))}
	}
}

func inFile(f *os.File, s span) func() *payload {
	return func() *payload {
		return &payload{SectionReader: io.NewSectionReader(f, s.start, s.len()), file: f, base: s.start}
	}
}

// Close has nothing to do.
func (*payload) Close() error { return nil }

// sendPiece is how much the kernel is asked to send at once.
const sendPiece = 1 << 20

// sendTo sends the next n bytes of a file's part and tells how many it did.
func (p *payload) sendTo(c *net.UnixConn, n int64) (sent int64, err error) {
	out, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	at, err := p.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	file, err := p.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	off := p.base + at
	// A request that was given up may still be sending while the caller closes the file: its descriptor's number must not become
	// another file's meanwhile.
	held := file.Control(func(in uintptr) { sent, err = sendFile(out, int(in), off, n) })
	if err == nil {
		err = held
	}
	_, seek := p.Seek(sent, io.SeekCurrent)
	if err == nil {
		err = seek
	}
	return sent, err
}

// sendFile sends the n bytes at off of a file that stays open.
func sendFile(out syscall.RawConn, in int, off, n int64) (sent int64, err error) {
	failed := out.Write(func(fd uintptr) bool {
		for sent < n {
			var k int
			k, err = unix.Sendfile(int(fd), in, &off, int(min(n-sent, sendPiece)))
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN:
				err = nil
				return false // until there is room
			case err == nil && k == 0:
				err = io.ErrUnexpectedEOF // the file has become shorter
			}
			if err != nil {
				return true
			}
			sent += int64(k)
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return sent, err
}
