package compute

import "sync"

// keyed is a mutex for each key. Its zero value is ready.
type keyed struct {
	mu   sync.Mutex
	held map[string]*hold
}

type hold struct {
	mu    sync.Mutex
	users int // holders and waiters, under keyed.mu
}

// lock waits for the key's mutex and returns what unlocks it.
func (k *keyed) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.held == nil {
		k.held = map[string]*hold{}
	}
	h := k.held[key]
	if h == nil {
		h = &hold{}
		k.held[key] = h
	}
	h.users++
	k.mu.Unlock()
	h.mu.Lock()
	return func() {
		h.mu.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(k.held, key)
		}
	}
}
