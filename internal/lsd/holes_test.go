package lsd

import (
	"bytes"
	"errors"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs/crashfs"
	"tintype/internal/vfs/faultfs"
)

// TestPinnedSegmentKeepsWhatIsSure: a segment that somebody reads for long is not looked through, and what was given back of it before counts on.
func TestPinnedSegmentKeepsWhatIsSure(t *testing.T) {
	h := newPunched(t, 4000, 2000)
	h.trim(0, 800)
	was, err := h.s.Punch(0)
	mustDo(t, err)
	h.trim(800, 1500)
	seg, err := h.s.segments.pin(1)
	mustDo(t, err)
	if n, err := h.s.Punch(0); n != 0 || err != nil || h.s.Stats().Punched != was {
		t.Errorf("%d bytes are punched, %d of them now, %v; before it were %d", h.s.Stats().Punched, n, err, was)
	}
	mustDo(t, h.s.segments.unpin(seg))
	if n, err := h.s.Punch(0); n < 650*block.BlockSize || err != nil {
		t.Errorf("punched %d bytes, %v", n, err)
	}
	h.check()
	mustDo(t, h.s.Close())
}

// TestDoubtNeedsNoLook restarts a store after a power cut that left open whether holes are punched: they are, by what is recorded alone.
func TestDoubtNeedsNoLook(t *testing.T) {
	h := newPunched(t, 4000, 2000)
	h.trim(0, 1500)
	was, err := h.s.Punch(0)
	mustDo(t, err)
	faults := faultfs.New(h.fs.AfterCrash())
	s, err := Open(faults, "engine", h.opt)
	mustDo(t, err)
	seg, err := s.segments.pin(1)
	mustDo(t, err, s.segments.unpin(seg))
	s.segments.doubtHoles(seg)
	faults.Inject(faultfs.Fault{Kinds: faultfs.Read, Err: errors.New("no reading"), Sticky: true, Name: func(name string) bool {
		return name == "engine/segments/0000000001.seg"
	}})
	if _, err := s.Punch(1); err != nil || s.Stats().Punched != was {
		t.Errorf("%d bytes are punched, before it were %d, %v", s.Stats().Punched, was, err)
	}
	mustDo(t, s.Close())
}

// TestRecordCoversWhatIsPunched: a record of holes that lacks some that are there is refused, and none is made when only longer ones are
// looked for.
func TestRecordCoversWhatIsPunched(t *testing.T) {
	h := newPunched(t, 4000, 2000)
	h.trim(100, 300)
	if n, err := h.s.Punch(0); n == 0 || err != nil {
		t.Fatalf("punched %d bytes, %v", n, err)
	}
	mustDo(t, h.s.Close())
	h.opt.HoleBlocks = 500
	h.open()
	seg, err := h.s.segments.pin(1)
	mustDo(t, err, h.s.segments.unpin(seg))
	was := h.s.segments.holesOf(seg)
	h.s.commits.Lock()
	err = h.s.keepHoles(seg, holes{all: []hole{{was.all[0].from + 1, 2000}}}, false)
	h.s.commits.Unlock()
	if err == nil || !slices.Equal(h.s.segments.holesOf(seg).all, was.all) {
		t.Errorf("a record that lacks a slot of %+v is taken, %v", was, err)
	}
	h.trim(700, 1500)
	if n, err := h.s.Punch(0); n < 550*block.BlockSize || err != nil {
		t.Errorf("punched %d bytes, %v", n, err)
	}
	if now := h.s.segments.holesOf(seg); !now.covers(&was) {
		t.Errorf("holes %+v, before it were %+v", now.all, was.all)
	}
	h.check()
	mustDo(t, h.s.Close())
}

// TestLookStops ends a look for holes before it is through: nothing is punched, and the next one begins again.
func TestLookStops(t *testing.T) {
	h := newPunched(t, 4000, 2000)
	h.trim(0, 1500)
	never := func() bool { return false }
	mustDo(t, h.s.punchCold(never)) // it does not lie still yet
	asked := 0
	mustDo(t, h.s.punchCold(func() bool { asked++; return asked > 1 }))
	if n := h.s.Stats().Punched; n != 0 {
		t.Errorf("%d bytes were punched by a look that was to end", n)
	}
	mustDo(t, h.s.punchCold(never))
	if n := h.s.Stats().Punched; n < 1400*block.BlockSize {
		t.Errorf("%d bytes were punched", n)
	}
	h.check()
	mustDo(t, h.s.Close())
}

