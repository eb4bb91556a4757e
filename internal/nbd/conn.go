package nbd

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// conn is one client, from the greeting to the end.
type conn struct {
	srv *Server
	nc  net.Conn
}

// cut ends the connection now. What it is doing in a device goes on until the device returns.
func (c *conn) cut() { c.nc.Close() }

// drain lets the connection finish what it has received and then end: no further byte is read.
func (c *conn) drain() { c.nc.SetReadDeadline(time.Unix(1, 0)) }

func (c *conn) serve() {
	defer c.nc.Close()
	err := c.run()
	if err == nil || gone(err) {
		return
	}
	c.srv.opt.Log.Warn("nbd: connection ended", "client", c.nc.RemoteAddr().String(), "error", err)
}

// gone tells a client that left, or was cut off by us, from one that broke the protocol.
func gone(err error) bool {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, io.ErrClosedPipe, os.ErrDeadlineExceeded, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (c *conn) run() error {
	late := time.AfterFunc(c.srv.opt.HandshakeTimeout, c.cut)
	h := newHandshake(c)
	choice, err := h.run()
	late.Stop()
	if err != nil || choice == nil {
		return err
	}
	defer c.srv.release(choice.export, c)
	enlarge(c.nc)
	return newTransmission(c, h.in, *choice).run()
}

// sendBuffer is how much may lie in a unix socket before its client has taken it. In the system's own 208 KiB a reply of 1 MiB
// goes in five steps, and for each of them one side waits for the other to wake up. TCP sizes its own.
const sendBuffer = 1 << 20

// enlarge gives a unix socket room for long replies, as far as the system lets it: less is only slower.
func enlarge(nc net.Conn) {
	u, ok := nc.(*net.UnixConn)
	if !ok {
		return
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
		}
	})
}
