package vhost

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tintype/internal/block/blocktest"
)

// errEvent gives a queue an event for errors.
func (d *driver) errEvent() int {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	must(d.f.t, err)
	d.f.t.Cleanup(func() { unix.Close(fd) })
	must(d.f.t, d.f.send(setVringErr, u64Body(uint64(d.index)), true, fd))
	return fd
}

func happened(t *testing.T, fd int, what string) {
	t.Helper()
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000); n != 1 {
		t.Fatalf("%s: %v", what, err)
	}
	var b [8]byte
	_, _ = unix.Read(fd, b[:])
}

// reset sets a queue up anew, as a guest does that resets its device.
func (d *driver) reset() {
	d.f.t.Helper()
	d.f.ask(getVringBase, stateBody(d.index, 0))
	clear(d.f.memory(d.addr.avail, 6+2*uint64(d.num)))
	clear(d.f.memory(d.addr.used, 6+8*uint64(d.num)))
	d.avail, d.told, d.used, d.base = 0, 0, 0, 0
	d.free, d.tables = d.free[:0], map[uint16][]uint16{}
	for i := range d.num {
		d.free = append(d.free, i)
	}
	d.start()
}

// works writes and reads back.
func (d *driver) works(seed byte) {
	d.f.t.Helper()
	if status, _, _ := d.do(blkOut, 8, bytesOf(seed, 4096), 0); status != statusOK {
		d.f.t.Fatalf("a write ends with %d", status)
	}
	status, in, _ := d.do(blkIn, 8, nil, 4096)
	if status != statusOK || in[0] != seed || in[4095] != seed {
		d.f.t.Fatalf("a read ends with %d and % x", status, in[:4])
	}
}

// TestHostileRings has drivers break the rules in every way. The queue stops and the front end is told; a reset mends it; nothing
// of the disk is changed, and another front end's session goes on.
func TestHostileRings(t *testing.T) {
	_, otherPath := startServer(t, blocktest.NewMem(1<<20), false)
	other := newFrontEnd(t, otherPath)
	other.setUp(featureFlush)
	neighbour := other.addQueue(64, 0)
	neighbour.start()

	mem := blocktest.NewMem(1 << 20)
	_, path := startServer(t, mem, false)
	f := newFrontEnd(t, path)
	features := featureFlush | featureIndirect | featureEventIdx
	f.setUp(features)
	d := f.addQueue(16, features)
	d.start()
	failed := d.errEvent()
	header := f.alloc(requestHeader, 1)
	table := f.alloc(8192, 16)
	f.write(header, append(append(binary.LittleEndian.AppendUint32(nil, uint32(blkOut)), make([]byte, 4)...), make([]byte, 8)...))
	const end = guestBase + 2*fileSize
	desc := func(i uint16) []byte { return f.memory(d.addr.desc+descSize*uint64(i), descSize) }
	data := f.alloc(4096, 1)
	f.write(data, bytesOf(9, 4096))
	status := piece{data + 4095, 1, true}
	// inTable offers what would be a good request, but for a descriptor in the middle of its table.
	inTable := func(flags uint16, size uint32) {
		d.putDescriptor(f.memory(table, descSize), piece{header, 16, false}, descNext, 1)
		d.putDescriptor(f.memory(table+descSize, descSize), piece{data, 512, false}, flags|descNext, 2)
		d.putDescriptor(f.memory(table+2*descSize, descSize), status, 0, 0)
		d.putDescriptor(desc(0), piece{table, size, false}, descIndirect, 0)
		d.offer(0)
	}

	for what, act := range map[string]func(){
		"a head that is none":       func() { d.offer(16) },
		"a head far away":           func() { d.offer(math.MaxUint16) },
		"more requests than places": func() { d.avail += 17; d.offer(0) },
		"an index that goes back":   func() { d.avail -= 2; d.offer(0) },
		"a loop":                    func() { d.putDescriptor(desc(0), piece{header, 16, false}, descNext, 0); d.offer(0) },
		"a next that is none":       func() { d.putDescriptor(desc(0), piece{header, 16, false}, descNext, 16); d.offer(0) },
		"no status":                 func() { d.add([]piece{{header, 16, false}, {data, 512, false}}, 0) },
		"nothing at all":            func() { d.add([]piece{{header, 0, false}}, 0) },
		"sent after got":            func() { d.add([]piece{{header, 16, false}, status, {data, 512, false}}, 0) },
		"data below memory":         func() { d.add([]piece{{header, 16, false}, {guestBase - 1, 512, false}, status}, 0) },
		"data beyond memory":        func() { d.add([]piece{{header, 16, false}, {end - 511, 512, false}, status}, 0) },
		"data of 4 GiB":             func() { d.add([]piece{{header, 16, false}, {data, math.MaxUint32, false}, status}, 0) },
		"an address that wraps":     func() { d.add([]piece{{header, 16, false}, {math.MaxUint64 - 100, 512, false}, status}, 0) },
		"a header nowhere":          func() { d.add([]piece{{math.MaxUint64, 16, false}, status}, 0) },
		"a status nowhere":          func() { d.add([]piece{{header, 16, false}, {1, 1, true}}, 0) },
		"a table of no size":        func() { d.putDescriptor(desc(0), piece{table, 0, false}, descIndirect, 0); d.offer(0) },
		"a table of an odd size":    func() { inTable(0, 3*descSize+1) },
		"a table that is too large": func() { inTable(0, 1025*descSize) },
		"a table of 4 GiB": func() {
			d.putDescriptor(desc(0), piece{table, math.MaxUint32 &^ 15, false}, descIndirect, 0)
			d.offer(0)
		},
		"a table nowhere":              func() { d.putDescriptor(desc(0), piece{end, 32, false}, descIndirect, 0); d.offer(0) },
		"a table that is not the last": func() { d.putDescriptor(desc(0), piece{table, 32, false}, descIndirect|descNext, 1); d.offer(0) },
		"a table in a table":           func() { inTable(descIndirect, 3*descSize) },
		"a loop in a table": func() {
			d.putDescriptor(f.memory(table, descSize), piece{header, 16, false}, descNext, 0)
			d.putDescriptor(desc(0), piece{table, 32, false}, descIndirect, 0)
			d.offer(0)
		},
		"a next outside a table": func() {
			d.putDescriptor(f.memory(table, descSize), piece{header, 16, false}, descNext, 2)
			d.putDescriptor(desc(0), piece{table, 32, false}, descIndirect, 0)
			d.offer(0)
		},
	} {
		t.Run(what, func(t *testing.T) {
			f.t, d.f.t = t, t
			d.reset()
			act()
			signal(d.kick)
			happened(t, failed, "the front end is not told of an error")
			if _, ok := d.poll(); ok {
				t.Error("the request is answered")
			}
			d.reset()
			d.works(byte(len(what)))
			got := make([]byte, 4096)
			if _, err := mem.ReadAt(got, 0); err != nil || got[0] == 9 {
				t.Errorf("the request was done: %v", err)
			}
		})
	}
	f.t, neighbour.f.t = t, t
	neighbour.works(1)
}

