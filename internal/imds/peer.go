package imds

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// established is the state of a connection of which both ends are open. In others the kernel tells 0 for the user, who is
// root.
const established = "01"

// lookups is how often the kernel's tables are read: they may change while they are, and rows be passed over.
const lookups = 3

var errNoPeer = errors.New("the other end of the connection is no open socket of this machine")

// owner finds whose process on this machine opened the socket at the other end of a connection: the kernel's word for it, not
// the caller's. There is no owner of a connection from another machine, nor of one whose other end was closed.
func owner(client, server netip.AddrPort) (uid uint32, err error) {
	for i := range lookups {
		if i > 0 {
			time.Sleep(5 * time.Millisecond)
		}
		for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
			if uid, err = ownerIn(table, client, server); err == nil {
				return uid, nil
			}
			if !errors.Is(err, errNoPeer) && !errors.Is(err, os.ErrNotExist) {
				return 0, err
			}
		}
	}
	return 0, errNoPeer
}

func ownerIn(table string, client, server netip.AddrPort) (uint32, error) {
	f, err := os.Open(table)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return findOwner(f, client, server)
}

// findOwner reads a table of sockets as proc_net_tcp(5) has it, for the one that is the client's.
func findOwner(table io.Reader, client, server netip.AddrPort) (uint32, error) {
	client, server = plain(client), plain(server)
	lines := bufio.NewScanner(table)
	lines.Scan() // headings
	for lines.Scan() {
		const local, remote, state, user = 1, 2, 3, 7
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[state] != established {
			continue
		}
		from, err := parseAddress(f[local])
		if err != nil {
			return 0, err
		}
		to, err := parseAddress(f[remote])
		if err != nil {
			return 0, err
		}
		if from != client || to != server {
			continue
		}
		uid, err := strconv.ParseUint(f[user], 10, 32)
		return uint32(uid), err
	}
	return 0, errors.Join(lines.Err(), errNoPeer)
}

// plain is an address in its one form: an IPv6 socket may speak IPv4.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// parseAddress reads "0100007F:1F90": the address as the words of the machine's memory, the port as a number.
func parseAddress(s string) (netip.AddrPort, error) {
	address, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(address)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, fmt.Errorf("not a socket's address: %.60q", s)
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("not a socket's address: %.60q", s)
	}
	ip, _ := netip.AddrFromSlice(b)
	return plain(netip.AddrPortFrom(ip, uint16(n))), nil
}
