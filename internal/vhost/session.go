package vhost

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// session is one front end, from its connection to its end. Messages are taken by one goroutine.
type session struct {
	export *export
	log    *slog.Logger
	watch  *Watch
	link   *link

	// What the front end has set up. It changes while no queue runs, or, the memory, while none has anything in flight.
	features     uint64
	protocol     uint64
	writeThrough bool // the driver does not know of flushes
	mem          *memory
	flights      *flights
	queues       [maxQueues]*queue

	closing   atomic.Bool
	large     chan struct{}  // one for each large buffer that is in use
	listeners sync.WaitGroup // goroutines that take requests

	backend sync.Mutex // guards notify
	notify  int        // a socket for messages of ours, -1 when the front end wants none

	left chan struct{} // closed when no message is taken any more
	over chan struct{} // closed when everything has ended
}

func newSession(e *export, conn *net.UnixConn, log *slog.Logger, watch *Watch) *session {
	s := &session{
		export: e, log: log, watch: watch, link: newLink(conn), writeThrough: true, notify: -1, left: make(chan struct{}), over: make(chan struct{}),
		large: make(chan struct{}, maxLarge),
	}
	for i := range s.queues {
		s.queues[i] = newQueue(s, i)
	}
	return s
}

// offered is what a driver may use.
func (s *session) offered() uint64 {
	f := featureSegMax | featureBlkSize | featureFlush | featureTopology | featureMQ |
		featureIndirect | featureEventIdx | featureProtocol | featureVersion1
	if s.export.readOnly() {
		return f | featureRO
	}
	return f | featureDiscard | featureWriteZeroes
}

// run serves the front end until it leaves or breaks the protocol. It returns when no request is in the device any more.
func (s *session) run() {
	defer close(s.over)
	s.listeners.Go(s.watchSize)
	err := s.receive()
	close(s.left)
	s.end()
	if !gone(err) {
		s.log.Warn("vhost: connection ended", "export", s.export.Name, "error", err)
	}
}

func (s *session) receive() error {
	for {
		m, err := s.link.receive()
		if err != nil {
			return err
		}
		err = s.take(m)
		m.close()
		if err != nil {
			return err
		}
	}
}

