package nbd_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tintype/internal/block/blocktest"
	"tintype/internal/nbd"
)

const (
	eperm     = 1
	einval    = 22
	enospc    = 28
	eoverflow = 75
	enotsup   = 95
)

// badRequests are requests of one kind each that the protocol forbids, and the answers it asks for, on an export of
// 1 MiB with structured replies and base:allocation.
var badRequests = []struct {
	name        string
	flags, kind uint16
	off         uint64
	n           uint32
	want        uint32
}{
	{"unknown command", 0, 8, 0, 512, einval},
	{"last command", 0, math.MaxUint16, 0, 512, einval},
	{"unknown flag", 1 << 15, 0, 0, 512, einval},
	{"write, flag of read", 1 << 2, 1, 0, 512, einval},
	{"read, flag of zeroes", 1 << 1, 0, 0, 512, einval},
	{"read, flag of status", 1 << 3, 0, 0, 512, einval},
	{"trim, fast zero", 1 << 4, 4, 0, 512, einval},
	{"cache, unknown flag", 1 << 6, 5, 0, 512, einval},
	{"write, payload length flag", 1 << 5, 1, 0, 512, einval},
	{"flush with offset", 0, 3, 512, 0, einval},
	{"flush with length", 0, 3, 0, 512, einval},
	{"read across the end", 0, 0, 1<<20 - 512, 513, einval},
	{"read behind the end", 0, 0, 1<<20 + 1, 1, einval},
	{"read far off", 0, 0, math.MaxUint64, 1, einval},
	{"read that wraps", 0, 0, math.MaxUint64 - 511, 1024, einval},
	{"read at 2^63", 0, 0, 1 << 63, 512, einval},
	{"write across the end", 0, 1, 1<<20 - 512, 1024, enospc},
	{"write behind the end", 0, 1, 1 << 20, 512, enospc},
	{"write far off", 0, 1, math.MaxUint64 - 511, 4096, enospc},
	{"write of 1 MiB behind the end", 0, 1, 1 << 40, 1 << 20, enospc},
	{"write of more than 32 MiB", 0, 1, 0, 33 << 20, enospc},
	{"zeroes across the end", 0, 6, 512, 1 << 20, enospc},
	{"zeroes of 4 GiB", 0, 6, 0, math.MaxUint32, enospc},
	{"trim across the end", 0, 4, 512, 1 << 20, einval},
	{"cache behind the end", 0, 5, 1 << 20, 1, einval},
	{"status behind the end", 0, 7, 1 << 20, 1, einval},
	{"status across the end", 0, 7, 0, 1<<20 + 1, einval},
	{"status of nothing", 0, 7, 0, 0, einval},
	{"read behind the end, don't fragment", 1 << 2, 0, 1 << 20, 512, einval},
	{"mapped zeroes, fast", 1<<4 | 1<<1, 6, 0, 4096, enotsup},
	{"FUA does not hurt a read", 1, 0, 0, 512, 0},
	{"empty read", 0, 0, 512, 0, 0},
	{"empty write", 0, 1, 512, 0, 0},
	{"empty trim", 0, 4, 1 << 20, 0, 0},
	{"empty zeroes", 1, 6, 0, 0, 0},
	{"fast zeroes", 1 << 4, 6, 512, 5000, 0},
	{"cache", 0, 5, 100, 1<<20 - 100, 0},
}

// TestBadRequests sends all of them over one connection, each followed by a good one: the server must say what is
// wrong, and stay in step.
func TestBadRequests(t *testing.T) {
	for _, structured := range []bool{true, false} {
		t.Run(fmt.Sprintf("structured=%t", structured), func(t *testing.T) {
			mem := blocktest.NewMem(1 << 20)
			w := goRaw(t, serve(t, mem), "disk", structured)
			for i, r := range badRequests {
				if !structured && (r.kind == 7 || r.flags == 1<<2) {
					r.want = einval
				}
				cookie := uint64(i)<<32 | 7
				b := requestBytes(r.flags, r.kind, cookie, r.off, r.n)
				if r.kind == 1 {
					b = append(b, bytes.Repeat([]byte{0xee}, int(r.n))...)
				}
				w.write(b)
				if r.kind == 0 && r.want == 0 && !structured {
					w.simple(cookie)
					w.read(int(r.n))
				} else if got := w.result(cookie, structured); got != r.want {
					t.Errorf("%s: error %d, want %d", r.name, got, r.want)
				}
				w.request(0, 3, 1, 0, 0)
				if got := w.result(1, structured); got != 0 {
					t.Fatalf("%s: a flush after it fails with %d", r.name, got)
				}
			}
			got := make([]byte, 1<<20)
			if _, err := mem.ReadAt(got, 0); err != nil || bytes.ContainsAny(got, "\xee") {
				t.Errorf("a refused write changed the device, error %v", err)
			}
		})
	}
}