// TestHeadInFlight offers a request again while it is under way.
func TestHeadInFlight(t *testing.T) {
	dev := &gate{Device: blocktest.NewMem(1 << 20), open: make(chan struct{})}
	_, path := startServer(t, dev, false)
	f := newFrontEnd(t, path)
	f.setUp(featureFlush)
	d := f.addQueue(16, 0)
	d.start()
	failed := d.errEvent()
	r := d.lay(nil, blkFlush, 0, nil, 0)
	head := d.add(r.pieces, 0)
	d.offer(head)
	signal(d.kick)
	happened(t, failed, "a request that is under way is taken again")
	close(dev.open)
	if a := d.wait(); a.head != head || r.status(f) != statusOK {
		t.Errorf("the first of the two ends with %d, %d", a.head, r.status(f))
	}
	d.reset()
	d.works(3)
}

// TestRingsThatChange has another processor write into the rings and the requests while they are read.
func TestRingsThatChange(t *testing.T) {
	_, otherPath := startServer(t, blocktest.NewMem(1<<20), false)
	other := newFrontEnd(t, otherPath)
	other.setUp(featureFlush)
	neighbour := other.addQueue(64, 0)
	neighbour.start()

	_, path := startServer(t, blocktest.NewMem(1<<20), false)
	f := newFrontEnd(t, path)
	features := featureFlush | featureIndirect | featureDiscard | featureWriteZeroes
	f.setUp(features)
	f.keepFlights(1, 64)
	d := f.addQueue(64, features)
	d.start()
	stop := make(chan struct{})
	scribbled := make(chan struct{})
	go func() {
		defer close(scribbled)
		rnd := rand.New(rand.NewPCG(7, 7))
		area := f.memory(d.addr.desc, 8192)
		for n := 0; ; n++ {
			if n%64 == 0 {
				select {
				case <-stop:
					return
				default:
				}
			}
			at := rnd.IntN(len(area))
			if rnd.IntN(4) == 0 {
				area[at] = byte(rnd.Uint32())
			} else { // something that may make sense
				area[at&^1] = byte(rnd.Uint32N(64))
				area[at|1] = 0
			}
		}
	}()
	rnd := rand.New(rand.NewPCG(3, 3))
	floor := f.next
	for i := range 4000 {
		f.next = floor
		if len(d.free) < 10 || i%20 == 0 {
			f.ask(getVringBase, stateBody(d.index, 0))
			d.free = d.free[:0]
			for i := range d.num {
				d.free = append(d.free, i)
			}
			d.base = binary.LittleEndian.Uint16(f.memory(d.addr.avail, 4)[2:])
			d.avail = d.base
			d.start()
		}
		r := d.lay(rnd, []blockCommand{blkIn, blkOut, blkDiscard, blkFlush}[rnd.IntN(4)], rnd.Uint64N(1024), make([]byte, 512), 1024)
		if len(r.pieces) <= len(d.free) {
			d.add(r.pieces, r.table)
		}
		signal(d.kick)
	}
	close(stop)
	<-scribbled
	neighbour.works(5)
	f.ask(getVringBase, stateBody(d.index, 0))
	f.flightF = -1
	must(t, f.send(setFeatures, u64Body(features|featureProtocol|featureVersion1), true))
	f.keepFlights(1, 64)
	d.reset()
	d.works(4)
}

