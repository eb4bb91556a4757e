// Package nap sleeps for microseconds. Go's own timers take a millisecond and more when nothing else can be run, because that is what
// the wait for the network, which they are part of, counts in.
package nap

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Timers are what naps are timed with: the kernel's, which end the wait for the network as if something had come in. The zero value is
// ready, and safe for concurrent use.
type Timers struct {
	mu     sync.Mutex
	free   []*timer
	closed bool
}

type timer struct {
	*os.File
	fd int
}

// Sleep returns after d, and some 20 µs more if a processor is free. Others run meanwhile, and whatever has come from the network is
// looked at if they leave time for that.
func (t *Timers) Sleep(d time.Duration) {
	f, err := t.take()
	if err == nil {
		err = f.sleep(d)
		err = errors.Join(err, t.give(f, err))
	}
	if err != nil { // no file descriptor is left, most likely
		time.Sleep(d)
	}
}

func (t *Timers) take() (*timer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.free); n > 0 {
		f := t.free[n-1]
		t.free = t.free[:n-1]
		return f, nil
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &timer{File: os.NewFile(uintptr(fd), "timer"), fd: fd}, nil
}

// give keeps a timer for the next nap, unless it has failed.
func (t *Timers) give(f *timer, failed error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if failed != nil || t.closed {
		return f.Close()
	}
	t.free = append(t.free, f)
	return nil
}

// sleep sets the timer, and reads how often it has run out, which is there when it has.
func (f *timer) sleep(d time.Duration) error {
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(max(d.Nanoseconds(), 1))}
	if err := unix.TimerfdSettime(f.fd, 0, &at, nil); err != nil {
		return err
	}
	var times [8]byte
	_, err := f.Read(times[:])
	return err
}

// Close gives the timers back. A nap that is under way goes on, and so do later ones, each with a timer of its own.
func (t *Timers) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	var err error
	for _, f := range t.free {
		err = errors.Join(err, f.Close())
	}
	t.free = nil
	return err
}
