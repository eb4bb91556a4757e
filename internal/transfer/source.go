package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"tintype/internal/vhd"
)

// SourceOptions say how an image is opened.
type SourceOptions struct {
	// Format overrides what the bytes tell. vhd.Raw takes anything as it is.
	Format vhd.Format

	// AllowExternal lets a qcow2 or VMDK image name other files (a backing file, extents), which are then read with the
	// caller's rights. Whoever made the image chose those names: leave it unset for images from others.
	AllowExternal bool

	// TempDir is where an image in a foreign format is converted, as a sparse file: $TMPDIR, or else /var/tmp.
	TempDir string
}

// Source is a disk image to be uploaded.
type Source struct {
	vhd.Image
	Format vhd.Format // of the file; an image that was converted is read as raw

	// Identity changes when the file does: from its path, device, inode, size and times. Empty for a block device, whose
	// content changes without a trace.
	Identity string

	file *os.File
	temp string // folder to remove
}

// Open opens an image. Fixed and dynamic VHD and raw are read in place; VHDX, qcow2 and VMDK are converted by qemu-img
// first, which takes a while and ends early when ctx does.
func Open(ctx context.Context, path string, o SourceOptions) (*Source, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	stat, err := os.Stat(path) // before opening: a FIFO would block
	if err != nil {
		return nil, err
	}
	block := stat.Mode()&os.ModeDevice != 0 && stat.Mode()&os.ModeCharDevice == 0
	if !stat.Mode().IsRegular() && !block {
		return nil, fmt.Errorf("%s is neither a file nor a block device", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &Source{file: f, Format: o.Format}
	if !block {
		s.Identity = identity(path, stat)
	}
	if err := s.open(ctx, path, o); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), s.Close())
	}
	return s, nil
}

// identity is what must be the same for the bytes to be the same.
func identity(path string, stat os.FileInfo) string {
	id := fmt.Sprintf("%s\n%d\n%d", path, stat.Size(), stat.ModTime().UnixNano())
	if sys, ok := stat.Sys().(*syscall.Stat_t); ok {
		id += fmt.Sprintf("\n%d\n%d\n%d.%09d", sys.Dev, sys.Ino, sys.Ctim.Sec, sys.Ctim.Nsec)
	}
	return id
}

func (s *Source) open(ctx context.Context, path string, o SourceOptions) error {
	size, err := s.file.Seek(0, 2)
	if err != nil {
		return err
	}
	if s.Format == vhd.Unknown {
		if s.Format, err = vhd.Detect(s.file, size); err != nil {
			return err
		}
		// A raw disk's first bytes are its guest's, who must not choose how the disk is read.
		if strings.EqualFold(filepath.Ext(path), ".raw") && s.Format != vhd.Raw {
			return fmt.Errorf("the name says raw, the bytes look like %s: rename the file if they are right", s.Format)
		}
		// A file that calls itself a VHD and has no footer that fits was cut short: it is not a raw disk.
		if s.Format == vhd.Raw && strings.EqualFold(filepath.Ext(path), ".vhd") {
			s.Format = vhd.Fixed
		}
	}
	switch s.Format {
	case vhd.Raw:
		s.Image, err = vhd.OpenRaw(s.file)
	case vhd.Fixed:
		s.Image, err = vhd.OpenFixed(s.file)
	case vhd.Sparse:
		s.Image, err = vhd.OpenDynamic(s.file, size)
	case vhd.QCOW2, vhd.VMDK, vhd.VHDX:
		err = s.convert(ctx, path, o)
	case vhd.Gzip, vhd.XZ, vhd.Zstd, vhd.Bzip2, vhd.Zip, vhd.SevenZ:
		err = fmt.Errorf("the file is packed (%s): unpack it first", s.Format)
	default:
		err = fmt.Errorf("images of format %s are not taken: convert it to raw, VHD, VHDX, qcow2 or VMDK first", s.Format)
	}
	return err
}

// convert makes a raw copy of an image in a foreign format.
func (s *Source) convert(ctx context.Context, path string, o SourceOptions) error {
	if !o.AllowExternal {
		if err := checkAlone(s.file, s.Format); err != nil {
			return err
		}
	}
	if err := haveQEMU(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(tempDir(o), "tintype-image-")
	if err != nil {
		return err
	}
	s.temp = dir
	raw := filepath.Join(dir, "disk.raw")
	if err := convert(ctx, path, s.Format, raw, vhd.Raw); err != nil {
		return err
	}
	f, err := os.Open(raw)
	if err != nil {
		return err
	}
	old := s.file
	s.file = f
	if err := old.Close(); err != nil {
		return err
	}
	s.Image, err = vhd.OpenRaw(f)
	return err
}

func tempDir(o SourceOptions) string {
	if o.TempDir != "" {
		return o.TempDir
	}
	if d := strings.TrimSpace(os.Getenv("TMPDIR")); d != "" {
		return d
	}
	return "/var/tmp" // /tmp is often memory, and images are large
}

// Close gives the file back and removes what was converted.
func (s *Source) Close() error {
	err := s.file.Close()
	if s.temp != "" {
		err = errors.Join(err, os.RemoveAll(s.temp))
	}
	return err
}
