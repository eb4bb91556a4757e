package lsd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"tintype/internal/block"
	"tintype/internal/vfs"
)

// Pebble's log is blocks of 32 KiB with chunks in them; a record is one chunk or several. A chunk's header: checksum (4), length
// (2), kind (1), number of the log (4), up to where the log was synced when the chunk was written (8).
//
// Pebble finds a hole by a chunk in a later block that says that what is missing had been synced. It does not look in the block
// of the hole itself, so that a bit that flips in the last 32 KiB took all commits behind it away in silence. This does.
const (
	logBlock    = 32 << 10
	logHeader   = 19
	logFull     = 9
	logLast     = 12
	logChecksum = 0xa282ead8
)

// logChunk is a chunk of Pebble's log that is whole.
type logChunk struct {
	length int
	ends   bool // a record
	synced uint64
}

// parseLogChunk reads the chunk at an offset.
func parseLogChunk(p []byte, off int, number uint32) (c logChunk, ok bool) {
	room := min(logBlock-off%logBlock, len(p)-off)
	if room < logHeader {
		return c, false
	}
	le := binary.LittleEndian
	h := p[off : off+room]
	kind := h[6]
	c.length = logHeader + int(le.Uint16(h[4:]))
	if kind < logFull || kind > logLast || le.Uint32(h[7:]) != number || c.length > room {
		return c, false
	}
	sum := checksum(h[6:c.length])
	if le.Uint32(h) != (sum>>15|sum<<17)+logChecksum {
		return c, false
	}
	c.ends, c.synced = kind == logFull || kind == logLast, le.Uint64(h[11:])
	return c, true
}

// scanMetaLog finds where a log of Pebble's ends, behind the last whole record, and whether what is missing there had been
// synced.
func scanMetaLog(p []byte, number uint32) (end int64, hole bool) {
	off := 0
	for off < len(p) {
		c, ok := parseLogChunk(p, off, number)
		if !ok {
			if left := logBlock - off%logBlock; left <= logHeader && off%logBlock != 0 { // too little room for a chunk
				off += left
				continue
			}
			break
		}
		if off += c.length; c.ends {
			end = int64(off)
		}
	}
	for at := off + 1; at < len(p); at++ {
		if c, ok := parseLogChunk(p, at, number); ok && c.synced > uint64(off) {
			return end, true
		}
	}
	return end, false
}

// metaLogs lists Pebble's logs in the order of their numbers.
func metaLogs(fsys vfs.FS, meta string) (numbers []uint64, names []string, err error) {
	all, err := fsys.List(meta)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range all {
		digits, isLog := strings.CutSuffix(name, ".log")
		number, err := strconv.ParseUint(digits, 10, 64)
		if isLog && err == nil {
			numbers, names = append(numbers, number), append(names, path.Join(meta, name))
		}
	}
	return numbers, names, nil
}

func readMetaLog(fsys vfs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	p := make([]byte, size)
	n, err := f.ReadAt(p, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return p[:n], errors.Join(err, f.Close())
}

// metaLogIsWhole refuses the last of Pebble's logs when it has a hole. Of older ones Pebble itself wants that they are whole.
func metaLogIsWhole(fsys vfs.FS, meta string) error {
	numbers, names, err := metaLogs(fsys, meta)
	if err != nil || len(names) == 0 {
		return err
	}
	last := len(names) - 1
	p, err := readMetaLog(fsys, names[last])
	if err != nil {
		return err
	}
	if end, hole := scanMetaLog(p, uint32(numbers[last])); hole {
		return fmt.Errorf("metadata log %s: a commit at byte %d was durable and is gone: %w", names[last], end, block.ErrDamaged)
	}
	return nil
}

// cutMetaLogs cuts Pebble's logs off where they have a hole, and removes those behind: what is before it opens then. A log
// that is not what the last stop left is as short as Pebble takes it to be.
func cutMetaLogs(fsys vfs.FS, meta string) error {
	cut := false
	switch file, err := brokenSeal(fsys, path.Dir(meta)); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case strings.HasSuffix(file, ".log"):
		cut = true
		fallthrough
	case file == "":
		if err := fsys.RemoveAll(path.Join(path.Dir(meta), sealName)); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s: %w", file, block.ErrDamaged)
	}
	removing := false
	numbers, names, err := metaLogs(fsys, meta)
	if err != nil {
		return err
	}
	for i, name := range names {
		if removing {
			if err := fsys.Remove(name); err != nil {
				return err
			}
			continue
		}
		p, err := readMetaLog(fsys, name)
		if err != nil {
			return err
		}
		end, hole := scanMetaLog(p, uint32(numbers[i]))
		if !hole {
			continue
		}
		cut, removing = true, true
		f, err := fsys.OpenReadWrite(name)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Truncate(end), f.Close()); err != nil {
			return err
		}
	}
	if !cut {
		return errors.New("no log of the metadata has a hole")
	}
	return nil
}
