package lsd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/vfs"
	"tintype/internal/vfs/faultfs"
)

// TestNothingOfALostZoneStaysOpen has a zone's folder fail: its file system can then be taken away, which no open file may hold up,
// and comes back with all that it has missed.
func TestNothingOfALostZoneStaysOpen(t *testing.T) {
	dir := t.TempDir()
	opt := zonedOptions()
	opt.Zones = nil
	for _, zone := range zoneDirs {
		opt.Zones = append(opt.Zones, filepath.Join(dir, zone))
	}
	faults := faultfs.New(vfs.OS())
	s := openTest(t, faults, filepath.Join(dir, "engine"), opt)
	id := uuid.New()
	if err := errors.Join(s.Create(id, 1<<20), s.SetRedundancy(id, block.Zonal)); err != nil {
		t.Fatal(err)
	}
	writeVolume(t, s, id, []byte(strings.Repeat("first", 4096)))
	if len(openBelow(t, opt.Zones[1])) == 0 {
		t.Fatal("nothing is open in a zone that is in")
	}
	faults.Inject(faultfs.Fault{
		Kinds: faultfs.All &^ faultfs.Close, Sticky: true, Err: fs.ErrInvalid,
		Name: func(n string) bool { return strings.HasPrefix(n, opt.Zones[1]+"/") },
	})
	writeVolume(t, s, id, []byte(strings.Repeat("other", 4096)))
	if err := s.TendZones(); err != nil {
		t.Fatal(err)
	}
	if open := openBelow(t, opt.Zones[1]); len(open) > 0 {
		t.Errorf("open in a zone that is out: %q", open)
	}
	if err := s.Checkpoint(); err != nil { // metadata that the zone misses
		t.Fatal(err)
	}
	faults.Clear()
	for range 3 {
		if err := s.TendZones(); err != nil {
			t.Fatal(err)
		}
	}
	for _, z := range s.Stats().Zones {
		if z.State != "whole" || z.Behind != 0 {
			t.Errorf("zone %+v", z)
		}
	}
}

// openBelow lists the files below a folder that this process has open.
func openBelow(t *testing.T, dir string) (all []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if name, err := os.Readlink(link); err == nil && strings.HasPrefix(name, dir+"/") {
			all = append(all, name)
		}
	}
	return all
}
