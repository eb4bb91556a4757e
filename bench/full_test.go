package bench

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/lsd"
	"tintype/internal/vfs"
)

var (
	fullSize   = flag.Int64("full.size", 2048, "BenchmarkNearlyFull: size of the file system, MiB")
	fullPart   = flag.String("full.part", "80,90,95", "BenchmarkNearlyFull: percent of the file system that is live data")
	fullWrites = flag.Int64("full.writes", 200_000, "BenchmarkNearlyFull: writes of 4 KiB for each row (7200000: an hour at 2000 a second)")
	fullDepth  = flag.Int("full.depth", 16, "BenchmarkNearlyFull: writes under way at a time")
	fullImage  = flag.String("full.image", "", "BenchmarkNearlyFull: folder for the image of the file system")
	fullSlices = flag.Int("full.slices", 8, "BenchmarkNearlyFull: parts of a run whose throughput is told apart")
)

// smallFS is an ext4 of its own in a file, so that it can be filled.
type smallFS struct {
	dir    string
	device string // in /sys/block
}

func mountSmall(b *testing.B, mib int64) smallFS {
	b.Helper()
	if os.Geteuid() != 0 {
		b.Skip("mounting a file system takes root")
	}
	home := *fullImage
	if home == "" {
		home = b.TempDir()
	}
	image, dir := filepath.Join(home, "full.img"), b.TempDir()
	run := func(name string, args ...string) string {
		b.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			b.Fatalf("%s %v: %v: %s", name, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("fallocate", "-l", fmt.Sprintf("%dMiB", mib), image)
	b.Cleanup(func() { os.Remove(image) })
	run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
	run("mount", "-o", "loop", image, dir)
	b.Cleanup(func() { run("umount", dir) })
	return smallFS{dir: dir, device: filepath.Base(run("findmnt", "-no", "SOURCE", dir))}
}

// written is what the device was given, in bytes.
func (f smallFS) written(b *testing.B) int64 {
	b.Helper()
	text, err := os.ReadFile(filepath.Join("/sys/block", f.device, "stat"))
	if err != nil {
		b.Fatal(err)
	}
	const sectorsWritten = 6
	n, err := strconv.ParseInt(strings.Fields(string(text))[sectorsWritten], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n * 512
}

// load is random overwrites of a disk, and how long each took.
type load struct {
	dev   block.Device
	left  atomic.Int64
	times times

	mu      sync.Mutex
	err     error
	refused int64
}

func (l *load) run(seed uint64) {
	p := make([]byte, block.BlockSize)
	rnd := rand.New(rand.NewPCG(seed, 1))
	blocks := l.dev.Size() / block.BlockSize
	for i := range p {
		p[i] = byte(rnd.Uint32())
	}
	for l.left.Add(-1) >= 0 {
		began := time.Now()
		_, err := l.dev.WriteAt(p, rnd.Int64N(blocks)*block.BlockSize)
		l.times.add(time.Since(began))
		if err != nil {
			l.mu.Lock()
			if errors.Is(err, block.ErrNoSpace) {
				l.refused++
			} else {
				l.err = err
			}
			stop := l.refused > 1000 || l.err != nil
			l.mu.Unlock()
			if stop {
				return
			}
		}
	}
}

// flushes makes the disk durable ten times a second, as a guest's file system does.
func (l *load) flushes(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(100 * time.Millisecond):
		}
		if err := l.dev.Flush(); err != nil {
			l.mu.Lock()
			l.err = err
			l.mu.Unlock()
			return
		}
	}
}

// part writes n blocks and returns how many a second that was.
func (l *load) part(n int64, seed uint64) float64 {
	l.left.Store(n)
	stop, began := make(chan struct{}), time.Now()
	var writers, flusher sync.WaitGroup
	flusher.Go(func() { l.flushes(stop) })
	for i := range *fullDepth {
		writers.Go(func() { l.run(seed*1000 + uint64(i)) })
	}
	writers.Wait()
	took := time.Since(began)
	close(stop)
	flusher.Wait()
	return float64(n) / took.Seconds()
}

// fill writes all of a disk once.
func fill(b *testing.B, dev block.Device) {
	b.Helper()
	p := make([]byte, 1<<20)
	for i := range p {
		p[i] = byte(i * 7)
	}
	for off := int64(0); off < dev.Size(); off += int64(len(p)) {
		n := min(int64(len(p)), dev.Size()-off)
		if _, err := dev.WriteAt(p[:n], off); err != nil {
			b.Fatalf("fill at %d of %d: %v", off, dev.Size(), err)
		}
	}
	if err := dev.Flush(); err != nil {
		b.Fatal(err)
	}
}

// nearlyFull overwrites a disk whose data are a part of the file system, and returns a row of the table.
func nearlyFull(b *testing.B, percent int64) string {
	b.Helper()
	small := mountSmall(b, *fullSize)
	space, err := vfs.OS().Space(small.dir)
	if err != nil {
		b.Fatal(err)
	}
	store, err := lsd.Open(vfs.OS(), filepath.Join(small.dir, "engine"), lsd.Options{Keys: &lsd.KeyRing{Current: lsd.Key{1}}})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close() // for when the benchmark ends early; else it is closed below
	id := uuid.New()
	if err := store.Create(id, space.Total/100*percent/(1<<20)*(1<<20)); err != nil {
		b.Fatal(err)
	}
	dev, err := store.OpenVolume(id)
	if err != nil {
		b.Fatal(err)
	}
	fill(b, dev)
	l := &load{dev: dev}
	before := small.written(b)
	var speeds []string
	began := time.Now()
	for i := range *fullSlices {
		speeds = append(speeds, fmt.Sprintf("%.1f", l.part(*fullWrites/int64(*fullSlices), uint64(i+1))/1000))
		if l.err != nil || l.refused > 1000 {
			break
		}
	}
	took := time.Since(began)
	amplified := float64(small.written(b)-before) / float64(*fullWrites*block.BlockSize)
	st := store.Stats()
	if err := errors.Join(l.err, dev.Close(), store.Close()); err != nil {
		b.Error(err)
	}
	return fmt.Sprintf("| %d %% | %.1f | %s | %.1f | %v | %v | %v | %v | %d | %d |", percent, float64(*fullWrites)/took.Seconds()/1000,
		strings.Join(speeds, " "), amplified, l.times.quantile(0.5), l.times.quantile(0.99), l.times.quantile(0.999), l.times.most(), st.Waits, l.refused)
}

// BenchmarkNearlyFull overwrites random blocks of a disk whose data fill most of a small ext4, and prints a table in
// Markdown: the throughput and its course, what the device had to write for each byte, how long writes took, how many waited because
// there was no room at all, and how many were refused for want of space, of which there must be none. It takes root.
func BenchmarkNearlyFull(b *testing.B) {
	head := "| live data | k writes/s | over time | device bytes per byte | p50 | p99 | p99.9 | longest | waited | refused |\n" +
		"|---|---|---|---|---|---|---|---|---|---|"
	var rows []string
	for text := range strings.SplitSeq(*fullPart, ",") {
		percent, err := strconv.ParseInt(text, 10, 64)
		if err != nil || percent < 1 || percent > 99 {
			b.Fatalf("-full.part: %q", text)
		}
		b.Run(text, func(b *testing.B) {
			rows = append(rows, nearlyFull(b, percent))
			b.ReportMetric(0, "ns/op")
		})
	}
	fmt.Printf("ext4 of %d MiB, %d writes of 4 KiB each row, %d at a time, a flush every 100 ms\n\n%s\n%s\n",
		*fullSize, *fullWrites, *fullDepth, head, strings.Join(rows, "\n"))
}
