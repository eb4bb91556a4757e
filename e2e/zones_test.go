package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tintype/internal/rig"
	"tintype/internal/witness"
)

// zoneArgs are serve's flags for three zones in a folder.
func zoneArgs(dir string) []string {
	var args []string
	for _, z := range []string{"1", "2", "3"} {
		args = append(args, "--zone", z+"="+filepath.Join(dir, "zone"+z))
	}
	return args
}

// zoneStates asks the server how its zones are.
func zoneStates(t *testing.T, a *api) map[string]string {
	t.Helper()
	r := a.send("GET", versioned(a.subscription()+"/providers/Tintype.Store/stats"), nil)
	var st struct {
		Zones []struct{ Zone, State string }
	}
	if err := json.Unmarshal(r.body, &st); err != nil || r.status != 200 {
		t.Fatalf("stats: %d %s", r.status, r.body)
	}
	states := map[string]string{}
	for _, z := range st.Zones {
		states[z.Zone] = z.State
	}
	return states
}

func waitZone(t *testing.T, a *api, zone, state string) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		got := zoneStates(t, a)
		if got[zone] == state {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("zone %s does not become %s: %v", zone, state, got)
		}
	}
}

// TestZones takes one zone away under load and brings it back, then takes another and kills the server, starts it without
// that zone, and gives it an empty disk in its place. The disk must hold every acknowledged write throughout.
func TestZones(t *testing.T) {
	data, zones := t.TempDir(), t.TempDir()
	args := zoneArgs(zones)
	away := func(z string) { moveDir(t, filepath.Join(zones, "zone"+z), filepath.Join(zones, "away"+z)) }
	s := launch(t, data, args...)
	a := newAPI(t, s)
	a.makeGroup("g")
	disk := a.id("g", "disks", "d")
	zrs := emptyDisk(1)
	zrs["sku"] = map[string]any{"name": "StandardSSD_ZRS"}
	a.must("PUT", versioned(disk), zrs)
	c := dial(t, a.attach(disk, false))
	log, err := witness.Begin(c, witness.Linear(512*mib, killRegion), killStreams, killSeed)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	stop := load(t, log, a.attach(disk, false))
	time.Sleep(300 * time.Millisecond)
	away("2")
	waitZone(t, a, "2", "out")
	time.Sleep(300 * time.Millisecond)
	moveDir(t, filepath.Join(zones, "away2"), filepath.Join(zones, "zone2"))
	waitZone(t, a, "2", "whole")
	away("3")
	waitZone(t, a, "3", "out")
	time.Sleep(300 * time.Millisecond)
	s.Kill()
	stop()

	s = launch(t, data, args...)
	verifyZoned(t, newAPI(t, s), disk, log)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if err := os.Mkdir(filepath.Join(zones, "zone3"), 0o700); err != nil {
		t.Fatal(err)
	}
	s = launch(t, data, args...)
	waitZone(t, newAPI(t, s), "3", "whole")
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	away("1")
	s = launch(t, data, args...)
	verifyZoned(t, newAPI(t, s), disk, log)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if out, err := rig.Run(t.Context(), program(t), append([]string{"check", "--data", data}, args...)...); err != nil {
		t.Errorf("tintype check: %v\n%s", err, out)
	}
	n, flushes := log.Count()
	t.Logf("%d writes, %d flushes", n, flushes)
}

func moveDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// load writes until stop is called, or the server is gone.
func load(t *testing.T, log *witness.Log, uri string) (stop func()) {
	t.Helper()
	var targets []witness.Target
	for range killStreams {
		c := dial(t, uri)
		t.Cleanup(func() { c.Close() })
		targets = append(targets, c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- log.Run(ctx, targets, witness.Load{Rate: 5000, FlushEvery: 20}) }()
	return func() {
		cancel()
		t.Log(fmt.Sprint("the load ended: ", <-done))
	}
}

func verifyZoned(t *testing.T, a *api, disk string, log *witness.Log) {
	t.Helper()
	c := dial(t, a.attach(disk, false))
	defer c.Close()
	if _, err := log.CheckCut(c, log.Now(), witness.Forever); err != nil {
		t.Fatalf("the disk with a zone missing: %v", err)
	}
}
