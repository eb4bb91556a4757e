package compute

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// maxInLine bounds how many requests wait at a time, whatever for. One takes a few hundred bytes besides what its connection does.
const maxInLine = 4096

// busy says that a resource is not free for a write: an operation on it has to be finished first, or others were there earlier.
type busy struct {
	key       string
	operation uuid.UUID // none: others are before
}

func (b *busy) Error() string { return b.key + " is not free" }

// line has requests wait for resources in the order in which they came. Who waits keeps its place at all that it has waited for until it is
// through, and is before everybody who came later at each of them: so the first of all waits for nobody, and nobody waits for ever.
// Its zero value is ready.
type line struct {
	mu      sync.Mutex
	came    uint64
	waiting int
	at      map[string][]*turn // by resource's key, in order; only those that wait or have waited for it
}

// turn is one request's place in line.
type turn struct {
	inner bool              // a step of an operation, for which whoever waits has to wait anyhow
	ranks map[string]uint64 // by key; 0 is before all others
	came  uint64            // 0: it has not waited yet
	free  chan struct{}     // holds something when the turn may have become the first somewhere
}

type turnKey struct{}

// turnOf gives the turn of whoever began the transaction; nil when nobody did who waits in line.
func turnOf(ctx context.Context) *turn {
	t, _ := ctx.Value(turnKey{}).(*turn)
	return t
}

// enter gives the request a turn, until leave is called. A request that has one keeps it.
func (l *line) enter(ctx context.Context, inner bool) (with context.Context, leave func()) {
	if turnOf(ctx) != nil {
		return ctx, func() {}
	}
	t := &turn{inner: inner, free: make(chan struct{}, 1)}
	return context.WithValue(ctx, turnKey{}, t), func() { l.leave(t) }
}

// barred tells whether the turn has to let others go first at the key. Whoever has no turn is not of those who wait.
func (l *line) barred(key string, t *turn) bool {
	if t == nil || t.inner {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.barredLocked(key, t)
}

func (l *line) barredLocked(key string, t *turn) bool {
	all := l.at[key]
	if len(all) == 0 || all[0] == t {
		return false
	}
	rank, in := t.ranks[key]
	return !in || all[0].ranks[key] < rank
}

// wait has the turn wait until nobody is before it at the key.
func (l *line) wait(ctx context.Context, key string, t *turn) error {
	if !l.join(key, t) {
		return &tintype.Error{
			Kind: tintype.KindTooManyRequests, Code: "TooManyRequests",
			Message: "Too many requests wait for others on the same resources. Please retry later.",
		}
	}
	for l.barred(key, t) {
		select {
		case <-t.free:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// join puts the turn into the line at the key, unless it is there; false when too many wait.
func (l *line) join(key string, t *turn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, in := t.ranks[key]; in {
		return true
	}
	if t.came == 0 {
		if l.waiting == maxInLine && !t.inner {
			return false
		}
		l.waiting++
		l.came++
		t.came = l.came
	}
	rank := t.came
	if t.inner {
		rank = 0
	}
	l.place(key, t, rank)
	return true
}

// hold puts the turn before all others at a key at which nobody bars it, until it leaves. It must not wait for anything else from then on.
func (l *line) hold(key string, t *turn) {
	if t == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(key, t)
	l.place(key, t, 0)
}

func (l *line) place(key string, t *turn, rank uint64) {
	if l.at == nil {
		l.at = map[string][]*turn{}
	}
	if t.ranks == nil {
		t.ranks = map[string]uint64{}
	}
	t.ranks[key] = rank
	all := l.at[key]
	i, _ := slices.BinarySearchFunc(all, rank, func(o *turn, rank uint64) int { return cmp.Compare(o.ranks[key], rank) })
	l.at[key] = slices.Insert(all, i, t)
}

func (l *line) remove(key string, t *turn) {
	all := l.at[key]
	if i := slices.Index(all, t); i >= 0 {
		all = slices.Delete(all, i, i+1)
	}
	if len(all) == 0 {
		delete(l.at, key)
		return
	}
	l.at[key] = all
	select {
	case all[0].free <- struct{}{}:
	default:
	}
}

// leave takes the turn out of the line everywhere.
func (l *line) leave(t *turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range t.ranks {
		l.remove(key, t)
	}
	if t.came != 0 {
		l.waiting--
	}
	t.ranks, t.came = nil, 0
}

// free answers busy while the resource of the key is not free for who began the transaction.
func (s *Service) free(tx *catalog.Tx, key string) error {
	if s.line.barred(key, turnOf(tx.Context())) {
		return &busy{key: key}
	}
	open, err := tx.OpenOperations(key)
	if err == nil && len(open) > 0 {
		err = &busy{key: key, operation: open[0].ID}
	}
	return err
}
