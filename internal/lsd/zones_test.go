package lsd

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs/crashfs"
	"tintype/internal/vfs/faultfs"
)

var zoneDirs = []string{"zone1", "zone2", "zone3"}

func zonedOptions() Options {
	return Options{SegmentSlots: 64, IdleSeal: -1, Reserve: -1, Manual: true, Zones: zoneDirs}
}

// TestSnapshotGoesZonal makes zonal snapshots and clones of local disks: what they read lies in each zone afterwards, and
// nowhere else.
func TestSnapshotGoesZonal(t *testing.T) {
	disk := crashfs.New(1)
	s := openTest(t, disk, "engine", zonedOptions())
	first, clone, snap := uuid.New(), uuid.New(), uuid.New()
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(s.Create(first, 1<<20))
	want := bytes.Repeat([]byte("x"), 1<<19)
	writeVolume(t, s, first, want)
	do(s.Clone(clone, first, 1<<20))
	writeVolume(t, s, clone, want[:4096])
	do(s.Snapshot(block.Cut{Source: clone, Snapshot: snap, Redundancy: block.Zonal}))
	do(s.Checkpoint())
	for range 3 {
		do(s.TendZones())
	}
	for _, z := range s.Stats().Zones {
		if z.State != "whole" || z.Behind != 0 {
			t.Errorf("zone %+v", z)
		}
	}
	local, err := listSegments(disk, "engine/segments")
	do(err)
	local = slices.DeleteFunc(local, func(n uint32) bool { // made ahead, with nothing in it
		return s.segments.liveAfter(n, 0) == 0
	})
	if len(local) != 0 {
		t.Errorf("segments %v are still local", local)
	}
	do(disk.RemoveAll(path.Join(zoneDirs[0], "segments")))
	got := make([]byte, len(want))
	h, err := s.OpenVolume(snap)
	do(err)
	defer h.Close()
	if _, err := h.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the snapshot reads wrong: %v", err)
	}
	writeVolume(t, s, first, want) // the first disk stays local
	do(s.Checkpoint())
	if local, err = listSegments(disk, "engine/segments"); err != nil || len(local) == 0 {
		t.Errorf("the local disk is not local: %v, %v", local, err)
	}
}

