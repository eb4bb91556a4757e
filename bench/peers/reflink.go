package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// reflinkTrial copies files by reference on XFS and btrfs, on loop mounts, as the peers of snapshots. The files have the blocks that
// the disks of the snapshot rows have, and nobody writes to them meanwhile, which is in the peers' favour.
func reflinkTrial(ctx context.Context, c config, r *results) error {
	for _, fs := range []string{"xfs", "btrfs"} {
		for _, size := range sizes[:1] { // the next takes minutes to make
			name := fmt.Sprintf("cp --reflink on %s, nothing written meanwhile, %s", fs, size.name)
			took, err := reflink(ctx, c, fs, size.gib<<30)
			if err != nil {
				r.skip(snapshotRow+": peers", name, err.Error())
				continue
			}
			r.add(figure{Row: snapshotRow + ": peers", Name: name, Unit: "ms", Values: milliseconds(took), Note: "cp and a sync of the copy; the file has one block in each 256 KiB"})
		}
	}
	return nil
}

func reflink(ctx context.Context, c config, fs string, size int64) (took []time.Duration, err error) {
	image, at := filepath.Join(c.dir, fs+".img"), filepath.Join(c.dir, fs)
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 2*size), os.MkdirAll(at, 0o700)); err != nil {
		return nil, err
	}
	defer os.Remove(image)
	if err := command(ctx, "mkfs."+fs, "-q", image); err != nil {
		return nil, err
	}
	if err := command(ctx, "mount", "-o", "loop", image, at); err != nil {
		return nil, fmt.Errorf("no loop mounts here: %w", err)
	}
	defer func() { err = errors.Join(err, command(context.WithoutCancel(ctx), "umount", at)) }()
	disk := filepath.Join(at, "disk.raw")
	if err := dotted(disk, size); err != nil {
		return nil, err
	}
	for i := range min(c.rounds, 3) {
		copied := filepath.Join(at, fmt.Sprintf("copy-%d.raw", i))
		began := time.Now()
		if err := command(ctx, "cp", "--reflink=always", disk, copied); err != nil {
			return nil, err
		}
		if err := command(ctx, "sync", copied); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// dotted makes a file with a block in each page's worth of it.
func dotted(name string, size int64) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	p := make([]byte, 4096)
	for i := range p {
		p[i] = byte(i)
	}
	for off := int64(0); off < size; off += pageBytes {
		if _, err := f.WriteAt(p, off); err != nil {
			return err
		}
	}
	return f.Sync()
}
