// Package vhost is the back end of vhost-user-blk: virtual machines have their disks' queues in memory that this process shares
// with them, and no protocol in between. On one side there are the vhost-user messages of the machine's front end, QEMU for
// instance, and virtio's split rings; on the other a block.Device.
//
// Each export has a socket of its own, with one front end at a time. The guest is not trusted: every address and length is
// checked, what is used twice is copied first, and data goes through memory of our own, so that nothing that changes
// meanwhile matters. A driver that breaks the rules has its queue stopped; memory that vanishes is an error of the request.
package vhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"tintype/internal/block"
)

// Options say how a server behaves.
type Options struct {
	// Listen opens the socket of an export; only who may use the export's device must be able to connect to it. The server
	// closes it.
	Listen func(name string) (net.Listener, error)
	// Log takes what went wrong with front ends and devices. nil discards it.
	Log *slog.Logger
	// Watch, when not nil, is told how long requests took.
	Watch *Watch
}

// Watch is told how long some requests took, one of 64 of each queue, from when it was read until it was answered. Both functions
// are called by many goroutines.
type Watch struct {
	Now  func() time.Time
	Took func(command string, d time.Duration)
}

// Errors of a server.
var (
	ErrExportExists  = errors.New("vhost: an export of this name exists")
	ErrExportUnknown = errors.New("vhost: no export of this name")
	ErrShutdown      = errors.New("vhost: the server was shut down")
)

// Export is a device under a name.
type Export struct {
	Name     string // also, without dashes, what guests see as the disk's serial number
	Device   block.Device
	ReadOnly bool // refuse writes even where the device would take them
}

// Server serves exports. Its methods may be called by many goroutines.
type Server struct {
	opt  Options
	pool sync.Pool // of buffers of pieceSize

	mu      sync.Mutex
	closing bool
	exports map[string]*export
}

// export is an Export with its socket, and who uses it.
type export struct {
	Export
	listener net.Listener
	pool     *sync.Pool // of buffers

	mu       sync.Mutex
	closing  bool
	session  *session // nil when there is no front end
	accepted sync.WaitGroup
}

// NewServer returns a server without exports.
func NewServer(opt Options) *Server {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{opt: opt, exports: make(map[string]*export)}
}

func (e *export) readOnly() bool { return e.ReadOnly || e.Device.ReadOnly() }

// id is the serial number that guests see.
func (e *export) id() string { return strings.ReplaceAll(e.Name, "-", "") }

// Add opens a socket for a device, and serves there. The device must stay open until Remove or Shutdown has returned; the server
// never closes it.
func (s *Server) Add(x Export) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return ErrShutdown
	case s.exports[x.Name] != nil:
		return fmt.Errorf("%w: %q", ErrExportExists, x.Name)
	}
	l, err := s.opt.Listen(x.Name)
	if err != nil {
		return fmt.Errorf("vhost: %w", err)
	}
	e := &export{Export: x, listener: l, pool: &s.pool}
	s.exports[x.Name] = e
	e.accepted.Go(func() { s.accept(e) })
	return nil
}

// accept takes front ends until the socket is closed.
func (s *Server) accept(e *export) {
	for {
		nc, err := e.listener.Accept()
		e.mu.Lock()
		closing := e.closing
		e.mu.Unlock()
		switch {
		case err == nil:
			s.welcome(e, nc)
		case closing || errors.Is(err, net.ErrClosed):
			return
		default:
			s.opt.Log.Warn("vhost: cannot accept a front end now", "export", e.Name, "error", err)
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// welcome begins a session, or closes a connection that comes while there is another: a guest has its disk to itself.
func (s *Server) welcome(e *export, nc net.Conn) {
	conn, ok := nc.(*net.UnixConn)
	free := e.free()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !ok || !free || e.closing {
		if !e.closing {
			s.opt.Log.Warn("vhost: a second front end was refused", "export", e.Name)
		}
		nc.Close()
		return
	}
	x := newSession(e, conn, s.opt.Log, s.opt.Watch)
	e.session = x
	e.accepted.Go(x.run)
}

// leaveTime is how long a front end may take to go when the next is there.
const leaveTime = time.Second

// free waits for a session that is ending, and reports whether the export has none then.
func (e *export) free() bool {
	e.mu.Lock()
	x := e.session
	e.mu.Unlock()
	if x == nil {
		return true
	}
	select {
	case <-x.over:
		return true
	case <-time.After(leaveTime):
	}
	if !x.closing.Load() {
		return false
	}
	<-x.over // what it began is in the device still
	return true
}

// Remove takes an export back: it takes no further request of the guest, answers those that it has taken, closes the connection
// and returns once no request touches the device.
func (s *Server) Remove(name string) error {
	s.mu.Lock()
	e := s.exports[name]
	delete(s.exports, name)
	s.mu.Unlock()
	if e == nil {
		return fmt.Errorf("%w: %q", ErrExportUnknown, name)
	}
	e.end()
	return nil
}

func (e *export) end() {
	e.mu.Lock()
	e.closing = true
	x := e.session
	e.mu.Unlock()
	e.listener.Close()
	if x != nil {
		x.quiesce()
		x.link.conn.Close()
	}
	e.accepted.Wait()
}

// Shutdown removes all exports, and lets none be added any more. When ctx ends first it returns the context's error; a device call
// that never returns is not waited for then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	var ends sync.WaitGroup
	for name, e := range s.exports {
		delete(s.exports, name)
		ends.Go(e.end)
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		ends.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
