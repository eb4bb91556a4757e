package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// listeners are where HTTPS is served.
type listeners struct {
	all []net.Listener
	// host and port for URLs that are handed out; names go into the certificate.
	host  string
	port  int
	names []string
}

// listen opens the address, and when it is 127.0.0.1 also [::1] at the same port: localhost may be looked up as either,
// and whoever had the other one would be sent our clients' secrets.
func listen(address string, log *slog.Logger) (*listeners, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", address, err)
	}
	const attempts = 20 // with port 0, for a port that is free on both
	for range attempts {
		l, retry, err := tryListen(address, host, log)
		if err == nil {
			return l, nil
		}
		if !retry {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no port is free on both 127.0.0.1 and [::1]")
}

func tryListen(address, host string, log *slog.Logger) (l *listeners, retry bool, err error) {
	first, err := net.Listen("tcp", address)
	if err != nil {
		return nil, false, err
	}
	port := first.Addr().(*net.TCPAddr).Port
	l = &listeners{all: []net.Listener{first}, port: port}
	l.host, l.names = naming(host)
	if host != "127.0.0.1" && !strings.EqualFold(host, "localhost") {
		return l, false, nil
	}
	second, err := net.Listen("tcp", net.JoinHostPort("::1", strconv.Itoa(port)))
	switch {
	case err == nil:
		l.all = append(l.all, second)
	case errors.Is(err, syscall.EADDRINUSE) && strings.HasSuffix(address, ":0"):
		return nil, true, errors.Join(err, first.Close())
	case errors.Is(err, syscall.EADDRINUSE) && first.Addr().(*net.TCPAddr).IP.To4() != nil:
		log.Warn("another program has this port at [::1]: clients that look localhost up as ::1 reach it instead", "port", port)
	default: // no IPv6 here: localhost has one meaning
	}
	return l, false, nil
}

// naming is the host in URLs, and every name that the certificate holds.
func naming(host string) (shown string, names []string) {
	names = []string{"localhost", "127.0.0.1", "::1"}
	self, err := os.Hostname()
	if err == nil && validName(self) {
		names = append(names, strings.ToLower(self))
	}
	ip := net.ParseIP(host)
	switch {
	case host == "" || ip != nil && ip.IsUnspecified():
		shown = "localhost"
		if len(names) > 3 {
			shown = names[3]
		}
		names = append(names, interfaceAddresses()...)
	case ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost"):
		shown = "localhost"
	case ip != nil:
		shown = ip.String()
	default:
		shown = strings.ToLower(host)
	}
	if !slices.Contains(names, shown) {
		names = append(names, shown)
	}
	return shown, names
}

func interfaceAddresses() (out []string) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil // the names that are known must do
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			out = append(out, n.IP.String())
		}
	}
	return out
}

func validName(s string) bool {
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, func(c rune) bool {
		return c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
}

// url is the origin that clients are told.
func (l *listeners) url() string {
	return "https://" + net.JoinHostPort(l.host, strconv.Itoa(l.port))
}

func (l *listeners) close() error {
	var err error
	for _, one := range l.all {
		if e := one.Close(); !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}
