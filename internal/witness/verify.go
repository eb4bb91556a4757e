package witness

import (
	"fmt"
	"io"
	"math"
)

// Forever is later than every moment.
const Forever Stamp = math.MaxInt64

// Cut is what a snapshot, or a disk after a crash, was found to hold.
type Cut struct {
	Blocks   int   // blocks compared
	Included int64 // writes of this life that are in it
	Excluded int64 // writes of this life that came too late
}

// CheckCut reads the region from r and proves that it is a cut of this life that lies between two moments: every write
// acknowledged before from is in it, none that was issued after to is. The writer may be running.
func (l *Log) CheckCut(r io.ReaderAt, from, to Stamp) (Cut, error) {
	got, err := l.read(r)
	if err != nil {
		return Cut{}, err
	}
	want := append([]uint64(nil), l.base...)
	cut := Cut{Blocks: len(got)}
	lastIn, firstOut := Stamp(0), Forever // of all streams: the latest issue included, the earliest answer excluded
	for id, s := range l.streams {
		s.mu.Lock()
		writes := append([]write(nil), s.writes...)
		s.mu.Unlock()
		n, err := s.prefix(got, id, len(l.streams), len(writes))
		if err != nil {
			return cut, fmt.Errorf("stream %d: %w", id, err)
		}
		for i, w := range writes[:n] {
			want[w.block] = s.first + uint64(i)
		}
		cut.Included += int64(n)
		cut.Excluded += int64(len(writes) - n)
		if n > 0 {
			lastIn = max(lastIn, writes[n-1].issued)
		}
		if n < len(writes) && writes[n].acked != 0 {
			firstOut = min(firstOut, writes[n].acked)
		}
	}
	for b := range got {
		if got[b] != want[b] {
			return cut, fmt.Errorf("block %d (byte %d) holds write %d, and the history says %d", b, l.region[b], got[b], want[b])
		}
	}
	switch {
	case firstOut <= from:
		return cut, fmt.Errorf("a write that was acknowledged at %d, before %d, is missing", firstOut, from)
	case lastIn >= to:
		return cut, fmt.Errorf("a write that was issued at %d, after %d, is there", lastIn, to)
	case firstOut < lastIn:
		return cut, fmt.Errorf("not one moment: a write acknowledged at %d is missing, one issued at %d is there", firstOut, lastIn)
	}
	return cut, nil
}

// prefix tells how many of a stream's writes the content shows: up to the latest that is there.
func (s *stream) prefix(got []uint64, id, streams, issued int) (int, error) {
	n := 0
	for b := id; b < len(got); b += streams {
		if got[b] < s.first {
			continue
		}
		i := int(got[b]-s.first) + 1
		if i > issued {
			return 0, fmt.Errorf("block %d holds write %d, which was never issued", b, got[b])
		}
		n = max(n, i)
	}
	return n, nil
}

// read gives the sequence number of every block's content, checking each byte.
func (l *Log) read(r io.ReaderAt) ([]uint64, error) {
	const most = 256 // blocks a read
	seqs := make([]uint64, len(l.region))
	buf := make([]byte, most*BlockSize)
	scratch := make([]byte, BlockSize)
	for b := 0; b < len(l.region); {
		n := 1
		for n < most && b+n < len(l.region) && l.region[b+n] == l.region[b]+int64(n)*BlockSize {
			n++
		}
		if got, err := r.ReadAt(buf[:n*BlockSize], l.region[b]); got < n*BlockSize {
			return nil, fmt.Errorf("read %d bytes at %d: %w", n*BlockSize, l.region[b], err)
		}
		for i := range n {
			seq, err := recognise(buf[i*BlockSize:(i+1)*BlockSize], scratch, l.seed, uint32(b+i))
			if err != nil {
				return nil, err
			}
			seqs[b+i] = seq
		}
		b += n
	}
	return seqs, nil
}
