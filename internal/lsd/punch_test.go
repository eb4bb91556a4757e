package lsd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs"
	"tintype/internal/vfs/crashfs"
	"tintype/internal/vfs/faultfs"
)

// punched is a store with one disk that was written in order, and what its blocks read as.
type punched struct {
	*testing.T
	fs   *crashfs.FS
	opt  Options
	s    *Store
	id   block.ID
	want []byte
}

// newPunched writes some blocks in order, and has all of them counted.
func newPunched(t *testing.T, blocks int, slots uint32) *punched {
	h := &punched{T: t, fs: crashfs.New(1), opt: manual, id: uuid.New(), want: make([]byte, blocks)}
	h.opt.SegmentSlots = slots
	h.open()
	mustDo(t, h.s.Create(h.id, int64(blocks)*block.BlockSize))
	for lba := range h.want {
		h.want[lba] = byte(lba) | 1
	}
	h.writeAll(0, blocks)
	return h
}

func (h *punched) open() {
	h.Helper()
	s, err := Open(h.fs, "engine", h.opt)
	mustDo(h.T, err)
	h.s = s
}

func (h *punched) restart() {
	h.Helper()
	h.fs = h.fs.AfterCrash()
	h.open()
}

// writeAll writes a range as it is wanted, in one go.
func (h *punched) writeAll(from, to int) {
	h.Helper()
	p := make([]byte, (to-from)*block.BlockSize)
	for i := range p {
		p[i] = h.want[from+i/block.BlockSize]
	}
	d := mustOpen(h.T, h.s, h.id)
	_, err := d.WriteAt(p, int64(from)*block.BlockSize)
	mustDo(h.T, err, d.Close(), h.s.Checkpoint())
}

func (h *punched) trim(from, to int) {
	h.Helper()
	d := mustOpen(h.T, h.s, h.id)
	mustDo(h.T, d.Trim(int64(from)*block.BlockSize, int64(to-from)*block.BlockSize), d.Close(), h.s.Checkpoint())
	clear(h.want[from:to])
}

// room is what the files take.
func (h *punched) room() int64 {
	h.Helper()
	space, err := h.fs.Space("engine")
	mustDo(h.T, err)
	return space.Total - space.Free
}

// check reads everything, and has the store look for damage.
func (h *punched) check() {
	h.Helper()
	d := mustOpen(h.T, h.s, h.id)
	for lba, b := range h.want {
		mustRead(h.T, d, lba, b)
	}
	r, err := h.s.Check(context.Background())
	mustDo(h.T, err, d.Close(), h.s.Scrub(context.Background()))
	if found := h.s.ScrubReport().Damages; !r.Clean() || len(found) > 0 {
		h.Fatalf("check %q, scrub %+v", r.Problems, found)
	}
}

// TestDiscardGivesRoomBack discards a part of a disk, and overwrites another: the room of both comes back without anything being moved,
// stays given back after a power cut, and what is left can be compacted.
func TestDiscardGivesRoomBack(t *testing.T) {
	const blocks, gone = 4000, 1000
	h := newPunched(t, blocks, 2000)
	h.trim(700, 700+gone)
	before := h.room()
	n, err := h.s.Punch(0.01)
	mustDo(t, err)
	if least := int64(gone-20) * block.BlockSize; n < least || n > least+40*block.BlockSize {
		t.Fatalf("punched %d bytes of %d", n, gone*block.BlockSize)
	}
	if freed := before - h.room(); freed < n-64<<10 {
		t.Errorf("the files take %d bytes less, %d were punched", freed, n)
	}
	st := h.s.Stats()
	if st.Punched != n || st.Moved != 0 {
		t.Errorf("stats say %d punched, %d moved; %d were punched", st.Punched, st.Moved, n)
	}
	if again, err := h.s.Punch(0); again != 0 || err != nil {
		t.Errorf("the second time %d bytes are punched, %v", again, err)
	}
	h.check()
	h.restart()
	_, err = h.s.Punch(1) // those of which the power cut has left it open whether they are punched
	if now := h.s.Stats().Punched; err != nil || now != n {
		t.Errorf("%d bytes are punched after a restart, before it %d, %v", now, n, err)
	}
	h.check()
	for lba := 2500; lba < 3500; lba++ {
		h.want[lba]++
	}
	h.writeAll(2500, 3500)
	more, err := h.s.Punch(0.01)
	if now := h.s.Stats(); err != nil || more < 900*block.BlockSize || now.Punched != n+more || now.Moved != 0 {
		t.Errorf("of what was overwritten %d bytes are punched, %v; %d in all, %d moved", more, err, now.Punched, now.Moved)
	}
	h.check()
	for moved := 1; moved > 0; {
		moved, err = h.s.Compact(0)
		mustDo(t, err)
	}
	h.check()
	mustDo(t, h.s.Close())
}

