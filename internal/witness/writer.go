package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Target is a connection to the disk.
type Target interface {
	io.WriterAt
	Flush() error
}

// Load says how hard to write.
type Load struct {
	Rate       int // writes a second over all streams; 0: as fast as it goes
	FlushEvery int // a flush after so many writes of a stream; 0: never
}

// Run writes until ctx is done, then waits for what is under way and returns nil. There is one target a stream. The
// first write or flush that fails stops all streams and is returned; it stays in the log as issued, without an answer.
func (l *Log) Run(ctx context.Context, targets []Target, load Load) error {
	if len(targets) != len(l.streams) {
		return fmt.Errorf("witness: %d targets for %d streams", len(targets), len(l.streams))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan error, len(targets))
	for id := range l.streams {
		go func() {
			err := l.runStream(ctx, id, targets[id], load)
			cancel()
			results <- err
		}()
	}
	var errs []error
	for range targets {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

func (l *Log) runStream(ctx context.Context, id int, target Target, load Load) error {
	s := l.streams[id]
	rnd := rand.New(rand.NewPCG(l.seed, s.first<<8|uint64(id)))
	pace := newPacer(load.Rate, len(l.streams))
	p := make([]byte, BlockSize)
	for n := 1; pace.wait(ctx); n++ {
		block := l.pick(rnd, id)
		seq := l.issue(s, block)
		fill(p, l.seed, identity{block: block, stream: uint32(id), seq: seq})
		began := time.Now()
		if _, err := target.WriteAt(p, l.region[block]); err != nil {
			return fmt.Errorf("stream %d, write %d: %w", id, seq, err)
		}
		l.ack(s)
		l.took(time.Since(began))
		if load.FlushEvery > 0 && n%load.FlushEvery == 0 {
			issued := l.Now()
			if err := target.Flush(); err != nil {
				return fmt.Errorf("stream %d, flush after write %d: %w", id, seq, err)
			}
			l.flushed(issued)
		}
	}
	return nil
}

// pick chooses one of the stream's blocks; half of the writes go to a sixteenth of them, so that blocks are
// overwritten while a snapshot is being taken.
func (l *Log) pick(rnd *rand.Rand, id int) uint32 {
	streams := len(l.streams)
	own := (len(l.region) - id + streams - 1) / streams
	if rnd.IntN(2) == 0 {
		own = max(1, own/16)
	}
	return uint32(rnd.IntN(own)*streams + id)
}

// pacer lets one stream's share of the rate through.
type pacer struct {
	start time.Time
	gap   time.Duration
	n     int64
}

func newPacer(rate, streams int) *pacer {
	p := &pacer{start: time.Now()}
	if rate > 0 {
		p.gap = time.Second * time.Duration(streams) / time.Duration(rate)
	}
	return p
}

// wait reports whether to go on.
func (p *pacer) wait(ctx context.Context) bool {
	due := p.start.Add(time.Duration(p.n) * p.gap)
	p.n++
	if d := time.Until(due); d > time.Millisecond {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}
