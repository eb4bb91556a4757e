package witness

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

const seed = 7

// memory is a disk that can copy itself at one moment.
type memory struct {
	mu     sync.Mutex
	data   []byte
	failAt int // the write that fails; 0: none
	n      int
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.n++; m.n == m.failAt {
		return 0, errors.New("disk is gone")
	}
	return copy(m.data[off:], p), nil
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return copy(p, m.data[off:]), nil
}

func (m *memory) Flush() error { return nil }

func (m *memory) snapshot() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memory{data: bytes.Clone(m.data)}
}

func (m *memory) targets(n int) (all []Target) {
	for range n {
		all = append(all, m)
	}
	return all
}

func newDisk(blocks int) *memory { return &memory{data: make([]byte, blocks*BlockSize)} }

// under runs a load on m and calls f while it runs.
func under(t *testing.T, m *memory, l *Log, f func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx, m.targets(len(l.streams)), Load{Rate: 20000, FlushEvery: 16}) }()
	awaitWrites(l, 300)
	f()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// awaitWrites returns when n more writes have been acknowledged.
func awaitWrites(l *Log, n int64) {
	first, _ := l.Count()
	for now := first; now < first+n; now, _ = l.Count() {
		time.Sleep(time.Millisecond)
	}
}

// awaitStream returns when n more writes of a stream have been acknowledged.
func awaitStream(l *Log, id, n int) {
	s := l.streams[id]
	issued := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.writes)
	}
	for last := issued() + n; issued() <= last; {
		time.Sleep(time.Millisecond)
	}
}

func TestSnapshotsUnderLoadAreCuts(t *testing.T) {
	m := newDisk(256)
	l, err := Begin(m, Linear(0, 256*BlockSize), 4, seed)
	if err != nil {
		t.Fatal(err)
	}
	var shot *memory
	var from, to Stamp
	under(t, m, l, func() {
		for range 20 {
			from = l.Now()
			shot = m.snapshot()
			to = l.Now()
			if _, err := l.CheckCut(shot, from, to); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Millisecond)
		}
		awaitWrites(l, 100) // which the last snapshot must lack, on a busy machine too
	})
	cut, err := l.CheckCut(m, l.Now(), Forever)
	if err != nil || cut.Excluded != 0 || cut.Included == 0 {
		t.Fatalf("the disk at the end: %+v, %v", cut, err)
	}
	if cut, err = l.CheckCut(shot, from, to); err != nil || cut.Excluded == 0 {
		t.Fatalf("the last snapshot, later: %+v, %v", cut, err)
	}
	if _, err := l.CheckCut(shot, l.Now(), Forever); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Fatalf("a snapshot that is too old passes: %v", err)
	}
	if _, err := l.CheckCut(m, 0, to); err == nil || !strings.Contains(err.Error(), "is there") {
		t.Fatalf("a snapshot that is too new passes: %v", err)
	}
}

func TestDamageIsSeen(t *testing.T) {
	const blocks = 64
	m := newDisk(blocks)
	l, err := Begin(m, Linear(0, blocks*BlockSize), 2, seed)
	if err != nil {
		t.Fatal(err)
	}
	var old *memory
	under(t, m, l, func() {
		old = m.snapshot()
		awaitStream(l, 0, 500) // which the snapshot lacks,
		awaitStream(l, 1, 500) // and which came after those
	})
	damages := map[string]func(*memory){
		"one bit":         func(m *memory) { m.data[5*BlockSize+900] ^= 1 },
		"torn":            func(m *memory) { copy(m.data[2048:BlockSize], make([]byte, BlockSize)) },
		"zeroed":          func(m *memory) { clear(m.data[BlockSize : 2*BlockSize]) },
		"misplaced":       func(m *memory) { copy(m.data[3*BlockSize:4*BlockSize], m.data[7*BlockSize:]) },
		"a block is old":  func(m *memory) { rollBack(m, old, 0) },
		"a stream is old": func(m *memory) { rollBackStream(m, old, 0, 2) },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			bad := m.snapshot()
			damage(bad)
			if bytes.Equal(bad.data, m.data) {
				t.Fatal("the damage changed nothing")
			}
			if cut, err := l.CheckCut(bad, 0, Forever); err == nil {
				t.Fatalf("passes as %+v", cut)
			} else {
				t.Log(err)
			}
		})
	}
}

func rollBack(m, old *memory, block int) {
	at := block * BlockSize
	copy(m.data[at:at+BlockSize], old.data[at:at+BlockSize])
}

// rollBackStream makes one stream a correct prefix that the other one's later writes contradict.
func rollBackStream(m, old *memory, id, streams int) {
	for b := id; b < len(m.data)/BlockSize; b += streams {
		rollBack(m, old, b)
	}
}

func TestPrefillAndNextLife(t *testing.T) {
	var image bytes.Buffer
	if err := Prefill(&image, 8, seed); err != nil {
		t.Fatal(err)
	}
	m := newDisk(32)
	region := make(Region, 8)
	for i := range region { // scattered, backwards
		region[i] = int64(31-3*i) * BlockSize
		copy(m.data[region[i]:], image.Next(BlockSize))
	}
	l, err := Begin(m, region, 2, seed)
	if err != nil {
		t.Fatal(err)
	}
	under(t, m, l, func() {})
	before, _ := l.Count()
	next, err := l.Next(m)
	if err != nil {
		t.Fatal(err)
	}
	under(t, m, next, func() {})
	if cut, err := next.CheckCut(m, next.Now(), Forever); err != nil || cut.Included == 0 {
		t.Fatalf("%+v, %v after %d writes", cut, err, before)
	}
	if _, err := l.CheckCut(m, 0, Forever); err == nil {
		t.Fatal("the second life passes as the first")
	}
	region[0], region[1] = region[1], region[0]
	if _, err := Begin(m, region, 2, seed); err == nil {
		t.Fatal("a wrong map of the region is accepted")
	}
}

func TestRunReturnsTheFirstFailure(t *testing.T) {
	m := newDisk(16)
	m.failAt = 100
	l, err := Begin(m, Linear(0, 16*BlockSize), 4, seed)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Run(context.Background(), m.targets(4), Load{FlushEvery: 8}); err == nil || !strings.Contains(err.Error(), "disk is gone") {
		t.Fatalf("Run: %v", err)
	}
	writes, flushes := l.Count()
	if writes == 0 || flushes == 0 {
		t.Fatalf("%d writes, %d flushes", writes, flushes)
	}
	if _, err := l.CheckCut(m, l.Durable(), Forever); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	if _, err := l.WriteTo(&lines); err != nil {
		t.Fatal(err)
	}
	if n := int64(bytes.Count(lines.Bytes(), []byte("\n"))); n != writes+1 && n > writes+4 {
		t.Fatalf("%d lines for %d acknowledged writes", n, writes)
	}
}

var _ io.ReaderAt = (*memory)(nil)