// TestMemoryVanishes cuts the files behind the guest's memory while requests are on their way.
func TestMemoryVanishes(t *testing.T) {
	_, otherPath := startServer(t, blocktest.NewMem(1<<20), false)
	other := newFrontEnd(t, otherPath)
	other.setUp(featureFlush)
	neighbour := other.addQueue(64, 0)
	neighbour.start()

	for _, part := range []string{"data to write", "room for data", "rings"} {
		t.Run(part, func(t *testing.T) {
			dev := &gate{Device: blocktest.NewMem(1 << 20), open: make(chan struct{})}
			_, path := startServer(t, dev, false)
			f := newFrontEnd(t, path)
			f.setUp(featureFlush)
			d := f.addQueue(16, 0)
			d.start()
			failed := d.errEvent()
			kind, data, room := blkOut, bytesOf(1, 4096), uint64(0)
			if part == "room for data" {
				kind, data, room = blkIn, nil, 64<<10 // by a worker, who waits at the gate
			}
			if part != "rings" {
				f.next = guestBase + fileSize + 100
			}
			r := d.lay(nil, kind, 0, data, room)
			d.add(r.pieces, 0)
			cut := 1
			if part == "rings" {
				cut = 0
			}
			if part == "room for data" {
				signal(d.kick)
				dev.await()
			}
			must(t, unix.Ftruncate(f.files[cut], 0))
			signal(d.kick)
			close(dev.open)
			happened(t, failed, "the front end is not told that its memory is gone")
			neighbour.f.t = t
			neighbour.works(6)
			f.conn.Close()
			// The next guest finds its disk.
			next := newFrontEnd(t, path)
			next.setUp(featureFlush)
			q := next.addQueue(16, 0)
			q.start()
			q.works(7)
		})
	}
}

