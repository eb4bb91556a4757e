package lsd

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/block/blocktest"
	"tintype/internal/vfs"
	"tintype/internal/vfs/crashfs"
)

// openTest opens a store that is checked when the test ends.
func openTest(t *testing.T, fs vfs.FS, dir string, opt Options) *Store {
	t.Helper()
	s, err := Open(fs, dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mustCheck(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustCheck(t *testing.T, s *Store) {
	t.Helper()
	r, err := s.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Error("check: " + p)
	}
}

func TestDevice(t *testing.T) {
	memory := crashfs.New(1)
	for name, c := range map[string]struct {
		fs  vfs.FS
		dir string
		opt Options
	}{
		"default":         {vfs.OS(), t.TempDir() + "/engine", Options{}},
		"small segments":  {memory, "small", Options{Keys: &KeyRing{Current: Key{1}}, SegmentSlots: 300, CheckpointBytes: 4 << 20, Reserve: -1}},
		"few leaves":      {memory, "few", Options{Keys: &KeyRing{Current: Key{1}}, MaxLeaves: 8, MaxDirtyLeaves: 16, SegmentSlots: 1000, Reserve: -1}},
		"tiny everything": {memory, "tiny", Options{SegmentSlots: 8, CheckpointBytes: 1 << 20, MaxDirtyLeaves: 8, Reserve: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, c.fs, c.dir, c.opt)
			blocktest.Run(t, func(t *testing.T, size int64) block.Device {
				id := uuid.New()
				if err := s.Create(id, size); err != nil {
					t.Fatal(err)
				}
				d, err := s.OpenVolume(id)
				if err != nil {
					t.Fatal(err)
				}
				return d
			})
		})
	}
}

// A file that was used before has more reserved than is asked for, which takes no room, also when there is none left of what may be used.
func TestReserveLess(t *testing.T) {
	fs := crashfs.New(1)
	s, _, d := newDiskOf(t, fs, 1<<20)
	write(t, d, 0, 1)
	seg := s.disks()[0].log.seg
	s.segments.reserve = 1 << 20
	for _, free := range []int64{0, 1<<20 - 1<<15, 1 << 20} {
		fs.SetFree(free)
		if err := s.segments.reserveFor(seg, s.segments.reserved(seg)-16*block.BlockSize, fullReserve); err != nil {
			t.Errorf("%d bytes free: %v", free, err)
		}
	}
	mustDo(t, s.Close())
}
