package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/lsd"
	"tintype/internal/vfs"
	"tintype/internal/vfs/crashfs"
)

var (
	stressFlag = flag.Duration("sim.stress", 400*time.Millisecond, "how long each round of TestStress runs")
	roundsFlag = flag.Int("sim.rounds", 6, "rounds of TestStress, each ended by a power cut or a kill")
)

// Each disk has regions, and each region one writer. Write n of a region goes to its block n%ring, or trims it; so any
// state of a region is that after some n, and tells which.
const (
	ring    = 40
	regions = 3
	apart   = 29 // blocks from one of a ring to the next, so that a ring has many leaves
)

// reserve is what writes leave free of a disk that is nearly full. It is enough for Pebble, which does not stand a disk that
// is full in truth.
const reserve = 64 << 20

// isTrim: a trim of what was never written leaves no trace, so that nobody could tell whether it is there.
func isTrim(n uint64) bool { return n > ring && n%7 == 3 }

func place(region int, n uint64) int64 {
	return (int64(n%ring)*apart + int64(region)) * block.BlockSize
}

const stressSize = (ring*apart + regions) * block.BlockSize

func stamp(p []byte, region int, n uint64) {
	x := n*regions + uint64(region)
	for i := 0; i < len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], n+uint64(i)*x)
	}
}

// stateOf tells after which write a region is, or that it is at none.
func stateOf(d block.Device, region int) (uint64, error) {
	var seen [ring]uint64
	got, want := make([]byte, block.BlockSize), make([]byte, block.BlockSize)
	top := uint64(0)
	for j := range uint64(ring) {
		if _, err := d.ReadAt(got, place(region, j)); err != nil {
			return 0, err
		}
		n := binary.LittleEndian.Uint64(got)
		if n > 0 {
			stamp(want, region, n)
		} else {
			clear(want)
		}
		if string(got) != string(want) || n > 0 && n%ring != j {
			return 0, fmt.Errorf("region %d: block %d holds no write (%d)", region, j, n)
		}
		seen[j], top = n, max(top, n)
	}
	at := func(n uint64) bool {
		for j := range uint64(ring) {
			last := uint64(0)
			for m := n; m > 0 && m+ring > n; m-- {
				if m%ring == j {
					if last = m; isTrim(m) {
						last = 0
					}
					break
				}
			}
			if seen[j] != last {
				return false
			}
		}
		return true
	}
	switch {
	case at(top):
		return top, nil
	case at(top + 1): // a trim
		return top + 1, nil
	}
	return 0, fmt.Errorf("region %d is at no point of its history: %d", region, seen)
}

// region is what is known of one: writes up to flushed are durable, those up to settled outlive the process, and none after
// begun has been tried.
type region struct{ flushed, settled, begun uint64 }

// stressed is a disk under load, or a snapshot, whose states are exact.
type stressed struct {
	id       block.ID
	snapshot bool
	state    [regions]region
}

type stress struct {
	t     *testing.T
	store *lsd.Store
	disk  *crashfs.FS
	full  bool // the disk is nearly full at times

	refused atomic.Int64
	rng     *rand.Rand

	mu   sync.Mutex
	all  map[block.ID]*stressed
	stop chan struct{}
	wg   sync.WaitGroup
}

func (s *stress) stopped(err error) bool {
	if err != nil && !errors.Is(err, block.ErrClosed) {
		s.t.Error(err)
	}
	select {
	case <-s.stop:
		return true
	default:
		return err != nil
	}
}

