package vhd

import (
	"bytes"
	"encoding/binary"
	"io"
)

// Format is how a file holds a disk, as found out from its bytes.
type Format string

// The formats that are told apart. Raw is whatever shows no sign of another.
const (
	Raw     Format = "raw"
	Fixed   Format = "vhd"
	Sparse  Format = "dynamic vhd"
	VHDX    Format = "vhdx"
	QCOW2   Format = "qcow2"
	VMDK    Format = "vmdk"
	VDI     Format = "vdi"
	QED     Format = "qed"
	Gzip    Format = "gzip"
	XZ      Format = "xz"
	Zstd    Format = "zstd"
	Bzip2   Format = "bzip2"
	Zip     Format = "zip"
	SevenZ  Format = "7z"
	Unknown Format = ""
)

// signatures are looked for in order; a raw disk begins with none of them, because boot code does not.
var signatures = []struct {
	off    int
	magic  string
	format Format
}{
	{0, "QFI\xfb", QCOW2},
	{0, "vhdxfile", VHDX},
	{0, "KDMV", VMDK},
	{0, "COWD", VMDK},
	{0, "# Disk DescriptorFile", VMDK},
	{0, "QED\x00", QED},
	{0x40, "\x7f\x10\xda\xbe", VDI},
	{0, "\x1f\x8b\x08", Gzip},
	{0, "\xfd7zXZ\x00", XZ},
	{0, "\x28\xb5\x2f\xfd", Zstd},
	{0, "BZh", Bzip2},
	{0, "PK\x03\x04", Zip},
	{0, "7z\xbc\xaf\x27\x1c", SevenZ},
}

// Detect finds the format of a file of size bytes out. A fixed VHD is known by a footer that is whole and fits the file,
// so that a raw disk that merely ends in an old one stays raw; and by that before all else, because the first bytes are
// the guest's, who may have written anything there.
func Detect(r io.ReaderAt, size int64) (Format, error) {
	head := make([]byte, min(FooterSize, max(0, size)))
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return Unknown, err
	}
	tail := make([]byte, FooterSize)
	if size >= FooterSize {
		if _, err := r.ReadAt(tail, size-FooterSize); err != nil {
			return Unknown, err
		}
	}
	f, err := ParseFooter(tail)
	if err == nil && f.Type == TypeFixed && f.Size == size-FooterSize {
		return Fixed, nil
	}
	for _, s := range signatures {
		if len(head) >= s.off && bytes.HasPrefix(head[s.off:], []byte(s.magic)) {
			return s.format, nil
		}
	}
	switch {
	case bytes.HasPrefix(head, []byte(Cookie)), err == nil && f.Type != TypeFixed:
		return Sparse, nil
	case damagedFixed(tail, size):
		return Fixed, nil
	}
	return Raw, nil
}

// damagedFixed tells a fixed VHD whose footer does not hold, which is to be refused and not taken for raw data: cookie
// and size are right.
func damagedFixed(tail []byte, size int64) bool {
	return bytes.HasPrefix(tail, []byte(Cookie)) && binary.BigEndian.Uint64(tail[offCurrent:]) == uint64(size-FooterSize)
}
