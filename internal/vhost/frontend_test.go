package vhost

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tintype/internal/block"
)

// Memory of the guest: two files, one behind the other in the guest's addresses, and apart in the front end's.
const (
	guestBase = 1 << 20
	fileSize  = 8 << 20
	userA     = 0x7f00_0000_0000
	userB     = 0x7e00_0000_0000
)

// frontEnd is what QEMU is: it sets up a session, and drives its queues as a guest would.
type frontEnd struct {
	t     testing.TB
	conn  *net.UnixConn
	files [2]int
	mem   [2][]byte
	next  uint64 // guest address of memory not used yet

	backend int // our end of the channel for the server's messages
	flight  flightArea
	flightF int
	queues  []*driver
}

// driver is the guest's side of a queue.
type driver struct {
	f          *frontEnd
	index      int
	num        uint16
	event      bool // negotiated
	indirect   bool
	addr       vringAddr // in guest addresses
	kick, call int
	free       []uint16
	avail      uint16
	told       uint16 // of these the device was told
	used       uint16
	base       uint16
	tables     map[uint16][]uint16 // head → descriptors of its chain
}

// startServer serves a device, and returns the path of its socket.
func startServer(t testing.TB, dev block.Device, readOnly bool) (*Server, string) {
	t.Helper()
	dir := t.TempDir()
	s := NewServer(Options{
		Log:    slog.New(slog.NewTextHandler(testWriter{t}, nil)),
		Listen: listenIn(dir),
	})
	if err := s.Add(Export{Name: "disk-0", Device: dev, ReadOnly: readOnly}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return s, filepath.Join(dir, "disk-0")
}

func listenIn(dir string) func(string) (net.Listener, error) {
	return func(name string) (net.Listener, error) { return net.Listen("unix", filepath.Join(dir, name)) }
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	if testing.Verbose() {
		w.t.Logf("%s", p)
	}
	return len(p), nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newFrontEnd makes memory, and connects.
func newFrontEnd(t testing.TB, path string) *frontEnd {
	t.Helper()
	f := &frontEnd{t: t, next: guestBase, backend: -1, flightF: -1}
	for i := range f.files {
		fd, err := unix.MemfdCreate("guest", unix.MFD_CLOEXEC)
		must(t, err)
		must(t, unix.Ftruncate(fd, fileSize))
		f.files[i] = fd
		f.mem[i], err = unix.Mmap(fd, 0, fileSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		must(t, err)
	}
	t.Cleanup(func() {
		for i, fd := range f.files {
			unix.Close(fd)
			_ = unix.Munmap(f.mem[i])
		}
		if f.flightF >= 0 {
			unix.Close(f.flightF)
		}
	})
	f.dial(path)
	return f
}

func (f *frontEnd) dial(path string) {
	f.t.Helper()
	nc, err := net.Dial("unix", path)
	must(f.t, err)
	f.conn = nc.(*net.UnixConn)
	f.t.Cleanup(func() { nc.Close() })
}

// memory is guest memory at an address, which must not cross the files' border.
func (f *frontEnd) memory(guest, n uint64) []byte {
	off := guest - guestBase
	return f.mem[off/fileSize][off%fileSize:][:n]
}

// alloc gives out guest memory that is in one piece.
func (f *frontEnd) alloc(n, align uint64) uint64 {
	at := (f.next + align - 1) / align * align
	if (at-guestBase)/fileSize != (at+n-1-guestBase)/fileSize {
		at = guestBase + fileSize
	}
	if at+n > guestBase+2*fileSize {
		f.t.Fatal("the guest's memory is full")
	}
	f.next = at + n
	return at
}

func (f *frontEnd) write(guest uint64, p []byte) {
	for len(p) > 0 {
		n := min(uint64(len(p)), fileSize-(guest-guestBase)%fileSize)
		copy(f.memory(guest, n), p)
		p, guest = p[n:], guest+n
	}
}

func (f *frontEnd) read(guest, n uint64) []byte {
	var p []byte
	for n > 0 {
		k := min(n, fileSize-(guest-guestBase)%fileSize)
		p = append(p, f.memory(guest, k)...)
		guest, n = guest+k, n-k
	}
	return p
}

// user is the front end's address of a guest address.
func user(guest uint64) uint64 {
	if off := guest - guestBase; off >= fileSize {
		return userB + off - fileSize
	}
	return userA + guest - guestBase
}

// send sends a message; with need, it waits for the acknowledgement, and returns what that says.
func (f *frontEnd) send(c command, body []byte, need bool, fds ...int) error {
	flags := uint32(flagVersion)
	if need {
		flags |= flagNeedReply
	}
	if _, _, err := f.conn.WriteMsgUnix(appendMessage(nil, c, flags, body), unix.UnixRights(fds...), nil); err != nil {
		return err
	}
	if !need {
		return nil
	}
	b, _, err := f.reply(c)
	if err == nil && binary.LittleEndian.Uint64(b) != 0 {
		err = fmt.Errorf("message %d was refused", c)
	}
	return err
}

func (f *frontEnd) reply(c command) (body []byte, fds []int, err error) {
	l := newLink(f.conn)
	must(f.t, f.conn.SetReadDeadline(time.Now().Add(60*time.Second)))
	m := &message{}
	head := make([]byte, headerSize)
	if err := l.fill(head, m); err != nil {
		return nil, nil, err
	}
	le := binary.LittleEndian
	if command(le.Uint32(head)) != c || le.Uint32(head[4:]) != flagVersion|flagReply {
		return nil, nil, fmt.Errorf("message %d is answered with % x", c, head)
	}
	body = make([]byte, le.Uint32(head[8:]))
	return body, m.fds, l.fill(body, m)
}

func (f *frontEnd) ask(c command, body []byte) []byte {
	f.t.Helper()
	must(f.t, f.send(c, body, false))
	b, _, err := f.reply(c)
	must(f.t, err)
	return b
}

func (f *frontEnd) askU64(c command) uint64 {
	f.t.Helper()
	return binary.LittleEndian.Uint64(f.ask(c, nil))
}

func tableBody(places ...place) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(len(places)))
	b = le.AppendUint32(b, 0)
	for _, p := range places {
		for _, v := range []uint64{p.guest, p.size, p.user, p.offset} {
			b = le.AppendUint64(b, v)
		}
	}
	return b
}

func (f *frontEnd) sendMemory() error {
	return f.send(setMemTable, tableBody(
		place{guest: guestBase, size: fileSize, user: userA}, place{guest: guestBase + fileSize, size: fileSize, user: userB},
	), true, f.files[0], f.files[1])
}

// setUp does what QEMU does before it starts queues.
func (f *frontEnd) setUp(features uint64) {
	f.t.Helper()
	must(f.t, f.send(setOwner, nil, false))
	offered := f.askU64(getFeatures)
	if offered&features != features {
		f.t.Fatalf("features %#x are wanted, and %#x offered", features, offered)
	}
	proto := f.askU64(getProtocolFeatures)
	must(f.t, f.send(setProtocolFeatures, u64Body(proto), true))
	must(f.t, f.send(setFeatures, u64Body(features|featureProtocol|featureVersion1), true))
	must(f.t, f.sendMemory())
}

// keepFlights has the server make memory for requests in flight, or gives it back what was made before.
func (f *frontEnd) keepFlights(queues, size uint16) {
	f.t.Helper()
	if f.flightF < 0 {
		must(f.t, f.send(getInflightFD, flightArea{queues: queues, queueSize: size}.body(), false))
		b, fds, err := f.reply(getInflightFD)
		must(f.t, err)
		f.flight, err = (&message{body: b}).inflight()
		must(f.t, err)
		le := binary.LittleEndian
		f.flight.size, f.flight.offset, f.flightF = le.Uint64(b), le.Uint64(b[8:]), fds[0]
	}
	must(f.t, f.send(setInflightFD, f.flight.body(), true, f.flightF))
}

// addQueue lays out a queue in guest memory.
func (f *frontEnd) addQueue(num uint16, features uint64) *driver {
	d := &driver{
		f: f, index: len(f.queues), num: num, event: features&featureEventIdx != 0, indirect: features&featureIndirect != 0,
		kick: -1, call: -1, tables: map[uint16][]uint16{},
		addr: vringAddr{
			desc: f.alloc(16*uint64(num), 16), avail: f.alloc(6+2*uint64(num), 2), used: f.alloc(6+8*uint64(num), 4),
		},
	}
	for i := range num {
		d.free = append(d.free, i)
	}
	f.queues = append(f.queues, d)
	return d
}

func (a vringAddr) body(index int) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(index))
	b = le.AppendUint32(b, 0)
	for _, v := range []uint64{a.desc, a.used, a.avail, 0} {
		b = le.AppendUint64(b, v)
	}
	return b
}

