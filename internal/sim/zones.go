package sim

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"tintype/internal/block"
	"tintype/internal/vfs"
	"tintype/internal/vfs/crashfs"
	"tintype/internal/vfs/faultfs"
)

// zones is what a history knows of the store's zones. At most one is out at a time, and the next goes only when all are
// whole: as long as two hold, every promise does.
type zones struct {
	dirs   []string
	out    string      // the folder of the one that is out, or ""
	lost   *crashfs.FS // what its disk holds when it comes back, if not what it held
	flips  bool        // bits flip in this history; without, copies that should be alike are
	faults *faultfs.FS
}

func (s *sim) drawZones() {
	if s.rng.IntN(2) == 0 {
		s.zones.dirs = []string{"zone1", "zone2", "zone3"}
		s.opt.Zones = s.zones.dirs
		s.zones.flips = s.rng.IntN(2) == 0
	}
}

// onZones passes changes through faults that take a zone out, also over a restart.
func (s *sim) onZones(disk *crashfs.FS) vfs.FS {
	if s.zones.dirs == nil {
		return disk
	}
	s.zones.faults = faultfs.New(disk)
	s.failZone()
	return s.zones.faults
}

func (s *sim) failZone() {
	out := s.zones.out
	if out == "" {
		return
	}
	s.zones.faults.Inject(faultfs.Fault{
		Kinds: faultfs.All &^ faultfs.Close, Sticky: true, Err: []error{syscall.EIO, fs.ErrNotExist}[s.rng.IntN(2)],
		Name: func(name string) bool { return name == out || strings.HasPrefix(name, out+"/") },
	})
}

func (s *sim) zoneActions() []action {
	if s.zones.dirs == nil {
		return nil
	}
	return []action{
		{name: "zone goes or comes", weight: 5, do: s.turnZone},
		{name: "zone comes empty", weight: 1, do: s.replaceZone, restarts: true},
		{name: "tend zones", weight: 3, do: func() error { return s.store.TendZones() }},
		{name: "flip bits in a zone", weight: 4, do: s.flip},
		{name: "redundancy", weight: 3, do: s.setRedundancy},
	}
}

func (s *sim) redundancy() block.Redundancy {
	if s.zones.dirs != nil && s.rng.IntN(2) == 0 {
		return block.Zonal
	}
	return block.Local
}

func (s *sim) setRedundancy() error {
	v := s.pick(any1)
	if v == nil {
		return nil
	}
	return s.store.SetRedundancy(v.id, s.redundancy())
}

// turnZone takes a zone away when all are whole, or brings the one back that is out.
func (s *sim) turnZone() error {
	if s.zones.out != "" {
		return s.returnZone()
	}
	for _, z := range s.store.Stats().Zones {
		if z.State != "whole" {
			return s.catchUp()
		}
	}
	power := s.chooseZone()
	// What the store is told to be durable there must be on the disk that comes back.
	return s.fs.still(func() error {
		s.failZone()
		s.losePower(s.fs.disk, power)
		return nil
	})
}

// chooseZone says which zone goes, and whether its disk loses what was not synced.
func (s *sim) chooseZone() (power bool) {
	s.zones.out = s.zones.dirs[s.rng.IntN(len(s.zones.dirs))]
	return s.rng.IntN(2) == 0
}

func (s *sim) losePower(disk *crashfs.FS, power bool) {
	s.zones.lost = nil
	if power {
		s.zones.lost = disk.AfterCrash()
	}
}

func (s *sim) returnZone() error {
	if s.zones.lost != nil { // what was open on a disk that lost power fails for ever, so the store has noticed
		if err := s.store.TendZones(); err != nil {
			return err
		}
	}
	err := s.fs.still(func() error { return s.findZone(s.fs.disk) })
	if err != nil {
		return err
	}
	s.zones.faults.Clear()
	return s.catchUp()
}

// findZone lets the zone that is out be there again.
func (s *sim) findZone(disk *crashfs.FS) error {
	out, lost := s.zones.out, s.zones.lost
	s.zones.out, s.zones.lost = "", nil
	if lost == nil {
		return nil
	}
	if err := disk.RemoveAll(out); err != nil {
		return err
	}
	return copyTree(lost, disk, out)
}

