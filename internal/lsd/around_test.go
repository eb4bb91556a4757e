package lsd

import (
	"testing"

	"github.com/google/uuid"

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
