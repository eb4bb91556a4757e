package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrStranger says that whoever listens on a socket is not the one whom the caller trusts.
var ErrStranger = errors.New("the socket belongs to somebody else")

const (
	nearTimeout = 15 * time.Second

	// nearBuffer is what a socket holds, in bytes: the fewer turns the two sides take, the better. The system may give less.
	nearBuffer = 1 << 20
)

// Near gives a client for signed URLs of the server at origin, such as https://localhost:8443, and on the same port below its domain for blobs, if
// it has one, that reaches it over its unix socket, without TLS: the kernel carries the bytes, and tells who listens. That must be the user whom the file trusted
// belongs to, which holds the server's secrets, or root, or the caller: ErrStranger else. Requests to other servers fail.
//
// An error means that the server is not reached this way, and nothing else.
func Near(ctx context.Context, socket, origin, domain, trusted string) (*http.Client, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" || u.Port() == "" {
		return nil, fmt.Errorf("%q is no server's origin", origin)
	}
	n := near{socket: socket, host: u.Host, port: u.Port(), domain: domain, trusted: trusted}
	first, err := n.dial(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	if err := first.Close(); err != nil {
		return nil, err
	}
	return &http.Client{Transport: nearTransport{&http.Transport{
		DialTLSContext:      n.dial,
		DialContext:         func(context.Context, string, string) (net.Conn, error) { return nil, errAnswer }, // never plain HTTP
		MaxIdleConnsPerHost: maxParallel,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true,
	}}}, nil
}

// nearTransport marks the clients that Near made.
type nearTransport struct{ *http.Transport }

func isNear(client *http.Client) bool {
	_, ok := client.Transport.(nearTransport)
	return ok
}

// near is a server on this machine.
type near struct{ socket, host, port, domain, trusted string }

// serves tells whether the address is the server's own.
func (n near) serves(address string) bool {
	return address == n.host || n.domain != "" && strings.HasSuffix(strings.ToLower(address), strings.ToLower("."+n.domain+":"+n.port))
}

// dial stands in for a TLS connection to address.
func (n near) dial(ctx context.Context, _, address string) (net.Conn, error) {
	if !n.serves(address) {
		return nil, fmt.Errorf("%w: %s is not the server of this machine", errAnswer, address)
	}
	ctx, cancel := context.WithTimeout(ctx, nearTimeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", n.socket)
	if err != nil {
		return nil, err
	}
	u := c.(*net.UnixConn)
	if err := n.known(u); err != nil {
		return nil, errors.Join(err, u.Close())
	}
	// A system that gives less is only slower.
	_ = u.SetReadBuffer(nearBuffer)
	_ = u.SetWriteBuffer(nearBuffer)
	return nearConn{u}, nil
}

// known refuses a socket that a stranger listens on, who would be sent signed URLs.
func (n near) known(u *net.UnixConn) error {
	info, err := os.Stat(n.trusted)
	if err != nil {
		return err
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) { peer, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, asked); err != nil {
		return err
	}
	if !trusts(peer.Uid, info.Sys().(*syscall.Stat_t).Uid, uint32(os.Geteuid())) {
		return fmt.Errorf("%s: %w, user %d", n.socket, ErrStranger, peer.Uid)
	}
	return nil
}

// trusts tells whether a peer may be sent signed URLs: root, the owner of the secrets, or ourselves.
func trusts(peer, owner, self uint32) bool { return peer == 0 || peer == owner || peer == self }

// nearConn sends bodies from where they are.
type nearConn struct{ *net.UnixConn }

// ReadFrom sends what is left of r. net/http calls it with the part of a body that its buffer did not take.
func (c nearConn) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(c.UnixConn, r)
	}
	p, ok := limited.R.(*payload)
	if !ok || p.file == nil {
		return io.Copy(c.UnixConn, r)
	}
	n, err := p.sendTo(c.UnixConn, limited.N)
	limited.N -= n
	return n, err
}
