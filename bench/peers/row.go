package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"
)

// row is one kind of load.
type row struct {
	Name   string  `json:"name"`
	Target float64 `json:"target"`          // of the best peer's
	Roof   float64 `json:"roof,omitempty"`  // of the ceiling's; 0: none asked for
	Bytes  bool    `json:"bytes,omitempty"` // measured in bytes, not in operations
	args   []string
	cold   bool
}

// stage is rows that find the same data on the images.
type stage struct {
	name    string
	always  bool // later stages stand on its data
	rows    []row
	prepare func(context.Context, config, *contestant) error
}

func stages() []stage {
	read := func(name string, target float64, cold bool, args ...string) row {
		return row{Name: name, Target: target, Bytes: true, cold: cold, args: args}
	}
	return []stage{
		{name: "written in order", always: true, prepare: fillInOrder, rows: []row{
			read("1M read, warm", 1, false, "--rw=read", "--bs=1m", "--iodepth=8"),
			read("1M read, cold", 1, true, "--rw=read", "--bs=1m", "--iodepth=8"),
			{Name: "4k random read QD32, warm", Target: 1, args: []string{"--rw=randread", "--bs=4k", "--iodepth=32"}},
			{Name: "4k random read QD32, cold", Target: 1, cold: true, args: []string{"--rw=randread", "--bs=4k", "--iodepth=32"}},
			{Name: "1M write QD8", Target: 1, Bytes: true, args: []string{"--rw=write", "--bs=1m", "--iodepth=8"}},
		}},
		{name: "random writes", prepare: nothing, rows: []row{
			{Name: "4k random write QD32", Target: 2, Roof: 0.7, args: []string{"--rw=randwrite", "--bs=4k", "--iodepth=32"}},
			{Name: "4k random write QD1", Target: 2, args: []string{"--rw=randwrite", "--bs=4k", "--iodepth=1"}},
			{Name: "4k write and flush, 1 connection", Target: 1, args: []string{"--rw=randwrite", "--bs=4k", "--iodepth=1", "--fsync=1"}},
			{Name: "4k write and flush, 8 connections", Target: 1.3, args: []string{
				"--rw=randwrite", "--bs=4k", "--iodepth=1", "--fsync=1", "--numjobs=8", "--group_reporting",
			}},
		}},
		{name: "written at random", prepare: fillAtRandom, rows: []row{
			read("1M read after random writes, at once, warm", 0.9, false, "--rw=read", "--bs=1m", "--iodepth=8"),
			read("1M read after random writes, at once, cold", 0.9, true, "--rw=read", "--bs=1m", "--iodepth=8"),
			{Name: "4k random read QD32 after random writes, warm", Target: 1, args: []string{"--rw=randread", "--bs=4k", "--iodepth=32"}},
			{Name: "4k random read QD32 after random writes, cold", Target: 1, cold: true, args: []string{
				"--rw=randread", "--bs=4k", "--iodepth=32",
			}},
		}},
		{name: "at rest", prepare: fillAndRest, rows: []row{
			read("1M read after random writes and a rest, warm", 0.9, false, "--rw=read", "--bs=1m", "--iodepth=8"),
			read("1M read after random writes and a rest, cold", 0.9, true, "--rw=read", "--bs=1m", "--iodepth=8"),
		}},
	}
}

func (s stage) matching(want *regexp.Regexp) []row {
	var rows []row
	for _, w := range s.rows {
		if want.MatchString(w.Name) {
			rows = append(rows, w)
		}
	}
	return rows
}

// value is what of a measurement the row is about.
func (w row) value(m measurement) float64 {
	if w.Bytes {
		return m.BytesPerSecond
	}
	return m.IOPS
}

func (w row) format(v float64) string {
	if w.Bytes {
		return fmt.Sprintf("%.0f MB/s", v/1e6)
	}
	return fmt.Sprintf("%.1f k/s", v/1e3)
}

func (w row) formatSpread(v spread) string {
	if w.Bytes {
		return fmt.Sprintf("%.0f [%.0f–%.0f] MB/s", v.middle/1e6, v.least/1e6, v.most/1e6)
	}
	return fmt.Sprintf("%.1f [%.1f–%.1f] k/s", v.middle/1e3, v.least/1e3, v.most/1e3)
}

func nothing(context.Context, config, *contestant) error { return nil }

func fillInOrder(ctx context.Context, c config, p *contestant) error {
	_, err := fio(ctx, p.uri, "--rw=write", "--bs=1m", "--iodepth=8", "--end_fsync=1", sizeOf(c))
	return err
}

func fillAtRandom(ctx context.Context, c config, p *contestant) error {
	_, err := fio(ctx, p.uri, "--rw=randwrite", "--bs=4k", "--iodepth=32", "--end_fsync=1", sizeOf(c))
	return err
}

// fillAndRest has a program do, before anything is read, what it does when nobody writes.
func fillAndRest(ctx context.Context, c config, p *contestant) error {
	err := fillAtRandom(ctx, c, p)
	if err == nil && p.rest != nil {
		err = p.rest(ctx)
	}
	return err
}

func sizeOf(c config) string { return "--size=" + strconv.FormatInt(c.size, 10) }

// measure plays one row once. Cold means that neither the program nor the kernel remembers anything; warm, that all of it
// was read just before.
func measure(ctx context.Context, c config, p *contestant, w row) (measurement, error) {
	reads := w.args[0] == "--rw=read" || w.args[0] == "--rw=randread"
	switch {
	case w.cold:
		if err := p.restart(ctx, dropCaches); err != nil {
			return measurement{}, err
		}
	case reads:
		if _, err := fio(ctx, p.uri, "--rw=read", "--bs=1m", "--iodepth=8", sizeOf(c)); err != nil {
			return measurement{}, err
		}
	}
	args := append([]string{sizeOf(c), "--runtime=" + strconv.Itoa(c.seconds), "--time_based"}, w.args...)
	m, err := fio(ctx, p.uri, args...)
	if !reads && err == nil { // what it left to be written is its own, not the next one's
		_, err = fio(ctx, p.uri, "--rw=write", "--bs=4k", "--iodepth=1", "--end_fsync=1", "--size=4096")
		time.Sleep(200 * time.Millisecond)
	}
	return m, err
}

func dropCaches() error {
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0)
}