// TestOnePinAtATime has only the segment pinned for which something is done.
func TestOnePinAtATime(t *testing.T) {
	h := newPunched(t, 4000, 500)
	done, was := 0, map[uint32]int{} // logs pin theirs
	for n, seg := range h.s.segments.segs {
		was[n] = seg.pins
	}
	mustDo(t, h.s.eachSegment(func(seg *segment) error {
		done++
		h.s.segments.mu.Lock()
		defer h.s.segments.mu.Unlock()
		for n, other := range h.s.segments.segs {
			if other != seg && other.pins > was[n] {
				t.Errorf("segment %d is pinned while something is done for %d", n, seg.number)
			}
		}
		return nil
	}))
	if done < 8 {
		t.Errorf("done for %d segments", done)
	}
	mustDo(t, h.s.Close())
}

// TestRecordsOfHolesGoWithSegments: a start drops those of segments that are gone.
func TestRecordsOfHolesGoWithSegments(t *testing.T) {
	h := newPunched(t, 500, 200)
	gone := &segment{}
	gone.number = 77
	h.s.commits.Lock()
	err := h.s.keepHoles(gone, holes{all: []hole{{2, 70}}}, true)
	h.s.commits.Unlock()
	mustDo(t, err, h.s.Close())
	for range 2 {
		h.open()
		left := 0
		mustDo(t, h.s.each(keyHoles, func(_, _ []byte) error { left++; return nil }))
		if left > 0 {
			t.Errorf("%d records are left", left)
		}
		mustDo(t, h.s.Close())
	}
}

// zonedHoles is a store with a zonal disk whose zones have all of it, and half of which is dead; punched counts what is punched in each zone.
func zonedHoles(t *testing.T, faults *faultfs.FS) (s *Store, punched func(zone string) int) {
	t.Helper()
	opt := zonedOptions()
	opt.SegmentSlots = 2000
	s = openTest(t, faults, "engine", opt)
	id := uuid.New()
	mustDo(t, s.Create(id, 8<<20), s.SetRedundancy(id, block.Zonal))
	p := bytes.Repeat([]byte("x"), 8<<20)
	writeVolume(t, s, id, p)
	d := mustOpen(t, s, id)
	mustDo(t, d.Trim(0, 4<<20), d.Close(), s.Checkpoint(), s.leaveLogs(func(*diskLog) bool { return true }))
	for range 3 {
		mustDo(t, s.TendZones())
	}
	all := map[string]int{}
	faults.Inject(faultfs.Fault{Kinds: faultfs.Punch, Sticky: true, Do: func(op faultfs.Op) { all[path.Dir(path.Dir(op.Name))]++ }})
	return s, func(zone string) int { return all[zone] }
}

// TestZoneThatCannotPunch: the others give room back all the same.
func TestZoneThatCannotPunch(t *testing.T) {
	faults := faultfs.New(crashfs.New(1))
	fault := faults.Inject(faultfs.Fault{Kinds: faultfs.Punch, Err: errors.ErrUnsupported, Sticky: true, Name: func(name string) bool {
		return strings.HasPrefix(name, zoneDirs[0]+"/")
	}})
	s, punched := zonedHoles(t, faults)
	if n, err := s.Punch(0); n < 900*block.BlockSize || err != nil {
		t.Errorf("punched %d bytes, %v", n, err)
	}
	if fault.Hits() != 1 || punched(zoneDirs[1]) == 0 || punched(zoneDirs[1]) != punched(zoneDirs[2]) {
		t.Errorf("asked %d times, punched %d and %d ranges", fault.Hits(), punched(zoneDirs[1]), punched(zoneDirs[2]))
	}
}

// TestZoneThatMissedPunching is away while the others are punched: what it has is punched when it is back.
func TestZoneThatMissedPunching(t *testing.T) {
	faults := faultfs.New(crashfs.New(1))
	s, punched := zonedHoles(t, faults)
	z := s.zones.all[0]
	s.zones.fail(z, z.life.Load(), errors.New("away"))
	if n, err := s.Punch(0); n < 900*block.BlockSize || err != nil || punched(zoneDirs[0]) > 0 {
		t.Errorf("punched %d bytes, %v, and %d ranges in a zone that is away", n, err, punched(zoneDirs[0]))
	}
	for range 3 {
		mustDo(t, s.TendZones())
	}
	if _, err := s.Punch(1); err != nil || punched(zoneDirs[0]) == 0 {
		t.Errorf("%d ranges were punched in the zone that is back, %v", punched(zoneDirs[0]), err)
	}
}
