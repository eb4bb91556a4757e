// Package nbd is a server of the Network Block Device protocol: the protocol on one side, a block.Device on the other.
//
// It speaks fixed newstyle with structured replies, base:allocation, and qemu:dirty-bitmap: for what changed since older volumes. A connection has one goroutine that parses
// requests from a large buffer and serves at once what needs no media, and a bounded number of others for the rest, so
// that a slow flush or read holds up nobody. What a connection may hold in memory is bounded, and so is everything
// that a client sends.
package nbd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"
)

// Options say how a server behaves; the zero value is good.
type Options struct {
	// MaxConns is how many clients may be connected at once; a further one is closed at once. 0 means 1024.
	MaxConns int
	// HandshakeTimeout is how long a client may take to choose an export. 0 means 30 seconds.
	HandshakeTimeout time.Duration
	// Log takes what went wrong with clients and devices. nil discards it.
	Log *slog.Logger
	// Watch, when not nil, is told how long requests took.
	Watch *Watch
}

// Watch is told how long some requests took, one of 64 of each connection: from when a request was read until the device had
// answered. Both functions are called by many goroutines.
type Watch struct {
	Now  func() time.Time
	Took func(command string, d time.Duration)
}

// Errors of a server.
var (
	ErrExportExists  = errors.New("nbd: an export of this name exists")
	ErrExportUnknown = errors.New("nbd: no export of this name")
	ErrExportName    = errors.New("nbd: an export's name must be 1 to 4096 bytes of UTF-8 without NUL")
	ErrShutdown      = errors.New("nbd: the server was shut down")
)

// Server serves exports to clients. Its methods may be called by many goroutines.
type Server struct {
	opt     Options
	buffers buffers
	tasks   tasks

	mu        sync.Mutex
	closing   bool
	exports   map[string]*export
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	running   sync.WaitGroup // one for each of conns
}

// NewServer returns a server without exports. Nothing runs until Serve.
func NewServer(opt Options) *Server {
	if opt.MaxConns == 0 {
		opt.MaxConns = 1024
	}
	if opt.HandshakeTimeout == 0 {
		opt.HandshakeTimeout = 30 * time.Second
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		opt: opt, exports: make(map[string]*export),
		listeners: make(map[net.Listener]struct{}), conns: make(map[*conn]struct{}),
	}
}

// Add offers a device under a name. The device must stay open until Remove or Shutdown has returned; the server never
// closes it.
func (s *Server) Add(e Export) error {
	if !validName(e.Name) {
		return ErrExportName
	}
	if len(e.Description) > maxString || !utf8.ValidString(e.Description) {
		return errors.New("nbd: an export's description must be at most 4096 bytes of UTF-8")
	}
	if err := e.checkBitmaps(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return ErrShutdown
	}
	if s.exports[e.Name] != nil {
		return fmt.Errorf("%w: %q", ErrExportExists, e.Name)
	}
	s.exports[e.Name] = &export{Export: e, conns: make(map[*conn]struct{})}
	return nil
}

// Remove takes an export back: it cuts the connections to it, without waiting for what their clients still want, and
// returns once no request touches the device. Its writes that were answered stay what they are.
func (s *Server) Remove(name string) error {
	s.mu.Lock()
	e := s.exports[name]
	if e == nil {
		s.mu.Unlock()
		return fmt.Errorf("%w: %q", ErrExportUnknown, name)
	}
	delete(s.exports, name)
	for c := range e.conns {
		c.cut()
	}
	s.mu.Unlock()
	e.users.Wait()
	return nil
}

// Serve accepts clients from l until Shutdown, then returns nil; it returns early when l fails. It closes l.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return ErrShutdown
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			s.start(nc)
		case s.isClosing():
			return nil
		case transientAccept(err):
			s.opt.Log.Warn("nbd: cannot accept a client now", "error", err)
			time.Sleep(50 * time.Millisecond)
		default:
			return fmt.Errorf("nbd: accept: %w", err)
		}
	}
}

// transientAccept tells errors that pass, such as having too many files open, from a listener that is gone.
func transientAccept(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// start runs a connection in goroutines of its own, or closes it when there are too many.
func (s *Server) start(nc net.Conn) {
	c := &conn{srv: s, nc: nc}
	s.mu.Lock()
	refused := s.closing || len(s.conns) >= s.opt.MaxConns
	if !refused {
		s.conns[c] = struct{}{}
		s.running.Add(1)
	}
	s.mu.Unlock()
	if refused {
		s.opt.Log.Warn("nbd: client refused", "connections", s.opt.MaxConns)
		nc.Close()
		return
	}
	go func() {
		defer s.running.Done()
		c.serve()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
}

// Shutdown stops accepting clients, lets the requests that have arrived finish and their replies leave, and closes all
// connections. When ctx ends first, it cuts what is left and returns the context's error; a device call that never
// returns is not waited for then. Removing the exports is not needed afterwards.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.drain()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.cut()
	}
	s.mu.Unlock()
	return ctx.Err()
}

// find returns the export of a name and counts the connection among its users until release. The empty name means the
// only export, if there is exactly one.
func (s *Server) find(name string, c *conn) *export {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.exports[name]
	if name == "" && len(s.exports) == 1 {
		for _, only := range s.exports {
			e = only
		}
	}
	if e == nil {
		return nil
	}
	e.users.Add(1)
	e.conns[c] = struct{}{}
	return e
}

// release ends what find began.
func (s *Server) release(e *export, c *conn) {
	s.mu.Lock()
	delete(e.conns, c)
	s.mu.Unlock()
	e.users.Done()
}

// list returns the exports in the order of their names.
func (s *Server) list() []Export {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Export, 0, len(s.exports))
	for _, e := range s.exports {
		all = append(all, e.Export)
	}
	slices.SortFunc(all, func(a, b Export) int { return strings.Compare(a.Name, b.Name) })
	return all
}
