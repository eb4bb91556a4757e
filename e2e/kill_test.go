package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"tintype/internal/nbd/nbdclient"
	"tintype/internal/rig"
	"tintype/internal/witness"
)

const (
	killRegion    = 32 * mib
	killStreams   = 4
	killSeed      = 0xdead
	mostSnapshots = 8
)

// shot is a snapshot that was asked for.
type shot struct {
	log      *witness.Log // the life in which it was taken
	from, to witness.Stamp
	sum      string // of its content, once it has been verified
	deleting bool   // a deletion was asked for: it may be there, or going, or gone
}

// ordeal is a disk whose server is killed again and again.
type ordeal struct {
	t     *testing.T
	data  string
	rnd   *rand.Rand
	log   *witness.Log
	shots map[string]*shot // those that are there, or may be
	acked map[string]bool
	next  int // number of the next snapshot

	writes, verified int64
}

// TestKill kills the server with SIGKILL under load, TINTYPE_KILLS times in a row on one folder. Each time the offline
// check must be clean, the disk must be a cut that holds every acknowledged write, every acknowledged snapshot must be there
// and be a cut of its own life, and every older one must still be what it was.
func TestKill(t *testing.T) {
	kills := 5
	if n, err := strconv.Atoi(os.Getenv("TINTYPE_KILLS")); err == nil {
		kills = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("%d kills, seed %d", kills, seed)
	o := &ordeal{
		t: t, data: t.TempDir(), rnd: rand.New(rand.NewPCG(seed, 0)),
		shots: map[string]*shot{}, acked: map[string]bool{},
	}
	for range kills {
		o.round(true)
	}
	o.round(false)
	t.Logf("%d writes, %d verifications of snapshots, %d snapshots at the end", o.writes, o.verified, len(o.shots))
	if o.writes == 0 || o.verified == 0 {
		t.Error("the load did nothing")
	}
}

// round starts the server, verifies what the last kill left, and kills it under load.
func (o *ordeal) round(kill bool) {
	o.t.Helper()
	s := launch(o.t, o.data)
	a := newAPI(o.t, s)
	disk := a.id("g", "disks", "d")
	if o.log == nil {
		a.makeGroup("g")
		a.must("PUT", versioned(disk), emptyDisk(1))
	}
	uri := a.attach(disk, false)
	o.verifyDisk(uri)
	o.verifySnapshots(a)
	if !kill {
		if err := s.Stop(); err != nil {
			o.t.Error(err)
		}
		check(o.t, o.data)
		return
	}
	o.suffer(s, a, disk, uri)
	check(o.t, o.data)
}

// verifyDisk compares the disk with the last life's log, and begins the next one.
func (o *ordeal) verifyDisk(uri string) {
	o.t.Helper()
	c := dial(o.t, uri)
	defer c.Close()
	var err error
	if o.log == nil {
		o.log, err = witness.Begin(c, witness.Linear(512*mib, killRegion), killStreams, killSeed)
	} else {
		// Only the process was killed: not just what was flushed must be there, but all that was acknowledged.
		if _, err := o.log.CheckCut(c, o.log.Now(), witness.Forever); err != nil {
			o.t.Fatalf("the disk after the kill: %v", err)
		}
		o.log, err = o.log.Next(c)
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// verifySnapshots looks at every snapshot there is.
func (o *ordeal) verifySnapshots(a *api) {
	o.t.Helper()
	there := map[string]bool{}
	for _, name := range a.list("g", "snapshots") {
		there[name] = true
		shot := o.shots[name]
		if shot == nil {
			o.t.Fatalf("snapshot %s is there and must not be", name)
		}
		if shot.deleting { // the kill may have come before it was accepted
			a.must(http.MethodDelete, versioned(a.id("g", "snapshots", name)), nil)
			delete(o.shots, name)
			continue
		}
		o.verifySnapshot(a, name, shot)
	}
	for name, shot := range o.shots {
		switch {
		case there[name]:
		case o.acked[name] && !shot.deleting:
			o.t.Fatalf("snapshot %s was acknowledged and is gone", name)
		default:
			delete(o.shots, name)
		}
	}
}

func (o *ordeal) verifySnapshot(a *api, name string, shot *shot) {
	o.t.Helper()
	id := a.id("g", "snapshots", name)
	a.waitSucceeded(id)
	c := dial(o.t, a.attach(id, true))
	defer c.Close()
	if shot.sum == "" {
		if _, err := shot.log.CheckCut(c, shot.from, shot.to); err != nil {
			o.t.Fatalf("snapshot %s: %v", name, err)
		}
	}
	got, err := regionSum(c)
	if err != nil {
		o.t.Fatal(err)
	}
	if shot.sum != "" && shot.sum != got {
		o.t.Fatalf("snapshot %s has changed", name)
	}
	shot.sum = got
	o.verified++
	a.detach(id)
}

// offset is a reader that begins elsewhere.
type offset struct {
	*nbdclient.Client
	by int64
}

func (o offset) ReadAt(p []byte, off int64) (int, error) { return o.Client.ReadAt(p, off+o.by) }

func regionSum(c *nbdclient.Client) (string, error) { return sum(offset{c, 512 * mib}, killRegion) }

// suffer writes, takes and deletes snapshots, and kills the server at a random moment.
func (o *ordeal) suffer(s *rig.Server, a *api, disk, uri string) {
	o.t.Helper()
	var targets []witness.Target
	for range killStreams {
		c := dial(o.t, uri)
		defer c.Close()
		targets = append(targets, c)
	}
	ctx, cancel := context.WithCancel(o.t.Context())
	defer cancel()
	written := make(chan error, 1)
	go func() { written <- o.log.Run(ctx, targets, witness.Load{Rate: 20000, FlushEvery: 1 + o.next%40}) }()
	shooting, made := make(chan struct{}), make(chan struct{}, 1)
	go func() {
		defer close(shooting)
		for o.shoot(a, disk) == nil && o.drop(a) == nil {
			select {
			case made <- struct{}{}:
			default:
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	if o.writes == 0 { // there is something to verify after the first kill, however slow the machine is
		select {
		case <-made:
		case <-shooting:
		}
	}
	time.Sleep(time.Duration(100+o.rnd.IntN(900)) * time.Millisecond)
	s.Kill()
	<-shooting
	if err := <-written; err == nil {
		o.t.Error("the writer did not notice that the server was killed")
	}
	n, _ := o.log.Count()
	o.writes += n
}

var errRefused = errors.New("refused")

// shoot asks for a snapshot. It is noted before, so that one that was made and not acknowledged is verified as well.
func (o *ordeal) shoot(a *api, disk string) error {
	name := fmt.Sprintf("s%d", o.next)
	o.next++
	shot := &shot{log: o.log, from: o.log.Now(), to: witness.Forever}
	o.shots[name] = shot
	r, err := a.try(http.MethodPut, versioned(a.id("g", "snapshots", name)), copyOf(disk))
	if err != nil {
		return err
	}
	shot.to = o.log.Now()
	if r.status != http.StatusAccepted {
		o.t.Errorf("snapshot %s: %d %s", name, r.status, r.body)
		return errRefused
	}
	o.acked[name] = true
	return nil
}

// drop deletes a snapshot when there are many.
func (o *ordeal) drop(a *api) error {
	if len(o.shots) <= mostSnapshots {
		return nil
	}
	for name, shot := range o.shots {
		if shot.deleting || !o.acked[name] {
			continue
		}
		shot.deleting = true
		r, err := a.try(http.MethodDelete, versioned(a.id("g", "snapshots", name)), nil)
		if err != nil {
			return err
		}
		if r.status != http.StatusAccepted && r.status != http.StatusNoContent {
			o.t.Errorf("deleting snapshot %s: %d %s", name, r.status, r.body)
			return errRefused
		}
		return nil
	}
	return nil
}
