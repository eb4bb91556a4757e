package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// imagesTrial imports and exports an image of 4 GiB of which every second MiB has data, in turn with qemu-img.
func imagesTrial(ctx context.Context, c config, r *results) error {
	const gib = 4
	image := filepath.Join(c.dir, "half.raw")
	if err := halfFull(image, gib<<30); err != nil {
		return err
	}
	s, err := serve(ctx, c, "data")
	if err != nil {
		return err
	}
	if _, err = s.cli(ctx, "group", "create", "-n", "bench", "-l", "westus2"); err != nil {
		return errors.Join(err, s.Stop())
	}
	var times [4][]float64
	for round := range c.rounds {
		name := fmt.Sprintf("disk%d", round)
		qcow2, vhd, theirs := filepath.Join(c.dir, "a.qcow2"), filepath.Join(c.dir, "ours.vhd"), filepath.Join(c.dir, "theirs.vhd")
		steps := []func() error{
			func() error {
				_, err := s.cli(ctx, "disk", "create", "-g", "bench", "-n", name, "-l", "westus2", "--file", image)
				return err
			},
			func() error {
				return command(ctx, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-t", "writeback", image, qcow2)
			},
			func() error {
				_, err := s.cli(ctx, "disk", "export", "-g", "bench", "-n", name, "--file", vhd, "--overwrite")
				return err
			},
			func() error {
				return command(ctx, "qemu-img", "convert", "-f", "qcow2", "-O", "vpc", "-o", "subformat=fixed,force_size=on", "-t", "writeback", qcow2, theirs)
			},
		}
		for k := range steps {
			i := k ^ round%2 // who goes first finds the file system busy with the files that were removed
			settle()
			began := time.Now()
			if err := steps[i](); err != nil {
				return errors.Join(err, s.Stop())
			}
			times[i] = append(times[i], time.Since(began).Seconds())
		}
		for _, f := range []string{qcow2, vhd, theirs} {
			if err := os.Remove(f); err != nil {
				return errors.Join(err, s.Stop())
			}
		}
	}
	for i, row := range []string{"import of a 4 GiB half-full raw image", "export of it as a fixed VHD"} {
		ours, peer := times[2*i], times[2*i+1]
		ratios := make([]float64, len(ours))
		for k := range ours {
			ratios[k] = peer[k] / ours[k]
		}
		r.add(figure{Row: row, Name: "tintype", Unit: "s", Values: ours})
		r.add(figure{Row: row, Name: "qemu-img convert", Unit: "s", Values: peer, Note: "to qcow2 and from it, -t writeback, on the same file system"})
		r.add(figure{Row: row, Name: "speed of qemu-img's", Unit: "×", Values: ratios, Target: 1})
	}
	return s.Stop()
}

func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// halfFull makes an image with data in every second MiB that no program can make smaller.
func halfFull(name string, size int64) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(size); err != nil {
		return err
	}
	source := rand.NewChaCha8([32]byte{1})
	p := make([]byte, 1<<20)
	for off := int64(0); off < size; off += 2 << 20 {
		source.Read(p) // it never fails
		if _, err := f.WriteAt(p, off); err != nil {
			return err
		}
	}
	return f.Sync()
}
