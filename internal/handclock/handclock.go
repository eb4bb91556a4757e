// Package handclock is a time that tests move by hand.
package handclock

import (
	"sync"
	"time"
)

// Clock stands still until it is moved. Many goroutines may use it at once.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// New is a clock that shows the time.
func New(now time.Time) *Clock { return &Clock{now: now} }

// Now is what it shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves it, backwards too.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
