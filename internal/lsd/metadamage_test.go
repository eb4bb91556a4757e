package lsd

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs/crashfs"
)

// manyVersions makes a store with two disks and a snapshot of each, of many pages, whose metadata is in tables.
func manyVersions(t *testing.T) (*crashfs.FS, []block.ID) {
	t.Helper()
	fs := crashfs.New(5)
	s, err := Open(fs, "engine", Options{SegmentSlots: 4096, IdleSeal: -1, Reserve: -1, Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	var ids []block.ID
	for range 2 {
		id, snap := uuid.New(), uuid.New()
		if err := s.Create(id, pagesHere*leafBlocks*block.BlockSize); err != nil {
			t.Fatal(err)
		}
		d, err := s.OpenVolume(id)
		if err != nil {
			t.Fatal(err)
		}
		for i := range pagesHere {
			write(t, d, i*leafBlocks, byte(i))
		}
		if err := s.Snapshot(block.Cut{Source: id, Snapshot: snap}); err != nil {
			t.Fatal(err)
		}
		for i := range pagesHere / 3 {
			write(t, d, i*leafBlocks*3+1, byte(i+1))
		}
		ids = append(ids, id, snap)
	}
	for _, err := range []error{s.Checkpoint(), s.db.Flush(), s.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return fs.Restart(), ids
}

const pagesHere = 201

// right is what block lba of volume number v holds: the disks are 0 and 2, their snapshots 1 and 3.
func right(v, lba int) []byte {
	p := make([]byte, block.BlockSize)
	if page := lba / leafBlocks; lba%leafBlocks == 0 {
		return bytes.Repeat([]byte{byte(page)}, block.BlockSize)
	} else if v%2 == 0 && lba%leafBlocks == 1 && page%3 == 0 {
		return bytes.Repeat([]byte{byte(page/3 + 1)}, block.BlockSize)
	}
	return p
}

// readAll reads two blocks of each page of each volume: what is not right must be damaged. It returns which pages are.
func readAll(t *testing.T, s *Store, ids []block.ID) map[block.ID][]int {
	t.Helper()
	bad := map[block.ID][]int{}
	p := make([]byte, block.BlockSize)
	for v, id := range ids {
		d, err := s.OpenVolume(id)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for page := range pagesHere {
			var failed error
			for lba := page * leafBlocks; lba < page*leafBlocks+2; lba++ {
				if _, err := d.ReadAt(p, int64(lba)*block.BlockSize); err != nil {
					failed = err
				} else if !bytes.Equal(p, right(v, lba)) {
					t.Fatalf("volume %d block %d reads other data", v, lba)
				}
			}
			if failed != nil {
				if !errors.Is(failed, block.ErrDamaged) {
					t.Fatalf("volume %d page %d: %v", v, page, failed)
				}
				bad[id] = append(bad[id], page)
			}
		}
	}
	return bad
}

func metaFiles(t *testing.T, fs *crashfs.FS, suffix string) []string {
	t.Helper()
	names, err := fs.List("engine/meta")
	if err != nil {
		t.Fatal(err)
	}
	var some []string
	for _, name := range names {
		if strings.Contains(name, suffix) {
			some = append(some, path.Join("engine/meta", name))
		}
	}
	if len(some) == 0 {
		t.Fatalf("no file %s among %s", suffix, names)
	}
	return some
}

// named tells whether the report names a page of a volume.
func named(r Report, id block.ID, page int) bool {
	for _, d := range r.Damages {
		for _, v := range d.Volumes {
			if lba := uint64(page) * leafBlocks; v == id && lba+leafBlocks > d.Block && lba < d.Block+d.Blocks {
				return true
			}
		}
	}
	return false
}

// TestDamagedTableIsContained flips bytes all over Pebble's tables: the store opens, unless its own records are hit, reads
// what is right or an error, and the check names every page that is an error.
func TestDamagedTableIsContained(t *testing.T) {
	fs, ids := manyVersions(t)
	table := metaFiles(t, fs, ".sst")[0]
	info, err := fs.Stat(table)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	contained, refused := 0, 0
	for range 10 {
		hurt := fs.AfterRestart()
		if err := hurt.Flip(table, r.Int64N(info.Size)); err != nil {
			t.Fatal(err)
		}
		s, err := Open(hurt, "engine", manual)
		if err != nil {
			if !errors.Is(err, block.ErrDamaged) {
				t.Fatalf("the store does not say that it is damaged: %v", err)
			}
			refused++
			continue
		}
		bad := readAll(t, s, ids)
		report, err := s.Check(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for id, pages := range bad {
			if len(pages) > pagesHere/2 {
				t.Errorf("one flipped bit takes %d pages of %d", len(pages), pagesHere)
			}
			for _, page := range pages {
				if !named(report, id, page) {
					t.Fatalf("page %d of %s is damaged, the check names %+v", page, id, report.Damages)
				}
			}
		}
		if len(bad) > 0 {
			contained++
		}
		goesOn(t, s, ids, bad)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of 10 damaged pages, %d kept the store from opening", contained, refused)
	if contained < 1 {
		t.Errorf("only %d of 10 flips met a page", contained)
	}
}

// goesOn writes to the pages of the disks that can be read, checkpoints, and deletes one volume after the other.
func goesOn(t *testing.T, s *Store, ids []block.ID, bad map[block.ID][]int) {
	t.Helper()
	for v, id := range ids {
		d, err := s.OpenVolume(id)
		if err != nil {
			t.Fatal(err)
		}
		for page := 0; v%2 == 0 && page < pagesHere; page++ {
			if !slices.Contains(bad[id], page) {
				write(t, d, page*leafBlocks+9, 9)
			} else if _, err := d.WriteAt([]byte{1}, int64(page*leafBlocks)*block.BlockSize); !errors.Is(err, block.ErrDamaged) {
				t.Errorf("a write to a page that cannot be read says %v", err)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Checkpoint(); err != nil {
		t.Errorf("checkpoint: %v", err)
	}
	readAll(t, s, ids)
	for _, id := range ids {
		if err := errors.Join(s.Delete(id), s.Reclaim()); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
}

// TestMissingMetadata removes and damages Pebble's other files: the store says that it is damaged, or serves what is right.
func TestMissingMetadata(t *testing.T) {
	fs, ids := manyVersions(t)
	for _, kind := range []string{".sst", "MANIFEST", ".log", "marker", "OPTIONS"} {
		for _, name := range metaFiles(t, fs, kind) {
			for how, hurt := range map[string]func(*crashfs.FS) error{
				"missing": func(fs *crashfs.FS) error { return fs.Remove(name) },
				"flipped": func(fs *crashfs.FS) error { return flipMiddle(fs, name) },
				"cut off": func(fs *crashfs.FS) error { return cutOff(fs, name) },
			} {
				after := fs.AfterRestart()
				if err := hurt(after); err != nil {
					continue // empty
				}
				s, err := Open(after, "engine", manual)
				if err != nil {
					t.Logf("%s %s: %v", name, how, err)
					if !errors.Is(err, block.ErrDamaged) {
						t.Errorf("%s %s: the store does not say that it is damaged: %v", name, how, err)
					}
					continue
				}
				if s.Stats().Live == 0 {
					t.Errorf("%s %s: the store opens, empty", name, how)
				} else if bad := readAll(t, s, ids); len(bad) > 0 {
					t.Logf("%s %s: pages of %d volumes are damaged", name, how, len(bad))
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func flipMiddle(fs *crashfs.FS, name string) error {
	info, err := fs.Stat(name)
	if err != nil {
		return err
	}
	return fs.Flip(name, info.Size/2)
}

func cutOff(fs *crashfs.FS, name string) error {
	f, err := fs.OpenReadWrite(name)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil || size == 0 {
		return errors.Join(err, errors.New("empty"))
	}
	return errors.Join(f.Truncate(size/2), f.Sync(), f.Close())
}
