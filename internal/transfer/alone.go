package transfer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"tintype/internal/vhd"
)

// ErrExternal says that an image names other files. qemu-img would open whatever it names, also /etc/shadow, and copy
// it into the disk.
var ErrExternal = errors.New("the image refers to other files; make it stand alone first, or allow that if you made it yourself")

// checkAlone refuses an image of the format that is not all of itself.
func checkAlone(r io.ReaderAt, format vhd.Format) error {
	switch format {
	case vhd.QCOW2:
		return aloneQCOW2(r)
	case vhd.VMDK:
		return aloneVMDK(r)
	case vhd.VHDX:
		return nil // qemu's driver opens no parents: it refuses differencing files
	}
	return fmt.Errorf("no check for %s", format)
}

// aloneQCOW2 looks into the header: magic, version, backing file's offset (8) and length (16), and from version 3 on
// the incompatible features (72), of which bit 2 is an external data file.
func aloneQCOW2(r io.ReaderAt) error {
	var b [104]byte
	if n, err := r.ReadAt(b[:], 0); err != nil && (err != io.EOF || n < 72) {
		return fmt.Errorf("qcow2 header: %w", noEOF(err))
	}
	be := binary.BigEndian
	version := be.Uint32(b[4:])
	if version != 2 && version != 3 {
		return fmt.Errorf("qcow2 version %d is not known", version)
	}
	if be.Uint64(b[8:]) != 0 || be.Uint32(b[16:]) != 0 {
		return fmt.Errorf("qcow2 with a backing file: %w", ErrExternal)
	}
	const externalData = 1 << 2
	if version == 3 && be.Uint64(b[72:])&externalData != 0 {
		return fmt.Errorf("qcow2 with an external data file: %w", ErrExternal)
	}
	return nil
}

// aloneVMDK takes only the sparse kind whose extent is the file itself. A descriptor that is a text file names its
// extents; one inside a sparse file stands for the whole when the header's capacity is 0, and may name a parent. qemu
// looks for that in the 20 sectors from sector 1 on; the header may put the descriptor elsewhere.
func aloneVMDK(r io.ReaderAt) error {
	var b [512]byte
	n, err := r.ReadAt(b[:], 0)
	if !bytes.HasPrefix(b[:n], []byte("KDMV")) {
		return fmt.Errorf("VMDK that lists its extents: %w", ErrExternal)
	}
	if err != nil {
		return fmt.Errorf("VMDK: %w", noEOF(err))
	}
	le := binary.LittleEndian
	capacity, at, length := le.Uint64(b[12:]), le.Uint64(b[28:]), le.Uint64(b[36:])
	if capacity == 0 {
		return fmt.Errorf("VMDK without a capacity: %w", ErrExternal)
	}
	const most = 1 << 20 / 512 // sectors of a descriptor that qemu reads
	if at > 1<<40 || length > most {
		return fmt.Errorf("VMDK: descriptor of %d sectors at sector %d", length, at)
	}
	for _, place := range []struct{ at, length uint64 }{{1, 20}, {at, length}} {
		text := make([]byte, place.length*512)
		n, err := r.ReadAt(text, int64(place.at)*512)
		if err != nil && err != io.EOF {
			return fmt.Errorf("VMDK descriptor: %w", err)
		}
		if bytes.Contains(bytes.ToLower(text[:n]), []byte("parentfilenamehint")) {
			return fmt.Errorf("VMDK with a parent: %w", ErrExternal)
		}
	}
	return nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
