package lsd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs/crashfs"
)

// imagesOf reads the whole of each volume.
func imagesOf(t *testing.T, s *Store, ids ...block.ID) map[block.ID][]byte {
	t.Helper()
	all := map[block.ID][]byte{}
	for _, id := range ids {
		d, err := s.OpenVolume(id)
		if err != nil {
			t.Fatal(err)
		}
		all[id] = make([]byte, d.Size())
		if _, err := d.ReadAt(all[id], 0); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// salvageAll gets everything out. The files are the same afterwards.
func salvageAll(t *testing.T, fs *crashfs.FS, opt Options) (v *Salvage, images map[block.ID][]byte, lost map[block.ID][]LostRange) {
	t.Helper()
	was := sumOf(t, fs, "engine")
	v, err := OpenSalvage(fs, "engine", opt)
	if err != nil {
		t.Fatal(err)
	}
	images, lost = map[block.ID][]byte{}, map[block.ID][]LostRange{}
	for _, one := range v.Volumes() {
		p := make([]byte, one.Size)
		lost[one.ID], err = v.Extract(context.Background(), one, func(b []byte, off int64) error {
			copy(p[off:], b)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		images[one.ID] = p
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if sumOf(t, fs, "engine") != was {
		t.Fatal("salvage has changed the files")
	}
	return v, images, lost
}

func sumOf(t *testing.T, fs *crashfs.FS, dir string) string {
	t.Helper()
	sum := sha256.New()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		name = dir + "/" + name
		if info, err := fs.Stat(name); err != nil {
			t.Fatal(err)
		} else if info.IsDir {
			sum.Write([]byte(sumOf(t, fs, name)))
			continue
		}
		f, err := fs.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		size, err := f.Size()
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, size)
		if _, err := f.ReadAt(p, 0); err != nil && size > 0 {
			t.Fatal(err)
		}
		sum.Write([]byte(name))
		sum.Write(p)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return string(sum.Sum(nil))
}

// TestSalvageByMetadata gets three volumes out that share a damaged block.
func TestSalvageByMetadata(t *testing.T) {
	fs, s, disk, snap, clone := family(t)
	want := imagesOf(t, s, disk, snap, clone)
	name, off := placeOf(t, s, snap, 20)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fs = fs.Restart()
	if err := fs.Flip(name, off); err != nil {
		t.Fatal(err)
	}
	v, got, lost := salvageAll(t, fs, manual)
	if len(v.Notes()) > 0 || len(got) != 3 {
		t.Fatalf("%d volumes, %q", len(got), v.Notes())
	}
	for id, p := range want {
		clear(p[20*block.BlockSize : 21*block.BlockSize])
		if !bytes.Equal(got[id], p) {
			t.Errorf("volume %s is not what it was", id)
		}
		if l := lost[id]; len(l) != 1 || l[0] != (LostRange{20 * block.BlockSize, block.BlockSize, causeChecksum}) {
			t.Errorf("volume %s: lost %+v", id, l)
		}
	}
}

// TestSalvageOfALogWithAHole gets out what a disk was before the chunk that is lost.
func TestSalvageOfALogWithAHole(t *testing.T) {
	fs := crashfs.New(2)
	s, id, d := newDiskOf(t, fs, 1<<20)
	for i := range 6 {
		write(t, d, i, byte(i+1))
		if err := d.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	name := "engine/segments/" + segmentsOf(t, fs)[0]
	after := fs.Restart()
	if err := after.Flip(name, (3+2*3)*block.BlockSize); err != nil { // the fourth chunk's header, behind three of two slots
		t.Fatal(err)
	}
	_ = s.Close() // its files are gone
	v, got, _ := salvageAll(t, after, manual)
	p := make([]byte, 1<<20)
	for i := range 4 {
		copy(p[i*block.BlockSize:], bytes.Repeat([]byte{byte(i + 1)}, block.BlockSize))
	}
	if !bytes.Equal(got[id], p) {
		t.Error("the disk is not what it was before the hole")
	}
	if len(v.Notes()) > 0 {
		t.Errorf("%q", v.Notes())
	}
}

// TestSalvageOfACutMetadataLog damages Pebble's log in the middle: what was before it comes out by the metadata.
func TestSalvageOfACutMetadataLog(t *testing.T) {
	fs, s, disk, snap, clone := family(t)
	want := imagesOf(t, s, disk, snap, clone)
	for range 400 { // records behind the hole
		late := uuid.New()
		if err := errors.Join(s.Create(late, 1<<20), s.Delete(late)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fs = fs.Restart()
	for _, log := range metaFiles(t, fs, ".log") {
		info, err := fs.Stat(log)
		if err != nil || info.Size < 100<<10 {
			continue
		}
		if err := flipMiddle(fs, log); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(fs.AfterRestart(), "engine", manual); !errors.Is(err, block.ErrDamaged) {
		t.Fatalf("a log with a hole opens: %v", err)
	}
	v, got, lost := salvageAll(t, fs, manual)
	if len(v.Notes()) != 1 || !strings.Contains(v.Notes()[0], "log has a hole") {
		t.Fatalf("%q", v.Notes())
	}
	for id, p := range want {
		if !bytes.Equal(got[id], p) || len(lost[id]) > 0 {
			t.Errorf("volume %s is not what it was, %+v", id, lost[id])
		}
	}
}

// TestSalvageWithoutMetadata puts disks together from segments, also encrypted and compacted ones.
func TestSalvageWithoutMetadata(t *testing.T) {
	for _, ring := range []*KeyRing{nil, {Current: Key{7}}} {
		opt := manual
		opt.Keys = ring
		fs := crashfs.New(8)
		s, err := Open(fs, "engine", opt)
		if err != nil {
			t.Fatal(err)
		}
		disk, snap, clone := uuid.New(), uuid.New(), uuid.New()
		if err := s.Create(disk, 1<<20); err != nil {
			t.Fatal(err)
		}
		d, err := s.OpenVolume(disk)
		if err != nil {
			t.Fatal(err)
		}
		for round := range 4 {
			for i := 0; i < 200; i += 1 + round {
				write(t, d, i, byte(i+round*50+1))
			}
			if err := s.Checkpoint(); err != nil {
				t.Fatal(err)
			}
			if round == 1 {
				if err := errors.Join(s.Snapshot(block.Cut{Source: disk, Snapshot: snap}), s.Clone(clone, snap, 1<<20)); err != nil {
					t.Fatal(err)
				}
			}
			for n := 1; n > 0; {
				if n, err = s.Compact(0.1); err != nil {
					t.Fatal(err)
				}
			}
		}
		c, err := s.OpenVolume(clone)
		if err != nil {
			t.Fatal(err)
		}
		write(t, c, 13, 213)
		if err := errors.Join(c.Close(), d.Close(), s.Checkpoint()); err != nil {
			t.Fatal(err)
		}
		want := imagesOf(t, s, disk)
		moved := s.movedBlocks.Load()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		fs = fs.Restart()
		if err := fs.RemoveAll("engine/meta"); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(fs.AfterRestart(), "engine", opt); !errors.Is(err, block.ErrDamaged) {
			t.Fatalf("a store without metadata opens: %v", err)
		}
		v, got, lost := salvageAll(t, fs, opt)
		if len(v.Notes()) != 1 || moved == 0 {
			t.Errorf("%q, %d blocks were moved", v.Notes(), moved)
		}
		if !bytes.Equal(got[disk], want[disk]) || len(lost[disk]) > 0 {
			t.Errorf("the disk is not what it was, %+v", lost[disk])
		}
		if p := got[clone]; len(p) != 1<<20 || p[13*block.BlockSize] != 213 {
			t.Error("the clone is not there")
		}
	}
}