// TestRestPunchesBeforeItMoves brings a store to rest after a discard: little is moved.
func TestRestPunchesBeforeItMoves(t *testing.T) {
	const blocks, gone = 6000, 1500
	h := newPunched(t, blocks, 3000)
	h.trim(1000, 1000+gone)
	mustDo(t, h.s.Tighten())
	st := h.s.Stats()
	if st.Punched < (gone-50)*block.BlockSize || st.Moved > 0 {
		t.Errorf("%d bytes punched, %d moved", st.Punched, st.Moved)
	}
	if most := (blocks - gone) * block.BlockSize * 11 / 10; st.Physical-st.Metadata > int64(most) {
		t.Errorf("%d bytes for %d that live", st.Physical, st.Live)
	}
	h.check()
	mustDo(t, h.s.Close())
}

// TestSnapshotsKeepTheirBlocks: what a snapshot or a clone of it holds is not punched before they are gone.
func TestSnapshotsKeepTheirBlocks(t *testing.T) {
	h := newPunched(t, 1000, 2000)
	snap, clone := uuid.New(), uuid.New()
	mustDo(t, h.s.Snapshot(block.Cut{Source: h.id, Snapshot: snap}), h.s.Clone(clone, snap, 1000*block.BlockSize))
	was := slices.Clone(h.want)
	h.trim(0, 900)
	for _, id := range []block.ID{snap, clone} {
		d := mustOpen(t, h.s, id)
		if n, err := h.s.Punch(0); n != 0 || err != nil {
			t.Fatalf("punched %d bytes that %s holds, %v", n, id, err)
		}
		for lba, b := range was {
			mustRead(t, d, lba, b)
		}
		mustDo(t, d.Close(), h.s.Delete(id), h.s.Reclaim())
	}
	mustDo(t, h.s.Checkpoint(), h.s.leaveLogs(func(*diskLog) bool { return true }))
	if n, err := h.s.Punch(0); n < 800*block.BlockSize || err != nil {
		t.Errorf("punched %d bytes that nobody holds, %v", n, err)
	}
	h.check()
	mustDo(t, h.s.Close())
}

// TestHolesAreSkippedByReaders keeps a segment pinned while it is looked through: it is not punched then, but later.
func TestHolesAreSkippedByReaders(t *testing.T) {
	h := newPunched(t, 4000, 2000)
	h.trim(0, 1500)
	seg, err := h.s.segments.pin(1)
	mustDo(t, err)
	if n, err := h.s.Punch(0); n != 0 || err != nil {
		t.Errorf("punched %d bytes of a segment that is read, %v", n, err)
	}
	h.check()
	mustDo(t, h.s.segments.unpin(seg))
	if n, err := h.s.Punch(0); n < 1400*block.BlockSize || err != nil {
		t.Errorf("punched %d bytes, %v", n, err)
	}
	h.check()
	mustDo(t, h.s.Close())
}

// TestNoHolesWithoutSupport has the file system refuse: nothing is lost, and it is asked once.
func TestNoHolesWithoutSupport(t *testing.T) {
	h := newPunched(t, 4000, 2000)
	h.trim(0, 1500)
	mustDo(t, h.s.Close())
	faults := faultfs.New(h.fs)
	fault := faults.Inject(faultfs.Fault{Kinds: faultfs.Punch, Err: errors.ErrUnsupported, Sticky: true})
	s, err := Open(faults, "engine", h.opt)
	mustDo(t, err)
	h.s = s
	for range 3 {
		if n, err := s.Punch(0); n != 0 || err != nil {
			t.Errorf("punched %d bytes, %v", n, err)
		}
	}
	if fault.Hits() != 1 || s.Stats().Punched != 0 {
		t.Errorf("asked %d times, and says that %d bytes are punched", fault.Hits(), s.Stats().Punched)
	}
	h.check()
	mustDo(t, s.Close())
}

