package vhd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Extent is a range of an image and whether data may be there. Without data it reads as zeroes.
type Extent struct {
	Off, Len int64
	Data     bool
}

// Image is a disk inside a file, to be read. Its methods may be called by many goroutines at once.
type Image interface {
	// Size is the disk's size in bytes, positive and not always a whole number of sectors (a raw file may end anywhere).
	Size() int64

	// ReadAt fills p from off, as io.ReaderAt says; a read that reaches the end gives io.EOF with what there is.
	io.ReaderAt

	// Extents calls yield for consecutive ranges that together cover [off, off+n), in order, until it returns false.
	Extents(off, n int64, yield func(Extent) bool) error
}

// checkRange refuses a range that is not inside an image of size bytes.
func checkRange(off, n, size int64) error {
	if off < 0 || n < 0 || off > size || n > size-off {
		return fmt.Errorf("vhd: range %d+%d is outside the image of %d bytes", off, n, size)
	}
	return nil
}

// raw is the beginning of a file: a raw image whole, a fixed VHD without its footer.
type raw struct {
	file *os.File
	size int64
}

// OpenRaw takes the whole file as the disk. The file must stay open as long as the image is used.
func OpenRaw(f *os.File) (Image, error) {
	size, err := fileSize(f)
	if err != nil {
		return nil, err
	}
	if size <= 0 || size > MaxSize {
		return nil, fmt.Errorf("%w: raw image of %d bytes", ErrFormat, size)
	}
	return &raw{file: f, size: size}, nil
}

// OpenFixed takes the file as a fixed VHD: its size must be exactly what the footer says and the footer.
func OpenFixed(f *os.File) (Image, error) {
	size, err := fileSize(f)
	if err != nil {
		return nil, err
	}
	footer, err := readFooter(f, size)
	if err != nil {
		return nil, err
	}
	if footer.Type != TypeFixed {
		return nil, fmt.Errorf("%w: type %s where Fixed is expected", ErrFormat, footer.Type)
	}
	if footer.Size != size-FooterSize {
		return nil, fmt.Errorf("%w: footer gives %d bytes of data, the file has %d", ErrFormat, footer.Size, size-FooterSize)
	}
	return &raw{file: f, size: footer.Size}, nil
}

// File gives the file of an image whose bytes lie in it one by one, each at its own offset: of a raw image and of a fixed VHD.
func File(i Image) (*os.File, bool) {
	r, ok := i.(*raw)
	if !ok {
		return nil, false
	}
	return r.file, true
}

// fileSize is the length of a file or block device.
func fileSize(f *os.File) (int64, error) { return f.Seek(0, io.SeekEnd) }

// readFooter reads the last sector of a file of size bytes.
func readFooter(r io.ReaderAt, size int64) (Footer, error) {
	if size < FooterSize {
		return Footer{}, fmt.Errorf("%w: file of %d bytes has no room for a footer", ErrFormat, size)
	}
	var b [FooterSize]byte
	if _, err := r.ReadAt(b[:], size-FooterSize); err != nil {
		return Footer{}, err
	}
	return ParseFooter(b[:])
}

func (r *raw) Size() int64 { return r.size }

func (r *raw) ReadAt(p []byte, off int64) (int, error) {
	return io.NewSectionReader(r.file, 0, r.size).ReadAt(p, off)
}

// What lseek takes on Linux beside io.SeekStart and the rest.
const (
	seekData = 3
	seekHole = 4
)

func (r *raw) Extents(off, n int64, yield func(Extent) bool) error {
	if err := checkRange(off, n, r.size); err != nil {
		return err
	}
	for end := off + n; off < end; {
		data, err := r.file.Seek(off, seekData)
		switch {
		case errors.Is(err, syscall.ENXIO):
			data = end // a hole up to the end of the file
		case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ESPIPE):
			yield(Extent{off, end - off, true}) // whatever holds the file knows no holes
			return nil
		case err != nil:
			return err
		}
		if data = min(data, end); data > off && !yield(Extent{off, data - off, false}) {
			return nil
		}
		if data == end {
			return nil
		}
		hole, err := r.file.Seek(data, seekHole)
		if err != nil {
			return err
		}
		hole = min(hole, end)
		if hole <= data {
			return fmt.Errorf("vhd: %s: no progress behind %d", r.file.Name(), data)
		}
		if !yield(Extent{data, hole - data, true}) {
			return nil
		}
		off = hole
	}
	return nil
}