// TestOversized asks for more than the server takes, on an export that has it.
func TestOversized(t *testing.T) {
	socket := serve(t, blocktest.NewMem(8<<30))
	w := goRaw(t, socket, "disk", true)
	w.request(0, 0, 1, 0, 32<<20+1)
	if got := w.result(1, true); got != eoverflow {
		t.Errorf("read of 32 MiB + 1: error %d, want EOVERFLOW", got)
	}
	w.write(append(requestBytes(0, 1, 2, 0, 32<<20+512), make([]byte, 32<<20+512)...))
	if got := w.result(2, true); got != einval {
		t.Errorf("write of 32 MiB + 512: error %d, want EINVAL", got)
	}
	w.request(0, 0, 3, 0, 32<<20)
	if got := w.result(3, true); got != 0 {
		t.Errorf("read of 32 MiB: error %d", got)
	}
	w.write(append(requestBytes(0, 1, 4, 1<<32, 32<<20), make([]byte, 32<<20)...))
	if got := w.result(4, true); got != 0 {
		t.Errorf("write of 32 MiB: error %d", got)
	}
	w.request(0, 1, 5, 0, math.MaxUint32)
	w.wantEnd()
}

func TestBadMagic(t *testing.T) {
	w := goRaw(t, serve(t, blocktest.NewMem(1<<20)), "disk", false)
	w.write(append([]byte{0x25, 0x60, 0x95, 0x14}, make([]byte, 24)...))
	w.wantEnd()
}

func TestReadOnlyRefusals(t *testing.T) {
	mem := blocktest.NewMem(1 << 20)
	_, socket := serveExports(t, nbd.Export{Name: "disk", Device: mem, ReadOnly: true})
	w := goRaw(t, socket, "disk", true)
	for kind, want := range map[uint16]uint32{1: eperm, 4: eperm, 6: eperm, 3: 0, 0: 0, 5: 0, 7: 0} {
		b := requestBytes(0, kind, 9, 0, 4096)
		switch kind {
		case 1:
			b = append(b, make([]byte, 4096)...)
		case 3:
			b = requestBytes(0, kind, 9, 0, 0)
		}
		w.write(b)
		if got := w.result(9, true); got != want {
			t.Errorf("command %d: error %d, want %d", kind, got, want)
		}
	}
}

// TestDisconnect sends requests and takes leave in one go: all are done and answered before the connection ends.
func TestDisconnect(t *testing.T) {
	mem := blocktest.NewMem(1 << 20)
	w := goRaw(t, serve(t, mem), "disk", false)
	var b []byte
	for i := range uint64(20) {
		b = append(b, requestBytes(1, 1, i, i*5000, 4096)...)
		b = append(b, bytes.Repeat([]byte{byte(i + 1)}, 4096)...)
	}
	w.write(append(b, requestBytes(0, 2, 0, 0, 0)...))
	seen := map[uint64]bool{}
	for range 20 {
		r := w.read(16)
		seen[binary.BigEndian.Uint64(r[8:])] = true
		if e := binary.BigEndian.Uint32(r[4:]); e != 0 {
			t.Errorf("error %d", e)
		}
	}
	w.wantEnd()
	for i := range uint64(20) {
		p := make([]byte, 1)
		if _, err := mem.ReadAt(p, int64(i*5000)); err != nil || p[0] != byte(i+1) || !seen[i] {
			t.Errorf("write %d: byte %d, error %v, answered %t", i, p[0], err, seen[i])
		}
	}
}

