package lsd

import (
	"bytes"
	"errors"
	"testing"

	"tintype/internal/block"
	"tintype/internal/vfs/crashfs"
)

func TestReadCachedIsReadAt(t *testing.T) {
	fs := crashfs.New(1)
	s, _, d := newDiskOf(t, fs, 1<<20)
	for _, lba := range []int{0, 100} {
		write(t, d, lba, byte(lba+1))
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	h := d.(*handle)
	for _, x := range []struct {
		off, n int64
		cached bool
	}{
		{0, block.BlockSize, true},
		{0, 3 * block.BlockSize, true},
		{50 * block.BlockSize, 60 * block.BlockSize, true},
		{0, 128 * block.BlockSize, true},
		{0, 1 << 20, false}, // more of the map than is in memory
		{100, 200, false},   // a part of a block
		{0, 2 << 20, false},
		{-1, 1, false},
	} {
		got := make([]byte, x.n)
		if ok, _ := h.ReadCached(got, x.off); ok != x.cached {
			t.Errorf("[%d, +%d): cached is %v", x.off, x.n, ok)
		} else if ok {
			want := make([]byte, x.n)
			if _, err := h.ReadAt(want, x.off); err != nil || !bytes.Equal(got, want) {
				t.Errorf("[%d, +%d): other bytes, %v", x.off, x.n, err)
			}
		}
	}
	fs.Flip("engine/segments/"+segmentsOf(t, fs)[0], 2*block.BlockSize+7)
	if done, _ := h.ReadCached(make([]byte, block.BlockSize), 0); done {
		t.Error("a damaged block was returned as data")
	}
	if err := errors.Join(d.Close(), s.Close()); err != nil {
		t.Error(err)
	}
}