// TestSalvageOverHoles loses the metadata of a disk with holes: what it held is got out of the segments alone.
func TestSalvageOverHoles(t *testing.T) {
	h := newPunched(t, 4000, 2000)
	for lba := range 1500 {
		h.want[lba]++
	}
	h.writeAll(0, 1500)
	if n, err := h.s.Punch(0); n < 1300*block.BlockSize || err != nil {
		t.Fatalf("punched %d bytes, %v", n, err)
	}
	mustDo(t, h.s.Close(), removeManifests(h.fs))
	v, err := OpenSalvage(h.fs, "engine", h.opt)
	mustDo(t, err)
	for _, one := range v.Volumes() {
		got := make([]byte, len(h.want))
		lost, err := v.Extract(context.Background(), one, func(p []byte, off int64) error {
			got[off/block.BlockSize] = p[0]
			return nil
		})
		mustDo(t, err)
		if d := cmp.Diff(h.want, got); len(lost) > 0 || d != "" {
			t.Errorf("lost %+v, other data %s", lost, d)
		}
	}
	mustDo(t, v.Close())
}

// TestSalvageOverHolesInALog loses what Pebble's log has behind a disk's first checkpoint: what the disk's log is replayed from then has had
// holes since. What is behind them comes out all the same, and it is told that something is missing.
func TestSalvageOverHolesInALog(t *testing.T) {
	const blocks = 4000
	h := &punched{T: t, fs: crashfs.New(1), opt: manual, id: uuid.New(), want: make([]byte, blocks)}
	h.opt.SegmentSlots = 2000
	h.open()
	mustDo(t, h.s.Create(h.id, blocks*block.BlockSize), h.s.Checkpoint())
	logs := metaFiles(t, h.fs, ".log")
	first, err := h.fs.Stat(logs[len(logs)-1])
	mustDo(t, err)
	for lba := range h.want {
		h.want[lba] = byte(lba) | 1
	}
	h.writeAll(0, blocks)
	h.trim(0, 700)
	for lba := 800; lba < 1500; lba++ {
		h.want[lba] += 2
	}
	h.writeAll(800, 1500)
	if n, err := h.s.Punch(0); n < 1200*block.BlockSize || err != nil {
		t.Fatalf("punched %d bytes, %v", n, err)
	}
	mustDo(t, h.s.Close(), h.fs.Flip(logs[len(logs)-1], first.Size+50))
	v, err := OpenSalvage(h.fs, "engine", h.opt)
	mustDo(t, err)
	volumes := v.Volumes()
	if len(v.Notes()) == 0 || len(volumes) != 1 || len(volumes[0].Notes) == 0 || !strings.Contains(volumes[0].Notes[0], "chunks that are missing") {
		t.Fatalf("%q, %+v", v.Notes(), volumes)
	}
	got := make([]byte, blocks)
	lost, err := v.Extract(context.Background(), volumes[0], func(p []byte, off int64) error {
		got[off/block.BlockSize] = p[0]
		return nil
	})
	wrong := 0
	for lba := range got {
		if got[lba] != h.want[lba] {
			wrong++
		}
	}
	if wrong > 0 || len(lost) > 0 || err != nil {
		t.Errorf("%d of %d blocks are wrong, lost %+v, %v", wrong, blocks, lost, err)
	}
	mustDo(t, v.Close())
}

func removeManifests(fs vfs.FS) error {
	names, err := fs.List("engine/meta")
	for _, name := range names {
		if isMarker(name) {
			err = errors.Join(err, fs.Remove("engine/meta/"+name))
		}
	}
	return err
}

func FuzzHoles(f *testing.F) {
	f.Add((&holes{all: []hole{{2, 70}, {71, 900}}, sure: true, dead: 1000}).encode())
	f.Add([]byte{2, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		n, h, err := decodeHoles(holesKey(7), p)
		if err != nil {
			return
		}
		if d := cmp.Diff(p, h.encode()); n != 7 || d != "" {
			t.Fatalf("segment %d: %s", n, d)
		}
		for slot := range uint32(1 << slotBits) {
			if o := h.at(slot); o != nil && (slot < o.from || slot >= o.to) {
				t.Fatalf("slot %d is not in %+v", slot, o)
			}
		}
	})
}
