package lsd

import (
	"bytes"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs/crashfs"
)

// TestFreedBehindAnEmptyEpoch asks for what a snapshot holds alone that was taken at the same place of the log as the one before
// it: nothing. What was written after it belongs to a snapshot that is deleted, and not yet reclaimed, though both begin at that place.
func TestFreedBehindAnEmptyEpoch(t *testing.T) {
	s := openTest(t, crashfs.New(1), "engine", Options{Manual: true, Reserve: -1})
	disk, first, same, later := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Create(disk, 1<<20))
	d, err := s.OpenVolume(disk)
	must(err)
	write := func(b byte) {
		t.Helper()
		_, err := d.WriteAt(bytes.Repeat([]byte{b}, 10*block.BlockSize), 0)
		must(err)
	}
	write(1)
	must(s.Snapshot(block.Cut{Source: disk, Snapshot: first}))
	must(s.Snapshot(block.Cut{Source: disk, Snapshot: same}))
	write(2)
	must(s.Snapshot(block.Cut{Source: disk, Snapshot: later}))
	write(3)
	must(d.Close())
	must(s.Delete(later))
	for _, when := range []string{"before", "after"} {
		if when == "after" {
			must(s.Reclaim())
		}
		freed, err := s.Freed(same)
		must(err)
		both, err := s.Freed(first, same)
		must(err)
		if freed != 0 || both != 10*block.BlockSize {
			t.Errorf("%s reclaiming: %d and %d bytes, want 0 and %d", when, freed, both, 10*block.BlockSize)
		}
	}
}
