package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/lsd"
)

// unchecked has the engine make no checkpoint of its own, so that a log can grow.
func unchecked() lsd.Options {
	return lsd.Options{CheckpointBytes: 1 << 40, MaxDirtyLeaves: 1 << 30}
}

const restartRow = "restart after kill -9 with 8 GiB of log since the last checkpoint"

// restartTrial has a process write a log of 8 GiB and kill itself, and times how long the engine takes to serve that disk again.
func restartTrial(ctx context.Context, c config, r *results) error {
	const gib = 8
	dir := filepath.Join(c.dir, "store")
	id := uuid.New()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), "TINTYPE_BENCH_VICTIM="+dir, "TINTYPE_BENCH_DISK="+id.String(), "TINTYPE_BENCH_GIB="+strconv.Itoa(gib))
	cmd.Stderr = os.Stderr
	err = cmd.Run()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		return fmt.Errorf("the writer was to kill itself: %w", err)
	}
	if err := dropCaches(); err != nil {
		r.skip(restartRow, "the page cache dropped", err.Error())
		return nil
	}
	began := time.Now()
	s, err := newStand(dir, lsd.Options{})
	if err != nil {
		return err
	}
	dev, err := s.device(id)
	if err == nil {
		var uri string
		if uri, err = s.export("disk", dev); err == nil {
			err = readOne(ctx, uri, 0)
		}
	}
	took := time.Since(began).Seconds()
	if err := errors.Join(err, s.close()); err != nil {
		return err
	}
	r.add(figure{
		Row: restartRow, Name: "engine and door, to the first byte read", Unit: "s", Values: []float64{took}, Target: 5, AtMost: true,
		Note: "one disk, random writes of 4 KiB over 32 GiB, the page cache dropped; of itself the engine checkpoints a log at 2 GiB",
	})
	return nil
}

// victim writes a log and kills its own process, in the middle of writing.
func victim(dir string) error {
	id, err := uuid.Parse(os.Getenv("TINTYPE_BENCH_DISK"))
	if err != nil {
		return err
	}
	gib, err := strconv.ParseInt(os.Getenv("TINTYPE_BENCH_GIB"), 10, 64)
	if err != nil {
		return err
	}
	s, err := newStand(dir, unchecked())
	if err != nil {
		return err
	}
	if err := s.store.Create(id, 4*gib<<30); err != nil {
		return err
	}
	dev, err := s.device(id)
	if err != nil {
		return err
	}
	if err := randomly(dev, gib<<30/block.BlockSize); err != nil {
		return err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}
