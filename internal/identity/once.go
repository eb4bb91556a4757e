package identity

import (
	"sync"
	"time"
)

// maxOnce bounds how many names are remembered at a time.
const maxOnce = 20000

// once remembers names until they end, so that what is good for one use is not used twice.
type once struct {
	now func() time.Time

	mu   sync.Mutex
	seen map[string]time.Time // guarded by mu
}

// first tells whether the name was not seen before; it is remembered until it ends. When there is no room for one more, it
// counts as seen.
func (o *once) first(name string, end time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, seen := o.seen[name]; seen {
		return false
	}
	if len(o.seen) >= maxOnce {
		now := o.now()
		for n, t := range o.seen {
			if !now.Before(t) {
				delete(o.seen, n)
			}
		}
	}
	if len(o.seen) >= maxOnce {
		return false
	}
	o.seen[name] = end
	return true
}
