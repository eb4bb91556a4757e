// Package nbdclient is a small client of the Network Block Device protocol: many calls at once over one connection,
// and no reconnecting, which is the caller's to decide.
package nbdclient

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Client is a connection to one export. All methods may be called by many goroutines at once. After an error of the
// connection every call fails with it.
type Client struct {
	nc   net.Conn
	info info

	sending sync.Mutex

	mu     sync.Mutex
	err    error // why the connection ended
	cookie uint64
	calls  map[uint64]*call
	done   chan struct{}
}

// info is what the handshake found out.
type info struct {
	size       int64
	flags      uint16
	most       uint32 // bytes of payload in one request
	structured bool
	contextID  uint32
	allocation bool
}

// Option changes what a client asks for.
type Option func(*wishes)

type wishes struct{ plain bool }

// Plain asks for simple replies only; there is no BlockStatus then.
func Plain() Option { return func(w *wishes) { w.plain = true } }

// ErrClosed is the error of calls after Close.
var ErrClosed = errors.New("nbd: the client was closed")

// Dial connects to an export by its URI. The context bounds connecting and the handshake, not what follows.
func Dial(ctx context.Context, uri string, opts ...Option) (*Client, error) {
	t, err := ParseURI(uri)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, t.Network, t.Address)
	if err != nil {
		return nil, fmt.Errorf("nbd: %w", err)
	}
	return New(ctx, nc, t.Export, opts...)
}

// New chooses an export over a connection, which it closes on failure.
func New(ctx context.Context, nc net.Conn, export string, opts ...Option) (*Client, error) {
	var w wishes
	for _, o := range opts {
		o(&w)
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	found, err := shake(nc, export, w)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		return nil, errors.Join(err, ctx.Err())
	}
	c := &Client{nc: nc, info: found, calls: make(map[uint64]*call), done: make(chan struct{})}
	go c.receive()
	return c, nil
}

// Size is the size of the export in bytes when the client connected.
func (c *Client) Size() int64 { return c.info.size }

// ReadOnly tells that the export takes no writes.
func (c *Client) ReadOnly() bool { return c.info.flags&flagReadOnly != 0 }

// HasBlockStatus tells that BlockStatus works.
func (c *Client) HasBlockStatus() bool { return c.info.allocation }

// Done is closed when the connection has ended; Err then says why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is why the connection ended, or nil.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// leaveTime is how long Close waits for a server that does not read.
const leaveTime = time.Second

// Close takes leave of the server and closes the connection. Calls under way fail with ErrClosed; it does not flush.
func (c *Client) Close() error {
	late := time.AfterFunc(leaveTime, func() { c.fail(ErrClosed) })
	defer late.Stop()
	c.sending.Lock()
	// The server may be gone already, and then there is nobody to take leave of.
	_, _ = c.nc.Write(header(cmdDisc, 0, 0, 0, 0))
	c.sending.Unlock()
	c.fail(ErrClosed)
	<-c.done
	return nil
}

// fail ends the connection for the first reason given. The receiver then ends the calls, so that none returns while its
// buffer may still be written to.
func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		c.nc.Close()
	}
}

// receive hands replies to their calls until the connection ends.
func (c *Client) receive() {
	defer close(c.done)
	r := &receiver{client: c, in: newReader(c.nc)}
	err := r.run()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	c.fail(fmt.Errorf("nbd: connection lost: %w", err))
	c.mu.Lock()
	defer c.mu.Unlock()
	for cookie, k := range c.calls {
		delete(c.calls, cookie)
		k.err = c.err
		close(k.done)
	}
}

func header(kind, flags uint16, cookie uint64, off int64, n uint32) []byte {
	b := make([]byte, 0, 28)
	b = binary.BigEndian.AppendUint32(b, magicRequest)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint64(b, cookie)
	b = binary.BigEndian.AppendUint64(b, uint64(off))
	return binary.BigEndian.AppendUint32(b, n)
}
