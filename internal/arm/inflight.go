package arm

import (
	"context"
	"strings"
	"sync"
)

// inFlight counts requests that may make something of a provider in a subscription, so that who unregisters it can wait for those that
// were let in before.
type inFlight struct {
	mu   sync.Mutex
	n    map[string]int
	gone chan struct{} // closed, and made anew, whenever a count falls to nothing
}

func newInFlight() *inFlight { return &inFlight{n: map[string]int{}, gone: make(chan struct{})} }

func flightKey(subscription, namespace string) string {
	return strings.ToLower(subscription + "/" + namespace)
}

// enter counts a request until leave is called. Whether its provider is registered is asked after it, so that it is either refused or
// waited for.
func (f *inFlight) enter(subscription, namespace string) (leave func()) {
	key := flightKey(subscription, namespace)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n[key]++
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.n[key]--; f.n[key] == 0 {
			delete(f.n, key)
			close(f.gone)
			f.gone = make(chan struct{})
		}
	}
}

// wait returns when none is left, or the context has ended.
func (f *inFlight) wait(ctx context.Context, subscription, namespace string) error {
	key := flightKey(subscription, namespace)
	for {
		f.mu.Lock()
		n, gone := f.n[key], f.gone
		f.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