func copyTree(from, to vfs.FS, dir string) error {
	if err := errors.Join(to.MkdirAll(dir), to.SyncDir(path.Dir(dir))); err != nil {
		return err
	}
	names, err := from.List(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, name := range names {
		name = path.Join(dir, name)
		info, err := from.Stat(name)
		if err == nil && info.IsDir {
			err = copyTree(from, to, name)
		} else if err == nil {
			err = copyFile(from, to, name, info.Size)
		}
		if err != nil {
			return err
		}
	}
	return to.SyncDir(dir)
}

func copyFile(from, to vfs.FS, name string, size int64) error {
	in, err := from.Open(name)
	if err != nil {
		return err
	}
	p := make([]byte, size)
	if _, err := in.ReadAt(p, 0); err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, in.Close())
	}
	out, err := to.Create(name)
	if err != nil {
		return errors.Join(err, in.Close())
	}
	_, err = out.WriteAt(p, 0)
	return errors.Join(err, out.Sync(), out.Close(), in.Close())
}

// catchUp has the zones look after themselves until all are whole.
func (s *sim) catchUp() error {
	for range 6 {
		if err := s.store.TendZones(); err != nil {
			return err
		}
		whole := 0
		for _, z := range s.store.Stats().Zones {
			if z.State == "whole" {
				whole++
			}
		}
		if whole == len(s.zones.dirs) {
			return s.alike()
		}
	}
	return fmt.Errorf("zones do not catch up: %+v", s.store.Stats())
}

// alike checks that every copy is as good as the others, when nothing is on its way to them.
func (s *sim) alike() error {
	if err := s.settleAll(s.store.Checkpoint()); err != nil {
		return err
	}
	healed, err := s.store.MendZones()
	if err == nil && healed > 0 && !s.zones.flips {
		err = fmt.Errorf("%d bytes of a copy that counted as whole were bad", healed)
	}
	return err
}

// replaceZone puts an empty disk in the place of the one that is out, and starts again.
func (s *sim) replaceZone() error {
	if s.zones.out == "" {
		return nil
	}
	if err := s.stop(); err != nil {
		return err
	}
	disk := s.fs.disk.Restart()
	out := s.zones.out
	s.zones.out, s.zones.lost = "", nil
	if err := errors.Join(disk.RemoveAll(out), disk.MkdirAll(out), disk.SyncDir(".")); err != nil {
		return err
	}
	if err := s.start(disk); err != nil {
		return err
	}
	return errors.Join(s.catchUp(), s.verify())
}

// beforeStart lets a zone go with the power, or the one that is out come back with it.
func (s *sim) beforeStart(disk *crashfs.FS, wholeBefore bool) error {
	switch {
	case s.zones.dirs == nil:
	case wholeBefore && s.rng.IntN(4) == 0:
		return s.loseMeta(disk)
	case s.zones.out != "" && s.rng.IntN(3) == 0:
		return s.findZone(disk)
	case s.zones.out == "" && wholeBefore && s.rng.IntN(2) == 0:
		s.losePower(disk, s.chooseZone())
	}
	return nil
}

// loseMeta takes the metadata out of the store's own folder, and half of the time all but the segments: the zones have it.
func (s *sim) loseMeta(disk *crashfs.FS) error {
	err := disk.RemoveAll("engine/meta")
	if s.rng.IntN(2) == 0 {
		for _, name := range []string{"zones.json", "data-keys", "data-keys.copy"} {
			err = errors.Join(err, disk.RemoveAll("engine/"+name))
		}
	}
	return errors.Join(err, disk.SyncDir("engine"))
}

func (s *sim) zonesWhole() bool {
	for _, z := range s.store.Stats().Zones {
		if z.State != "whole" {
			return false
		}
	}
	return s.zones.out == ""
}

// flip damages one copy of some blocks. A block is always hit in the same zone, so that two good copies are left.
func (s *sim) flip() error {
	if !s.zones.flips || s.zones.out != "" && s.rng.IntN(2) == 0 {
		return nil
	}
	for range 1 + s.rng.IntN(8) {
		slot := s.rng.Int64N(int64(s.opt.SegmentSlots))
		zone := s.zones.dirs[slot%int64(len(s.zones.dirs))]
		if zone == s.zones.out {
			continue
		}
		dir := path.Join(zone, "segments")
		names, err := s.fs.disk.List(dir)
		if err != nil || len(names) == 0 {
			return err
		}
		name := path.Join(dir, names[s.rng.IntN(len(names))])
		info, err := s.fs.disk.Stat(name)
		if err != nil {
			return err
		}
		if at := slot*block.BlockSize + s.rng.Int64N(block.BlockSize); at < info.Size {
			if err := s.fs.disk.Flip(name, at); err != nil {
				return err
			}
		}
	}
	return nil
}
