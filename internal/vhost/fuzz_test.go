package vhost

import (
	"encoding/binary"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"tintype/internal/block/blocktest"
)

// FuzzMessages has a front end say anything. The session must end, and give back what it had.
func FuzzMessages(f *testing.F) {
	table := tableBody(place{guest: 0, size: 65536, user: 1 << 20})
	ring := vringAddr{desc: 1 << 20, avail: 1<<20 + 4096, used: 1<<20 + 8192}
	start := appendMessage(nil, setFeatures, flagVersion, u64Body(featureVersion1))
	start = appendMessage(start, setMemTable, flagVersion, table)
	start = appendMessage(start, setVringNum, flagVersion, stateBody(0, 16))
	start = appendMessage(start, setVringAddr, flagVersion, ring.body(0))
	start = appendMessage(start, setVringKick, flagVersion, u64Body(0))
	start = appendMessage(start, getVringBase, flagVersion, stateBody(0, 0))
	f.Add(start, uint16(0b1010))
	f.Add(appendMessage(nil, getConfig, flagVersion, append(stateBody(0, 60), make([]byte, 64)...)), uint16(0))
	f.Add(appendMessage(nil, getInflightFD, flagVersion|flagNeedReply, flightArea{queues: 1, queueSize: 8}.body()), uint16(1))
	f.Fuzz(func(t *testing.T, said []byte, with uint16) {
		memfd, err := unix.MemfdCreate("guest", unix.MFD_CLOEXEC)
		must(t, err)
		defer unix.Close(memfd)
		must(t, unix.Ftruncate(memfd, 65536))
		event, err := unix.Eventfd(1, unix.EFD_CLOEXEC)
		must(t, err)
		defer unix.Close(event)
		s := newSession(&export{Export: Export{Name: "disk", Device: blocktest.NewMem(1 << 20)}, pool: &sync.Pool{}}, tapeConn(t), slog.New(slog.DiscardHandler), nil)
		for len(said) >= headerSize {
			size := int(binary.LittleEndian.Uint32(said[8:]))
			m := &message{command: command(binary.LittleEndian.Uint32(said)), flags: binary.LittleEndian.Uint32(said[4:])}
			m.body = said[headerSize:][:min(size, len(said)-headerSize, maxPayload)]
			said = said[headerSize+len(m.body):]
			if with&1 != 0 || m.command == setMemTable || m.command == setVringKick {
				fd := memfd
				if m.command >= setVringKick && m.command <= setVringErr {
					fd = event
				}
				fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
				must(t, err)
				m.fds = []int{fd}
			}
			with >>= 1
			err := s.take(m)
			m.close()
			if err != nil {
				break
			}
		}
		close(s.left)
		s.end()
	})
}

// tapeConn is a connection to nobody who listens.
func tapeConn(t *testing.T) *net.UnixConn {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(pair[1]) })
	file := os.NewFile(uintptr(pair[0]), "tape")
	defer file.Close()
	nc, err := net.FileConn(file)
	must(t, err)
	return nc.(*net.UnixConn)
}

// FuzzChains lays anything out as a chain and its memory. Whatever a chain is taken for lies within the memory.
func FuzzChains(f *testing.F) {
	d := &driver{}
	b := make([]byte, 256)
	d.putDescriptor(b, piece{4096, 16, false}, descNext, 1)
	d.putDescriptor(b[16:], piece{8192, 1, true}, 0, 0)
	f.Add(b, uint16(0))
	d.putDescriptor(b, piece{64, 48, false}, descIndirect, 0)
	d.putDescriptor(b[64:], piece{4096, 16, false}, descNext, 1)
	d.putDescriptor(b[80:], piece{5000, 4000, false}, descNext, 2)
	d.putDescriptor(b[96:], piece{4100, 16, true}, 0, 0)
	f.Add(b, uint16(0))
	f.Fuzz(func(t *testing.T, said []byte, head uint16) {
		const num, half = 16, 8192
		whole := make([]byte, 2*half)
		copy(whole, said)
		m := &memory{regions: []region{
			{guest: 0, user: 1 << 20, size: half, bytes: whole[:half:half]},
			{guest: half, user: 1 << 30, size: half, bytes: whole[half:]},
		}}
		r := &ring{num: num, desc: whole[:descSize*num]}
		q := &request{}
		if err := q.read(r, m, head); err != nil {
			return
		}
		from := uintptr(unsafe.Pointer(&whole[0]))
		total := int64(0)
		for _, p := range append(append([][]byte(nil), q.out...), q.in...) {
			at := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
			if len(p) > 0 && (at < from || at+uintptr(len(p)) > from+uintptr(len(whole))) {
				t.Fatal("a piece lies outside the memory")
			}
			total += int64(len(p))
		}
		if total != q.sent+requestHeader+q.room+1 {
			t.Fatalf("%d bytes, of which %d are sent and %d got", total, q.sent, q.room)
		}
	})
}

// FuzzFlights has a front end give back anything as the memory of requests in flight.
func FuzzFlights(f *testing.F) {
	f.Add(make([]byte, 80), uint16(0))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0, 2, 0, 7, 0, 1, 0, 0, 0, 0, 0, 3, 0, 9}, uint16(8))
	f.Fuzz(func(t *testing.T, said []byte, used uint16) {
		area := flightArea{queues: 1, queueSize: 4}
		b := make([]byte, area.each())
		copy(b, said)
		fl := &flight{b: b, num: 4}
		heads, fresh := fl.recover(used)
		if fresh && len(heads) > 0 || len(heads) > 4 {
			t.Fatalf("%d requests in a queue of 4", len(heads))
		}
		for _, h := range heads {
			fl.answering(h)
			used++
			fl.answered(h, used)
		}
		if heads, fresh = fl.recover(used); len(heads) > 0 || fresh {
			t.Fatalf("%d requests are left", len(heads))
		}
	})
}
