package bench

import (
	"math/bits"
	"sync/atomic"
	"testing"
	"time"
)

// times counts durations in buckets an eighth of a power of two wide, so that millions of them cost nothing. It is safe for
// concurrent use.
type times struct {
	buckets [64 * 8]atomic.Int64
	max     atomic.Int64
}

func bucketOf(d time.Duration) int {
	n := uint64(max(d, 8))
	top := bits.Len64(n) - 1
	return top*8 + int(n>>(top-3)&7)
}

// upTo is the longest duration of a bucket.
func upTo(bucket int) time.Duration {
	top := bucket / 8
	return time.Duration(uint64(8+bucket%8+1)<<(top-3) - 1)
}

func (t *times) add(d time.Duration) {
	t.buckets[bucketOf(d)].Add(1)
	for {
		was := t.max.Load()
		if int64(d) <= was || t.max.CompareAndSwap(was, int64(d)) {
			return
		}
	}
}

// join adds what others counted.
func (t *times) join(more *times) {
	for i := range t.buckets {
		t.buckets[i].Add(more.buckets[i].Load())
	}
	t.max.Store(max(t.max.Load(), more.max.Load()))
}

func (t *times) count() (n int64) {
	for i := range t.buckets {
		n += t.buckets[i].Load()
	}
	return n
}

// quantile is the duration within which a part q of all lay, to an eighth.
func (t *times) quantile(q float64) time.Duration {
	var all, seen int64
	for i := range t.buckets {
		all += t.buckets[i].Load()
	}
	for i := range t.buckets {
		if seen += t.buckets[i].Load(); float64(seen) >= q*float64(all) && seen > 0 {
			return min(upTo(i), t.most()).Round(time.Microsecond)
		}
	}
	return 0
}

func (t *times) most() time.Duration { return time.Duration(t.max.Load()).Round(10 * time.Microsecond) }

func TestTimes(t *testing.T) {
	var all times
	for i := 1; i <= 1000; i++ {
		all.add(time.Duration(i) * time.Millisecond)
	}
	for _, c := range []struct {
		q    float64
		want time.Duration
	}{{0.5, 500 * time.Millisecond}, {0.99, 990 * time.Millisecond}, {1, time.Second}} {
		if got := all.quantile(c.q); got < c.want || got > c.want*9/8 {
			t.Errorf("quantile %v is %v, want %v or an eighth more", c.q, got, c.want)
		}
	}
}
