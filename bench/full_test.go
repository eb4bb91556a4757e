package bench

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
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
	fullTime   = flag.Int("full.seconds", 0, "BenchmarkNearlyFull: seconds for each row, whatever the number of writes (3600: an hour)")
	fullSlices = flag.Int("full.slices", 10, "BenchmarkNearlyFull: parts of a run that are told apart")
	fullOut    = flag.String("full.out", "", "BenchmarkNearlyFull: folder for nearly-full.md and nearly-full.svg")
	fullWatch  = flag.Duration("full.watch", 0, "BenchmarkNearlyFull: a write that takes longer is told of in stalls.txt, with all that was waited for")
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

// stretch is one of the parts of a run that are told apart, or all of it.
type stretch struct {
	writes int64
	took   time.Duration
	bytes  int64 // that the device was given
	times  *times
}

func (s stretch) perSecond() float64 { return float64(s.writes) / s.took.Seconds() }

func (s stretch) amplified() float64 {
	return float64(s.bytes) / float64(max(s.writes, 1)*block.BlockSize)
}

func (s stretch) add(more stretch) stretch {
	s.times.join(more.times)
	return stretch{s.writes + more.writes, s.took + more.took, s.bytes + more.bytes, s.times}
}

// fullRow is what came of a disk that is a part of its file system.
type fullRow struct {
	percent int64
	all     stretch
	parts   []stretch
	waited  int64
	refused int64
}

// nearlyFull overwrites a disk whose data are a part of the file system.
func nearlyFull(b *testing.B, percent int64) fullRow {
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
	l := &load{dev: dev, depth: *fullDepth}
	defer l.watchFor(b, *fullWatch)()
	row := fullRow{percent: percent, all: stretch{times: &times{}}}
	for i := range *fullSlices {
		before := small.written(b)
		part := l.part(*fullWrites/int64(*fullSlices), time.Duration(*fullTime)*time.Second/time.Duration(*fullSlices), uint64(i+1))
		part.bytes = small.written(b) - before
		row.parts = append(row.parts, part)
		row.all = row.all.add(part)
		if l.err != nil || l.refused > 1000 {
			break
		}
	}
	row.waited, row.refused = store.Stats().Waits, l.refused
	if err := errors.Join(l.err, dev.Close(), store.Close()); err != nil {
		b.Error(err)
	}
	return row
}

// BenchmarkNearlyFull overwrites random blocks of a disk whose data fill most of a small ext4, and prints tables in
// Markdown: the throughput and its course, what the device had to write for each byte, how long writes took, how many waited because
// there was no room at all, and how many were refused for want of space, of which there must be none. It takes root.
func BenchmarkNearlyFull(b *testing.B) {
	var rows []fullRow
	for text := range strings.SplitSeq(*fullPart, ",") {
		percent, err := strconv.ParseInt(text, 10, 64)
		if err != nil || percent < 1 || percent > 99 {
			b.Fatalf("-full.part: %q", text)
		}
		b.Run(text, func(b *testing.B) {
			row := nearlyFull(b, percent)
			rows = append(rows, row)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(row.all.perSecond(), "writes/s")
			b.ReportMetric(row.all.amplified(), "amplification")
			b.ReportMetric(ms(row.all.times.quantile(0.999)), "p99.9-ms")
			b.ReportMetric(ms(row.all.times.most()), "longest-ms")
		})
	}
	text := fullTables(rows)
	fmt.Print("\n", text)
	if *fullOut == "" {
		return
	}
	err := errors.Join(os.MkdirAll(*fullOut, 0o777),
		os.WriteFile(filepath.Join(*fullOut, "nearly-full.md"), []byte(text), 0o666),
		os.WriteFile(filepath.Join(*fullOut, "nearly-full.svg"), []byte(fullPlot(rows)), 0o666))
	if err != nil {
		b.Error(err)
	}
}
