// Package witness writes to a disk under load and knows afterwards what a snapshot of it, or the disk itself after a
// crash, must hold.
//
// Several streams write at once, each one block at a time; every write is noted before it is issued and when it is
// acknowledged, on one clock of events. What a snapshot holds is right when it is a cut: of each stream a prefix, with
// every block exactly as the prefix left it, and no write missing that was acknowledged before another one that is
// there was issued. The same holds for a disk after a crash, with the last acknowledged flush as the least it may be.
package witness

import (
	"bufio"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Region is where the witness may write: the byte offset on the disk of each of its blocks.
type Region []int64

// Linear is a region of one piece: n bytes from off, both multiples of BlockSize.
func Linear(off, n int64) Region {
	r := make(Region, n/BlockSize)
	for i := range r {
		r[i] = off + int64(i)*BlockSize
	}
	return r
}

// Stamp is a moment on the log's clock of events. It orders them and measures nothing.
type Stamp int64

// write is one line of a stream's history.
type write struct {
	block  uint32
	issued Stamp
	acked  Stamp // 0: no answer yet, or never
}

// stream is one sequence of writes; a later one is issued only after the earlier one was acknowledged. Stream s owns
// the blocks whose index is s modulo the number of streams.
type stream struct {
	mu     sync.Mutex
	first  uint64 // the sequence number of writes[0]
	writes []write
}

// Log is the witness's own record of one life of a disk: from a state that was read to the last write.
type Log struct {
	seed    uint64
	region  Region
	base    []uint64 // sequence number of the content of each block when this life began
	clock   atomic.Int64
	durable atomic.Int64 // what was acknowledged before this stamp has been flushed
	flushes atomic.Int64
	slowest atomic.Int64 // nanoseconds
	streams []*stream
}

// Begin reads what the region holds now and starts a log from there with the given number of streams. Blocks may be
// zeroes or the witness's own, of the same seed; anything else is an error.
func Begin(r io.ReaderAt, region Region, streams int, seed uint64) (*Log, error) {
	return begin(r, region, streams, seed, 1)
}

// Next starts the log of the disk's next life, after a restart of its server. Sequence numbers go on.
func (l *Log) Next(r io.ReaderAt) (*Log, error) {
	first := uint64(1)
	for _, s := range l.streams {
		first = max(first, s.first+uint64(len(s.writes)))
	}
	return begin(r, l.region, len(l.streams), l.seed, first)
}

func begin(r io.ReaderAt, region Region, streams int, seed, first uint64) (*Log, error) {
	l := &Log{seed: seed, region: region}
	base, err := l.read(r)
	if err != nil {
		return nil, err
	}
	l.base = base
	for _, seq := range base {
		first = max(first, seq+1)
	}
	for range streams {
		l.streams = append(l.streams, &stream{first: first})
	}
	return l, nil
}

// Prefill writes the first version of every block of the region to w, which Begin then accepts.
func Prefill(w io.Writer, blocks int, seed uint64) error {
	p := make([]byte, BlockSize)
	for b := range blocks {
		fill(p, seed, identity{block: uint32(b), seq: 1})
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// Now is the present moment: everything acknowledged so far was before it, everything issued later is after it.
func (l *Log) Now() Stamp { return Stamp(l.clock.Add(1)) }

// Durable is the moment before which every acknowledged write has been flushed.
func (l *Log) Durable() Stamp { return Stamp(l.durable.Load()) }

// Count tells how many writes and flushes were acknowledged until now.
func (l *Log) Count() (writes, flushes int64) {
	for _, s := range l.streams {
		s.mu.Lock()
		n := len(s.writes)
		if n > 0 && s.writes[n-1].acked == 0 {
			n--
		}
		s.mu.Unlock()
		writes += int64(n)
	}
	return writes, l.flushes.Load()
}

// Slowest is the longest that a write took since the last call.
func (l *Log) Slowest() time.Duration { return time.Duration(l.slowest.Swap(0)) }

// took notes how long a write took.
func (l *Log) took(d time.Duration) {
	for {
		old := l.slowest.Load()
		if int64(d) <= old || l.slowest.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// WriteTo writes the log as text, a line a write: stream, sequence number, block, byte offset, issued, acknowledged.
func (l *Log) WriteTo(w io.Writer) (int64, error) {
	out := bufio.NewWriter(w)
	var total int64
	for id, s := range l.streams {
		s.mu.Lock()
		writes := s.writes
		s.mu.Unlock()
		for i, x := range writes {
			n, err := fmt.Fprintf(out, "%d %d %d %d %d %d\n", id, s.first+uint64(i), x.block, l.region[x.block], x.issued, x.acked)
			total += int64(n)
			if err != nil {
				return total, err
			}
		}
	}
	return total, out.Flush()
}

// issue notes a write that is about to be sent and returns its sequence number.
func (l *Log) issue(s *stream, block uint32) uint64 {
	now := l.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, write{block: block, issued: now})
	return s.first + uint64(len(s.writes)) - 1
}

// ack notes that the last write of s was acknowledged.
func (l *Log) ack(s *stream) {
	now := l.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes[len(s.writes)-1].acked = now
}

// flushed notes a flush that was issued at the given moment and has been acknowledged.
func (l *Log) flushed(issued Stamp) {
	l.flushes.Add(1)
	for {
		old := l.durable.Load()
		if int64(issued) <= old || l.durable.CompareAndSwap(old, int64(issued)) {
			return
		}
	}
}