// TestChunks reads across data and holes and looks at how the reply is cut.
func TestChunks(t *testing.T) {
	mem := blocktest.NewMem(1 << 20)
	if _, err := mem.WriteAt(bytes.Repeat([]byte{5}, 4096), 256<<10); err != nil {
		t.Fatal(err)
	}
	w := goRaw(t, serve(t, mem), "disk", true)
	w.request(0, 0, 1, 100, 1<<20-100)
	hole := func(off uint64, n uint32) []byte {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, off), n)
	}
	data := append(binary.BigEndian.AppendUint64(nil, 256<<10), bytes.Repeat([]byte{5}, 4096)...)
	want := []rawChunk{{0, 2, hole(100, 256<<10-100)}, {0, 1, data}, {1, 2, hole(260<<10, 764<<10)}}
	if diff := cmp.Diff(want, []rawChunk{w.chunk(1), w.chunk(1), w.chunk(1)}); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	w.request(1<<2, 0, 2, 100, 1<<20-100)
	if c := w.chunk(2); c.Kind != 1 || c.Flags != 1 || len(c.Payload) != 8+1<<20-100 {
		t.Errorf("don't fragment: chunk of type %d, flags %d, %d bytes", c.Kind, c.Flags, len(c.Payload))
	}
}

// TestBlockStatus asks about a device whose data alternates, with and without REQ_ONE.
func TestBlockStatus(t *testing.T) {
	mem := blocktest.NewMem(128 << 20)
	for off := int64(0); off < 128<<20; off += 8192 {
		if _, err := mem.WriteAt([]byte{1}, off); err != nil {
			t.Fatal(err)
		}
	}
	w := goRaw(t, serve(t, mem), "disk", true)
	extents := func(flags uint16, off uint64, n uint32) (lens, states []uint32) {
		w.request(flags, 7, 1, off, n)
		c := w.chunk(1)
		if c.Kind != 5 || c.Flags != 1 || binary.BigEndian.Uint32(c.Payload) != 1 {
			t.Fatalf("chunk of type %d, flags %d: % x", c.Kind, c.Flags, c.Payload[:min(len(c.Payload), 16)])
		}
		for b := c.Payload[4:]; len(b) > 0; b = b[8:] {
			lens, states = append(lens, binary.BigEndian.Uint32(b)), append(states, binary.BigEndian.Uint32(b[4:]))
		}
		return lens, states
	}
	lens, states := extents(0, 100, 16384)
	if diff := cmp.Diff([][]uint32{{3996, 4096, 4096, 4096, 100}, {0, 3, 0, 3, 0}}, [][]uint32{lens, states}); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if lens, states = extents(1<<3, 4196, 100<<20); len(lens) != 1 || lens[0] != 3996 || states[0] != 3 {
		t.Errorf("REQ_ONE: lengths %d, states %d", lens, states)
	}
	if lens, _ = extents(0, 0, 128<<20); len(lens) < 1000 || len(lens) > 1<<20 {
		t.Errorf("%d descriptors", len(lens))
	}
}

// TestMappedZeroes checks that NO_HOLE leaves blocks mapped and that without it they are freed.
func TestMappedZeroes(t *testing.T) {
	mem := blocktest.NewMem(4 << 20)
	w := goRaw(t, serve(t, mem), "disk", true)
	for _, step := range []struct {
		flags uint16
		data  bool
	}{{1 << 1, true}, {0, false}, {1<<1 | 1, true}, {1 << 4, false}} {
		w.request(step.flags, 6, 3, 4096, 3<<20)
		if e := w.result(3, true); e != 0 {
			t.Fatalf("flags %d: error %d", step.flags, e)
		}
		w.request(1<<3, 7, 4, 4096, 3<<20)
		c := w.chunk(4)
		if got := binary.BigEndian.Uint32(c.Payload[8:]) == 0; got != step.data || binary.BigEndian.Uint32(c.Payload[4:]) != 3<<20 {
			t.Errorf("flags %d: % x", step.flags, c.Payload)
		}
	}
}

func TestNames(t *testing.T) {
	s := nbd.NewServer(nbd.Options{})
	mem := blocktest.NewMem(4096)
	for _, bad := range []string{"", "a\x00b", "\xff", strings.Repeat("x", 4097)} {
		if err := s.Add(nbd.Export{Name: bad, Device: mem}); err == nil {
			t.Errorf("Add(%.10q) succeeds", bad)
		}
	}
	if err := s.Add(nbd.Export{Name: strings.Repeat("x", 4096), Device: mem}); err != nil {
		t.Error(err)
	}
	if err := s.Add(nbd.Export{Name: strings.Repeat("x", 4096), Device: mem}); err == nil {
		t.Error("the same name twice succeeds")
	}
	if err := s.Remove("other"); err == nil {
		t.Error("Remove of an unknown export succeeds")
	}
}
