package bench

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tintype/internal/block"
)

// load is random overwrites of a disk, and how long each took.
type load struct {
	dev   block.Device
	depth int // writes under way at a time
	size  int // of each, 4 KiB if it is 0
	left  atomic.Int64
	times *times // of this part
	watch *watch // or nil

	mu      sync.Mutex
	err     error
	refused int64
}

func (l *load) run(writer int, seed uint64) {
	p := make([]byte, max(l.size, block.BlockSize))
	rnd := rand.New(rand.NewPCG(seed, 1))
	places := l.dev.Size() / int64(len(p))
	for i := range p {
		p[i] = byte(rnd.Uint32())
	}
	for l.left.Add(-1) >= 0 {
		began := time.Now()
		l.watch.begin(writer, began)
		_, err := l.dev.WriteAt(p, rnd.Int64N(places)*int64(len(p)))
		l.watch.end(writer)
		l.times.add(time.Since(began))
		if err != nil && !l.goOn(err) {
			return
		}
	}
}

// goOn notes an error, and tells whether it is one of few refusals.
func (l *load) goOn(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(err, block.ErrNoSpace) {
		l.refused++
	} else {
		l.err = err
	}
	return l.refused <= 1000 && l.err == nil
}

// flushes makes the disk durable ten times a second, as a guest's file system does.
func (l *load) flushes(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(100 * time.Millisecond):
		}
		if err := l.dev.Flush(); err != nil {
			l.goOn(err)
			return
		}
	}
}

// part writes n times, or for a time if that is given.
func (l *load) part(n int64, lasting time.Duration, seed uint64) stretch {
	l.times = &times{}
	l.left.Store(n)
	if lasting > 0 {
		l.left.Store(1 << 60)
		defer time.AfterFunc(lasting, func() { l.left.Store(0) }).Stop()
	}
	stop, began := make(chan struct{}), time.Now()
	var writers, flusher sync.WaitGroup
	flusher.Go(func() { l.flushes(stop) })
	for i := range l.depth {
		writers.Go(func() { l.run(i, seed*1000+uint64(i)) })
	}
	writers.Wait()
	took := time.Since(began)
	close(stop)
	flusher.Wait()
	return stretch{writes: l.times.count(), took: took, times: l.times}
}

// watchFor has writes that take longer than limit told of in stalls.txt, until the function that it returns is called.
func (l *load) watchFor(b *testing.B, limit time.Duration) (end func()) {
	b.Helper()
	if limit <= 0 {
		return func() {}
	}
	out, err := os.Create(filepath.Join(os.TempDir(), "stalls.txt"))
	if err != nil {
		b.Fatal(err)
	}
	l.watch = newWatch(l.depth, limit, out)
	stop := make(chan struct{})
	go l.watch.run(stop)
	return func() {
		close(stop)
		if err := out.Close(); err != nil {
			b.Error(err)
		}
	}
}