// gone tells a front end that left, or was cut off by us, from one that broke the protocol.
func gone(err error) bool {
	for _, e := range []error{io.EOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// quiesce takes no further request, lets those that were taken end and be answered, and leaves the connection.
func (s *session) quiesce() {
	s.closing.Store(true)
	for _, q := range s.queues {
		q.stop()
	}
}

// end gives back everything.
func (s *session) end() {
	s.closing.Store(true)
	s.link.conn.Close()
	for _, q := range s.queues {
		q.end()
	}
	s.listeners.Wait()
	s.mem.close()
	s.flights.close()
	s.setNotify(-1)
}

// take does what a message asks for. An error ends the connection.
func (s *session) take(m *message) error {
	body, fd, err := s.do(m)
	if fd >= 0 {
		defer unix.Close(fd)
	}
	switch {
	case body != nil:
		return errors.Join(err, s.link.reply(m.command, body, fd))
	case m.flags&flagNeedReply != 0 && s.protocol&protoReplyAck != 0:
		failed := uint64(0)
		if err != nil {
			failed = 1
		}
		return errors.Join(err, s.link.reply(m.command, u64Body(failed), -1))
	}
	return err
}

// do returns the body of a reply, for the messages that have one of their own, and a descriptor to go with it, or -1.
func (s *session) do(m *message) (body []byte, fd int, err error) {
	switch m.command {
	case getFeatures:
		return u64Body(s.offered()), -1, nil
	case getProtocolFeatures:
		return u64Body(protocolFeatures), -1, nil
	case getQueueNum:
		return u64Body(maxQueues), -1, nil
	case getVringBase:
		i, _, err := m.state()
		if err != nil {
			return nil, -1, err
		}
		return stateBody(i, uint32(s.queues[i].stop())), -1, nil
	case getConfig:
		body, err := s.config(m)
		return body, -1, err
	case getInflightFD:
		return s.makeFlights(m)
	}
	return nil, -1, s.set(m)
}

// set does what a message without a reply of its own asks for.
func (s *session) set(m *message) error {
	switch m.command {
	case setOwner, resetOwner: // the connection is the session
		return nil
	case setFeatures:
		return s.setFeatures(m)
	case setProtocolFeatures:
		v, err := m.u64()
		if err == nil && v&^protocolFeatures != 0 {
			err = broken("protocol features %#x", v)
		}
		s.protocol = v
		return err
	case setMemTable:
		return s.setMemory(m)
	case setInflightFD:
		return s.setFlights(m)
	case setBackendFD:
		return s.takeNotify(m)
	case setVringKick, setVringCall, setVringErr:
		return s.setVringFD(m)
	case setVringNum, setVringBase, setVringEnable:
		return s.setVringState(m)
	case setVringAddr:
		i, a, err := m.vringAddr()
		if err != nil {
			return err
		}
		return s.queues[i].set(func() { s.queues[i].addr = a })
	case setConfig:
		return nil // nothing in it can be written: the cache mode was not offered
	}
	return broken("message %d", m.command)
}

// running tells whether a queue is started.
func (s *session) running() bool {
	for _, q := range s.queues {
		if q.set(func() {}) != nil {
			return true
		}
	}
	return false
}

func (s *session) setFeatures(m *message) error {
	v, err := m.u64()
	if err != nil {
		return err
	}
	if v&^s.offered() != 0 {
		return broken("features %#x", v)
	}
	if s.running() {
		if v != s.features {
			return broken("features change while a queue runs")
		}
		return nil
	}
	s.features = v
	s.writeThrough = v&featureFlush == 0
	for _, q := range s.queues {
		if v&featureProtocol == 0 {
			q.setEnabled(true)
		}
	}
	return nil
}

func (s *session) setVringFD(m *message) error {
	i, fd, err := m.vringFD()
	if err != nil {
		return err
	}
	q := s.queues[i]
	if m.command == setVringKick {
		return q.setKick(fd)
	}
	if fd >= 0 {
		if err := event(fd); err != nil {
			unix.Close(fd)
			return err
		}
	}
	if m.command == setVringCall {
		q.setEvent(&q.call, fd)
		signal(fd) // the last may have been told of answers that nobody looked for
	} else {
		q.setEvent(&q.err, fd)
	}
	return nil
}

func (s *session) setVringState(m *message) error {
	i, v, err := m.state()
	if err != nil {
		return err
	}
	q := s.queues[i]
	switch {
	case m.command == setVringEnable:
		q.setEnabled(v != 0)
		return nil
	case m.command == setVringBase && v > 0xffff:
		return broken("base %d", v)
	case m.command == setVringBase:
		return q.set(func() { q.base, q.lastAvail, q.again = uint16(v), uint16(v), nil })
	case v == 0 || v > maxQueueSize || v&(v-1) != 0:
		return broken("a queue of %d", v)
	}
	return q.set(func() { q.num = uint16(v) })
}

// setMemory replaces the guest's memory, also under queues that run: they stand still meanwhile, with nothing in flight.
func (s *session) setMemory(m *message) error {
	places, err := m.memTable()
	if err != nil {
		return err
	}
	fresh, err := newMemory(places, m.fds)
	if err != nil {
		return err
	}
	for _, q := range s.queues {
		q.take.Lock()
		defer q.take.Unlock()
		q.done.Lock()
		q.await()
		q.done.Unlock()
	}
	for _, q := range s.queues {
		if err := q.move(fresh); err != nil {
			for _, q := range s.queues {
				q.started = false // some are in the new memory, and some in the old
			}
			fresh.close()
			return err
		}
	}
	s.mem.close()
	s.mem = fresh
	return nil
}

// config answers with a part of the configuration space.
func (s *session) config(m *message) ([]byte, error) {
	offset, size, err := m.config()
	if err != nil {
		return nil, err
	}
	var all [maxConfig]byte
	copy(all[:], configSpace(s.export.Device.Size()))
	return append(m.body[:12:12], all[offset:offset+size]...), nil
}

// makeFlights makes the memory in which requests in flight are written down.
func (s *session) makeFlights(m *message) (body []byte, fd int, err error) {
	a, err := m.inflight()
	if err != nil {
		return nil, -1, err
	}
	a.size, a.offset = a.each()*uint64(a.queues), 0
	if fd, err = newFlightFile(a); err != nil {
		return nil, -1, err
	}
	return a.body(), fd, nil
}

func (s *session) setFlights(m *message) error {
	a, err := m.inflight()
	if err != nil {
		return err
	}
	fd, err := m.takeFD()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if s.running() {
		return broken("memory for requests in flight comes while a queue runs")
	}
	fresh, err := openFlights(a, fd)
	if err != nil {
		return err
	}
	s.flights.close()
	s.flights = fresh
	return nil
}

// takeNotify keeps the socket over which the front end listens to us.
func (s *session) takeNotify(m *message) error {
	fd, err := m.takeFD()
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		unix.Close(fd)
		return broken("a channel that is no socket")
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return err
	}
	s.setNotify(fd)
	return nil
}

func (s *session) setNotify(fd int) {
	s.backend.Lock()
	defer s.backend.Unlock()
	if s.notify >= 0 {
		unix.Close(s.notify)
	}
	s.notify = fd
}

// sizeEvery is how soon a guest hears that its disk has grown.
const sizeEvery = time.Second

// watchSize tells the front end when the disk has grown, until that leaves.
func (s *session) watchSize() {
	known := s.export.Device.Size()
	every := time.NewTicker(sizeEvery)
	defer every.Stop()
	for {
		select {
		case <-s.left:
			return
		case <-every.C:
		}
		if size := s.export.Device.Size(); size != known && !s.closing.Load() {
			known = size
			s.resized()
		}
	}
}

// resized tells the front end that the configuration is another, if it wants to hear.
func (s *session) resized() {
	s.backend.Lock()
	defer s.backend.Unlock()
	if s.notify < 0 {
		return
	}
	// The front end may have made the socket one that blocks.
	message := appendMessage(nil, backendConfigChanged, flagVersion, nil)
	if _, err := unix.SendmsgN(s.notify, message, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL); err != nil {
		s.log.Warn("vhost: the front end does not hear that its disk has grown", "export", s.export.Name, "error", err)
	}
}
