package demo

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tintype/internal/rig"
	"tintype/internal/witness"
)

const (
	imageSize    = 1 << 30
	witnessSize  = 64 << 20
	witnessPath  = "/srv/witness.bin"
	witnessSeed  = 0x7e57
	fsBlockSize  = 4096
	debianSuite  = "bookworm"
	witnessCount = witnessSize / witness.BlockSize
)

// image is a raw disk image with an ext4 file system on it: a Debian root, and one file whose blocks the verifying
// writer may overwrite in place, so that it writes inside a living file system without harming it.
type image struct {
	path   string
	region witness.Region // where the witness's file lies on the disk
}

// makeRoot installs a minimal Debian into dir with the distribution's own tool.
func makeRoot(ctx context.Context, dir string) error {
	_, err := rig.Run(ctx, "mmdebstrap", "--quiet", "--variant=minbase", debianSuite, dir)
	return err
}

// removeRoot removes what makeRoot made. Without root's rights mmdebstrap works as root of a user namespace, whose
// files only it can remove; the folder itself lies in ours.
func removeRoot(ctx context.Context, dir string) error {
	if os.Geteuid() != 0 {
		if _, err := os.Lstat(dir); err != nil {
			return nil // nothing was made
		}
		if _, err := rig.Run(ctx, "mmdebstrap", "--unshare-helper", "find", dir, "-mindepth", "1", "-delete"); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

// makeImage puts the tree at root into an ext4 image at name and adds the witness's file.
func makeImage(ctx context.Context, root, name string) (*image, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(imageSize); err != nil {
		return nil, err
	}
	// In a user namespace mke2fs is somebody else.
	if err := f.Chmod(0o666); err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	mke2fs := []string{"mke2fs", "-q", "-t", "ext4", "-b", fmt.Sprint(fsBlockSize), "-L", "root", "-d", root, name}
	if os.Geteuid() != 0 {
		mke2fs = append([]string{"mmdebstrap", "--unshare-helper"}, mke2fs...)
	}
	if _, err := rig.Run(ctx, mke2fs[0], mke2fs[1:]...); err != nil {
		return nil, err
	}
	return addWitness(ctx, name)
}

// addWitness writes the witness's file into the image's file system and finds out where its blocks are.
func addWitness(ctx context.Context, name string) (*image, error) {
	prefill := filepath.Join(filepath.Dir(name), "witness.bin")
	if err := writePrefill(prefill); err != nil {
		return nil, err
	}
	defer os.Remove(prefill)
	if _, err := debugfs(ctx, name, "write "+prefill+" "+witnessPath); err != nil {
		return nil, err
	}
	region, err := fileRegion(ctx, name, witnessPath, witnessCount)
	if err != nil {
		return nil, err
	}
	return &image{path: name, region: region}, nil
}

func writePrefill(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := witness.Prefill(w, witnessCount, witnessSeed); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// fileRegion asks the file system where the blocks of a file are.
func fileRegion(ctx context.Context, image, file string, blocks int) (witness.Region, error) {
	out, err := rig.Run(ctx, "debugfs", "-R", "dump_extents "+file, image)
	if err != nil {
		return nil, err
	}
	return parseExtents(out, blocks)
}

// parseExtents reads the table of debugfs's dump_extents:
//
//	Level Entries       Logical          Physical Length Flags
//	 0/ 0   1/  2     0 - 16383   34816 -   51199  16384
func parseExtents(table string, blocks int) (witness.Region, error) {
	region := make(witness.Region, blocks)
	found := 0
	for line := range strings.Lines(table) {
		// "level/depth entry/entries first - last start - end length"; an inner node of the tree has no range at the end.
		fields := strings.Fields(strings.ReplaceAll(line, "/", " "))
		var level, depth, entry, entries, first, last, start, end, length int64
		n, _ := fmt.Sscan(strings.ReplaceAll(strings.Join(fields, " "), " - ", " "),
			&level, &depth, &entry, &entries, &first, &last, &start, &end, &length)
		if n != 9 {
			continue
		}
		if first < 0 || last >= int64(blocks) || last < first || end-start != last-first {
			return nil, fmt.Errorf("an extent that does not fit the file: %q", strings.TrimSpace(line))
		}
		for b := first; b <= last; b++ {
			region[b] = (start + b - first) * fsBlockSize
			found++
		}
	}
	if found != blocks {
		return nil, fmt.Errorf("the file system names %d blocks of a file of %d", found, blocks)
	}
	return region, nil
}

// debugfs runs one command on an image's file system. It exits with 0 whatever happens: callers look at what it did.
func debugfs(ctx context.Context, image, command string) (string, error) {
	return rig.Run(ctx, "debugfs", "-w", "-R", command, image)
}

// readFile gives the content of a file inside an image; a file that is not there is empty.
func readFile(ctx context.Context, image, file string) (string, error) {
	return rig.Run(ctx, "debugfs", "-R", "cat "+file, image)
}

// checkFS runs a whole file system check that changes nothing. e2fsck exits with 0 only when all is well.
func checkFS(ctx context.Context, image string) error {
	_, err := rig.Run(ctx, "e2fsck", "-f", "-n", image)
	return err
}