func writeVolume(t *testing.T, s *Store, id block.ID, p []byte) {
	t.Helper()
	h, err := s.OpenVolume(id)
	if err == nil {
		_, err = h.WriteAt(p, 0)
		err = errors.Join(err, h.Flush(), h.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestZonesAreRefused opens stores with folders that are not theirs, or too few.
func TestZonesAreRefused(t *testing.T) {
	disk := crashfs.New(1)
	other := zonedOptions()
	other.Zones = []string{"other1", "other2", "other3"}
	for _, dir := range []string{"engine", "two"} {
		opt := zonedOptions()
		if dir == "two" {
			opt = other
		}
		s, err := Open(disk, dir, opt)
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		zones []string
		want  string
	}{
		{nil, "must be named"},
		{zoneDirs[:2], "2 zones"},
		{[]string{"zone1", "zone2", "other3"}, "of store"},
		{[]string{"zone1", "zone3", "zone2"}, "is zone 3"},
		{[]string{"zone1", "nowhere", "nothing"}, "1 of 3 zones are there"},
		{[]string{"zone1", "engine/meta", "zone3"}, ""},
	} {
		opt := zonedOptions()
		opt.Zones = c.zones
		s, err := Open(disk, "engine", opt)
		if err == nil {
			st := s.Stats().Zones
			if err := s.Close(); err != nil || c.want != "" || st[1].State != "out" || !strings.Contains(st[1].Reason, "not empty") {
				t.Errorf("zones %v: opened, %v, %v", c.zones, st, err)
			}
			continue
		}
		if c.want == "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("zones %v: %v, want %q", c.zones, err, c.want)
		}
	}
	plain := zonedOptions()
	plain.Zones = nil
	s, err := Open(disk, "plain", plain)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id := uuid.New()
	if err := errors.Join(s.Create(id, 1<<20), s.SetRedundancy(id, block.Local)); err != nil {
		t.Error(err)
	}
	if err := s.SetRedundancy(id, block.Zonal); !errors.Is(err, block.ErrNoZones) {
		t.Errorf("zonal without zones: %v", err)
	}
}

// TestFullZone fills one zone: writes are refused, the zone stays in, and goes on when there is room.
func TestFullZone(t *testing.T) {
	disk := crashfs.New(1)
	faults := faultfs.New(disk)
	s := openTest(t, faults, "engine", zonedOptions())
	id := uuid.New()
	if err := errors.Join(s.Create(id, 8<<20), s.SetRedundancy(id, block.Zonal)); err != nil {
		t.Fatal(err)
	}
	h, err := s.OpenVolume(id)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	p := make([]byte, 1<<20)
	faults.Inject(faultfs.Fault{Kinds: faultfs.Allocate, Sticky: true, Err: syscall.ENOSPC, Name: func(n string) bool { return strings.HasPrefix(n, "zone2/") }})
	if _, err := h.WriteAt(p, 0); !errors.Is(err, block.ErrNoSpace) {
		t.Errorf("a write into a full zone: %v", err)
	}
	if z := s.Stats().Zones[1]; z.State != "whole" {
		t.Errorf("the full zone: %+v", z)
	}
	faults.Clear()
	if _, err := h.WriteAt(p, 0); err != nil {
		t.Errorf("a write when there is room again: %v", err)
	}
	if err := h.Flush(); err != nil {
		t.Error(err)
	}
}

// TestZonesUnderLoad writes with many goroutines while zones go and come; nothing that was flushed may be missing.
func TestZonesUnderLoad(t *testing.T) {
	faults := faultfs.New(crashfs.New(1))
	opt := zonedOptions()
	opt.Manual, opt.IdleSeal, opt.Now = false, time.Millisecond, time.Now
	s := openTest(t, faults, "engine", opt)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var rounds [4]byte
	ids := make([]block.ID, len(rounds))
	for i := range rounds {
		ids[i] = uuid.New()
		if err := errors.Join(s.Create(ids[i], 4<<20), s.SetRedundancy(ids[i], block.Redundancy(i%2))); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			h, err := s.OpenVolume(ids[i])
			for round := byte(1); err == nil && round < 200; round++ {
				select {
				case <-stop:
					if err := h.Close(); err != nil {
						t.Error(err)
					}
					return
				default:
				}
				_, err = h.WriteAt(bytes.Repeat([]byte{round}, 200<<10), int64(round%16)*(200<<10))
				if err = errors.Join(err, h.Flush()); err == nil {
					rounds[i] = round
				}
			}
			if err = errors.Join(err, h.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	for n := range 3 {
		loseAndFind(t, s, faults, zoneDirs[n])
	}
	close(stop)
	wg.Wait()
	for i, last := range rounds {
		checkRounds(t, s, ids[i], last)
	}
	if rep, err := s.Check(t.Context()); err != nil || !rep.Clean() {
		t.Errorf("check: %v, %q", err, rep.Problems)
	}
}

func loseAndFind(t *testing.T, s *Store, faults *faultfs.FS, zone string) {
	t.Helper()
	faults.Inject(faultfs.Fault{
		Kinds: faultfs.All &^ faultfs.Close, Sticky: true, Err: fs.ErrNotExist,
		Name: func(n string) bool { return strings.HasPrefix(n, zone+"/") },
	})
	time.Sleep(50 * time.Millisecond)
	faults.Clear()
	awaitWhole(t, s)
}

// awaitWhole returns when all zones are like each other.
func awaitWhole(t *testing.T, s *Store) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if !slices.ContainsFunc(s.Stats().Zones, func(z ZoneStats) bool { return z.State != "whole" }) {
			return
		}
		s.wakeZones()
	}
	t.Fatalf("zones do not catch up: %+v", s.Stats().Zones)
}

// checkRounds reads what the last rounds wrote.
func checkRounds(t *testing.T, s *Store, id block.ID, last byte) {
	t.Helper()
	h, err := s.OpenVolume(id)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	p := make([]byte, 200<<10)
	for round := last; round > 0 && round+16 > last; round-- {
		if _, err := h.ReadAt(p, int64(round%16)*(200<<10)); err != nil || p[0] != round || p[len(p)-1] != round {
			t.Errorf("disk %s: round %d of %d reads %d, %v", id, round, last, p[0], err)
		}
	}
}

// TestScrubMendsHeaders flips a bit of a chunk's header in one zone, which no reader of blocks meets: a pass of the scrub makes it
// like the others.
func TestScrubMendsHeaders(t *testing.T) {
	disk := crashfs.New(1)
	s := openTest(t, disk, "engine", zonedOptions())
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	id := uuid.New()
	do(errors.Join(s.Create(id, 1<<20), s.SetRedundancy(id, block.Zonal)))
	writeVolume(t, s, id, bytes.Repeat([]byte("x"), 1<<18))
	do(s.Checkpoint())
	do(s.TendZones())
	names, err := listSegments(disk, path.Join(zoneDirs[0], "segments"))
	do(err)
	name := segmentName(path.Join(zoneDirs[0], "segments"), names[0])
	f, err := disk.OpenReadWrite(name)
	do(err)
	good, bad := make([]byte, 2*block.BlockSize), make([]byte, 2*block.BlockSize)
	_, err = f.ReadAt(good, 0)
	do(err)
	copy(bad, good)
	bad[block.BlockSize+20] ^= 1 // the first chunk's header
	bad[40] ^= 1                 // the segment's
	_, err = f.WriteAt(bad, 0)
	do(err)
	do(s.Scrub(t.Context()))
	_, err = f.ReadAt(bad, 0)
	do(err)
	if !bytes.Equal(bad, good) {
		t.Error("the headers are still damaged")
	}
	do(f.Close())
}

// TestZoneHangs has one zone after the other hang under load: writes and flushes go on without it after a while, and when it
// answers again, late writes and all, it is made like the others.
func TestZoneHangs(t *testing.T) {
	faults := faultfs.New(crashfs.New(1))
	opt := zonedOptions()
	opt.Manual, opt.IdleSeal, opt.Now, opt.ZoneTimeout = false, time.Millisecond, time.Now, 500*time.Millisecond // more than a busy machine keeps anybody waiting
	s := openTest(t, faults, "engine", opt)
	id := uuid.New()
	if err := errors.Join(s.Create(id, 4<<20), s.SetRedundancy(id, block.Zonal)); err != nil {
		t.Fatal(err)
	}
	h, err := s.OpenVolume(id)
	if err != nil {
		t.Fatal(err)
	}
	round := byte(0)
	write := func() {
		t.Helper()
		round++
		_, err := h.WriteAt(bytes.Repeat([]byte{round}, 200<<10), int64(round%16)*(200<<10))
		if err := errors.Join(err, h.Flush()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	for _, zone := range zoneDirs {
		for _, kinds := range []faultfs.Kind{faultfs.Write, faultfs.Sync, faultfs.All &^ faultfs.Close} {
			write()
			awaitWhole(t, s) // of two that are late only the first is given up
			held := make(chan struct{})
			faults.Inject(faultfs.Fault{
				Kinds: kinds, Sticky: true, Do: func(faultfs.Op) { <-held },
				Name: func(n string) bool { return strings.HasPrefix(n, zone+"/") },
			})
			for range 8 {
				write()
			}
			out := 0
			for _, z := range s.Stats().Zones {
				if z.State == "out" {
					out++
				}
			}
			if out != 1 {
				t.Errorf("zone %s hangs: %+v", zone, s.Stats().Zones)
			}
			close(held)
			loseAndFind(t, s, faults, "none")
		}
	}
	if err := errors.Join(h.Close(), s.Checkpoint()); err != nil {
		t.Fatal(err)
	}
	if healed, err := s.MendZones(); healed != 0 || err != nil {
		t.Errorf("%d bytes of copies that count as whole were bad: %v", healed, err)
	}
	checkRounds(t, s, id, round)
	if rep, err := s.Check(t.Context()); err != nil || !rep.Clean() {
		t.Errorf("check: %v, %q", err, rep.Problems)
	}
}
