package vhost

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// errProtocol is a front end that does what the protocol does not know, or numbers that cannot be.
var errProtocol = errors.New("vhost: the front end broke the protocol")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errProtocol}, args...)...)
}

// message is what came in one piece from the front end. Its descriptors are its own until they are taken.
type message struct {
	command command
	flags   uint32
	body    []byte
	fds     []int
}

// takeFD gives the only descriptor out of the message's hands.
func (m *message) takeFD() (int, error) {
	if len(m.fds) != 1 {
		return -1, broken("%d descriptors with message %d", len(m.fds), m.command)
	}
	fd := m.fds[0]
	m.fds = nil
	return fd, nil
}

// close closes the descriptors that nobody took.
func (m *message) close() {
	for _, fd := range m.fds {
		unix.Close(fd)
	}
	m.fds = nil
}

func (m *message) u64() (uint64, error) {
	if len(m.body) != 8 {
		return 0, broken("%d bytes in message %d", len(m.body), m.command)
	}
	return binary.LittleEndian.Uint64(m.body), nil
}

// state reads a vring state: which queue, and a number.
func (m *message) state() (index int, num uint32, err error) {
	if len(m.body) != 8 {
		return 0, 0, broken("%d bytes in message %d", len(m.body), m.command)
	}
	i := binary.LittleEndian.Uint32(m.body)
	if i >= maxQueues {
		return 0, 0, broken("queue %d", i)
	}
	return int(i), binary.LittleEndian.Uint32(m.body[4:]), nil
}

// vringFD reads which queue a descriptor is for; fd is -1 when there is none.
func (m *message) vringFD() (index, fd int, err error) {
	v, err := m.u64()
	if err != nil {
		return 0, -1, err
	}
	index = int(v & vringIndexMask)
	if index >= maxQueues {
		return 0, -1, broken("queue %d", index)
	}
	if v&vringNoFD != 0 {
		return index, -1, nil
	}
	fd, err = m.takeFD()
	return index, fd, err
}

// vringAddr is where the parts of a ring lie in the front end's own memory.
type vringAddr struct{ desc, used, avail uint64 }

func (m *message) vringAddr() (index int, a vringAddr, err error) {
	if len(m.body) != 40 {
		return 0, a, broken("%d bytes in message %d", len(m.body), m.command)
	}
	le := binary.LittleEndian
	i := le.Uint32(m.body)
	if i >= maxQueues {
		return 0, a, broken("queue %d", i)
	}
	return int(i), vringAddr{desc: le.Uint64(m.body[8:]), used: le.Uint64(m.body[16:]), avail: le.Uint64(m.body[24:])}, nil
}

// place is a region of guest memory as the front end tells of it.
type place struct{ guest, size, user, offset uint64 }

// memTable reads the regions of guest memory; there is a descriptor for each.
func (m *message) memTable() ([]place, error) {
	le := binary.LittleEndian
	if len(m.body) < 8 {
		return nil, broken("%d bytes in a memory table", len(m.body))
	}
	n := le.Uint32(m.body)
	if n > maxRegions || len(m.body) != 8+int(n)*32 || len(m.fds) != int(n) {
		return nil, broken("%d regions in %d bytes with %d descriptors", n, len(m.body), len(m.fds))
	}
	all := make([]place, n)
	for i := range all {
		b := m.body[8+i*32:]
		all[i] = place{guest: le.Uint64(b), size: le.Uint64(b[8:]), user: le.Uint64(b[16:]), offset: le.Uint64(b[24:])}
	}
	return all, nil
}

// config reads which part of the configuration space a message is about.
func (m *message) config() (offset, size uint32, err error) {
	if len(m.body) < 12 {
		return 0, 0, broken("%d bytes of configuration", len(m.body))
	}
	offset, size = binary.LittleEndian.Uint32(m.body), binary.LittleEndian.Uint32(m.body[4:])
	if size > maxConfig || offset > maxConfig || offset+size > maxConfig || len(m.body) != 12+int(size) {
		return 0, 0, broken("%d bytes of configuration at %d in %d", size, offset, len(m.body))
	}
	return offset, size, nil
}

// inflight reads the description of a buffer for requests under way.
func (m *message) inflight() (flightArea, error) {
	// The structure is padded to 24 bytes; some front ends leave the padding out.
	if len(m.body) != 20 && len(m.body) != 24 {
		return flightArea{}, broken("%d bytes about requests in flight", len(m.body))
	}
	le := binary.LittleEndian
	a := flightArea{
		size: le.Uint64(m.body), offset: le.Uint64(m.body[8:]),
		queues: le.Uint16(m.body[16:]), queueSize: le.Uint16(m.body[18:]),
	}
	if a.queues == 0 || a.queues > maxQueues || a.queueSize == 0 || a.queueSize > maxQueueSize {
		return flightArea{}, broken("%d queues of %d in flight", a.queues, a.queueSize)
	}
	return a, nil
}

// link is the connection to a front end. One goroutine receives; replies are sent by it too.
type link struct {
	conn *net.UnixConn
	oob  []byte
}

func newLink(conn *net.UnixConn) *link {
	return &link{conn: conn, oob: make([]byte, unix.CmsgSpace(4*maxFDs))}
}

// receive reads one message. On an error no descriptor is left open.
func (l *link) receive() (_ *message, err error) {
	m := &message{}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	var head [headerSize]byte
	if err := l.fill(head[:], m); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	m.command, m.flags = command(le.Uint32(head[:])), le.Uint32(head[4:])
	size := le.Uint32(head[8:])
	if m.flags&flagVersions != flagVersion || m.flags&flagReply != 0 || size > maxPayload {
		return nil, broken("message %d with flags %#x and %d bytes", m.command, m.flags, size)
	}
	m.body = make([]byte, size)
	if err := l.fill(m.body, m); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return m, nil
}

// fill reads until p is full, and keeps the descriptors that come along.
func (l *link) fill(p []byte, m *message) error {
	for got := 0; got < len(p); {
		n, oobn, flags, _, err := l.conn.ReadMsgUnix(p[got:], l.oob)
		if oobn > 0 {
			if e := m.keep(l.oob[:oobn]); e != nil && err == nil {
				err = e
			}
		}
		switch {
		case err != nil:
			return err
		case flags&unix.MSG_CTRUNC != 0:
			return broken("more than %d descriptors", maxFDs)
		case n == 0 && got > 0:
			return io.ErrUnexpectedEOF
		case n == 0:
			return io.EOF
		}
		got += n
	}
	return nil
}

// keep takes in what came beside the bytes.
func (m *message) keep(oob []byte) error {
	all, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	for _, c := range all {
		if fds, err := unix.ParseUnixRights(&c); err == nil {
			m.fds = append(m.fds, fds...)
		}
	}
	if len(m.fds) > maxFDs {
		return broken("%d descriptors", len(m.fds))
	}
	return nil
}

func appendMessage(b []byte, c command, flags uint32, body []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(c))
	b = le.AppendUint32(b, flags)
	b = le.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

// reply answers a message, with a descriptor unless fd is -1.
func (l *link) reply(c command, body []byte, fd int) error {
	var oob []byte
	if fd >= 0 {
		oob = unix.UnixRights(fd)
	}
	_, _, err := l.conn.WriteMsgUnix(appendMessage(nil, c, flagVersion|flagReply, body), oob, nil)
	return err
}

func u64Body(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

func stateBody(index int, num uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(index))
	return binary.LittleEndian.AppendUint32(b, num)
}
