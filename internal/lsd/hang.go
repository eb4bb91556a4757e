package lsd

import (
	"path"

	"tintype/internal/vfs/timedfs"
)

// timeZones has operations in the zones' folders end in time, one way or the other: a folder that hangs is then one that fails. A
// manual store has no clock, and waits.
func (s *Store) timeZones() {
	if len(s.opt.Zones) == 0 || s.opt.Manual || s.opt.ZoneTimeout < 0 {
		return
	}
	s.hangs = timedfs.New(s.fs, s.opt.Zones, s.opt.ZoneTimeout, s.canSpare)
	s.fs = s.hangs
}

// canSpare tells whether enough other zones are there, and answer, for one to be given up. When all hang, as when the machine's disks
// do, none is.
func (s *Store) canSpare(dir string) bool {
	others := 0
	for i, d := range s.opt.Zones {
		if path.Clean(d) == dir || s.hangs.Late(d) {
			continue
		}
		if s.zones == nil || s.zones.all[i].in() {
			others++
		}
	}
	return others >= enough
}

// hangsStill tells that something that was given up in a zone may still happen. It stays out until then: what is written to it
// from there on could be undone.
func (s *Store) hangsStill(z *zone) bool {
	return s.hangs != nil && s.hangs.Pending(z.dir) > 0 && !z.in()
}
