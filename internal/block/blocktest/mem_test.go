package blocktest_test

import (
	"errors"
	"testing"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
)

func TestMem(t *testing.T) {
	blocktest.Run(t, func(_ *testing.T, size int64) block.Device { return blocktest.NewMem(size) })
}

func TestMemReadOnly(t *testing.T) {
	blocktest.RunReadOnly(t, func(t *testing.T, content []byte) block.Device {
		m := blocktest.NewMem(int64(len(content)))
		if _, err := m.WriteAt(content, 0); err != nil {
			t.Fatal(err)
		}
		m.Freeze()
		return m
	})
}

func TestMemClosed(t *testing.T) {
	m := blocktest.NewMem(4096)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.ReadAt(make([]byte, 1), 0); !errors.Is(err, block.ErrClosed) {
		t.Errorf("ReadAt after Close: %v", err)
	}
}