// write keeps one region of a disk under load. Its history goes on where it is.
func (s *stress) write(v *stressed, r int, rng *rand.Rand) {
	d, err := s.store.OpenVolume(v.id)
	if err != nil {
		if !errors.Is(err, block.ErrNotFound) { // deleted before it was written to
			s.stopped(err)
		}
		return
	}
	defer d.Close()
	p := make([]byte, block.BlockSize)
	n, err := stateOf(d, r)
	for !s.stopped(err) {
		n++
		s.mu.Lock()
		v.state[r].begun = n
		s.mu.Unlock()
		if isTrim(n) {
			err = d.Trim(place(r, n), block.BlockSize)
		} else if stamp(p, r, n); n%5 == 0 {
			_, err = block.WriteBulk(d, p, place(r, n))
		} else {
			_, err = d.WriteAt(p, place(r, n))
		}
		if errors.Is(err, block.ErrNoSpace) { // nothing was written, so the same write is tried again
			n, err = n-1, nil
			s.refused.Add(1)
			time.Sleep(time.Millisecond)
			continue
		}
		if err == nil && rng.IntN(20) == 0 {
			if err = d.Flush(); err == nil {
				s.mu.Lock()
				v.state[r].flushed = max(v.state[r].flushed, n)
				s.mu.Unlock()
			}
		}
		if err == nil && rng.IntN(5) == 0 {
			if err = d.(block.Settler).Settle(); err == nil {
				s.mu.Lock()
				v.state[r].settled = max(v.state[r].settled, n)
				s.mu.Unlock()
			}
		}
		if rng.IntN(100) == 0 {
			time.Sleep(2 * time.Millisecond)
		}
	}
}

func (s *stress) load(v *stressed) {
	for r := range regions {
		rng := rand.New(rand.NewPCG(s.rng.Uint64(), 1))
		s.wg.Go(func() { s.write(v, r, rng) })
	}
}

func (s *stress) pick() *stressed {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.rng.IntN(len(s.all))
	for _, v := range s.all {
		if n--; n < 0 {
			return v
		}
	}
	return nil
}

func (s *stress) put(v *stressed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[v.id] = v
}

// names makes and deletes snapshots and clones.
func (s *stress) names() {
	var err error
	for !s.stopped(err) {
		v := s.pick()
		switch n := s.rng.IntN(10); {
		case n < 4 && len(s.all) < 20:
			snap := &stressed{id: uuid.New(), snapshot: true}
			if err = s.store.Snapshot(block.Cut{Source: v.id, Snapshot: snap.id}); err == nil {
				if err = s.look(snap, true); err == nil {
					s.put(snap)
				}
			}
		case n < 6 && len(s.all) < 12:
			c := &stressed{id: uuid.New()}
			if err = s.store.Clone(c.id, v.id, stressSize); err == nil {
				if err = s.look(c, true); err == nil {
					s.put(c)
					s.load(c)
				}
			}
		case n < 8 && v.snapshot:
			s.mu.Lock()
			delete(s.all, v.id)
			s.mu.Unlock()
			err = s.store.Delete(v.id)
		case n < 9:
			if _, err = s.store.Compact(0.05); err == nil {
				_, err = s.store.Order(8)
			}
			if err == nil {
				_, err = s.store.Punch(0.01)
			}
			if err == nil {
				err = s.scrub()
			}
		default:
			if v.snapshot {
				err = s.look(v, false)
			} else if s.full {
				s.disk.SetFree(reserve + s.rng.Int64N(2<<20))
			}
		}
		if errors.Is(err, block.ErrNoSpace) {
			err = nil
		}
	}
}

// scrub goes through the store under load: it must find nothing.
func (s *stress) scrub() error {
	if err := s.store.Scrub(context.Background()); err != nil {
		return err
	}
	if r := s.store.ScrubReport(); len(r.Damages) > 0 || r.Restored > 0 {
		return fmt.Errorf("scrub: %+v", r)
	}
	return nil
}

// look compares a volume with what is known of it; at first, what it is becomes what is known.
func (s *stress) look(v *stressed, first bool) error {
	d, err := s.store.OpenVolume(v.id)
	if err != nil {
		return err
	}
	defer d.Close()
	for r := range regions {
		n, err := stateOf(d, r)
		if err != nil {
			return fmt.Errorf("volume %s (snapshot: %t): %w", v.id, v.snapshot, err)
		}
		s.mu.Lock()
		if first {
			v.state[r] = region{n, n, n}
		}
		known := v.state[r]
		s.mu.Unlock()
		if n < known.flushed || n > known.begun {
			return fmt.Errorf("volume %s (snapshot: %t): region %d is after write %d, should be within %+v", v.id, v.snapshot, r, n, known)
		}
	}
	return nil
}

// known copies what must be there from now on.
func (s *stress) known() map[block.ID]*stressed {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[block.ID]*stressed{}
	for id, v := range s.all {
		c := *v
		all[id] = &c
	}
	return all
}

