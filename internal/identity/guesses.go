package identity

import (
	"sync"
	"time"
)

const (
	// maxGuesses wrong passwords a caller may send in one guessWindow.
	maxGuesses  = 30
	guessWindow = time.Minute
	// maxGuessers bounds the memory that strangers can take.
	maxGuessers = 4096
)

// guesses counts wrong passwords, by address and client id.
type guesses struct {
	now func() time.Time

	mu    sync.Mutex
	count map[string]guess // guarded by mu
}

type guess struct {
	wrong int
	since time.Time
}

func newGuesses(now func() time.Time) *guesses {
	return &guesses{now: now, count: make(map[string]guess)}
}

// wait says how long the caller has to wait before it may try again; zero is now.
func (g *guesses) wait(who string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, ok := g.count[who]
	if !ok || c.wrong < maxGuesses {
		return 0
	}
	return max(0, c.since.Add(guessWindow).Sub(g.now()))
}

// wrong counts one more.
func (g *guesses) wrong(who string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	c, ok := g.count[who]
	if !ok && len(g.count) >= maxGuessers {
		g.forgetLocked(now)
	}
	if !ok || now.Sub(c.since) >= guessWindow {
		c = guess{since: now}
	}
	c.wrong++
	g.count[who] = c
}

// forgetLocked drops windows that have passed, and all when that is not enough.
func (g *guesses) forgetLocked(now time.Time) {
	for who, c := range g.count {
		if now.Sub(c.since) >= guessWindow {
			delete(g.count, who)
		}
	}
	if len(g.count) >= maxGuessers {
		clear(g.count)
	}
}
