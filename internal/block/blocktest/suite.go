package blocktest

import (
	"fmt"
	"testing"

	"tintype/internal/block"
)

// Make opens a new, empty, writable device of size bytes for one test, and closes it with t.Cleanup.
type Make func(t *testing.T, size int64) block.Device

// Run checks a kind of device against the contract of block.Device. Each seeded history is a subtest of its own name,
// so a failure is repeated with -run and that name.
func Run(t *testing.T, open func(t *testing.T, size int64) block.Device) {
	for _, size := range []int64{512, 4096, 4608, 64 << 10, 300<<10 + 512, 2<<20 + 1536} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("model/size=%d/seed=%d", size, seed), func(t *testing.T) {
				newModel(t, open(t, size), seed).run(300)
			})
		}
	}
	t.Run("empty", func(t *testing.T) { testEmpty(t, open(t, 1<<20)) })
	t.Run("bounds", func(t *testing.T) { testBounds(t, open(t, 1<<20+512)) })
	t.Run("largest", func(t *testing.T) { testLargest(t, open(t, block.MaxSize)) })
	t.Run("stopped extents", func(t *testing.T) { testStoppedExtents(t, open(t, 1<<20)) })
	t.Run("freed blocks", func(t *testing.T) { testFreed(t, open(t, 128<<10)) })
	t.Run("concurrent/disjoint", func(t *testing.T) { testDisjoint(t, open(t, 4<<20)) })
	t.Run("concurrent/sectors of a block", func(t *testing.T) { testSectors(t, open(t, 64<<10)) })
	t.Run("concurrent/mixed", func(t *testing.T) { testMixed(t, open(t, 1<<20)) })
}

// RunReadOnly checks a device that cannot be written. open returns one, a snapshot for instance, that reads as content;
// its length is a multiple of 512.
func RunReadOnly(t *testing.T, open func(t *testing.T, content []byte) block.Device) {
	content := make([]byte, 256<<10+512)
	fill(content[8<<10:100<<10], 1)
	fill(content[len(content)-700:], 2)
	dev := open(t, content)
	if !dev.ReadOnly() {
		t.Fatal("ReadOnly() = false")
	}
	m := &model{t: t, dev: dev, want: content, mayMap: allTrue(len(content))}
	m.checkRead(0, int64(len(content)))
	for name, err := range map[string]error{
		"WriteAt":     writeErr(dev, make([]byte, 4096), 0),
		"WriteAt/512": writeErr(dev, make([]byte, 512), 512),
		"WriteBulk":   writeErr(bulk{dev}, make([]byte, 4096), 0),
		"Trim":        dev.Trim(0, 64<<10),
		"WriteZeroes": dev.WriteZeroes(0, 64<<10),
	} {
		wantErr(t, name, err, block.ErrReadOnly)
	}
	if err := dev.Flush(); err != nil {
		t.Errorf("Flush of a read-only device with nothing to flush: %v", err)
	}
	m.checkRead(0, int64(len(content)))
	m.checkExtents(0, int64(len(content)))
}

// bulk is a device of which WriteAt writes in bulk, if it can.
type bulk struct{ block.Device }

func (b bulk) WriteAt(p []byte, off int64) (int, error) { return block.WriteBulk(b.Device, p, off) }

func writeErr(dev block.Device, p []byte, off int64) error {
	n, err := dev.WriteAt(p, off)
	if err == nil && n != len(p) {
		return fmt.Errorf("wrote %d of %d bytes and no error", n, len(p))
	}
	return err
}

func readErr(dev block.Device, p []byte, off int64) error {
	n, err := dev.ReadAt(p, off)
	if err == nil && n != len(p) {
		return fmt.Errorf("read %d of %d bytes and no error", n, len(p))
	}
	return err
}
