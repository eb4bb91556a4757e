package vhost

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
	"tintype/internal/lsd"
	"tintype/internal/nbd"
	"tintype/internal/vfs"
)

// BenchmarkDoors measures shared memory beside NBD over a unix socket, before memory and before the engine: random reads and writes
// of 4 KiB. Either client is a loop that sends depth requests at once and waits for all answers. One op is one request.
func BenchmarkDoors(b *testing.B) {
	const size = 256 << 20
	for _, device := range []string{"memory", "engine"} {
		for _, kind := range []blockCommand{blkOut, blkIn} {
			for _, depth := range []int{1, 32} {
				for _, door := range []string{"vhost", "nbd"} {
					b.Run(fmt.Sprintf("%s/%v/QD%d/%s", device, kind, depth, door), func(b *testing.B) {
						dev := benchDevice(b, device, size)
						if door == "vhost" {
							benchVhost(b, dev, kind, depth)
						} else {
							benchNBD(b, dev, kind, depth)
						}
					})
				}
			}
		}
	}
}

// benchDevice makes a device that is written all over.
func benchDevice(b *testing.B, kind string, size int64) block.Device {
	var dev block.Device = blocktest.NewMem(size)
	if kind == "engine" {
		store, err := lsd.Open(vfs.OS(), filepath.Join(b.TempDir(), "engine"), lsd.Options{Keys: &lsd.KeyRing{Current: lsd.Key{1}}})
		must(b, err)
		b.Cleanup(func() { must(b, store.Close()) })
		id := uuid.New()
		must(b, store.Create(id, size))
		dev, err = store.OpenVolume(id)
		must(b, err)
		b.Cleanup(func() { must(b, dev.Close()) })
	}
	p := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(p)) {
		_, err := dev.WriteAt(p, off)
		must(b, err)
	}
	must(b, dev.Flush())
	return dev
}

func benchVhost(b *testing.B, dev block.Device, kind blockCommand, depth int) {
	_, path := startServer(b, dev, false)
	f := newFrontEnd(b, path)
	features := featureFlush | featureEventIdx | featureIndirect
	f.setUp(features)
	f.keepFlights(1, 128)
	d := f.addQueue(128, features)
	d.start()
	fd, err := unix.Dup(d.call)
	must(b, err)
	call := os.NewFile(uintptr(fd), "call") // so that waiting for it costs no thread
	defer call.Close()
	data := int64(4096)
	all := make([]*blkRequest, depth)
	for i := range all {
		if kind == blkOut {
			all[i] = d.lay(nil, kind, 0, make([]byte, data), 0)
		} else {
			all[i] = d.lay(nil, kind, 0, nil, uint64(data))
		}
		all[i].table = f.alloc(descSize*3, 16)
	}
	rnd, event := rand.New(rand.NewPCG(1, 1)), make([]byte, 8)
	blocks := uint64(dev.Size() / data)
	b.SetBytes(data)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += depth {
		for _, r := range all {
			binary.LittleEndian.PutUint64(f.memory(r.out+8, 8), rnd.Uint64N(blocks)*8)
			d.add(r.pieces, r.table)
		}
		d.notify()
		for left := depth; left > 0; {
			// The last of them is what the guest waits for.
			store16(&f.memory(d.addr.avail, 6+2*uint64(d.num))[4+2*int(d.num)], d.used+uint16(left)-1)
			for ; left > 0; left-- {
				if _, ok := d.poll(); !ok {
					break
				}
			}
			if left > 0 {
				_, err := call.Read(event)
				must(b, err)
			}
		}
	}
	b.StopTimer()
	for _, r := range all {
		if r.status(f) != statusOK {
			b.Fatal("a request failed")
		}
	}
}

func benchNBD(b *testing.B, dev block.Device, kind blockCommand, depth int) {
	s := nbd.NewServer(nbd.Options{})
	must(b, s.Add(nbd.Export{Name: "disk", Device: dev}))
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	must(b, err)
	go func() { _ = s.Serve(l) }() // ends with Shutdown
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		must(b, s.Shutdown(ctx))
	})
	conn, err := net.Dial("unix", l.Addr().String())
	must(b, err)
	defer conn.Close()
	// Fixed newstyle: flags without zeroes, then NBD_OPT_EXPORT_NAME, answered with size and flags.
	hello := binary.BigEndian.AppendUint32(nil, 3)
	hello = append(hello, "IHAVEOPT\x00\x00\x00\x01\x00\x00\x00\x04disk"...)
	_, err = io.ReadFull(conn, make([]byte, 18))
	must(b, err)
	_, err = conn.Write(hello)
	must(b, err)
	_, err = io.ReadFull(conn, make([]byte, 10))
	must(b, err)

	const data = 4096
	one, answer := 28, 16+data
	if kind == blkOut {
		one, answer = 28+data, 16
	}
	out, in := make([]byte, one*depth), make([]byte, answer*depth)
	be := binary.BigEndian
	for i := range depth {
		r := out[i*one:]
		be.PutUint32(r, 0x25609513)
		be.PutUint16(r[6:], uint16(kind)) // reads and writes have virtio's numbers
		be.PutUint32(r[24:], data)
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	blocks := uint64(dev.Size() / data)
	b.SetBytes(data)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += depth {
		for i := range depth {
			be.PutUint64(out[i*one+16:], rnd.Uint64N(blocks)*data)
		}
		wrote := make(chan error, 1)
		go func() {
			_, err := conn.Write(out)
			wrote <- err
		}()
		_, err := io.ReadFull(conn, in)
		must(b, err)
		must(b, <-wrote)
	}
}
