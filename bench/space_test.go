package bench

import (
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/lsd"
	"tintype/internal/vfs"
)

var (
	spaceDisk      = flag.Int64("space.disk", 1024, "size of the disk in MiB")
	spaceMapped    = flag.Int64("space.mapped", 64, "how much of it is written, in MiB")
	spaceSnapshots = flag.Int("space.snapshots", 300, "how many snapshots")
	spaceSlots     = flag.Uint("space.slots", 8192, "slots of a segment; 65536 is what a server uses")
)

// TestSpace takes snapshots one after another of a disk of which 1 % changes between them, deletes every second in random
// order, then all, and compares at each point what the folder takes with what must be kept. The engine's own count of live bytes is
// exactly this. The full scale is
//
//	go test ./bench -run TestSpace -v -timeout 2h -space.disk 65536 -space.mapped 16384 -space.snapshots 200 -space.slots 65536
func TestSpace(t *testing.T) {
	s := newSpacious(t)
	start := s.physical()
	t.Logf("at the start: %d MiB for %d", start>>20, *spaceMapped)
	for range *spaceSnapshots {
		s.churn()
		s.snapshot()
	}
	s.idle()
	s.report("with all snapshots", 1.10)
	s.rnd.Shuffle(len(s.snaps), func(i, j int) { s.snaps[i], s.snaps[j] = s.snaps[j], s.snaps[i] })
	var rest []taken
	for _, x := range s.snaps {
		if x.at%2 == 0 {
			s.must(s.store.Delete(x.id))
		} else {
			rest = append(rest, x)
		}
	}
	s.snaps = rest
	s.idle()
	s.report("every second deleted", 1.25)
	for _, x := range s.snaps {
		s.must(s.store.Delete(x.id))
	}
	s.snaps = nil
	s.idle()
	s.report("all deleted", 0)
	end := s.settled(int64(1.05 * float64(start)))
	t.Logf("at the end: %d MiB, %.3f of the start", end>>20, float64(end)/float64(start))
	if float64(end) > 1.05*float64(start) {
		t.Errorf("%d bytes are left of %d, more than 5 %% above", end, start)
	}
}

// taken is a snapshot, and how many came before it.
type taken struct {
	id block.ID
	at int
}

type spacious struct {
	*testing.T
	dir     string
	store   *lsd.Store
	id      block.ID
	dev     block.Device
	rnd     *rand.Rand
	mapped  []int64   // the blocks that have data
	written [][]int16 // for each of them, before which snapshots it was written, in order
	now     int       // snapshots taken so far
	snaps   []taken
}

func newSpacious(t *testing.T) *spacious {
	s := &spacious{T: t, dir: t.TempDir(), id: uuid.New(), rnd: rand.New(rand.NewPCG(3, 4))}
	var err error
	s.store, err = lsd.Open(vfs.OS(), filepath.Join(s.dir, "engine"), lsd.Options{Keys: &lsd.KeyRing{Current: lsd.Key{1}}, Manual: true, SegmentSlots: uint32(*spaceSlots)})
	s.must(err)
	t.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	})
	s.must(s.store.Create(s.id, *spaceDisk<<20))
	s.dev, err = s.store.OpenVolume(s.id)
	s.must(err)
	t.Cleanup(func() {
		if err := s.dev.Close(); err != nil {
			t.Error(err)
		}
	})
	// The data lies in stretches of a MiB, all over the disk.
	p := make([]byte, 1<<20)
	for _, at := range s.rnd.Perm(int(*spaceDisk))[:*spaceMapped] {
		for b := range int64(len(p) / block.BlockSize) {
			s.mapped = append(s.mapped, int64(at)<<8+b)
			s.written = append(s.written, []int16{0})
		}
		_, err := s.dev.WriteAt(s.fill(p), int64(at)<<20)
		s.must(err)
	}
	s.idle()
	return s
}

func (s *spacious) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *spacious) fill(p []byte) []byte {
	for i := 0; i < len(p); i += 512 {
		p[i] = byte(s.rnd.Uint32())
	}
	return p
}

// churn writes 1 % of the blocks again, wherever they are.
func (s *spacious) churn() {
	p := make([]byte, block.BlockSize)
	for range len(s.mapped) / 100 {
		i := s.rnd.IntN(len(s.mapped))
		_, err := s.dev.WriteAt(s.fill(p), s.mapped[i]*block.BlockSize)
		s.must(err)
		if w := s.written[i]; int(w[len(w)-1]) != s.now {
			s.written[i] = append(w, int16(s.now))
		}
	}
}

func (s *spacious) snapshot() {
	id := uuid.New()
	s.must(s.store.Snapshot(block.Cut{Source: s.id, Snapshot: id}))
	s.snaps = append(s.snaps, taken{id, s.now})
	s.now++
}

// idle is what the server does when it has been at rest for a while.
// settled is what the folder takes once Pebble has merged by itself what was deleted: it does so behind, and is given half a
// minute to come down to enough.
func (s *spacious) settled(enough int64) int64 {
	s.Helper()
	const pause, patience = 100 * time.Millisecond, 300
	for range patience {
		if s.physical() <= enough {
			break
		}
		time.Sleep(pause)
	}
	return s.physical()
}

func (s *spacious) idle() { s.must(s.store.Tighten()) }

// ideal is what must be kept: each block as it was at each snapshot, and as it is.
func (s *spacious) ideal() int64 {
	points := []int{s.now}
	for _, x := range s.snaps {
		points = append(points, x.at)
	}
	slices.Sort(points)
	var n int64
	for _, w := range s.written {
		next := 0 // of the points, the first that no write was counted for
		for i, at := range w {
			end := s.now + 1
			if i+1 < len(w) {
				end = int(w[i+1])
			}
			for next < len(points) && points[next] < int(at) {
				next++
			}
			if next < len(points) && points[next] < end {
				n += block.BlockSize
			}
		}
	}
	return n
}

// physical is what the folder takes on its disk.
func (s *spacious) physical() (n int64) {
	for _, size := range s.byKind() {
		n += size
	}
	return n
}

// byKind is that for each kind of file, by its name's end.
func (s *spacious) byKind() map[string]int64 {
	kinds := map[string]int64{}
	s.must(filepath.WalkDir(s.dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		i, err := e.Info()
		if err == nil {
			kinds[kind(e.Name())] += i.Sys().(*syscall.Stat_t).Blocks * 512
		}
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}))
	return kinds
}

func (s *spacious) kibibytes() map[string]int64 {
	kinds := s.byKind()
	for k := range kinds {
		kinds[k] >>= 10
	}
	return kinds
}

// kind is how a file's name ends, or its letters where that is a number.
func kind(name string) string {
	if ext := filepath.Ext(name); ext != "" {
		return ext
	}
	return strings.TrimRight(name, "-0123456789")
}

func (s *spacious) report(when string, most float64) {
	s.Helper()
	ideal, physical, live := s.ideal(), s.physical(), s.store.Stats().Live
	ratio := float64(physical) / float64(ideal)
	s.Logf("%s: %d MiB for %d, %.3f; KiB by kind of file: %v", when, physical>>20, ideal>>20, ratio, s.kibibytes())
	if live != ideal {
		s.Errorf("%s: %d bytes are live, the engine says %d", when, ideal, live)
	}
	if most > 0 && ratio > most {
		s.Errorf("%s: %.3f of what must be kept, more than %.2f", when, ratio, most)
	}
}
