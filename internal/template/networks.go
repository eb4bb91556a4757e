package template

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

func networkFunctions() map[string]function {
	return map[string]function{
		"parsecidr":  plain(1, 1, parseCIDR),
		"cidrsubnet": plain(3, 3, cidrSubnet),
		"cidrhost":   plain(2, 2, cidrHost),
	}
}

// prefixArg takes IPv4 alone; the functions' results for IPv6 are not needed by anything that is served here.
func prefixArg(args []any, n int) (netip.Prefix, error) {
	s, err := textArg(args, n)
	if err != nil {
		return netip.Prefix{}, err
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("'%.60s' is not an IPv4 range", s)
	}
	return p.Masked(), nil
}

func number4(a netip.Addr) uint64 { b := a.As4(); return uint64(binary.BigEndian.Uint32(b[:])) }

func addr4(n uint64) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b)
}

func parseCIDR(_ *evaluator, args []any) (any, error) {
	p, err := prefixArg(args, 0)
	if err != nil {
		return nil, err
	}
	size := uint64(1) << (32 - p.Bits())
	first := number4(p.Addr())
	last := first + size - 1
	out := map[string]any{
		"network": p.Addr().String(), "netmask": addr4(uint64(^uint32(0)) << (32 - p.Bits())).String(),
		"broadcast": addr4(last).String(), "firstUsable": addr4(first).String(), "lastUsable": addr4(last).String(), "cidr": int64(p.Bits()),
	}
	if p.Bits() < 31 {
		out["firstUsable"], out["lastUsable"] = addr4(first+1).String(), addr4(last-1).String()
	}
	return out, nil
}

func cidrSubnet(_ *evaluator, args []any) (any, error) {
	p, err := prefixArg(args, 0)
	if err != nil {
		return nil, err
	}
	bits, err := numberArg(args, 1)
	if err != nil {
		return nil, err
	}
	n, err := numberArg(args, 2)
	if err != nil {
		return nil, err
	}
	if bits < int64(p.Bits()) || bits > 32 || n < 0 || n >= 1<<(bits-int64(p.Bits())) {
		return nil, errors.New("the subnet is not in the range")
	}
	return fmt.Sprintf("%s/%d", addr4(number4(p.Addr())+uint64(n)<<(32-bits)), bits), nil
}

func cidrHost(_ *evaluator, args []any) (any, error) {
	p, err := prefixArg(args, 0)
	if err != nil {
		return nil, err
	}
	n, err := numberArg(args, 1)
	if err != nil {
		return nil, err
	}
	if n < 0 || n+1 >= 1<<(32-p.Bits()) {
		return nil, errors.New("the host is not in the range")
	}
	return addr4(number4(p.Addr()) + uint64(n) + 1).String(), nil
}
