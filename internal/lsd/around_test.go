package lsd

import (
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs/crashfs"
)

// TestPagesComeTogether reads one block of a disk that is not in memory: its surroundings come with it, once the disk is really
// read, as far as memory goes; and then they are what was written.
func TestPagesComeTogether(t *testing.T) {
	const pages = 5 * loadTogether / 2
	fs := crashfs.New(1)
	s, err := Open(fs, "engine", manual)
	mustDo(t, err)
	id := uuid.New()
	mustDo(t, s.Create(id, pages*pageBytes))
	d := mustOpen(t, s, id)
	for page := range pages {
		write(t, d, page*leafBlocks, byte(page+1))
		write(t, d, page*leafBlocks+1, byte(page+2))
	}
	mustDo(t, d.Flush(), d.Close(), s.Close())
	for _, tight := range []bool{false, true} {
		opt := manual
		if tight {
			opt.MaxLeaves = 8
		}
		s, err := Open(fs, "engine", opt)
		mustDo(t, err)
		d := mustOpen(t, s, id).(*handle)
		for i := range loadAlone {
			mustRead(t, d, (pages-1-i)*leafBlocks, byte(pages-i))
		}
		if n := d.leaves.n; n != loadAlone {
			t.Errorf("%d pages in memory after the first %d reads", n, loadAlone)
		}
		mustRead(t, d, 3*leafBlocks, 4)
		want := loadAlone + loadTogether
		if tight {
			want = loadAlone + 1
		}
		if n := d.leaves.n; n != want {
			t.Errorf("tight %t: %d pages in memory, want %d", tight, n, want)
		}
		for page := range pages {
			mustRead(t, d, page*leafBlocks, byte(page+1))
			mustRead(t, d, page*leafBlocks+1, byte(page+2))
			mustRead(t, d, page*leafBlocks+2, 0)
		}
		mustDo(t, d.Close(), s.Close())
	}
}

// TestLeavesOfManyDisks reads disks that are each within the limit, and together are not: nothing is brought in beside what is asked
// for, and the keeper drops what is too much.
func TestLeavesOfManyDisks(t *testing.T) {
	const disks, pages, limit = 4, 600, 1000
	opt := Options{Manual: true, Reserve: -1, MaxLeaves: limit}
	s, err := Open(crashfs.New(1), "engine", opt)
	mustDo(t, err)
	var all []*handle
	for range disks {
		id := uuid.New()
		mustDo(t, s.Create(id, pages*pageBytes))
		all = append(all, mustOpen(t, s, id).(*handle))
	}
	buf := make([]byte, block.BlockSize)
	for page := range pages {
		for _, d := range all {
			if _, err := d.ReadAt(buf, int64(page)*pageBytes); err != nil {
				t.Fatal(err)
			}
		}
		if page == pages/2 {
			s.evict() // looks, so that what is not used again is told apart
		}
	}
	total := func() (n int) {
		for _, d := range all {
			n += d.leaves.n
		}
		return n
	}
	if n := s.leaves.Load(); n != int64(total()) {
		t.Errorf("%d pages are counted, %d in memory", n, total())
	}
	s.evict()
	s.evict()
	if n := total(); n > limit || s.leaves.Load() != int64(n) {
		t.Errorf("%d pages in memory, %d counted, the limit is %d", n, s.leaves.Load(), limit)
	}
	for _, d := range all {
		mustDo(t, d.Close())
	}
	mustDo(t, s.Close())
}
