package nbdclient

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Target is where an export is.
type Target struct {
	Network string // "unix" or "tcp"
	Address string // path of a socket, or host:port
	Export  string
}

const defaultPort = "10809"

// ParseURI reads nbd+unix:///EXPORT?socket=PATH and nbd://HOST[:PORT]/EXPORT.
func ParseURI(s string) (Target, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Target{}, fmt.Errorf("nbd: %w", err)
	}
	t := Target{Export: strings.TrimPrefix(u.Path, "/")}
	switch u.Scheme {
	case "nbd+unix":
		t.Network, t.Address = "unix", u.Query().Get("socket")
		if t.Address == "" {
			return Target{}, fmt.Errorf("nbd: %q names no socket", s)
		}
		if u.Host != "" {
			return Target{}, fmt.Errorf("nbd: %q has a host and a socket", s)
		}
	case "nbd":
		if u.Hostname() == "" {
			return Target{}, fmt.Errorf("nbd: %q names no host", s)
		}
		port := u.Port()
		if port == "" {
			port = defaultPort
		}
		t.Network, t.Address = "tcp", net.JoinHostPort(u.Hostname(), port)
	default:
		return Target{}, fmt.Errorf("nbd: %q: scheme %q is not spoken here", s, u.Scheme)
	}
	return t, nil
}