// TestBadMessages sends what no front end should. Each ends its session, and leaves no descriptor open; the next is served.
func TestBadMessages(t *testing.T) {
	_, path := startServer(t, blocktest.NewMem(1<<20), false)
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	must(t, err)
	defer file.Close()
	must(t, file.Truncate(fileSize))
	plain := int(file.Fd())
	event := func() int {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		must(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	refused(t, path, map[string]func(f *frontEnd) error{
		"an unknown message":      func(f *frontEnd) error { return f.send(99, nil, true) },
		"features nobody offered": func(f *frontEnd) error { return f.send(setFeatures, u64Body(1<<63), true) },
		"features in four bytes":  func(f *frontEnd) error { return f.send(setFeatures, make([]byte, 4), true) },
		"protocol nobody offered": func(f *frontEnd) error { return f.send(setProtocolFeatures, u64Body(1<<20), true) },
		"a queue beyond the last": func(f *frontEnd) error { return f.send(setVringNum, stateBody(maxQueues, 16), true) },
		"a queue of 3":            func(f *frontEnd) error { return f.send(setVringNum, stateBody(0, 3), true) },
		"a queue of 0":            func(f *frontEnd) error { return f.send(setVringNum, stateBody(0, 0), true) },
		"a queue of 65536":        func(f *frontEnd) error { return f.send(setVringNum, stateBody(0, 65536), true) },
		"a large base":            func(f *frontEnd) error { return f.send(setVringBase, stateBody(0, 65536), true) },
		"a start without memory":  func(f *frontEnd) error { return f.send(setVringKick, u64Body(0), true, event()) },
		"a kick without an event": func(f *frontEnd) error { return f.send(setVringKick, u64Body(0), true) },
		"polling":                 func(f *frontEnd) error { return f.send(setVringKick, u64Body(vringNoFD), true) },
		"a kick that is a file":   func(f *frontEnd) error { return f.send(setVringKick, u64Body(0), true, plain) },
		"a call that is a file":   func(f *frontEnd) error { return f.send(setVringCall, u64Body(0), true, plain) },
		"two events":              func(f *frontEnd) error { return f.send(setVringCall, u64Body(0), true, event(), event()) },
	})
	f := newFrontEnd(t, path)
	f.setUp(featureFlush)
	d := f.addQueue(16, 0)
	d.start()
	d.works(1)
}

// refused does each of acts in a session of its own, which has to end by it.
func refused(t *testing.T, path string, acts map[string]func(f *frontEnd) error) {
	for what, act := range acts {
		t.Run(what, func(t *testing.T) {
			f := newFrontEnd(t, path)
			must(t, f.send(setProtocolFeatures, u64Body(protocolFeatures), true))
			if err := act(f); err == nil {
				t.Fatal("it is taken")
			}
			must(t, f.conn.SetReadDeadline(time.Now().Add(time.Minute)))
			if n, err := f.conn.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("the session goes on: %v", err)
			}
		})
	}
}

// TestBadMemory tells of memory that is none.
func TestBadMemory(t *testing.T) {
	_, path := startServer(t, blocktest.NewMem(1<<20), false)
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	must(t, err)
	defer file.Close()
	must(t, file.Truncate(fileSize))
	plain := int(file.Fd())
	whole := place{guest: guestBase, size: fileSize, user: userA}
	shift := func(guest, user, size, offset uint64) place {
		return place{guest: guestBase + guest, user: userA + user, size: fileSize + size, offset: offset}
	}
	refused(t, path, map[string]func(f *frontEnd) error{
		"memory in a file":           func(f *frontEnd) error { return f.send(setMemTable, tableBody(whole), true, plain) },
		"memory without a file":      func(f *frontEnd) error { return f.send(setMemTable, tableBody(whole), true) },
		"memory in too many files":   func(f *frontEnd) error { return f.send(setMemTable, tableBody(whole), true, f.files[0], f.files[1]) },
		"memory beyond the file":     func(f *frontEnd) error { return f.send(setMemTable, tableBody(shift(0, 0, 1, 0)), true, f.files[0]) },
		"memory that begins too far": func(f *frontEnd) error { return f.send(setMemTable, tableBody(shift(0, 0, 0, 1)), true, f.files[0]) },
		"an offset that wraps": func(f *frontEnd) error {
			return f.send(setMemTable, tableBody(shift(0, 0, 0, math.MaxUint64-fileSize+1)), true, f.files[0])
		},
		"a region of no size": func(f *frontEnd) error {
			return f.send(setMemTable, tableBody(place{guest: guestBase, user: userA}), true, f.files[0])
		},
		"a region that wraps": func(f *frontEnd) error {
			return f.send(setMemTable, tableBody(place{guest: math.MaxUint64 - 4096, size: fileSize, user: userA}), true, f.files[0])
		},
		"regions that overlap for the guest": func(f *frontEnd) error {
			return f.send(setMemTable, tableBody(whole, shift(fileSize-1, 2*fileSize, 0, 0)), true, f.files[0], f.files[1])
		},
		"regions that overlap for the front end": func(f *frontEnd) error {
			return f.send(setMemTable, tableBody(whole, shift(2*fileSize, fileSize-1, 0, 0)), true, f.files[0], f.files[1])
		},
		"nine regions": func(f *frontEnd) error { return f.send(setMemTable, tableBody(make([]place, 9)...), true) },
		"configuration beyond its end": func(f *frontEnd) error {
			return f.send(getConfig, append(stateBody(256, 4), make([]byte, 8)...), true)
		},
		"in flight for no queue": func(f *frontEnd) error { return f.send(getInflightFD, flightArea{queueSize: 8}.body(), true) },
		"in flight in a file": func(f *frontEnd) error {
			return f.send(setInflightFD, flightArea{size: 192, queues: 1, queueSize: 8}.body(), true, plain)
		},
		"in flight beyond the file": func(f *frontEnd) error {
			return f.send(setInflightFD, flightArea{size: 192, offset: fileSize, queues: 1, queueSize: 8}.body(), true, f.files[0])
		},
		"in flight in too little": func(f *frontEnd) error {
			return f.send(setInflightFD, flightArea{size: 64, queues: 1, queueSize: 8}.body(), true, f.files[0])
		},
		"a ring outside memory": func(f *frontEnd) error {
			must(f.t, f.sendMemory())
			d := f.addQueue(16, 0)
			d.addr.used = guestBase + 2*fileSize - 100
			return d.tryStart()
		},
		"a ring at an odd place": func(f *frontEnd) error {
			must(f.t, f.sendMemory())
			d := f.addQueue(16, 0)
			d.addr.desc += 8
			return d.tryStart()
		},
		"new memory without the ring": func(f *frontEnd) error {
			must(f.t, f.sendMemory())
			f.addQueue(16, 0).start()
			return f.send(setMemTable, tableBody(shift(fileSize, fileSize, 0, 0)), true, f.files[1])
		},
		"a queue that changes while it runs": func(f *frontEnd) error {
			must(f.t, f.sendMemory())
			f.addQueue(16, 0).start()
			return f.send(setVringNum, stateBody(0, 32), true)
		},
		"a reply":         func(f *frontEnd) error { return f.raw(appendMessage(nil, getFeatures, flagVersion|flagReply, nil)) },
		"another version": func(f *frontEnd) error { return f.raw(appendMessage(nil, getFeatures, 2, nil)) },
		"a long message": func(f *frontEnd) error {
			return f.raw(appendMessage(nil, getFeatures, flagVersion, make([]byte, maxPayload+1)))
		},
	})
}

// raw sends bytes, and returns an error when the server does not like them.
func (f *frontEnd) raw(b []byte) error {
	if _, err := f.conn.Write(b); err != nil {
		return err
	}
	_, _, err := f.reply(getFeatures)
	return err
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(all)
}

// TestNothingStaysOpen has many sessions come and go, well and badly, and counts descriptors and goroutines.
func TestNothingStaysOpen(t *testing.T) {
	_, path := startServer(t, blocktest.NewMem(1<<20), false)
	f := newFrontEnd(t, path)
	life := func(n int) {
		must(t, f.send(setProtocolFeatures, u64Body(protocolFeatures), true))
		must(t, f.send(setFeatures, u64Body(featureProtocol), true))
		must(t, f.sendMemory())
		f.flightF = -1
		must(t, f.send(getInflightFD, flightArea{queues: 2, queueSize: 16}.body(), false))
		_, fds, err := f.reply(getInflightFD)
		must(t, err)
		must(t, f.send(setInflightFD, flightArea{size: 640, queues: 2, queueSize: 16}.body(), true, fds[0]))
		unix.Close(fds[0])
		pipe := make([]int, 2)
		must(t, unix.Pipe2(pipe, unix.O_CLOEXEC))
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		must(t, f.send(setBackendFD, nil, true, pair[0]))
		for _, c := range []command{setVringCall, setVringErr} {
			must(t, f.send(c, u64Body(1), true, pipe[1]))
		}
		d := &driver{f: f, index: 1, num: 16, addr: vringAddr{desc: guestBase, avail: guestBase + 4096, used: guestBase + 8192}, kick: pipe[0]}
		must(t, f.send(setVringNum, stateBody(1, 16), true))
		must(t, f.send(setVringAddr, vringAddr{user(d.addr.desc), user(d.addr.used), user(d.addr.avail)}.body(1), true))
		must(t, f.send(setVringKick, u64Body(1), true, pipe[0]))
		must(t, f.send(setVringEnable, stateBody(1, 1), true))
		if n%2 == 0 {
			_ = f.send(setVringNum, stateBody(99, 1), true, pipe[0], pipe[1])
		}
		if n%3 == 0 {
			_, _, _ = f.conn.WriteMsgUnix(appendMessage(nil, setVringCall, 2, u64Body(1)), unix.UnixRights(pipe...), nil) // it may be closed
		}
		for _, fd := range append(pipe, pair[:]...) {
			unix.Close(fd)
		}
		f.conn.Close()
		nc, err := net.Dial("unix", path)
		must(t, err)
		f.conn = nc.(*net.UnixConn)
	}
	for n := range 4 {
		life(n)
	}
	must(t, f.send(setProtocolFeatures, u64Body(protocolFeatures), true))
	fds, routines := descriptors(t), runtime.NumGoroutine()
	for n := range 40 {
		life(n)
	}
	must(t, f.send(setProtocolFeatures, u64Body(protocolFeatures), true))
	if more, most := descriptors(t)-fds, runtime.NumGoroutine()-routines; more > 0 || most > 5 {
		t.Errorf("40 sessions leave %d descriptors and %d goroutines", more, most)
	}
	f.conn.Close()
}
