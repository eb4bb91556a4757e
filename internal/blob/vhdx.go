package blob

import (
	"tintype/internal/block"
	"tintype/internal/vhd"
)

// vhdxImage is a device whose bytes are a VHDX file around another device. It is read-only.
type vhdxImage struct {
	block.Device
	layout vhd.Layout
	disk   int64 // bytes of the device that are the disk
}

var _ block.Device = vhdxImage{}

// NewVHDX makes a VHDX file of the first size bytes of a device. Closing it closes the device.
func NewVHDX(d block.Device, size, sector int64, id vhd.Identity) block.Device {
	return vhdxImage{Device: d, layout: vhd.NewLayout(size, sector, id), disk: size}
}

func (v vhdxImage) Size() int64    { return v.layout.Size() }
func (v vhdxImage) ReadOnly() bool { return true }

func (v vhdxImage) WriteAt([]byte, int64) (int, error) { return 0, block.ErrReadOnly }
func (v vhdxImage) Trim(_, _ int64) error              { return block.ErrReadOnly }
func (v vhdxImage) WriteZeroes(_, _ int64) error       { return block.ErrReadOnly }
func (v vhdxImage) parts(off, n int64) (head, disk span) {
	start := v.layout.Data()
	return span{off, min(off+n, start)}, span{max(off, start) - start, min(off+n-start, v.disk)}
}

func (v vhdxImage) ReadAt(p []byte, off int64) (int, error) {
	n := int64(len(p))
	if off < 0 || off > v.Size()-n {
		return 0, block.ErrOutOfRange
	}
	head, disk := v.parts(off, n)
	rest := p
	if head.start < head.end {
		v.layout.ReadHead(p[:head.end-head.start], off)
		rest = p[head.end-head.start:]
	}
	if disk.start < disk.end {
		if _, err := v.Device.ReadAt(rest[:disk.end-disk.start], disk.start); err != nil {
			return 0, err
		}
		rest = rest[disk.end-disk.start:]
	}
	clear(rest)
	return len(p), nil
}

func (v vhdxImage) Extents(off, n int64, yield func(block.Extent) bool) error {
	if n < 0 || off < 0 || off > v.Size()-n {
		return block.ErrOutOfRange
	}
	head, disk := v.parts(off, n)
	if head.start < head.end && !yield(block.Extent{Off: off, Len: head.end - head.start, Data: true}) {
		return nil
	}
	start, more := v.layout.Data(), true
	if disk.start < disk.end {
		err := v.Device.Extents(disk.start, disk.end-disk.start, func(e block.Extent) bool {
			e.Off += start
			more = yield(e)
			return more
		})
		if err != nil || !more {
			return err
		}
	}
	if from := max(off, start+v.disk); from < off+n {
		yield(block.Extent{Off: from, Len: off + n - from})
	}
	return nil
}
