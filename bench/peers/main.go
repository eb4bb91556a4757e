// Command peers measures Tintype beside the programs that people would otherwise use, in the same minutes, on the same
// file system, with fio's nbd engine, and prints medians, spreads and ratios. docs/performance.md says how to read them.
//
// Rounds are interleaved: each measurement of one program has the others' right beside it, so that a machine that slows
// down slows all of them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"
)

// config is what a run can be told.
type config struct {
	binary  string // the tintype program; empty: build it
	dir     string // where images and data folders go: the file system that is measured
	out     string // where the results go; empty: only to standard output
	size    int64  // of each image
	rounds  int
	seconds int // of each measurement
	rows    *regexp.Regexp
	peers   *regexp.Regexp
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run() error {
	if dir := os.Getenv("TINTYPE_BENCH_VICTIM"); dir != "" {
		return victim(dir)
	}
	c, err := parseFlags()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if c.dir, err = os.MkdirTemp(c.dir, "tintype-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(c.dir)
	return contest(ctx, c)
}

func parseFlags() (config, error) {
	var c config
	var gib float64
	var rows, peers string
	flag.StringVar(&c.binary, "binary", "", "the tintype program (default: built from this tree)")
	flag.StringVar(&c.dir, "dir", "", "folder on the file system to measure (default: the system's temporary folder)")
	flag.StringVar(&c.out, "out", "", "folder for results.json, results.md and results.svg")
	flag.Float64Var(&gib, "gib", 2, "size of each image in GiB")
	flag.IntVar(&c.rounds, "rounds", 5, "interleaved rounds")
	flag.IntVar(&c.seconds, "seconds", 2, "length of each measurement")
	flag.StringVar(&rows, "rows", ".", "rows whose names match")
	flag.StringVar(&peers, "peers", ".", "peers whose names match")
	flag.Parse()
	c.size = int64(gib) << 30
	if c.size < 1<<30 || c.size > 1<<40 || c.rounds < 1 || c.seconds < 1 {
		return c, fmt.Errorf("sizes of 1 to 1024 GiB, and at least one round of one second")
	}
	var err error
	if c.rows, err = regexp.Compile(rows); err != nil {
		return c, err
	}
	c.peers, err = regexp.Compile(peers)
	return c, err
}

// contest plays what fio plays and then the trials, and reports.
func contest(ctx context.Context, c config) error {
	began := time.Now()
	r := newResult(c)
	if err := playStages(ctx, c, r); err != nil {
		return err
	}
	var found results
	if err := playTrials(ctx, c, &found); err != nil {
		return err
	}
	r.Figures, r.Charts = found.figures, found.charts
	r.Took = time.Since(began).Round(time.Second).String()
	return r.report(os.Stdout, c.out)
}

// playStages starts everybody and plays the rounds, unless no row of them was asked for.
func playStages(ctx context.Context, c config, r *result) error {
	if !slices.ContainsFunc(stages(), func(s stage) bool { return len(s.matching(c.rows)) > 0 }) {
		return nil
	}
	all, err := contestants(ctx, c)
	if err != nil {
		return err
	}
	defer func() {
		for _, p := range all {
			p.stop()
		}
	}()
	for _, p := range all {
		r.Peers = append(r.Peers, p.name)
	}
	for _, stage := range stages() {
		rows := stage.matching(c.rows)
		if len(rows) == 0 && !stage.always {
			continue
		}
		for _, p := range all {
			if err := stage.prepare(ctx, c, p); err != nil {
				return fmt.Errorf("prepare %s for %s: %w", p.name, stage.name, err)
			}
		}
		if err := play(ctx, c, r, rows, all); err != nil {
			return err
		}
	}
	return nil
}

// play measures each row in each round with each contestant, in an order that turns, so that none is always first.
func play(ctx context.Context, c config, r *result, rows []row, all []*contestant) error {
	for round := range c.rounds {
		for _, w := range rows {
			for i := range all {
				p := all[(i+round)%len(all)]
				if p.name == ceiling && w.Roof == 0 {
					continue // nothing is said of it
				}
				m, err := measure(ctx, c, p, w)
				if err != nil {
					return fmt.Errorf("%s with %s: %w", w.Name, p.name, err)
				}
				r.add(w, p.name, m)
				fmt.Fprintf(os.Stderr, "round %d  %-28s %-18s %s\n", round+1, w.Name, p.name, w.format(w.value(m)))
			}
		}
	}
	return nil
}

func socketPath(c config, name string) string { return filepath.Join(c.dir, name+".sock") }
