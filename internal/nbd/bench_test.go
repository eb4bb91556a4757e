package nbd_test

import (
	"fmt"
	"io"
	"testing"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
)

// BenchmarkRequests measures the server alone: the client is a loop that sends depth requests at once and reads their
// replies without looking at them. One op is one request.
func BenchmarkRequests(b *testing.B) {
	mem := blocktest.NewMem(64 << 20)
	for _, size := range []int{4096, 64 << 10, 1 << 20} {
		for _, depth := range []int{1, 32} {
			for name, dev := range map[string]block.Device{"": mem, "/nocache": coldDevice{mem}} {
				b.Run(fmt.Sprintf("read/%d/QD%d%s", size, depth, name), func(b *testing.B) {
					benchRequests(b, dev, 0, size, depth)
				})
				if name == "" {
					b.Run(fmt.Sprintf("write/%d/QD%d", size, depth), func(b *testing.B) {
						benchRequests(b, dev, 1, size, depth)
					})
				}
			}
		}
	}
}

func benchRequests(b *testing.B, dev block.Device, kind uint16, size, depth int) {
	w := goRaw(b, serve(b, dev), "disk", false)
	var out []byte
	for i := range depth {
		out = append(out, requestBytes(0, kind, uint64(i), uint64(i*size), uint32(size))...)
		if kind == 1 {
			out = append(out, make([]byte, size)...)
		}
	}
	reply := 16
	if kind == 0 {
		reply += size
	}
	in := make([]byte, reply*depth)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += depth {
		go w.nc.Write(out)
		if _, err := io.ReadFull(w.nc, in); err != nil {
			b.Fatal(err)
		}
	}
}