// recovered looks at all volumes after a crash. Those deleted, and begun, after before was taken may be as they like.
func (s *stress) recovered(before, after map[block.ID]*stressed) {
	for id, v := range before {
		now := after[id]
		if now == nil {
			continue
		}
		if !v.snapshot {
			for r := range v.state {
				v.state[r].begun = now.state[r].begun
			}
		}
		if err := s.look(v, false); err != nil {
			s.t.Error(err)
		}
		if err := s.look(v, !v.snapshot); err != nil {
			s.t.Error(err)
		}
		s.all[id] = v
	}
	for _, i := range s.store.List() {
		if s.all[i.ID] == nil {
			if err := s.store.Delete(i.ID); err != nil {
				s.t.Error(err)
			}
		}
	}
	s.check()
}

func (s *stress) check() {
	report, err := s.store.Check(context.Background())
	if err != nil && !errors.Is(err, block.ErrClosed) {
		s.t.Error(err)
	}
	for _, p := range report.Problems[:min(len(report.Problems), 5)] {
		s.t.Errorf("check: %s", p)
	}
}

func (s *stress) run(d time.Duration) {
	s.stop = make(chan struct{})
	for _, v := range s.known() {
		if !v.snapshot {
			s.load(s.all[v.id])
		}
	}
	s.wg.Go(s.names)
	time.Sleep(d / 2)
	s.check()
	time.Sleep(d / 2)
}

// TestStress has many goroutines write, cut, clone, delete, compact and check one store, with everything small so that
// segments, checkpoints and evictions come all the time, and again and again cuts the power or kills the process under it.
// Whatever is read, at any time, must be a point of its region's history; after a crash one that keeps what was flushed.
func TestStress(t *testing.T) {
	for i, opt := range []lsd.Options{
		{SegmentSlots: 70, MaxLeaves: 1, CheckpointBytes: 100 << 10, SyncBytes: 20 << 10, MaxDirtyLeaves: 8, IdleSeal: time.Millisecond, Reserve: -1},
		{SegmentSlots: 100, MaxLeaves: 4, CheckpointBytes: 300 << 10, SyncBytes: 100 << 10, MaxDirtyLeaves: 100, Reserve: reserve},
		{SegmentSlots: 300, MaxLeaves: 8, CheckpointBytes: 1 << 20, MaxDirtyLeaves: 1000, IdleSeal: -1, Reserve: -1},
	} {
		disk := crashfs.New(1)
		s := &stress{t: t, rng: rand.New(rand.NewPCG(1, 1)), all: map[block.ID]*stressed{}, full: i == 1}
		var err error
		for round := range *roundsFlag {
			opt.Keys = &lsd.KeyRing{Current: lsd.Key{byte(round + 1)}, Others: []lsd.Key{{byte(round)}}} // another at each start
			if s.store, err = lsd.Open(vfs.FS(disk), "engine", opt); err != nil {
				t.Fatal(err)
			}
			s.disk = disk
			if round == 0 {
				v := &stressed{id: uuid.New()}
				if err := s.store.Create(v.id, stressSize); err != nil {
					t.Fatal(err)
				}
				s.put(v)
			}
			s.run(*stressFlag)
			before := s.known()
			picture := disk.AfterCrash
			if round%3 == 2 {
				picture = disk.AfterRestart
				for _, v := range before {
					for r := range v.state {
						v.state[r].flushed = max(v.state[r].flushed, v.state[r].settled)
					}
				}
			}
			next := picture()
			after := s.known()
			close(s.stop)
			if err := s.store.Close(); err != nil {
				t.Error(err)
			}
			s.wg.Wait()
			if s.store, err = lsd.Open(next, "engine", opt); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			s.all = map[block.ID]*stressed{}
			s.recovered(before, after)
			if err := s.store.Close(); err != nil {
				t.Error(err)
			}
			disk = next.Restart()
			t.Logf("option %d, round %d: %d volumes; %d writes refused so far", i, round, len(s.all), s.refused.Load())
			if t.Failed() {
				t.Fatalf("round %d", round)
			}
		}
	}
}
