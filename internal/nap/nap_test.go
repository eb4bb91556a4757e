package nap

import (
	"sync"
	"testing"
	"time"
)

// TestSleep takes naps, several at a time, and finds none that was shorter than asked for; timers are used again, and given back.
func TestSleep(t *testing.T) {
	var timers Timers
	const at = 4
	var wait sync.WaitGroup
	for range at {
		wait.Go(func() {
			for range 100 {
				const d = 50 * time.Microsecond
				began := time.Now()
				if timers.Sleep(d); time.Since(began) < d {
					t.Error("too short")
				}
			}
		})
	}
	wait.Wait()
	if n := len(timers.free); n < 1 || n > at {
		t.Errorf("%d timers for %d at a time", n, at)
	}
	if err := timers.Close(); err != nil || len(timers.free) != 0 {
		t.Error(timers.free, err)
	}
	if timers.Sleep(time.Microsecond); len(timers.free) != 0 {
		t.Error("a timer is kept after Close")
	}
}

// TestSleepWithoutTimers sleeps all the same when the timer is gone.
func TestSleepWithoutTimers(t *testing.T) {
	var timers Timers
	timers.Sleep(time.Microsecond)
	if err := timers.free[0].Close(); err != nil {
		t.Fatal(err)
	}
	const d = 50 * time.Microsecond
	began := time.Now()
	if timers.Sleep(d); time.Since(began) < d {
		t.Error("too short")
	}
	if n := len(timers.free); n != 0 {
		t.Errorf("%d broken timers are kept", n)
	}
}

func BenchmarkSleep(b *testing.B) {
	for name, sleep := range map[string]func(time.Duration){"nap": new(Timers).Sleep, "time": time.Sleep} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				sleep(50 * time.Microsecond)
			}
		})
	}
}