// start starts a queue from where the last session left it.
func (d *driver) start() {
	d.f.t.Helper()
	must(d.f.t, d.tryStart())
}

func (d *driver) tryStart() error {
	f := d.f
	newEvent := func() int {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		must(f.t, err)
		f.t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	d.kick, d.call = newEvent(), newEvent()
	in := vringAddr{desc: user(d.addr.desc), avail: user(d.addr.avail), used: user(d.addr.used)}
	for _, step := range []func() error{
		func() error { return f.send(setVringNum, stateBody(d.index, uint32(d.num)), true) },
		func() error { return f.send(setVringBase, stateBody(d.index, uint32(d.base)), true) },
		func() error { return f.send(setVringAddr, in.body(d.index), true) },
		func() error { return f.send(setVringKick, u64Body(uint64(d.index)), true, d.kick) },
		func() error { return f.send(setVringCall, u64Body(uint64(d.index)), true, d.call) },
		func() error { return f.send(setVringEnable, stateBody(d.index, 1), true) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// piece is a part of a chain.
type piece struct {
	addr  uint64
	len   uint32
	write bool
}

func (d *driver) putDescriptor(at []byte, p piece, flags, next uint16) {
	le := binary.LittleEndian
	if p.write {
		flags |= descWrite
	}
	le.PutUint64(at, p.addr)
	le.PutUint32(at[8:], p.len)
	le.PutUint16(at[12:], flags)
	le.PutUint16(at[14:], next)
}

// add makes a chain available; table, when not 0, is where an indirect table may lie. It returns the chain's head.
func (d *driver) add(pieces []piece, table uint64) uint16 {
	if table != 0 {
		b := make([]byte, descSize*len(pieces))
		for i, p := range pieces {
			flags := uint16(descNext)
			if i == len(pieces)-1 {
				flags = 0
			}
			d.putDescriptor(b[descSize*i:], p, flags, uint16(i+1))
		}
		d.f.write(table, b)
		pieces = []piece{{addr: table, len: uint32(len(b))}}
	}
	if len(d.free) < len(pieces) {
		d.f.t.Fatal("the queue is full")
	}
	use := d.free[:len(pieces):len(pieces)]
	d.free = d.free[len(pieces):]
	for i, p := range pieces {
		flags, next := uint16(0), uint16(0)
		if i < len(pieces)-1 {
			flags, next = descNext, use[i+1]
		}
		if table != 0 {
			flags = descIndirect
		}
		d.putDescriptor(d.f.memory(d.addr.desc+descSize*uint64(use[i]), descSize), p, flags, next)
	}
	d.tables[use[0]] = use
	d.offer(use[0])
	return use[0]
}

// offer puts a head into the available ring.
func (d *driver) offer(head uint16) {
	ring := d.f.memory(d.addr.avail, 6+2*uint64(d.num))
	binary.LittleEndian.PutUint16(ring[4+2*int(d.avail%d.num):], head)
	d.avail++
	store16(&ring[2], d.avail)
}

// store16 is the guest's store, which another processor sees in one piece and after those before it.
func store16(p *byte, v uint16) {
	var fence atomic.Uint32
	fence.Swap(1)
	*(*uint16)(unsafe.Pointer(p)) = v
	fence.Swap(2)
}

// notify kicks the device, if it wants to hear.
func (d *driver) notify() {
	used := d.f.memory(d.addr.used, 6+8*uint64(d.num))
	before := d.told
	d.told = d.avail
	var fence atomic.Uint32
	fence.Swap(1) // what was offered must be there before what the device wants is read
	if d.event && !passed(load16(&used[4+8*int(d.num)]), before, d.avail) || !d.event && load16(&used[0])&usedNoNotify != 0 {
		return
	}
	signal(d.kick)
}

// answer is a used element.
type answer struct {
	head    uint16
	written uint32
}

// poll returns a used element, if there is one.
func (d *driver) poll() (answer, bool) {
	used := d.f.memory(d.addr.used, 6+8*uint64(d.num))
	if load16(&used[2]) == d.used {
		return answer{}, false
	}
	e := used[4+8*int(d.used%d.num):]
	a := answer{uint16(binary.LittleEndian.Uint32(e)), binary.LittleEndian.Uint32(e[4:])}
	d.used++
	d.base = d.used
	d.free = append(d.free, d.tables[a.head]...)
	delete(d.tables, a.head)
	return a, true
}

// wait returns the next used element, for which the device has to call.
func (d *driver) wait() answer {
	d.f.t.Helper()
	for range 2000 {
		if d.event {
			store16(&d.f.memory(d.addr.avail, 6+2*uint64(d.num))[4+2*int(d.num)], d.used)
		}
		if a, ok := d.poll(); ok {
			return a
		}
		events := []unix.PollFd{{Fd: int32(d.call), Events: unix.POLLIN}}
		if n, err := unix.Poll(events, 60_000); n == 0 && err == nil {
			d.f.t.Fatal("the device does not answer")
		}
		var b [8]byte
		_, _ = unix.Read(d.call, b[:])
	}
	d.f.t.Fatal("the device calls and does not answer")
	return answer{}
}

// blkRequest is a request as a guest has it in its memory.
type blkRequest struct {
	out, in uint64 // guest addresses of what is sent, and of room for what comes
	sent    uint64
	room    uint64 // status included
	pieces  []piece
	table   uint64
}

// lay puts a request into guest memory, divided at random when rnd is not nil.
func (d *driver) lay(rnd *rand.Rand, kind blockCommand, sectorAt uint64, data []byte, room uint64) *blkRequest {
	f := d.f
	le := binary.LittleEndian
	head := le.AppendUint32(nil, uint32(kind))
	head = le.AppendUint32(head, 0)
	head = le.AppendUint64(head, sectorAt)
	out := append(head, data...)
	r := &blkRequest{sent: uint64(len(out)), room: room + 1}
	start := f.next
	if rnd != nil {
		start += rnd.Uint64N(32)
	}
	r.out, r.in = start, start+r.sent
	if rnd != nil {
		r.in += rnd.Uint64N(32)
	}
	f.next = r.in + r.room
	f.write(r.out, out)
	f.write(r.in, bytesOf(0xee, int(r.room)))
	if rnd == nil {
		r.pieces = []piece{{r.out, requestHeader, false}}
		if len(data) > 0 {
			r.pieces = append(r.pieces, piece{r.out + requestHeader, uint32(len(data)), false})
		}
		if room > 0 {
			r.pieces = append(r.pieces, piece{r.in, uint32(room), true})
		}
		r.pieces = append(r.pieces, piece{r.in + room, 1, true})
		return r
	}
	r.pieces = divide(rnd, divide(rnd, nil, r.out, r.sent, false), r.in, r.room, true)
	if d.indirect && rnd.IntN(2) == 0 {
		r.table = f.next + rnd.Uint64N(16)
		f.next = r.table + descSize*uint64(len(r.pieces))
	}
	return r
}

// divide cuts a range into a few pieces of any length.
func divide(rnd *rand.Rand, all []piece, addr, n uint64, write bool) []piece {
	for parts := rnd.IntN(5); parts > 0 && n > 1; parts-- {
		k := rnd.Uint64N(n)
		if rnd.IntN(2) == 0 {
			k = min(k, 1+rnd.Uint64N(20))
		}
		all = append(all, piece{addr, uint32(k), write})
		addr, n = addr+k, n-k
	}
	return append(all, piece{addr, uint32(n), write})
}

func bytesOf(b byte, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = b
	}
	return p
}

func (r *blkRequest) status(f *frontEnd) byte { return f.read(r.in+r.room-1, 1)[0] }
func (r *blkRequest) data(f *frontEnd) []byte { return f.read(r.in, r.room-1) }

// do has one request done.
func (d *driver) do(kind blockCommand, sectorAt uint64, data []byte, room uint64) (status byte, in []byte, written uint32) {
	d.f.t.Helper()
	mark := d.f.next
	r := d.lay(nil, kind, sectorAt, data, room)
	d.add(r.pieces, r.table)
	d.notify()
	a := d.wait()
	d.f.next = mark
	return r.status(d.f), r.data(d.f), a.written
}
