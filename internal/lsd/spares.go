package lsd

import (
	"errors"

	"tintype/internal/block"
)

// spare is the file of a dead segment, kept under its old name to be written again as a new one: what is written over costs a
// sync no more than the data, where a new file has to be found room for, block by block.
type spare struct {
	number uint32
	file   *copies
	size   int64
	even   uint32 // slots that were written
}

// keepSpare keeps the file of a segment that died, unless there are enough, it is small or has holes, or somebody still reads it.
// The caller holds t.mu.
func (t *segmentTable) keepSpare(s *segment) bool {
	whole := int64(t.slots) * block.BlockSize
	if len(t.spares) >= t.keep || s.pins > 0 || s.file == nil || len(s.holes.all) > 0 || !s.file.isLocal() || s.allocated < whole/2 || s.allocated > whole {
		return false
	}
	even := min(max(s.even, s.used), uint32(s.allocated/block.BlockSize))
	t.spares = append(t.spares, spare{number: s.number, file: s.file, size: s.allocated, even: even})
	s.file = nil
	return true
}

// spareBytes is the room that spares take.
func (t *segmentTable) spareBytes() (n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.spares {
		n += s.size
	}
	return n
}

// newFile makes the file of a new segment, or takes a spare, and returns what it was. The caller holds t.mu.
func (t *segmentTable) newFile(number uint32, zonal bool) (*copies, spare, error) {
	n := len(t.spares)
	if n == 0 || zonal {
		f, err := t.shelf.create(number, zonal)
		return f, spare{}, err
	}
	s := t.spares[n-1]
	t.spares = t.spares[:n-1]
	if err := t.shelf.rename(s.file, number); err != nil {
		return nil, spare{}, errors.Join(err, s.file.Close(), t.shelf.remove(s.number))
	}
	return s.file, s, nil
}

// dropSpares removes all spares and tells whether there were any.
func (t *segmentTable) dropSpares() (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var err error
	for _, s := range t.spares {
		err = errors.Join(err, s.file.Close(), t.shelf.remove(s.number))
	}
	some := len(t.spares) > 0
	t.spares = nil
	return some, err
}
