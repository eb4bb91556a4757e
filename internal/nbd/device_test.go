package nbd_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"syscall"
	"testing"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
	"tintype/internal/nbd"
	"tintype/internal/nbd/nbdclient"
)

// remote is a device behind our own client and server. What comes through must be what went in, so it passes the suite
// of every device.
type remote struct{ *nbdclient.Client }

func (r remote) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.Client.ReadAt(p, off)
	return n, deviceError(err)
}

func (r remote) WriteAt(p []byte, off int64) (int, error) {
	n, err := r.Client.WriteAt(p, off)
	return n, deviceError(err)
}

func (r remote) Trim(off, n int64) error        { return deviceError(r.Client.Trim(off, n)) }
func (r remote) WriteZeroes(off, n int64) error { return deviceError(r.Client.WriteZeroes(off, n)) }

func (r remote) Extents(off, n int64, yield func(block.Extent) bool) error {
	all, err := r.BlockStatus(off, n)
	if err != nil {
		return deviceError(err)
	}
	for _, e := range all {
		if !yield(block.Extent{Off: e.Off, Len: e.Len, Data: !e.Zero}) {
			break
		}
	}
	return nil
}

// deviceError turns an error number back into what the device said. A range that the client itself cannot express is
// out of range too.
func deviceError(err error) error {
	var refused *nbdclient.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%w: %w", block.ErrReadOnly, err)
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSPC), !errors.As(err, &refused):
		return fmt.Errorf("%w: %w", block.ErrOutOfRange, err)
	}
	return err
}

func dial(t testing.TB, socket, name string, opts ...nbdclient.Option) *nbdclient.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	c, err := nbdclient.Dial(ctx, "nbd+unix:///"+url.PathEscape(name)+"?socket="+socket, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestDeviceThroughServer(t *testing.T) {
	blocktest.Run(t, func(t *testing.T, size int64) block.Device {
		return remote{dial(t, serve(t, blocktest.NewMem(size)), "disk")}
	})
}

func TestDeviceWithoutCacheThroughServer(t *testing.T) {
	blocktest.Run(t, func(t *testing.T, size int64) block.Device {
		return remote{dial(t, serve(t, coldDevice{blocktest.NewMem(size)}), "disk")}
	})
}

func TestReadOnlyThroughServer(t *testing.T) {
	for name, export := range map[string]func(*blocktest.Mem) nbd.Export{
		"device": func(m *blocktest.Mem) nbd.Export { m.Freeze(); return nbd.Export{Name: "disk", Device: m} },
		"export": func(m *blocktest.Mem) nbd.Export { return nbd.Export{Name: "disk", Device: m, ReadOnly: true} },
	} {
		t.Run(name, func(t *testing.T) {
			blocktest.RunReadOnly(t, func(t *testing.T, content []byte) block.Device {
				m := blocktest.NewMem(int64(len(content)))
				if _, err := m.WriteAt(content, 0); err != nil {
					t.Fatal(err)
				}
				_, socket := serveExports(t, export(m))
				return unchecked{remote{dial(t, socket, "disk")}, socket, t}
			})
		})
	}
}

// unchecked sends Trim and WriteZeroes even though the server did not offer them.
type unchecked struct {
	remote
	socket string
	t      *testing.T
}

func (u unchecked) Trim(off, n int64) error        { return u.send(4, off, n) }
func (u unchecked) WriteZeroes(off, n int64) error { return u.send(6, off, n) }

func (u unchecked) send(kind uint16, off, n int64) error {
	w := goRaw(u.t, u.socket, "disk", false)
	w.request(0, kind, 1, uint64(off), uint32(n))
	if number := w.simple(1); number != 0 {
		return deviceError(&nbdclient.Error{Number: number})
	}
	return nil
}

// TestPlainReplies reads without structured replies.
func TestPlainReplies(t *testing.T) {
	mem := blocktest.NewMem(1 << 20)
	c := dial(t, serve(t, mem), "disk", nbdclient.Plain())
	p := make([]byte, 200<<10)
	for i := range p {
		p[i] = byte(i * 7)
	}
	if _, err := c.WriteFUA(p, 4096); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(p))
	if _, err := c.ReadAt(got, 4096); err != nil || string(got) != string(p) {
		t.Fatalf("wrong bytes, error %v", err)
	}
	if _, err := c.ReadAt(got, 1<<20-4096); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("reading beyond the end: %v, want EINVAL", err)
	}
	if _, err := c.BlockStatus(0, 4096); err == nil {
		t.Error("BlockStatus without structured replies succeeds")
	}
}
